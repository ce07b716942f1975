"""IoU, SEG and MUCov as a public reproduction of QCANet computed them: a fault, kept to show what it does."""

from __future__ import annotations

from zoo.evaluate.overlap import Overlap

REPLICATED = ("iou", "seg", "mucov")
"""Names of the metrics that the reproduction computed."""


def replicated(table: Overlap) -> dict[str, float]:
    """Score a volume as the reproduction [1]_ did, which had divided the true labels by the highest of them.

    True labels so become numbers above 0 and up to 1, and only the object of the highest label is exactly 1;
    predicted labels stay 1 to M. IoU is taken of these numbers in place of masks. SEG seeks for each
    *predicted* label the true object of that number, MUCov for each *true* number the predicted object of it:
    1 is all that both sides have, and all others score 0.

    Parameters
    ----------
    table
        The table of the two volumes, N true and M predicted objects.

    Returns
    -------
    dict
        The value of each of `REPLICATED`. SEG is at most 1/M, MUCov at most 1/N, IoU at most the highest
        predicted label. Where one side holds no object, and the reproduction divides by 0, all are 0; where
        neither does, 1.

    References
    ----------
    .. [1] https://github.com/JvanZyl1/3D-nuclei-segmentation-reproduction, our code is written from the
       formulas in `docs/metrics.md`.
    """
    n_true, n_pred = table.truth_ids.size, table.pred_ids.size
    if not n_true or not n_pred:
        return dict.fromkeys(REPLICATED, float(n_true == n_pred))
    true_numbers = table.truth_ids / table.truth_ids[-1]
    pred_numbers = table.pred_ids.astype(float)
    products = float((true_numbers[table.rows] * pred_numbers[table.cols]) @ table.voxels)
    sums = float(true_numbers @ table.truth_sizes + pred_numbers @ table.pred_sizes)
    seg = mucov = 0.0
    if table.pred_ids[0] == 1:  # else the two sides have no number in common
        of_last, by_first = table.rows == n_true - 1, table.cols == 0
        # the reproduction tries the background as a predicted object, too
        missed = table.truth_sizes[-1] - table.voxels[of_last].sum()
        union = table.all_voxels - table.pred_voxels + table.truth_sizes[-1] - missed
        seg = max(missed / union, table.iou[of_last].max(initial=0)) / n_pred
        fits = table.iou[by_first]
        mucov = fits[fits > 0.5].max(initial=0) / n_true
    return {"iou": products / (sums - products), "seg": float(seg), "mucov": float(mucov)}
