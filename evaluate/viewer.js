"use strict";
/* The slice viewers and sortable tables of a report. It fetches nothing and writes text as text only.
   The page's address holds what is shown: #case=2&z=17&label=5, and what differs of outlines, fill, truth, gain. */
(() => {
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

  async function unpack(element) {
    const packed = Uint8Array.from(atob(element.dataset.voxels), (sign) => sign.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const kind = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[element.dataset.bytes];
    return new kind(await new Response(stream).arrayBuffer());
  }

  /* First and last slice, mean slice, of each object, by its place in the volume's list. */
  function spans(voxels, count, plane) {
    const found = Array.from({ length: count + 1 }, () => ({ first: Infinity, last: -1, sum: 0, voxels: 0 }));
    for (let at = 0; at < voxels.length; at += 1) {
      if (voxels[at]) {
        const one = found[voxels[at]];
        const z = Math.floor(at / plane);
        one.first = Math.min(one.first, z);
        one.last = z;
        one.sum += z;
        one.voxels += 1;
      }
    }
    return found;
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      const data = root.dataset;
      this.number = Number(data.case);
      [this.depth, this.height, this.width] = data.shape.split(" ").map(Number);
      this.tile = data.tile.split(" ").map(Number);
      this.columns = Number(data.columns);
      const labels = root.querySelector(".labels").dataset;
      this.ids = labels.ids ? labels.ids.split(" ").map(Number) : [];
      this.colours = labels.colours.split(" ");
      this.stage = root.querySelector(".stage");
      this.slice = root.querySelector(".slice");
      this.marks = root.querySelector(".marks");
      this.slider = root.querySelector("[name=z]");
      this.gain = root.querySelector("[name=gain]");
      this.toggles = [...root.querySelectorAll("[type=checkbox]")];
      const table = document.querySelector(`table.objects[data-case="${this.number}"]`);
      this.rows = new Map(
        table ? [...table.querySelectorAll("tr[data-label]")].map((row) => [Number(row.dataset.label), row]) : [],
      );
      this.z = Number(this.slider.value);
      this.label = 0;
      this.loaded = null;
      this.dress();
      this.listen();
    }

    dress() {
      this.root.hidden = false;
      this.root.parentElement.classList.add("live");
      this.stage.style.aspectRatio = this.root.dataset.aspect;
      this.stage.style.setProperty("--bar", `${100 * Number(this.root.dataset.bar)}%`);
      this.slice.width = this.width;
      this.slice.height = this.height;
      for (const row of this.rows.values()) {
        const head = row.cells[0];
        const button = document.createElement("button");
        button.type = "button";
        button.append(...head.childNodes);
        head.append(button);
      }
      this.tell();
    }

    listen() {
      this.slider.addEventListener("input", () => this.show({ z: Number(this.slider.value) }));
      this.root.addEventListener("input", (event) => event.target !== this.slider && this.show({}));
      this.stage.addEventListener("keydown", (event) => this.press(event));
      this.stage.addEventListener("click", (event) => this.show({ label: this.under(event) }));
      this.stage.addEventListener("pointermove", (event) => {
        this.stage.classList.toggle("over", this.under(event) > 0);
      });
      for (const [label, row] of this.rows) {
        row.addEventListener("click", () => this.go(label));
      }
      new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.load(), {
        rootMargin: "200px",
      }).observe(this.root);
      new ResizeObserver(() => this.draw()).observe(this.stage);
    }

    /* Decoded when it comes into sight or is asked for: twelve volumes at once are a lot of memory. */
    load() {
      this.loaded ??= (async () => {
        const truth = this.root.querySelector(".truth");
        const image = new Image();
        image.src = this.root.dataset.image;
        [this.voxels, this.truth] = await Promise.all([
          unpack(this.root.querySelector(".labels")),
          truth && unpack(truth),
          image.decode(),
        ]);
        this.image = image;
        this.spans = spans(this.voxels, this.ids.length, this.height * this.width);
        this.tell();
        this.draw();
      })();
      return this.loaded;
    }

    /* The label under a pointer; 0 for none. */
    under(event) {
      const box = this.stage.getBoundingClientRect();
      const x = Math.floor(((event.clientX - box.left) / box.width) * this.width);
      const y = Math.floor(((event.clientY - box.top) / box.height) * this.height);
      if (!this.voxels || x < 0 || y < 0 || x >= this.width || y >= this.height) return 0;
      const place = this.voxels[(this.z * this.height + y) * this.width + x];
      return place ? this.ids[place - 1] : 0;
    }

    press(event) {
      const to = {
        ArrowUp: this.z + 1, ArrowRight: this.z + 1, ArrowDown: this.z - 1, ArrowLeft: this.z - 1,
        PageUp: this.z + 5, PageDown: this.z - 5, Home: 0, End: this.depth - 1,
      }[event.key];
      if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      this.show({ z: to });
    }

    /* Choose an object and go to the slice of its centre. */
    async go(label) {
      await this.load();
      const span = this.spans[this.ids.indexOf(label) + 1];
      this.show({ label, z: span?.voxels ? Math.round(span.sum / span.voxels) : this.z });
    }

    show({ z = this.z, label = this.label }) {
      this.z = clamp(z, 0, this.depth - 1);
      this.label = label;
      this.tell();
      this.draw();
      remember(this);
    }

    /* Say in words and in the table what is shown. */
    tell() {
      const { step, noun } = this.root.dataset;
      this.slider.value = this.z;
      this.slider.setAttribute("aria-valuetext", `z ${this.z}`);
      const deep = (this.z * Number(step)).toFixed(1);
      this.root.querySelector(".place").textContent = `z ${this.z} of 0–${this.depth - 1} · ${deep} µm`;
      this.slice.style.filter = `brightness(${this.gain.value})`;
      for (const [label, row] of this.rows) {
        row.classList.toggle("marked", label === this.label);
        if (label === this.label) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
      const span = this.spans?.[this.ids.indexOf(this.label) + 1];
      const there = this.label > 0 && span?.voxels > 0;
      const extent = this.root.querySelector(".extent");
      extent.style.visibility = there ? "visible" : "hidden";
      const chosen = this.root.querySelector(".chosen");
      chosen.textContent = this.label ? "" : `Click a ${noun} or a row; arrows step.`;
      if (there) {
        const wide = 100 / this.depth;
        extent.style.left = `${span.first * wide}%`;
        extent.style.width = `${(span.last - span.first + 1) * wide}%`;
        extent.style.background = this.colours[this.ids.indexOf(this.label)];
        chosen.textContent = `Chosen: ${noun} ${this.label}, z ${span.first} to ${span.last}`;
      } else if (this.label && this.spans) {
        chosen.textContent = `There is no ${noun} ${this.label} in this volume.`;
      }
      this.reveal(this.rows.get(this.label));
    }

    /* Scroll the table, not the page, to a row. */
    reveal(row) {
      const box = row?.closest(".wide");
      if (!box) return;
      const top = row.offsetTop - row.closest("table").tHead.offsetHeight;
      if (top < box.scrollTop) box.scrollTop = top;
      const below = row.offsetTop + row.offsetHeight - box.clientHeight;
      if (below > box.scrollTop) box.scrollTop = below;
    }

    draw() {
      if (!this.image) return;
      const [high, wide] = this.tile;
      const { width, height, marks } = this;
      const x = (this.z % this.columns) * wide;
      const y = Math.floor(this.z / this.columns) * high;
      this.slice.getContext("2d").drawImage(this.image, x, y, width, height, 0, 0, width, height);
      const ratio = window.devicePixelRatio || 1;
      marks.width = Math.max(1, Math.round(this.stage.clientWidth * ratio));
      marks.height = Math.max(1, Math.round(this.stage.clientHeight * ratio));
      const pen = marks.getContext("2d");
      pen.imageSmoothingEnabled = false;
      const on = Object.fromEntries(this.toggles.map((box) => [box.name, box.checked]));
      if (on.fill) this.fill(pen);
      if (on.truth) this.outline(pen, this.truth, 1.2 * ratio, () => "#ffffff");
      const chosen = this.ids.indexOf(this.label) + 1;
      const colour = (place) => this.colours[place - 1];
      if (on.outlines) this.outline(pen, this.voxels, 1.5 * ratio, colour);
      if (chosen) this.outline(pen, this.voxels, 3.5 * ratio, (place) => place === chosen && colour(place));
    }

    plane(voxels) {
      const size = this.height * this.width;
      return voxels.subarray(this.z * size, (this.z + 1) * size);
    }

    fill(pen) {
      const cover = document.createElement("canvas");
      cover.width = this.width;
      cover.height = this.height;
      const under = cover.getContext("2d");
      const painted = under.createImageData(this.width, this.height);
      const paint = this.colours.map((colour) => parseInt(colour.slice(1), 16));
      this.plane(this.voxels).forEach((place, at) => {
        if (!place) return;
        const colour = paint[place - 1];
        const alpha = this.ids[place - 1] === this.label ? 200 : 130;
        painted.data.set([colour >> 16, (colour >> 8) & 255, colour & 255, alpha], 4 * at);
      });
      under.putImageData(painted, 0, 0);
      pen.drawImage(cover, 0, 0, this.marks.width, this.marks.height);
    }

    /* Draw the rim of each object inside its own voxels, so that neighbours show both of theirs. */
    outline(pen, voxels, thick, colour) {
      const { width, height } = this;
      const plane = this.plane(voxels);
      const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? -1 : plane[y * width + x]);
      const [sx, sy] = [this.marks.width / width, this.marks.height / height];
      const [tx, ty] = [Math.min(thick, sx), Math.min(thick, sy)];
      const paths = new Map();
      for (let y = 0; y < height; y += 1) {
        for (let x = 0; x < width; x += 1) {
          const place = plane[y * width + x];
          if (!place || !colour(place)) continue;
          const [up, down, left, right] = [at(x, y - 1), at(x, y + 1), at(x - 1, y), at(x + 1, y)];
          if (!paths.has(place)) paths.set(place, new Path2D());
          const path = paths.get(place);
          if (up !== place) path.rect(x * sx, y * sy, sx, ty);
          if (down !== place) path.rect(x * sx, (y + 1) * sy - ty, sx, ty);
          if (left !== place) path.rect(x * sx, y * sy, tx, sy);
          if (right !== place) path.rect((x + 1) * sx - tx, y * sy, tx, sy);
          /* the inner corners, where two rims would else meet in a point */
          for (const [dx, side] of [[-1, left], [1, right]]) {
            for (const [dy, end] of [[-1, up], [1, down]]) {
              if (side === place && end === place && at(x + dx, y + dy) !== place) {
                path.rect(dx > 0 ? (x + 1) * sx - tx : x * sx, dy > 0 ? (y + 1) * sy - ty : y * sy, tx, ty);
              }
            }
          }
        }
      }
      for (const [place, path] of paths) {
        pen.fillStyle = colour(place);
        pen.fill(path);
      }
    }

    state() {
      const state = new URLSearchParams({ case: this.number, z: this.z });
      if (this.label) state.set("label", this.label);
      for (const box of this.toggles) {
        if (box.checked !== box.defaultChecked) state.set(box.name, Number(box.checked));
      }
      if (this.gain.value !== this.gain.defaultValue) state.set("gain", this.gain.value);
      return state;
    }

    /* Take a state on; what it does not name stays. Numbers that are none are left out. */
    async take(state) {
      for (const box of this.toggles) {
        if (state.has(box.name)) box.checked = state.get(box.name) === "1";
      }
      if (state.has("gain")) this.gain.value = state.get("gain");
      const number = (name) => (/^\d+$/.test(state.get(name) ?? "") ? Number(state.get(name)) : undefined);
      if (number("label") && number("z") === undefined) await this.go(number("label"));
      else this.show({ z: number("z"), label: number("label") });
      await this.load();
    }
  }

  /* A browser refuses an address that changes too often. */
  let waiting = 0;
  function remember(viewer) {
    clearTimeout(waiting);
    waiting = setTimeout(() => history.replaceState(null, "", `#${viewer.state()}`), 150);
  }

  /* Go to another volume with the same slice, object and looks, and leave the page standing where it is. */
  function turn(from, to) {
    const [before, focus] = [from.root.getBoundingClientRect().top, document.activeElement.name];
    to.take(from.state());
    window.scrollBy(0, to.root.getBoundingClientRect().top - before);
    to.root.querySelector(`button[name="${focus}"]:not([hidden])`)?.focus({ preventScroll: true });
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, column) => {
      const text = row.cells[column].textContent.trim();
      const number = Number(text.replaceAll(",", ""));
      return text === "–" || text === "" ? null : Number.isNaN(number) ? text : number;
    };
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "ascending" : "descending");
        const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b) * (down ? 1 : -1);
        const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
        const [known, missing] = [rows.filter(([v]) => v !== null), rows.filter(([v]) => v === null)];
        known.sort(([a], [b]) => order(a, b));
        table.tBodies[0].append(...known.concat(missing).map(([, row]) => row));
      });
    });
  }

  document.querySelectorAll("table.objects").forEach(sortable);
  if (!("DecompressionStream" in window)) return;
  const viewers = [...document.querySelectorAll(".viewer")].map((root) => new Viewer(root));
  viewers.forEach((viewer, place) => {
    for (const [name, other] of [["back", viewers[place - 1]], ["on", viewers[place + 1]]]) {
      const button = viewer.root.querySelector(`[name=${name}]`);
      button.hidden = !other;
      button.addEventListener("click", () => turn(viewer, other));
    }
  });
  function follow() {
    const state = new URLSearchParams(location.hash.slice(1));
    const viewer = viewers.find((one) => String(one.number) === state.get("case"));
    if (!viewer) return;
    viewer.take(state);
    viewer.root.scrollIntoView({ block: "center" });
  }
  window.addEventListener("hashchange", follow);
  follow();
})();
