"""Figures of errors show what results record, and no text lies on another."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest
from drawn_texts import legible, overlap, texts
from matplotlib.colors import to_hex

from poserep.drawing import KNOWN, PALETTE
from poserep.metrics import taxonomy as measured
from poserep.report.figures.errors import KIND_COLOURS, error_kinds_figure, joint_errors_figure

NAMES = ("nose", "left_eye", "right_eye", "left_up_leg", "right_up_leg")
PAIRS = [["left_eye", "right_eye"], ["left_up_leg", "right_up_leg"]]


def errors(*means: float | None, labelled=(1, 1, 1, 1, 1), count=(6, 2, 1, 1, 0), scale="sqrt(area)"):
    found = zip(NAMES, labelled, means or (0.1,) * 5, strict=True)
    joints = {name: {"labelled": n, "mean_normalised": mean} for name, n, mean in found}
    counts = dict(zip(KIND_COLOURS, count, strict=True))
    return {"scale": scale, "pairs": PAIRS, "joints": joints, "taxonomy": {"count": counts}}


def run(title: str, size: str = "64x64", seed: int = 0, augment: str = "none", **readouts):
    config = {"representation": {"title": title}, "input_size": size, "seed": seed, "augment": augment}
    return {"config": config, "errors": {"gt": readouts}}


def dots(figure, panel: int = 0) -> list[np.ndarray]:
    return [np.asarray(marks.get_offsets()) for marks in figure.axes[panel].collections[1:]]


def test_runs_from_before_errors_were_recorded_are_left_out():
    assert tuple(KIND_COLOURS) == measured.KINDS
    bare = {"config": run("SimCC")["config"]}
    assert error_kinds_figure([bare]) is None and joint_errors_figure([bare | {"errors": {}}]) is None
    assert not [t for t in texts(error_kinds_figure([bare, run("Heatmap", dark=errors())])) if "SimCC" in t]
    found = joint_errors_figure([bare, run("Heatmap", dark=errors())])
    # Colours are those of all figures and pages.
    assert to_hex(found.axes[0].collections[1].get_facecolor()[0]) == PALETTE[KNOWN.index("Heatmap")]


def test_bars_are_shares_and_say_them():
    results = [run("Heatmap", dark=errors(count=(5, 3, 1, 1, 0)), argmax=errors(count=(1, 0, 0, 0, 3)))]
    figure = error_kinds_figure(results)
    bars = [bar for bar in figure.axes[0].patches if bar.get_height() == pytest.approx(0.2)]
    widths = np.array([bar.get_width() for bar in bars]).reshape(2, 5)
    np.testing.assert_allclose(widths / widths.sum(1, keepdims=True), [[0.5, 0.3, 0.1, 0.1, 0], [0.25, 0, 0, 0, 0.75]])
    lefts = np.array([bar.get_x() for bar in bars]).reshape(2, 5)
    np.testing.assert_allclose(lefts[:, 1:], np.cumsum(widths, 1)[:, :-1])
    assert [to_hex(bar.get_facecolor()) for bar in bars] == list(KIND_COLOURS.values()) * 2
    found = texts(figure)
    assert found[found.index("Heatmap · argmax, 64x64") + 1 :][:5] == ["25.0", "0.0", "0.0", "0.0", "75.0"]
    assert {*KIND_COLOURS, "Kinds of errors, percent of labelled joints"} <= set(found)


def test_seeds_are_added_up_and_settings_kept_apart():
    seeds = [run("SimCC", seed=seed, soft=errors(count=(n, 0, 0, 0, 4))) for seed, n in enumerate((1, 11))]
    assert {"60.0", "40.0"} <= set(texts(error_kinds_figure(seeds)))
    apart = texts(error_kinds_figure([run("SimCC", soft=errors()), run("SimCC", augment="all", soft=errors())]))
    assert {"SimCC, augment=none · soft, 64x64", "SimCC, augment=all · soft, 64x64"} <= set(apart)


def test_left_and_right_are_one_row_in_the_order_of_the_skeleton():
    figure = joint_errors_figure([run("Heatmap", dark=errors(0.1, 0.2, 0.4, 0.05, 0.07, labelled=(1, 3, 1, 2, 2)))])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["nose", "eye", "up leg"]
    np.testing.assert_allclose(dots(figure)[0], [[10, 0], [25, 1], [6, 2]])
    assert figure.axes[0].yaxis_inverted()
    # Joints that nobody has labelled have no mark.
    figure = joint_errors_figure([run("SimCC", soft=errors(None, 0.1, None, None, None, labelled=(0, 2, 0, 0, 0)))])
    np.testing.assert_allclose(np.ma.filled(np.ma.masked_invalid(dots(figure)[0][:, 0]), -1), [-1, 10, -1])


def test_seeds_are_averaged_and_only_the_default_readout_is_drawn():
    results = [
        run("SimCC", seed=seed, soft=errors(*(mean,) * 5, labelled=(n,) * 5), argmax=errors())
        for seed, mean, n in ((0, 0.1, 1), (1, 0.5, 3))
    ]
    figure = joint_errors_figure([*results, run("Heatmap", dark=errors(*(0.2,) * 5))])
    simcc, heatmap = dots(figure)
    np.testing.assert_allclose(simcc[:, 0], 40)
    np.testing.assert_allclose(heatmap[:, 0], 20)
    assert (simcc[:, 1] < heatmap[:, 1]).all(), "equal errors would hide one another"
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["SimCC · soft", "Heatmap · dark"]


def test_sizes_and_scales_have_panels_of_their_own():
    results = [run("SimCC", size, soft=errors()) for size in ("256x192", "64x64")]
    figure = joint_errors_figure([*results, run("SimCC", augment="all", soft=errors(scale="head"))])
    axes = [ax.get_xlabel().removeprefix("mean error, percent of ") for ax in figure.axes]
    assert axes == ["√area of the person", "head length", "√area of the person"]
    titles = [text for text in texts(figure) if text.startswith("Error by joint")]
    assert titles == ["Error by joint at 64x64"] * 2 + ["Error by joint at 256x192"]


def many() -> list[dict]:
    titles = ("SimCC", "SRPose with a long name that needs a second line of its own")
    return [
        run(title, size, augment=augment, dark=errors(), argmax=errors())
        for title, size, augment in itertools.product(titles, ("64x64", "256x192"), ("none", "all"))
    ]


@pytest.mark.parametrize("draw", [error_kinds_figure, joint_errors_figure])
@pytest.mark.parametrize("results", [many(), many()[:1]], ids=["many", "one"])
def test_no_text_lies_on_another(draw, results):
    figure = draw(results)
    figure.canvas.draw()
    # Axes that are off still have the numbers that they do not show.
    shown = [*figure.texts, *(t for ax in figure.axes for t in (ax.findobj(plt.Text) if ax.axison else ax.texts))]
    shown = [text for text in shown if text.get_text() and text.get_visible()]
    assert len(shown) > 8 and not overlap([text.get_window_extent().shrunk(0.98, 0.9) for text in shown])
    assert legible(figure, shown, 6)
