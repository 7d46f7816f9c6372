"""Where each scheme fails: the persons that it got worst."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from poserep.drawing import TRUTH, limbs, show
from poserep.report.figures.crops import default_readout, largest, load_samples
from poserep.report.figures.style import Result, schemes, title

COLUMNS = 6
# Inches: a crop, the text below it, a scheme's name above.
CELL, TEXT, NAME = 1.5, 0.42, 0.3


def worst(results: Sequence[Result]) -> Figure | None:
    """The persons of lowest OKS of each scheme, truth and default readout's prediction on the crop.

    Of the first seed of the largest size. Below each: its OKS, and the joint that is furthest off with its kind of
    error.
    """
    pairs = [(r, load_samples(r, "worst.npz")) for r in largest(results)]
    rows = [(r, s) for r, s in pairs if s is not None]
    if not rows:
        return None
    colours = schemes(results)
    heights = [CELL * s["image"].shape[1] / s["image"].shape[2] for _, s in rows]
    width, total = CELL * COLUMNS, sum(heights) + (TEXT + NAME) * len(rows)
    figure = plt.figure(figsize=(width, total))
    top = total
    for (result, sample), height in zip(rows, heights, strict=True):
        size = result["config"]["input_size"]
        name = f"{title(result)} · {default_readout(result)}, {size}"
        figure.text(0.005, (top - 0.06) / total, name, va="top", weight="bold", color=colours[title(result)])
        top -= NAME + height
        for j in range(min(COLUMNS, len(sample["index"]))):
            ax = figure.add_axes(((j + 0.03) / COLUMNS, top / total, 0.94 / COLUMNS, height / total))
            show(ax, sample["image"][j])
            limbs(ax, sample["xy"][j], sample["weight"][j], sample["edges"], TRUTH)
            found = sample[f"{default_readout(result)}/xy"][j]
            limbs(ax, found, sample["weight"][j], sample["edges"], colours[title(result)])
            ax.set_anchor("S")
            figure.text((j + 0.5) / COLUMNS, (top - 0.04) / total, _said(sample, j),
                        ha="center", va="top", fontsize=9, color="#334155")  # fmt: skip
        top -= TEXT
    return figure


def _said(sample: dict[str, np.ndarray], j: int) -> str:
    joint = int(sample["joint"][j])
    kind = sample["kinds"][sample["kind"][j, joint]]
    # Letters of this size leave room for two short words.
    name = str(sample["names"][joint]).replace("_", " ").replace("left ", "l. ").replace("right ", "r. ")
    return f"OKS {sample['oks'][j]:.2f}\n{name}: {kind}"
