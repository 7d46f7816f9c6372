"""Figures of a table: which points they show, which of them nothing dominates, and that they can be read."""

import itertools
from pathlib import Path
from statistics import stdev

import matplotlib.pyplot as plt
import numpy as np
import pytest
import yaml
from drawn_texts import legible, overlap, texts
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex

from poserep.drawing import KNOWN, PALETTE, TRUTH, colours
from poserep.overrides import CONF
from poserep.report.figures.choices import (
    gmacs_figure,
    k_figure,
    label_shape,
    pareto_front,
    size_figure,
    smoothing_figure,
)
from poserep.report.figures.crops import worst_figure
from poserep.report.figures.panels import LINES
from poserep.report.figures.points import described, grouped_results, series_names
from poserep.report.html import encode_figure

LABEL = "poserep.codecs."


def run(
    name: str = "SimCC Gaussian", value: float | None = 50.0, size: str = "64x64", seed: int = 0, gmacs: float = 1.0,
    k: int | None = 2, label: dict | None = None, net: str = "resnet", protocol: dict | None = None, lower=(), **more,
):  # fmt: skip
    codec = {"_target_": "poserep.codecs.SimCC", "k": k, "label": label or {"_target_": f"{LABEL}Gaussian", "sigma": 4}}
    config = {
        "representation": {"name": name.lower(), "title": name, "codec": codec if k else {"stride": 4}},
        "input_size": size, "seed": seed, "names": {"backbone": net}, "backbone": {"layers": len(net)}, **more,
    }  # fmt: skip
    # The best readout is shown, whichever is the default.
    # Another readout, which is worse.
    other = value if value in (None, -1) else 99.0 if lower else 1.0
    followed = {"data": "coco", "metric": {"nms": 0.9}, "loader": {"clip": "exact"}, "size": size, "align": "centre"}
    return {
        "config": config,
        "cost": {"gmacs": gmacs},
        "columns": ["AP", "AR"],
        "lower": list(lower),
        "metrics": {"gt": {"soft": {"AP": value, "AR": 1.0}, "argmax": {"AP": other, "AR": 1.0}}},
        "protocol": {"gt": {readout: {**followed, **(protocol or {})} for readout in ("argmax", "soft")}},
    }


def marks(figure, panel: int = 0) -> list[tuple[float, float, str]]:
    found = [c for c in figure.axes[panel].collections if isinstance(c, PathCollection)]
    return [(*map(float, c.get_offsets()[0]), to_hex(c.get_facecolor()[0])) for c in found]


def test_colours_belong_to_schemes_whatever_else_is_shown():
    assert colours(["SRPose", "Heatmap"]) == {"SRPose": PALETTE[KNOWN.index("SRPose")], "Heatmap": PALETTE[0]}
    assert colours(["Mine", "Heatmap", "A"])["Mine"] == PALETTE[len(KNOWN) + 1] == colours(["A", "Mine"])["Mine"]
    assert len({*PALETTE, TRUTH}) == len(PALETTE) + 1
    found = [yaml.safe_load(file.read_text())["title"] for file in (CONF / "representation").glob("*.yaml")]
    assert sorted(found) == sorted(KNOWN) and len(PALETTE) > len(KNOWN)


def test_the_front_is_what_nothing_dominates():
    assert pareto_front([1, 2, 3], [3, 2, 1], lower=True) == [0, 1, 2]
    rng = np.random.default_rng(0)
    for _ in range(20):
        cost, value = rng.integers(0, 6, (2, 12)).tolist()
        points = list(zip(cost, value, strict=True))
        due = [not any(a <= c and b >= v and (a, b) != (c, v) for a, b in points) for c, v in points]
        assert sorted(pareto_front(cost, value, lower=False)) == np.flatnonzero(due).tolist()


def test_seeds_are_one_point_and_what_is_unknown_is_none():
    seeds, unknown = [run(value=50.0), run(value=53.0, seed=1)], [run(value=None, size="128x128")]
    (group,) = grouped_results([*seeds, *unknown, run(value=-1.0, size="96x96")])
    (point,) = group.points(described, "size")
    assert (point.mean, point.sd, point.x) == (51.5, pytest.approx(stdev((50, 53))), "64x64")
    assert group.axis == "AP_gt, percent, best readout"


