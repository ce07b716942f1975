"""Whole-volume inference against the original's tiling (windows of 96, steps of 48): time and peak memory.

    python benchmarks/bench_inference.py

Prints a Markdown table. Each way runs in a process of its own, so that one's memory is not the other's; times
are of the second pass, after the framework has traced its functions. The forecast is that of zoo.forecast.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

SHAPE = (112, 128, 128)  # a BBBC050 embryo at 0.8 um, padded
WINDOW = (96, 96, 96)


def measure(way: str, base: int) -> dict[str, float]:
    """Run one way in this process; seconds, and megabytes above what the loaded network takes."""
    from zoo.train import device

    device.configure()
    import numpy as np

    from zoo import forecast, registry
    from zoo.data.tiles import blend, pad_to, pad_to_multiple
    from zoo.recipe import change

    entry = registry.get("qcanet_nsn")
    recipe = change(entry.recipes["default"], {"base": base})
    assert entry.build is not None, "the NSN has a network"
    model = entry.build.load()(recipe)

    def forward(part: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_on_batch(part[None, ..., None]))[0, ..., 1]

    def run(image: np.ndarray) -> np.ndarray:
        if way == "whole":
            padded, inside = pad_to_multiple(image, recipe.multiple)
            return forward(padded)[inside]
        padded, inside = pad_to(image, WINDOW)
        return blend(padded, forward, WINDOW, overlap=0.5)[inside]

    image = np.random.default_rng(0).random(SHAPE, dtype=np.float32)
    forward(image[:16, :16, :16])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run(image)
    wall, cpu = time.perf_counter(), time.process_time()
    run(image)
    shape = SHAPE if way == "whole" else WINDOW
    return {
        "seconds": time.perf_counter() - wall,
        "cpu": time.process_time() - cpu,
        "peak": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
        "forecast": forecast.bytes_needed(recipe, shape) / 2**20,
    }


def main() -> None:
    """Print the table."""
    print(f"NSN on {SHAPE} voxels; tiled: windows of {WINDOW[0]}, half overlapping")
    print()
    print("| base | way | s | CPU-s | ratio | peak MB | forecast MB |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for base in (4, 8):
        found = {}
        for way in ("whole", "tiled"):
            command = [sys.executable, __file__, way, str(base)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[way] = json.loads(output.splitlines()[-1])
        for way, row in found.items():
            ratio = row["cpu"] / found["whole"]["cpu"]
            print(
                f"| {base} | {way} | {row['seconds']:.1f} | {row['cpu']:.1f} | {ratio:.1f} "
                f"| {row['peak']:.0f} | {row['forecast']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
