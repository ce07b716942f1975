"""A run by blocks on a cluster, simulated: how long a volume of terabytes takes, and what breaks.

python benchmarks/simulate_cluster.py [--gpus 1,8,64] [--edge 17100] ...

It prints markdown tables in a minute or so; nothing is segmented. Blocks, windows and what they read are
counted by the project's own code, in `cluster_counts.py`. What a piece takes is assumed; each assumption is
an option.

The steps are those of `zoo.blocks.run`, with a barrier after each; `cluster_schedule.py` plays them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cluster_counts import Reads, Views, count_blocks, count_files, count_levels, count_maps
from cluster_schedule import Cluster, Step, run

from zoo import registry
from zoo.blocks.grid import Grid
from zoo.blocks.merge import chunk_for
from zoo.blocks.plan import LABELLING_SPEED, Plan, make_plan
from zoo.blocks.view import View
from zoo.data.boxes import Shape
from zoo.data.omezarr import SMALLEST_EDGE

OBJECT = 8 + 8 + 24 + 48 + 8 + 8 + 8  # bytes of a nucleus in a block's table (zoo.blocks.labels)
MARKER, NUMBER = 3 * 8, 2 * 8  # of a marker, and of an identifier with its number
MESSAGES = 5e3  # bytes that a task and its outcome are between scheduler and worker
DIAMETER_UM = 10.0  # of a nucleus: how many lie in more than one block


def network_steps(given: argparse.Namespace, plan: Plan, views: Views, voxels: int) -> list[Step]:
    """Count what the networks see, say it, and return their steps."""
    levels, maps = [], []
    for name, (view, recipe) in views.items():
        windows, shown, read = count_maps(view, plan.windows[name])
        share, cubes = count_levels(view)
        time = share * reading(given, cubes)
        levels.append(Step(f"levels {name}", 1, 2 * share * cubes.chunks, 0, time, alone=True))
        working, gpu = math.prod(view.padded), shown * recipe.base / 8 / given.network / given.gpu
        maps.append(
            Step(
                f"maps {name}",
                windows,
                2 * read.chunks,
                2 * given.packed_maps * working,
                reading(given, read) + gpu,
                gpu,
                given.decoding * (read.decoded - read.chunks),
            )
        )
        print(
            f"- {name}: {working:.3g} working voxels of {recipe.voxel_um:g} um in {windows:,} windows of "
            f"{' x '.join(map(str, plan.windows[name]))}, halo {view.halo}: "
            f"{shown / working:.2f} times as many are shown; "
            f"{read.chunks / voxels:.2f} times the volume is read, {read.decoded / voxels:.2f} times decoded"
        )
    return levels + maps


def reading(given: argparse.Namespace, reads: Reads) -> float:
    """Return the seconds that reading takes one process."""
    return given.decoding * reads.decoded + given.resampling * reads.voxels


def pyramid_steps(given: argparse.Namespace, plan: Plan, shape: Shape) -> list[Step]:
    """Return the steps of the levels below the largest; a piece is a chunk."""
    packed, chunks, steps, fine = 4 * given.packed_labels, chunk_for(plan.block), [], shape
    while max(fine) > SMALLEST_EDGE:
        z, y, x = (-(-n // 2) for n in fine)
        pieces = math.prod(-(-n // min(chunk, n)) for n, chunk in zip((z, y, x), chunks, strict=True))
        above, name = math.prod(fine), f"pyramid, level {len(steps) + 1}"
        steps.append(Step(name, pieces, packed * above, packed * z * y * x, given.shrinking * above))
        fine = z, y, x
    return steps


def block_steps(given: argparse.Namespace, plan: Plan, views: Views, shape: Shape) -> list[Step]:
    """Count what the labels take, say it, and return their steps."""
    voxels, looks, nuclei = math.prod(shape), count_blocks(plan, shape, views), count_nuclei(given, shape)
    parts = count_parts(given, plan, nuclei)
    print(
        f"- labels: {looks.blocks:,} blocks of {' x '.join(map(str, plan.block))}, halo "
        f"{' x '.join(map(str, plan.halo))}: {looks.voxels / voxels:.2f} times the volume is looked at, twice"
    )
    print(f"- memory a worker, by the forecast: {plan.memory / 1e9:.1f} GB")
    seen = 2 * given.packed_maps * looks.maps
    ids, final = 8 * given.packed_labels * voxels, 4 * given.packed_labels * voxels
    time, tables = LABELLING_SPEED * looks.voxels, MARKER * nuclei * looks.tables / looks.blocks
    numbers = NUMBER * parts  # each block has its own
    writing = given.writing * voxels + numbers / given.loading
    adding = given.adding * nuclei + given.saving * looks.blocks
    files = count_files(plan, shape, views)
    return [
        Step("markers", looks.blocks, seen, MARKER * nuclei, given.marking * time),
        Step(
            "labels",
            looks.blocks,
            seen + 2 * voxels + tables,
            ids + OBJECT * parts,
            (1 - given.marking) * time,
        ),
        Step("numbering", 1, 3 * OBJECT * parts, numbers, adding, alone=True),
        Step("writing", looks.blocks, ids + numbers, final, writing),
        *pyramid_steps(given, plan, shape),
        Step("table of nuclei", 1, 0, given.row_bytes * nuclei, given.row * nuclei, alone=True),
        Step("removing", 1, 0, 0, given.removing * files, alone=True),
    ]


def mended(steps: Sequence[Step], blocks: int) -> list[Step]:
    """Return the steps if a window decoded a chunk once, and all wrote rows and removed files."""
    steps = [replace(step, seconds=step.seconds - step.again, again=0.0) for step in steps]
    names = ("table of nuclei", "removing")
    return [replace(step, pieces=blocks, alone=False) if step.name in names else step for step in steps]


def count_nuclei(given: argparse.Namespace, shape: Shape) -> float:
    """Return how many nuclei a volume has."""
    return math.prod(shape) * given.voxel**3 / given.tissue


def count_parts(given: argparse.Namespace, plan: Plan, nuclei: float) -> float:
    """Return how many rows the tables of objects have: a nucleus has one in each block that it is in."""
    return nuclei * math.prod(1 + DIAMETER_UM / given.voxel / edge for edge in plan.block)


def print_steps(steps: Sequence[Step]) -> None:
    """Print what each step moves and computes."""
    print("\n| step | pieces | read (TB) | written (TB) | a piece, one process (s) | hours of one process |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for step in steps:
        print(
            f"| {step.name} | {step.pieces:,} | {step.read / 1e12:.2f} | {step.written / 1e12:.2f} "
            f"| {step.seconds / step.pieces:,.1f} | {step.seconds / 3600:,.1f} |"
        )
    read, written = (sum(getattr(step, key) for step in steps) / 1e12 for key in ("read", "written"))
    messages = MESSAGES * sum(step.pieces for step in steps if not step.alone) / 1e9
    hours = sum(step.seconds for step in steps) / 3600
    print(f"| all | | {read:.1f} | {written:.1f} | | {hours:,.0f} |")
    gpu, again = (sum(getattr(step, key) for step in steps) / 3600 for key in ("gpu", "again"))
    print(f"\nOf these hours {gpu:,.1f} are on the GPU, and {again:,.1f} decode a window's chunks once more.")
    print(f"All bytes cross the network; messages of the scheduler are {messages:.1f} GB more.")


def print_times(steps: Sequence[Step], clusters: Mapping[int, Cluster]) -> None:
    """Print the hours of each step for each number of workers, and the efficiency."""
    found = {count: run(steps, cluster) for count, cluster in clusters.items()}
    print("\n| hours | " + " | ".join(f"{count} GPU{'s' * (count > 1)}" for count in found) + " |")
    print("| --- |" + " ---: |" * len(found))
    for i, step in enumerate(steps):
        print(f"| {step.name} | " + " | ".join(f"{f[0][i] / 3600:,.2f}" for f in found.values()) + " |")
    totals = {count: sum(f[0]) for count, f in found.items()}
    print("| **all** | " + " | ".join(f"**{total / 3600:,.1f}**" for total in totals.values()) + " |")
    first = min(totals)
    share = [first * totals[first] / count / total for count, total in totals.items()]
    print("| efficiency | " + " | ".join(f"{part:.2f}" for part in share) + " |")
    spread = {c: sum(t for t, s in zip(f[0], steps, strict=True) if not s.alone) for c, f in found.items()}
    share = [first * spread[first] / count / total for count, total in spread.items()]
    print("| efficiency of the steps that all share | " + " | ".join(f"{part:.2f}" for part in share) + " |")
    print("| workers that died | " + " | ".join(str(f[1]) for f in found.values()) + " |")
    print("| pieces that failed | " + " | ".join(str(f[2]) for f in found.values()) + " |")


def print_cases(
    steps: Sequence[Step], better: Sequence[Step], usual: Cluster, given: argparse.Namespace
) -> None:
    """Print what becomes of the hours where something is otherwise."""
    dense = replace(usual, workers=usual.workers * given.processes)
    cases = {
        "as above": (steps, usual),
        "all pieces take equally long, no deaths": (steps, replace(usual, spread=0.0, lifetime=0.0)),
        "pieces spread 1.0": (steps, replace(usual, spread=1.0)),
        "a worker lives 2 hours on average": (steps, replace(usual, lifetime=7200.0)),
        "scheduler 100 times slower": (steps, replace(usual, overhead=100 * usual.overhead)),
        "file system 1 GB/s": (steps, replace(usual, bandwidth=1e9)),
        f"{given.processes} processes a GPU": (steps, dense),
        "mended (see below)": (better, usual),
        f"mended, {given.processes} processes a GPU": (better, dense),
    }
    print(
        f"\n| {usual.workers} GPUs | steps of all (h) | steps of one process (h) | all (h) | died | failed |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (chosen, cluster) in cases.items():
        seconds, deaths, failed = run(chosen, cluster)
        one = sum(second for second, step in zip(seconds, chosen, strict=True) if step.alone) / 3600
        every = sum(seconds) / 3600
        print(f"| {name} | {every - one:,.1f} | {one:,.1f} | {every:,.1f} | {deaths} | {failed} |")


def print_sizes(given: argparse.Namespace, plan: Plan, views: Views, shape: Shape) -> None:
    """Print what grows with the volume."""
    nuclei = count_nuclei(given, shape)
    parts, blocks = count_parts(given, plan, nuclei), len(Grid(shape, plan.block))
    fits = given.memory * 1e9 / (given.add_bytes * nuclei) * 2 * math.prod(shape) / 1e12
    rows = {
        "nuclei": f"{nuclei:,.0f}",
        "markers, all tables": f"{MARKER * nuclei / 1e9:.1f} GB",
        "objects, all tables": f"{OBJECT * parts / 1e9:.1f} GB",
        "identifiers and numbers, all tables": f"{NUMBER * parts / 1e9:.1f} GB",
        "memory of `add_up`, one process": f"{given.add_bytes * nuclei / 1e9:,.0f} GB",
        f"volume whose nuclei `add_up` takes into {given.memory:g} GB": f"{fits:.2f} TB",
        "CSV of nuclei": f"{given.row_bytes * nuclei / 1e9:.0f} GB",
        "files in the largest folder of marks or tables": f"{blocks:,}",
        "files of the run, all": f"{count_files(plan, shape, views):,}",
    }
    print("\n| what | size |\n| --- | ---: |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


def options() -> argparse.Namespace:
    """Read the command line; the defaults are the assumptions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {
        "voxel": (0.5, "um, isotropic"),
        "memory": (32.0, "GB a worker"),
        "tissue": (2000.0, "um^3 of tissue for each nucleus"),
        "network": (6.5e5, "working voxels a second, one CPU core, 8 channels at the top"),
        "gpu": (50.0, "times faster than a core is a GPU"),
        "decoding": (4e-9, "seconds to decode a voxel of a chunk, each time"),
        "resampling": (1e-9, "seconds to resample a voxel of the volume"),
        "marking": (0.45, "of the labelling's seconds, those for markers"),
        "writing": (6e-8, "seconds to number a voxel"),
        "loading": (5e8, "bytes a second of a table, checked and unpacked"),
        "shrinking": (6.2e-9, "seconds a voxel of the level above, pyramid"),
        "adding": (1.8e-5, "seconds a nucleus, add_up"),
        "add-bytes": (850.0, "peak memory a nucleus, add_up"),
        "saving": (2e-3, "seconds to write a small table and its mark"),
        "row": (3.9e-5, "seconds a row of the table of nuclei"),
        "row-bytes": (91.0, "bytes a row of it"),
        "removing": (5e-4, "seconds to remove a file"),
        "packed-maps": (0.7, "size on disk of maps over that in memory"),
        "packed-labels": (0.02, "the same of identifiers and labels"),
        "bandwidth": (10.0, "GB/s of the file system"),
        "link": (1.0, "GB/s of a worker at most"),
        "overhead": (2e-3, "seconds that a task costs who hands out"),
        "spread": (0.3, "of the logarithm of a piece's seconds"),
        "lifetime": (100.0, "hours until a worker dies, mean; 0: never"),
        "restart": (120.0, "seconds until its successor works"),
    }
    for name, (value, text) in numbers.items():
        parser.add_argument(f"--{name}", type=float, default=value, help=f"{text} [{value:g}]")
    parser.add_argument("--edge", type=int, default=17100, help="of the volume, voxels [17100]")
    parser.add_argument("--gpus", default="1,8,64")
    parser.add_argument("--processes", type=int, default=8, help="a GPU, where the labels have more [8]")
    parser.add_argument("--recipe", choices=("default", "compact"), default="default")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    given = options()
    shape, spacing = (given.edge,) * 3, (given.voxel,) * 3
    entry = registry.get("qcanet")
    recipes = {name: registry.get(name).recipes[given.recipe] for name in entry.needs.values()}
    views = {name: (View.of(shape, spacing, recipe), recipe) for name, recipe in recipes.items()}
    plan = make_plan(shape, spacing, views, 1e9 * given.memory)
    print(f"- volume: {given.edge:,} cubed, {2 * math.prod(shape) / 1e12:.1f} TB of uint16")
    steps = network_steps(given, plan, views, math.prod(shape)) + block_steps(given, plan, views, shape)
    print_steps(steps)
    print_sizes(given, plan, views, shape)
    usual = Cluster(
        workers=1,
        bandwidth=1e9 * given.bandwidth,
        link=1e9 * given.link,
        overhead=given.overhead,
        spread=given.spread,
        lifetime=3600 * given.lifetime,
        restart=given.restart,
        seed=given.seed,
    )
    clusters = {int(count): replace(usual, workers=int(count)) for count in given.gpus.split(",")}
    print_times(steps, clusters)
    better = mended(steps, len(Grid(shape, plan.block)))
    print_cases(steps, better, clusters[max(clusters)], given)


if __name__ == "__main__":
    main()