def test_the_best_readout_is_shown_whichever_is_the_default():
    better = run(value=50.0)
    better["metrics"]["gt"]["argmax"]["AP"] = 60.0
    ((point,), (other,)) = (grouped_results([r])[0].points(described, "size") for r in (better, run(value=50.0)))
    assert (point.mean, other.mean) == (60, 50)


def test_only_numbers_that_compare_share_a_panel():
    for protocol, names in (
        ({"align": "corner", "loader": {"clip": "hrnet"}}, [""]),
        ({"data": "synthetic", "metric": {"nms": None}}, ["data coco", "data synthetic"]),
        ({"metric": {"nms": None}}, ["nms 0.9", "nms None"]),
    ):
        assert [group.name for group in grouped_results([run(), run(protocol=protocol)])] == names
    places = itertools.product(("64x64", "128x128"), ("coco", "mpii"))
    figure = size_figure([run(size=size, protocol={"data": data}) for size, data in places])
    assert {f"AP over input size: data {data}" for data in ("coco", "mpii")} <= set(texts(figure))


def test_networks_and_settings_set_series_apart():
    results = [run(net="a"), run(net="bb"), run(net="a", augment="all"), run(net="bb", seed=1)]
    (group,) = grouped_results(results)
    points = group.points(described, "size")
    names = [f"SimCC Gaussian, {name}" for name in ("a", "bb", "a, augment=all")]
    assert list(series_names(points, ("scheme",), 60).values()) == names
    assert [len(p.values) for p in points] == [1, 2, 1]


def test_there_is_no_figure_of_one_place():
    for draw in (size_figure, gmacs_figure, k_figure, smoothing_figure):
        assert draw([run(), run(seed=1), run("Heatmap", k=None)]) is None


def front(figure):
    """The values of the points that nothing dominates."""
    (joined,) = [line for line in figure.axes[0].lines if line.get_linewidth() == 6]
    return joined.get_ydata().tolist()


def test_the_front_is_joined_over_size():
    results = [
        run("Heatmap", 40.0, "64x64", k=None), run("SRPose", 45.0, "64x64", k=None),
        run("Heatmap", 60.0, "256x192", k=None), run("SRPose", 44.0, "128x128", k=None),
    ]  # fmt: skip
    figure = size_figure(results)
    assert front(figure) == [45, 60]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["64x64", "128x128", "256x192"]
    due = {40: "Heatmap", 60: "Heatmap", 45: "SRPose", 44: "SRPose"}
    assert {y: colour for _, y, colour in marks(figure)} == {y: PALETTE[KNOWN.index(name)] for y, name in due.items()}
    # Every point has the number of its entry in the legend.
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["1", "1", "2", "2"]


@pytest.mark.parametrize(("most", "scale"), [(4.0, "linear"), (4.1, "log")])
def test_less_is_better_for_errors_and_the_axis_of_costs_is_logarithmic_if_they_span_much(most, scale):
    places = ((9.0, 1.0, "64x64"), (5.0, most, "128x128"))
    figure = gmacs_figure([run(value=v, gmacs=g, size=s, lower=["AP"]) for v, g, s in places])
    assert front(figure) == [9, 5] and figure.axes[0].get_ylabel() == "AP_gt, image px, best readout"
    assert figure.axes[0].get_xscale() == scale and [x for x, _, _ in marks(figure)] == [1.0, most]


def test_lines_over_k_are_by_scheme_network_and_size():
    labels = {k: {"_target_": f"{LABEL}Gaussian", "sigma": 2 * k} for k in (1, 2, 3)}
    results = [
        run(value=40.0 + k + 2 * seed, size=size, k=k, seed=seed, label=labels[k])
        for size, k, seed in itertools.product(("128x128", "64x64"), (3, 1, 2), (0, 1))
    ]
    # A width that follows k splits no line; a lone k is none.
    results += [run("SimCC equal", k=2), run("Heatmap", k=None)]
    figure = k_figure(results)
    lines = [line for line in figure.axes[0].lines if line.get_linestyle() != "None" and len(line.get_xdata()) == 3]
    assert [line.get_xdata().tolist() for line in lines] == [[1, 2, 3]] * 2
    assert lines[0].get_ydata().tolist() == [42, 43, 44]
    assert [line.get_linestyle() for line in lines] == list(LINES[:2])
    named = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert named == ["SimCC Gaussian, resnet, 64x64", "SimCC Gaussian, resnet, 128x128"]


