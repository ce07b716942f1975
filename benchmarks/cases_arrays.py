"""Rows of ``bench_all.py`` without a network: metrics, fusion, watershed, distances, tables and files."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import bench_metrics
import numpy as np
from bench_fusion import SPACING as PLANE
from bench_fusion import choose_by_fits, simulate
from bench_slices import SPACING as PACKED
from bench_slices import packed
from cases import Case, Way, Work
from numpy.typing import NDArray
from scipy import ndimage as ndi
from skimage.feature import peak_local_max
from skimage.measure import marching_cubes, mesh_surface_area, regionprops
from skimage.segmentation import watershed

from zoo.data.phantom import Phantom, embryo
from zoo.evaluate.criteria import measure
from zoo.evaluate.metrics import score
from zoo.fusion.depth import depth
from zoo.fusion.ensemble import cluster_range, fuse
from zoo.fusion.landscape import MIN_DISTANCE, split_by_vote
from zoo.fusion.slices import join
from zoo.fusion.watershed import components, distance_markers, split_touching

SPACING = (1.75, 0.8, 0.8)  # um, of an embryo
COARSE = (3.5, 1.6, 1.6)
EMBRYO = (51, 128, 128)
SMALL = (26, 64, 64)  # the same embryo in coarse voxels
COUNT = 16  # nuclei of an embryo


# an embryo over another, as many as asked


@cache
def phantom(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Phantom:
    return embryo(0, nuclei=COUNT, shape=shape, spacing=spacing, debris=0)


def pile(volume: NDArray, copies: int) -> NDArray:
    """Put copies of a volume upon one another, each with an empty slice above it."""
    return np.concatenate([np.concatenate([volume, np.zeros_like(volume[:1])])] * copies)


def pile_labels(labels: NDArray, copies: int) -> NDArray[np.uint16]:
    """Do so with labels, which are others in each copy."""
    piled, step = pile(labels, copies), int(labels.max())
    for copy, part in enumerate(np.split(piled, copies)):
        part[part > 0] += np.uint16(copy * step)
    return piled.astype(np.uint16)


def voxels(shape: tuple[int, int, int], copies: int) -> int:
    return copies * (shape[0] + 1) * shape[1] * shape[2]


# metrics


def two_results(copies: int) -> tuple[NDArray, NDArray]:
    """Return labels, and the same moved by a voxel or two."""
    truth = pile_labels(phantom(SMALL, COARSE).labels, copies)
    return truth, np.roll(truth, (0, 1, 1), axis=(0, 1, 2))


def by_table(metrics: list[str], copies: int) -> Work:
    truth, pred = two_results(copies)
    return lambda: tuple(score(truth, pred, metrics, spacing=COARSE).values())


def by_masks(copies: int) -> Work:
    """SEG and MUCov from a mask a pair, as the published evaluation goes about it."""
    truth, pred = two_results(copies)
    count = int(truth.max())
    pairs = np.argwhere(np.ones((count, count), bool)) + 1

    def work() -> tuple[float, float]:
        shared = np.array(bench_metrics.count_masks(truth, pred, pairs)).reshape(count, count)
        true = np.array([(truth == label).sum() for label in range(1, count + 1)])
        found = np.array([(pred == label).sum() for label in range(1, count + 1)])
        iou = shared / (true[:, None] + found - shared)
        covered = np.where(shared > true[:, None] / 2, iou, 0)
        return float(covered.max(axis=1).mean()), float(iou.max(axis=0).mean())

    return work


def by_stardist(copies: int) -> Work:
    from stardist.matching import matching

    truth, pred = two_results(copies)
    return lambda: (matching(truth, pred, thresh=0.5).f1,)


# fusion of detectors and of slices


def by_fuse(nuclei: int) -> Work:
    _, members = simulate(nuclei, 8, seed=0)
    return lambda: fuse(members, PLANE)


def by_fits(nuclei: int) -> Work:
    _, members = simulate(nuclei, 8, seed=0)
    points = np.concatenate([member.centroids(PLANE) for member in members])
    low, high = cluster_range(np.array([len(member) for member in members]))
    return lambda: choose_by_fits(points, range(low, high + 1))


def by_joining(method: str, segments: int) -> Work:
    slices, shape = packed(segments)
    return lambda: join(slices, shape, PACKED, method=method)


# watershed


def embryos(copies: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return a mask, and centres as a network would see them: blurred, at most 1."""
    made = phantom(EMBRYO, SPACING)
    centres = ndi.gaussian_filter(made.markers.astype(np.float32), 1.0)
    return pile(made.mask, copies), pile(centres / centres.max(), copies)


