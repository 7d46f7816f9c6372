"""Draw the pictures of bottom-up.md: of biases, by our own codecs, and of the sweep, from results/.

``python docs/draw_bottom_up.py [FOLDER]`` writes bottom-up-bias.svg and bottom-up-sweep.png into the folder, by default
the one of this file, and the sweep's table into the page.
"""

from pathlib import Path

from bottom_up_numbers import PIPELINES, budget
from draw_conventions import GREY, PALE, SLATE, dot, main, signed
from kept_results import draw as draw_rows
from kept_results import read, table, written
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poserep.drawing import STYLE, colours

HERE = Path(__file__).parent
PAGE, SWEEP = HERE / "bottom-up.md", HERE.parent / "results" / "bottom-up.csv"
HEAT, SR = colours(["Bottom-up heatmap", "Bottom-up SR head"]).values()
# Px to the left and right that panels show; their texts are beyond.
LEFT, RIGHT = -3.1, 3.3


def picture() -> Figure:
    """Errors of perfect maps in x and y: mean and standard deviation, without and with a flip test."""
    figure = Figure(figsize=(8, 5.6))
    axes = figure.subplots(1, 2, sharey=True)
    y, names = 0.0, []
    for heading, pipelines in PIPELINES.items():
        for ax in axes:
            ax.axhline(y - 0.62, color=PALE, linewidth=0.8)
        axes[0].text(-0.02, y, heading, transform=axes[0].get_yaxis_transform(), ha="right", va="center",
                     fontsize=9.5, fontweight="bold", color=SLATE)  # fmt: skip
        y += 0.9
        for pipeline in pipelines:
            names.append((y, pipeline.title))
            colour = SR if pipeline.stride == 1 else HEAT
            for flip_test, found in budget()[heading, pipeline.title].items():
                for i, ax in enumerate(axes):
                    lane(ax, y, colour, flip_test, *(float(value[i]) for value in found))
            y += 1
        y += 0.25
    for ax, what in zip(axes, ("to the right", "downward"), strict=True):
        ax.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        ax.set(xlim=(LEFT, RIGHT + 1.0), ylim=(y - 0.75, -0.62), xlabel=f"off {what}, input px")
        ax.set_xticks(range(-3, 4), [signed(v) for v in range(-3, 4)])
        ax.text(RIGHT + 0.45, 0, "rms", ha="center", va="center", fontsize=8.5, color=GREY)
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks([at for at, _ in names], [name for _, name in names])
    keys = [
        dot(GREY, "mean ± standard deviation, flip test", markersize=6),
        dot(GREY, "the same, plain", markersize=6, markerfacecolor="white"),
        Line2D([], [], color=HEAT, linewidth=2, label="stride 4"),
        Line2D([], [], color=SR, linewidth=2, label="stride 1"),
    ]
    figure.legend(handles=keys, ncols=4, loc="lower center", fontsize=8.5, labelcolor=SLATE)
    figure.tight_layout(rect=(0, 0.05, 1, 1), w_pad=1.5)
    return figure


def lane(ax: Axes, y: float, colour: str, flip_test: bool, mean: float, sd: float, rms: float) -> None:
    """One mean with its deviation, a flip test's above the plain one's."""
    y += -0.17 if flip_test else 0.17
    ax.plot([mean - sd, mean + sd], [y, y], color=colour, linewidth=1.8 if flip_test else 1.0)
    ax.plot(mean, y, "o", color=colour, markersize=5, markerfacecolor=colour if flip_test else "white")
    weight = "bold" if flip_test else "normal"
    ax.text(RIGHT + 0.45, y, f"{rms:.2f}", ha="center", va="center", fontsize=8, color=colour, fontweight=weight)


def draw(folder: Path) -> list[Path]:
    """Write the pictures; return their paths."""
    bias, sweep = folder / "bottom-up-bias.svg", folder / "bottom-up-sweep.png"
    with rc_context({**STYLE, "svg.hashsalt": bias.stem, "axes.grid": False}):
        picture().savefig(bias, dpi=100, metadata={"Date": None, "Creator": None})
    with rc_context(STYLE):
        draw_rows(read(SWEEP), "whole images").savefig(sweep, dpi=110, metadata={"Software": None})
    return [bias, sweep]


if __name__ == "__main__":
    main(draw, __doc__)
    PAGE.write_text(written(PAGE.read_text(), "results", table(read(SWEEP))))
