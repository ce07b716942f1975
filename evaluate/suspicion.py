"""Which nuclei to look at first: each gets a score and the reasons for it, from its measurements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.evaluate.criteria import Nucleus

ENOUGH = 5
"""Nuclei a volume must have before one of them can be unlike the others."""
OUTLYING = 3.5  # robust z-score, the cut of Iglewicz and Hoaglin (1993)
LEAST_SPREAD = 0.1  # of log volume, 10 %: nuclei that are all but equal do not make each other outliers
MERGED_VOLUME = 1.5  # times the median: two nuclei have 2, less what the mask has lost
MERGED_SPHERICITY = 0.9  # times the median: two balls that touch have 2^(2/3) / 2 = 0.79 of one ball
SURE = 0.75  # mean probability over its voxels; of nuclei that are right it is seldom below 0.8
CENTRE = 0.5  # probability at which a centre counts as found

MERGED_POINTS, SIZE_POINTS, CONFIDENCE_POINTS, BORDER_POINTS = 3, 2, 2, 1

HOW = (
    f"Nuclei are listed by suspicion. It sums the points of what is found: looks merged, {MERGED_POINTS} (at "
    f"least {MERGED_VOLUME} times the median volume of its volume's nuclei and at most {MERGED_SPHERICITY} "
    f"times their median sphericity); size outlier, {SIZE_POINTS} (robust z-score of the log volume, by "
    f"median and median absolute deviation, beyond ±{OUTLYING}); low confidence, {CONFIDENCE_POINTS} (mean "
    f"probability below {SURE}, or that of its centre below {CENTRE}); touches the border, {BORDER_POINTS}. "
    f"The first two ask for {ENOUGH} nuclei at least. Among equals the one of lower mean probability comes "
    "first. Suspicion says where to look, not what is wrong."
)
"""The rules for a reader."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Why to look at a nucleus.

    Parameters
    ----------
    score
        Points of the reasons, and below that 1 - mean probability, so that among equals the less certain one
        has more; 0 where there is no reason and no probability.
    reasons
        In words, the weightiest first.
    """

    score: float
    reasons: tuple[str, ...]


def suspect(nuclei: Sequence[Nucleus]) -> list[Suspicion]:
    """Say of each nucleus how much it asks to be looked at, and why.

    The reasons are those of `HOW`. A nucleus that the stack's border cuts is no outlier for being small, and
    is part of the medians.

    Parameters
    ----------
    nuclei
        Of one volume, from :func:`zoo.evaluate.criteria.measure`.

    Returns
    -------
    list of Suspicion
        In the order of `nuclei`.

    References
    ----------
    Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993: the modified z-score.
    """
    if not nuclei:
        return []
    volumes = np.array([nucleus.volume_um3 for nucleus in nuclei])
    times = volumes / np.median(volumes)
    z_scores = _robust_z(np.log(volumes))
    round_as = np.array([nucleus.sphericity for nucleus in nuclei])
    round_as = round_as / np.median(round_as)
    compared = len(nuclei) >= ENOUGH
    found = []
    for nucleus, ratio, z, roundness in zip(nuclei, times, z_scores, round_as, strict=True):
        points, reasons = 0, []
        if compared and ratio >= MERGED_VOLUME and roundness <= MERGED_SPHERICITY:
            points, reasons = MERGED_POINTS, [f"looks merged (sphericity {nucleus.sphericity:.2f})"]
        if compared and (z > OUTLYING or (z < -OUTLYING and not nucleus.touches_border)):
            points += SIZE_POINTS
            reasons.append(f"{'large' if z > 0 else 'small'} ({ratio:.2g} × median)")
        if doubts := _doubts(nucleus):
            points += CONFIDENCE_POINTS
            reasons += doubts
        if nucleus.touches_border:
            points += BORDER_POINTS
            reasons.append("touches border")
        certain = nucleus.mean_probability
        found.append(Suspicion(points + (0.0 if math.isnan(certain) else 1 - certain), tuple(reasons)))
    return found


def rank(nuclei: Sequence[Nucleus]) -> list[tuple[Nucleus, Suspicion]]:
    """Put the nuclei of one volume with their suspicion, the most suspicious first, else by label."""
    pairs = zip(nuclei, suspect(nuclei), strict=True)
    return sorted(pairs, key=lambda pair: (-pair[1].score, pair[0].label))


def _doubts(nucleus: Nucleus) -> list[str]:
    """Say where the networks were not sure; NaN, where there was none, is no doubt."""
    doubts = []
    if nucleus.mean_probability < SURE:
        doubts.append(f"low confidence ({nucleus.mean_probability:.2f})")
    if nucleus.centre_probability < CENTRE:
        doubts.append(f"no sure centre ({nucleus.centre_probability:.2f})")
    return doubts


def _robust_z(values: np.ndarray) -> np.ndarray:
    """Return (N,) z-scores by the median and the median absolute deviation; 1.4826 makes it a Gaussian's."""
    away = values - np.median(values)
    return np.asarray(away / max(1.4826 * float(np.median(np.abs(away))), LEAST_SPREAD))
