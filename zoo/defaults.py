"""Values that commands and functions share; importing them costs nothing."""

from __future__ import annotations

from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"  # packed runs that come along, each named after its entry
RECORD = "provenance.json"  # of what made results; the end of its name, beside a single file
RUNS = Path("runs")  # where 'zoo train NAME' writes without --out: runs/NAME
AUTO = "auto"  # the threshold that the training found
THRESHOLD = 0.5  # of probabilities resampled to the voxels of the image
YEAST_UM = (0.25, 0.13, 0.13)  # ours: of movies where neither file nor user tells, as of synthetic ones
UNMARKED = "vote"  # what becomes of nuclei without a centre marker: the mask's shape has a vote, too
MIN_VOLUME = 400.0  # um3; of 0, 200 and 400 the best on validation embryo Emb06 (docs/models/qcanet.md)
SLICE_FUSION = "cluster"  # of the objects that an ensemble of 2-D detectors finds
RADIUS_UM = (
    6.0  # largest step of a nucleus' centre from a slice to the next, where slices are joined by chains
)
MAX_DISTANCE_UM = 15.0  # ours, as laptrack's own: farthest that a nucleus goes from a frame to the next
