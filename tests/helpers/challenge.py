"""The Cell Tracking Challenge's list of tracks, read and checked by its own rules."""

from pathlib import Path

import numpy as np


def read_challenge(path: Path) -> dict[int, tuple[int, int, int]]:
    """Read the lines ``L B E P`` as track to first frame, last frame and parent."""
    rows = [tuple(map(int, line.split(" "))) for line in path.read_text(encoding="ascii").splitlines()]
    assert len({label for label, *_ in rows}) == len(rows)
    return {label: (begin, end, parent) for label, begin, end, parent in rows}


def check_challenge(tracks: dict[int, tuple[int, int, int]], frames: np.ndarray) -> None:
    """See that tracks keep the rules and tell what is in the frames (T, Z, Y, X), no more and no less."""
    told = {(time, label) for label, (begin, end, _) in tracks.items() for time in range(begin, end + 1)}
    seen = {(time, int(label)) for time, frame in enumerate(frames) for label in np.unique(frame) if label}
    assert told == seen
    for label, (begin, end, parent) in tracks.items():
        assert label > 0
        assert 0 <= begin <= end
        assert parent == 0 or tracks[parent][1] < begin, f"track {label} begins before its parent ends"