def by_vote(copies: int) -> Work:
    mask, centres = embryos(copies)
    return lambda: split_by_vote(mask, centres, SPACING)


def by_distance(copies: int) -> Work:
    mask, _ = embryos(copies)
    return lambda: split_touching(mask, distance_markers(mask, SPACING), SPACING)


def by_scikit_image(copies: int) -> Work:
    mask, _ = embryos(copies)

    def work() -> NDArray:
        height = ndi.distance_transform_edt(mask, sampling=SPACING)
        # it knows no voxel size
        peaks = peak_local_max(
            height, min_distance=round(MIN_DISTANCE / SPACING[1]), labels=ndi.label(mask)[0]
        )
        markers = np.zeros(mask.shape, np.int32)
        markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
        return watershed(-height, markers, mask=mask)

    return work


# distances and components


def blobs(edge: int) -> NDArray[np.bool_]:
    noise = ndi.gaussian_filter(np.random.default_rng(0).random((edge,) * 3), 6)
    found: NDArray[np.bool_] = noise > np.quantile(noise, 0.7)
    return found


def by_depth(edge: int) -> Work:
    return partial(depth, blobs(edge), SPACING)


def by_scipy(edge: int) -> Work:
    return partial(ndi.distance_transform_edt, blobs(edge), sampling=SPACING)


def by_edt(edge: int) -> Work:
    import edt

    return partial(edt.edt, blobs(edge), anisotropy=SPACING, black_border=False, parallel=1)


def by_components(edge: int) -> Work:
    return partial(components, blobs(edge))


def by_cc3d(edge: int) -> Work:
    import cc3d

    return partial(cc3d.connected_components, blobs(edge), connectivity=6)


# tables, files and the report


def by_measure(copies: int) -> Work:
    made = phantom(EMBRYO, SPACING)
    labels, image = pile_labels(made.labels, copies), pile(made.image, copies)
    return lambda: [(one.voxels, one.surface_um2) for one in measure(labels, SPACING, image)]


def by_regions(copies: int) -> Work:
    """Measure as scikit-image's documentation shows: a mesh of each region's own steps."""
    made = phantom(EMBRYO, SPACING)
    labels, image = pile_labels(made.labels, copies), pile(made.image, copies)

    def surface(mask: NDArray[np.bool_]) -> float:
        points, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(np.float32), 0.5, spacing=SPACING)
        return float(mesh_surface_area(points, faces))

    def work() -> list[tuple[float, float]]:
        regions = regionprops(labels, image, spacing=SPACING)
        known = [(one.num_pixels, surface(one.image), one.centroid, one.intensity_mean) for one in regions]
        return [(pixels, area) for pixels, area, _, _ in known]

    return work


def stack(copies: int) -> Path:
    """Write a stack, where it is not there yet, and return its file."""
    from zoo.data.write import write_image

    path = Path(f"stack{copies}.tif").resolve()
    if not path.exists():
        write_image(path, pile(phantom(EMBRYO, SPACING).image, copies), SPACING)
    return path


def by_read_image(copies: int) -> Work:
    from zoo.data.io import read_image

    path = stack(copies)
    return lambda: read_image(path).frames[0]


def by_tifffile(copies: int) -> Work:
    import tifffile

    return partial(tifffile.imread, stack(copies))


def by_report(copies: int) -> Work:
    from zoo.evaluate.report import write_report
    from zoo.results import Segmentation, make_case

    made = phantom(EMBRYO, SPACING)
    labels, image = pile_labels(made.labels, copies), pile(made.image, copies)
    nuclei = measure(labels, SPACING, image)

    def work() -> Path:
        case = make_case("embryo", image, SPACING, Segmentation(labels), nuclei)
        return write_report(Path("report.html").resolve(), title="benchmark", cases=[case], settings={})

    return work


