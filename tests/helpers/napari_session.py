"""A user at napari's window: ``python napari_session.py FOLDER`` tells what was seen.

A process of its own, as Qt's application, its threads and the screen would outlive the tests. Leaves
``started`` once Qt runs, and at the end ``seen.json`` and ``labels.npy``.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.qt import get_qapp
from napari.utils import progress
from napari.utils.notifications import notification_manager

MANIFEST = Path(__file__).parents[2] / "zoo" / "viewer" / "napari.yaml"
PATIENCE = 60.0  # seconds


def plug_in() -> None:
    """Make the plugin known, also where cellzoo is used from its folder without being installed."""
    from npe2 import PluginManager, PluginManifest

    manager = PluginManager.instance()
    manager.discover()
    if "cellzoo" not in manager:
        manager.register(PluginManifest.from_file(MANIFEST))


def wait(ready: Callable[[], bool]) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + PATIENCE
    while not ready():
        get_qapp().processEvents()
        time.sleep(0.005)
        assert time.monotonic() < end, "waited in vain"


class Session:
    """The window, the widget, and what napari says to the user."""

    def __init__(self) -> None:
        self.viewer = napari.Viewer(show=False)
        Path(sys.argv[1], "started").touch()
        plug_in()
        self.said: list[list[str]] = []
        notification_manager.notification_ready.connect(
            lambda note: self.said.append([str(note.severity), note.message])
        )
        self.bars: list[list[Any]] = []
        progress._all_instances.events.changed.connect(self._bars)
        self.dock, self.widget = self.viewer.window.add_plugin_dock_widget("cellzoo", "Segment nuclei")

    def _bars(self, event: Any) -> None:
        for bar in event.added:
            self.bars.append([])
            for emitter in (bar.events.value, bar.events.description):
                emitter.connect(lambda e, steps=self.bars[-1]: steps.append(e.value))

    def form(self) -> dict[str, Any]:
        """What the widget shows."""
        widget = self.widget
        return {
            "image": widget.image.value and widget.image.value.name,
            "pipelines": list(widget.pipeline.choices),
            "edges": [edge.value for edge in widget.edges],
            "from": widget.voxel_from.value,
            "weights": [edit.name for edit in widget.weights],
        }

    def segment(self, **data: Any) -> dict[str, Any]:
        """Press the button, for a new layer where one is given; tell what was said and which layers came."""
        self.said.clear()
        if data:
            self.viewer.add_image(**data)
        form, before = self.form(), [layer.name for layer in self.viewer.layers]
        self.widget.segment.native.click()
        wait(lambda: self.widget.segment.enabled)
        came = [layer.name for layer in self.viewer.layers if layer.name not in before]
        return {"form": form, "said": list(self.said), "came": came}


def two_balls(*shape: int) -> np.ndarray:
    """Make an image with two bright balls of 6 voxels radius."""
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    image = np.random.default_rng(0).integers(90, 110, shape).astype(np.uint16)
    for at in (12, 32):
        image[(z - shape[0] // 2) ** 2 + (y - shape[1] // 2) ** 2 + (x - at) ** 2 < 36] += 400
    return image


def status_of(viewer: napari.Viewer, labels: Any, number: int) -> str:
    """Point at a nucleus, and read what the status bar says."""
    place = labels.data_to_world(np.argwhere(labels.data == number)[0])
    viewer.dims.set_point(range(3), place)
    return labels.get_status(place, view_direction=None, dims_displayed=[1, 2], world=True)["value"]


def end(widget: Any) -> None:
    """Do what the system does to a process that takes too much memory."""
    widget._networks._process.kill()


def main(folder: Path) -> None:
    """Go through what users do."""
    session = Session()
    viewer, widget = session.viewer, session.widget
    seen: dict[str, Any] = {"empty": session.segment()}
    viewer.open_sample("cellzoo", "embryo")
    widget.pipeline.value = "emrcnn"
    widget.weights[0].value = folder / "nowhere"
    seen["no weights"] = session.segment()
    widget.pipeline.value = "classical"
    seen["sample"] = session.segment()
    seen["bars"] = session.bars[-1]
    seen["tensorflow"] = "tensorflow" in sys.modules
    labels = viewer.layers["synthetic embryo nuclei"]
    np.save(folder / "labels.npy", labels.data)
    seen["labels"] = {
        "kind": type(labels).__name__,
        "dtype": str(labels.data.dtype),
        "scale": labels.scale.tolist(),
        "units": [str(unit) for unit in labels.units],
        "features": {name: list(column) for name, column in labels.features.items()},
        "status": status_of(viewer, labels, 3),
        "metadata": labels.metadata,
    }
    ball = two_balls(24, 32, 44)
    seen["series"] = session.segment(data=np.stack([ball, ball]), name="series", scale=(1, 2, 1, 1))
    series = viewer.layers["series nuclei"]
    seen["series"] |= {
        "numbers": [np.unique(frame).tolist() for frame in series.data],
        "index": list(series.features["index"]),
        "frame": list(series.features["frame"]),
    }
    seen["unknown"] = session.segment(data=ball, name="unknown")
    widget.image.value.scale = (2, 1, 1)
    seen["told later"] = session.form()
    widget.edges[0].value = "2,5"
    seen["typed"] = session.segment()
    seen["typed"]["spacing"] = viewer.layers["unknown nuclei"].metadata["spacing_um"]
    hurt = ball.astype(np.float32)
    hurt[3, 4, 5] = np.nan
    bad = {
        "flat": {"data": ball[0], "scale": (2, 2)},
        "rgb": {"data": np.zeros((8, 9, 10, 3), np.uint8), "rgb": True},
        "pyramid": {"data": [ball, ball[::2, ::2, ::2]], "multiscale": True},
        "nan": {"data": hurt, "scale": (2, 1, 1)},
        "channels": {"data": np.stack([ball, ball]), "scale": (1, 2, 1, 1), "axis_labels": tuple("czyx")},
        "five": {"data": ball[None, None], "scale": (1, 1, 2, 1, 1)},
        "thin": {"data": ball[:1], "scale": (2, 1, 1)},
    }
    seen["bad"] = {name: session.segment(name=name, **data) for name, data in bad.items()}
    viewer.layers.selection.active = viewer.layers["synthetic embryo"]
    seen["clicked"] = session.form()
    before = len(viewer.layers)
    for name, act in {"cancelled": widget.cancel.native.click, "killed": lambda: end(widget)}.items():
        session.said.clear()
        widget.segment.native.click()
        act()
        wait(lambda: widget.segment.enabled)
        seen[name] = {"said": list(session.said), "came": len(viewer.layers) - before}
    widget.segment.native.click()  # and away
    viewer.close()
    (folder / "seen.json").write_text(json.dumps(seen, default=lambda value: value.item()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