def test_smoothing_is_compared_at_one_k_whatever_the_paper_set_beside_it():
    shapes = {
        "SimCC Laplace": {"_target_": f"{LABEL}Laplace", "sigma": 4},
        "SimCC one-hot": {"_target_": f"{LABEL}Equal", "smoothing": 0},
        "SimCC equal": {"_target_": f"{LABEL}Equal", "smoothing": 0.1},
    }
    results = [run(name, value, label=label) for value, (name, label) in enumerate(shapes.items(), 50)]
    results += [run(k=k, merge_on="logits") for k in (1, 2, 3)]
    figure = smoothing_figure(results)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["none", "equal", "Gaussian", "Laplace"]
    assert [(x, y) for x, y, _ in marks(figure)] == [(0, 51), (1, 52), (2, 50), (3, 50)]
    assert marks(figure)[2][2] == PALETTE[KNOWN.index("SimCC Gaussian")]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == ["resnet, 64x64, k=2"]
    assert label_shape(run(k=None)) is None and label_shape(run(label={"_target_": "my.Own"})) == "Own"


def many() -> list[dict]:
    titles = ("Heatmap", "SimCC Gaussian", "SRPose", "A scheme with a long name that has a second line of its own")
    sizes = (("64x64", 0.5), ("128x128", 2.0), ("256x192", 6.0))
    shapes = ({"_target_": f"{LABEL}Equal", "smoothing": 0}, {"_target_": f"{LABEL}Gaussian", "sigma": 4})
    rng = np.random.default_rng(0)
    return [
        run(name, 50 + 4 * g + rng.uniform(0, 6), size, seed, g + 0.01 * g * k, k, shapes[titles.index(name) % 2])
        for name, (size, g), k, seed in itertools.product(titles, sizes, (1, 2, 3), (0, 1))
    ]


@pytest.mark.parametrize("draw", [size_figure, gmacs_figure, k_figure, smoothing_figure])
def test_they_can_be_read_on_a_telephone(draw):
    figure = draw(many())
    figure.canvas.draw()
    shown = [t for t in figure.findobj(plt.Text) if t.get_text() and t.get_visible()]
    numbers = {t for ax in figure.axes for t in ax.texts}
    assert not overlap([t.get_window_extent().shrunk(0.98, 0.85) for t in shown if t not in numbers])
    # Arrows belong to the extent of what they lead from.
    boxes = [plt.Text.get_window_extent(t) if t.arrow_patch else t.get_window_extent() for t in numbers]
    assert not overlap([box.shrunk(0.8, 0.6) for box in boxes])
    assert len(boxes) == (36 if draw in (size_figure, gmacs_figure) else 0)
    assert figure.get_tightbbox().width < 5.6 and legible(figure, shown, 7)


def test_they_are_the_same_every_time():
    page, again = (encode_figure(size_figure(many()[::6]), vector=True) for _ in range(2))
    assert page == again and page.startswith("data:image/svg+xml;base64,")


def failed(folder: Path, title: str, size: str) -> dict:
    folder.mkdir()
    np.savez(
        folder / "worst.npz", index=[0, 1], image=np.zeros((2, *map(int, size.split("x")), 3), np.uint8),
        xy=np.full((2, 3, 2), 20.0), weight=np.ones((2, 3)), edges=[[0, 1]], names=["nose", "left_wrist", "right_hip"],
        oks=[0.123, 0.5], joint=[1, 2], kind=[[0, 4, 0], [0, 0, 2]], **{"soft/xy": np.full((2, 3, 2), 30.0)},
        kinds=["good", "jitter", "inversion", "swap", "miss"],
    )  # fmt: skip
    return {**run(title, size=size), "path": folder}


def test_the_worst_persons_say_why(tmp_path):
    none = {**run("SRPose"), "path": tmp_path}
    figure = worst_figure([*(failed(tmp_path / size, "Heatmap", size) for size in ("64x64", "96x64")), none])
    # One scheme has kept them; of it, the largest size.
    assert texts(figure)[0] == "Heatmap · soft, 96x64" and len(figure.axes) == 2
    assert {"OKS 0.12\nl. wrist: miss", "OKS 0.50\nr. hip: inversion"} <= set(texts(figure))
    assert worst_figure([none]) is None
    assert encode_figure(figure, vector=False).startswith("data:image/jpeg;base64,")
