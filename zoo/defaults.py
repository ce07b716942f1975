"""Values that commands and functions share; importing them costs nothing."""

from __future__ import annotations

from pathlib import Path

RUNS = Path("runs")  # where 'zoo train NAME' writes without --out: runs/NAME
THRESHOLD = 0.5  # of probabilities resampled to the voxels of the image
MIN_VOLUME = 400.0  # um3; of 0, 200 and 400 the best on validation embryo Emb06 (docs/models/qcanet.md)
