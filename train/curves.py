"""Learning curves: the history of a training run as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from zoo.data.write import atomic
from zoo.errors import InputError

# Blue and orange of Okabe and Ito (2008), told apart by colour-blind readers; the lines also differ in style.
_STYLES = {"train": ("", "#0072B2", "-"), "validation": ("val_", "#D55E00", "--")}


def plot_history(history_csv: Path, out_png: Path) -> None:
    """Draw loss and IoU, or a detector's SEG, over the epochs, with the best epoch marked.

    The best epoch is the one with the highest validation SEG or IoU; where there was no validation, with the
    highest training IoU or, for a detector, the least loss.

    Parameters
    ----------
    history_csv
        Columns epoch, loss and, as far as known, iou, val_loss, val_iou and val_seg; others are left alone.
        Empty fields (an epoch without validation) are left out of the curve. Of an epoch that was run twice
        (a resumed run) the later row counts, and an unfinished line (a killed run) does not.
    out_png
        The picture to write, as a PNG.

    Raises
    ------
    InputError
        If the history cannot be read, lacks a column, has no rows, or holds something that is not a number;
        or if the picture cannot be written.
    """
    history = _read(history_csv)
    best = _best(history)
    shown = ["loss", *(name for name in ("iou", "seg") if name in history or f"val_{name}" in history)]
    figure = Figure(figsize=(5 * len(shown), 4), dpi=120, layout="constrained")
    for axes, quantity in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw(axes, history, quantity, best)
        if quantity == "loss":
            axes.set(title="Loss")
        else:
            axes.set(title={"iou": "IoU", "seg": "SEG"}[quantity], ylim=(0, 1))
    with atomic(out_png) as unfinished:
        figure.savefig(unfinished, format="png")


def _read(history_csv: Path) -> dict[str, np.ndarray]:
    """Read the columns, sorted by epoch; NaN where a field is empty."""
    try:
        with history_csv.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read history {history_csv} ({error}): give a run's history.csv") from error
    if not rows:
        raise InputError(f"history {history_csv} holds no epochs: train for one at least")
    missing = [name for name in ("epoch", "loss") if name not in rows[0]]
    if missing:
        raise InputError(f"history {history_csv} lacks {', '.join(missing)}: give a run's history.csv")
    names = [name for name in ("epoch", "loss", "iou", "val_loss", "val_iou", "val_seg") if name in rows[0]]
    try:
        table = {float(row["epoch"]): [float(row[name] or "nan") for name in names] for row in rows}
    except ValueError as error:
        raise InputError(
            f"history {history_csv} ({error}) must hold numbers: mend or remove the line"
        ) from error
    columns = np.array([table[epoch] for epoch in sorted(table)]).T
    return dict(zip(names, columns, strict=True))


def _best(history: dict[str, np.ndarray]) -> int | None:
    """Find the row that decides, of equals the last, whose weights are kept; None where none has a figure.

    It is the one with the best SEG or IoU or, in a history that has neither, with the least loss.
    """
    known = [history[name] for name in ("val_seg", "val_iou", "iou") if name in history]
    for values in known or [-history["loss"]]:
        if not np.isnan(values).all():
            return len(values) - 1 - int(np.nanargmax(values[::-1]))
    return None


def _draw(axes: Axes, history: dict[str, np.ndarray], quantity: str, best: int | None) -> None:
    epochs = history["epoch"]
    for name, (prefix, colour, line) in _STYLES.items():
        values = history.get(prefix + quantity, np.full(len(epochs), np.nan))
        known = ~np.isnan(values)
        if not known.any():
            continue
        # one epoch alone makes no line: a dot shows it
        marker = "o" if known.sum() == 1 else ""
        label = name if best is None else f"{name}: {values[best]:.3f}"
        axes.plot(epochs[known], values[known], color=colour, linestyle=line, marker=marker, label=label)
        if best is not None:
            axes.plot(epochs[best], values[best], "o", color=colour)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
    if best is not None:
        axes.axvline(epochs[best], color="0.6", linewidth=1, linestyle=":")
        axes.legend(title=f"best epoch: {epochs[best]:g}", frameon=False, alignment="left")