METRICS_LOOP = Case(
    name="metrics",
    topic="metrics",
    ours=Way(what="`score`, SEG and MUCov: one table", prepare=partial(by_table, ["seg", "mucov"])),
    theirs=Way(what="a mask a pair", prepare=by_masks),
    sizes=(1, 2, 4),
    amount=partial(voxels, SMALL),
    unit="voxels",
    same=sum,
)
METRICS_STARDIST = Case(
    name="metrics_stardist",
    topic="metrics",
    ours=Way(what="`score`, F1 at 0.5", prepare=partial(by_table, ["f1@0.5"])),
    theirs=Way(what="StarDist's `matching`", prepare=by_stardist, peer="stardist"),
    sizes=(1, 4, 16),
    amount=partial(voxels, SMALL),
    unit="voxels",
    same=sum,
)
VOTE_2D = Case(
    name="fuse",
    topic="2-D fusion",
    ours=Way(what="`fuse`, all of it", prepare=by_fuse),
    theirs=Way(what="scikit-learn, the choice of k alone: a fit and a silhouette for each", prepare=by_fits),
    sizes=(25, 50, 100),
    amount=lambda nuclei: 8 * nuclei,
    unit="detections of 8 members",
)
SLICES = Case(
    name="join",
    topic="slice fusion",
    ours=Way(what="`join` by chains (`blob`)", prepare=partial(by_joining, "blob")),
    theirs=Way(what="`join` by clusters (the default)", prepare=partial(by_joining, "cluster")),
    sizes=(1000, 2000, 4000),
    amount=lambda segments: segments,
    unit="segments",
    same=lambda labels: float(labels.max()),
)
PLAIN = Way(what="scikit-image: distance, `peak_local_max`, `watershed`", prepare=by_scikit_image)
WATERSHEDS = tuple(
    Case(
        name=name,
        topic="watershed",
        ours=Way(what=what, prepare=prepare),
        theirs=PLAIN,
        sizes=(1, 2, 4),
        amount=partial(voxels, EMBRYO),
        unit="voxels",
        note=lambda labels: f"{labels.max()} found",
    )
    for name, what, prepare in (
        ("split_by_vote", f"`split_by_vote`, {COUNT} nuclei an embryo", by_vote),
        ("split_touching", "`distance_markers`, `split_touching`", by_distance),
    )
)
DISTANCES = tuple(
    Case(
        name=name,
        topic="distance transform",
        ours=Way(what="`depth`", prepare=by_depth),
        theirs=theirs,
        sizes=(40, 80, 160),
        amount=lambda edge: edge**3,
        unit="voxels",
        same=lambda distance: float(distance.mean()),
    )
    for name, theirs in (
        ("depth", Way(what="scipy's `distance_transform_edt`", prepare=by_scipy)),
        ("depth_edt", Way(what="`edt`", prepare=by_edt, peer="edt")),
    )
)
COMPONENTS = Case(
    name="components",
    topic="components",
    ours=Way(what="`components`: scipy's `label`", prepare=by_components),
    theirs=Way(what="`cc3d`", prepare=by_cc3d, peer="cc3d"),
    sizes=(40, 80, 160),
    amount=lambda edge: edge**3,
    unit="voxels",
    same=lambda labels: float(labels.max()),
)
MEASURE = Case(
    name="measure",
    topic="table of nuclei",
    ours=Way(what="`measure`", prepare=by_measure),
    theirs=Way(what="scikit-image: `regionprops`, a mesh of the steps", prepare=by_regions),
    sizes=(1, 2, 4),
    amount=lambda copies: COUNT * copies,
    unit="nuclei",
    same=lambda rows: float(sum(count for count, _ in rows)),
)
READ = Case(
    name="read",
    topic="reading a TIFF",
    ours=Way(what="`read_image`: voxel size, checks", prepare=by_read_image),
    theirs=Way(what="`tifffile.imread`", prepare=by_tifffile),
    sizes=(2, 8, 32),
    amount=partial(voxels, EMBRYO),
    unit="voxels of uint16",
    same=lambda image: float(image.mean()),
)
REPORT = Case(
    name="report",
    topic="report",
    ours=Way(what="`write_report`, one case", prepare=by_report),
    sizes=(1, 2, 4),
    amount=partial(voxels, EMBRYO),
    unit="voxels",
)
CASES = (
    METRICS_LOOP,
    METRICS_STARDIST,
    VOTE_2D,
    SLICES,
    *WATERSHEDS,
    *DISTANCES,
    COMPONENTS,
    MEASURE,
    READ,
    REPORT,
)
