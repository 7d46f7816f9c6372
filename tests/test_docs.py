"""docs/conventions.md: its pictures are current, and its tables and commands say what the code does."""

import doctest
import math
import re
import shlex
from fractions import Fraction
from typing import Any

import conventions_numbers as numbers
import cv2
import draw_conventions as pictures
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from codec_cases import each
from poserep.codecs import DARK, Gaussian, Heatmap, QuarterShift, SimCC
from poserep.codecs.base import axes
from poserep.codecs.flip_shift import mirror_image, mirror_shifts
from poserep.config import compose, make
from poserep.geometry import Axis
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.studies.quantisation_error.table import read_lines

DOCS = CONF.parent / "docs"
PAGE = (DOCS / "conventions.md").read_text()


def table(name: str) -> list[list[str]]:
    """The rows of a table of the page, without its head."""
    (found,) = re.findall(rf"<!-- table: {name} -->\n\n((?:\|.*\n)+)", PAGE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()[2:]]


def number(text: str) -> float:
    return float(Fraction(text.replace("−", "-")))


def shown(text: str) -> Any:
    """The number of a cell, to half a unit of the last decimal that it shows."""
    return pytest.approx(number(text), abs=0.5 * 10.0 ** -len(text.partition(".")[2]) + 1e-9)


def test_pictures_are_those_of_the_page_and_current(tmp_path):
    drawn = pictures.draw(tmp_path)
    assert {path.name for path in drawn} == set(re.findall(r"\]\((conventions-[a-z]+\.svg)\)", PAGE))
    for path in drawn:
        now, stored = (re.findall(r"<text[^>]*>([^<]*)</text>", p.read_text()) for p in (path, DOCS / path.name))
        assert now and now == stored


def test_reach():
    for per_px, *cells in table("reach"):
        for align, cell in zip(("centre", "corner", "edge"), cells, strict=True):
            axis = Axis(192, round(192 * number(per_px)), align)
            assert axis.reach() * axis.px_per_bin() == shown(cell)
    assert Axis(192, 48, "edge").px_per_bin() == pytest.approx(4.064, abs=5e-4)


def test_rows_of_darkposes_heatmaps_lie_beside_the_outer_pixels():
    for text, both, own, above in table("dark"):
        size, _, per_px = text.partition(", ")
        dark, edge = (axes(size, number(per_px), align) for align in ("dark", "edge"))
        assert dark[0].px_per_bin() == dark[1].px_per_bin() == shown(both)
        assert edge[1].px_per_bin() == shown(own)
        assert -dark[1].to_px(torch.zeros((), dtype=torch.float64)).item() == shown(above)


def test_taking_edge_for_dark_moves_targets():
    for size, sigma, shown in (("128x96", 1.0, 0.07), ("256x192", 2.0, 0.04)):
        dark, edge = (Heatmap(size, sigma=sigma, align=align, **numbers.WHOLE) for align in ("dark", "edge"))
        y = torch.arange(-0.5, dark.y.length - 0.5, 0.125)
        xy = torch.stack([torch.full_like(y, 40.0), y], -1)[:, None]
        targets = (codec.encode(xy, torch.ones(len(y), 1))[0] for codec in (dark, edge))
        assert (next(targets) - next(targets)).abs().max() == pytest.approx(shown, abs=0.005)


@pytest.mark.long
@pytest.mark.real
def test_share_of_labelled_joints_that_are_learnt(real_data):
    found = numbers.learnt(real_data / "coco_mini/annotations/person_keypoints_train2017.json")
    assert {name: sweep for name, sweep, *_ in table("learnt")} == numbers.LEARNT
    for name, _, published, crop in table("learnt"):
        assert found[name] == pytest.approx((float(published), float(crop)), abs=0.051)


def test_mirror_shifts():
    for per_px, offset, px, bins in table("mirror_shifts"):
        axis = Axis(192, round(192 * number(per_px)), "corner")
        assert axis.n / axis.length - 1 == number(offset)
        assert mirror_shifts(axis) == (number(px), number(bins))


def test_flip_errors_of_published_code():
    for cells, found in zip(table("flips"), numbers.flip_errors(), strict=True):
        assert cells[0] == found.code
        values = found.offset, found.shift, found.left, found.px, found.average
        for cell, value in zip(cells[1:], values, strict=True):
            assert value == (shown(cell) if "." in cell else pytest.approx(number(cell), abs=1e-9))
            assert cell.startswith("+") == (value > 0)
    assert numbers.hrnet_shares() == {0: 0.75, 1: 0.25}


def test_quantisation():
    for (name, *cells), (way, found) in zip(table("quantisation"), numbers.quantisation().items(), strict=True):
        assert name == way
        for cell, value in zip(cells[:2], found[:2], strict=True):
            assert value == pytest.approx(number(cell), abs=1e-3)
        # Positions lie 1/32 px apart, so none lies quite on the bound.
        assert number(cells[2]) - 1 / 32 <= found.most <= number(cells[2]) + 5e-3


def test_peaks_of_perfect_outputs():
    for (name, cell, contract), (codec, found) in zip(table("peaks"), numbers.peaks().items(), strict=True):
        ends = [float(value) for value in cell.split(" to ")]
        assert name == codec and [ends[0], ends[-1]] == pytest.approx([found.low, found.high], abs=5.1e-4)
        assert found.contract == pytest.approx(float(contract), abs=1e-5)


def test_labels_at_the_border_peak_twice_as_high():
    codec = SimCC("256x192", label=Gaussian(4.0), score="published")
    out = codec.oracle(codec.encode(torch.full((1, 1, 2), -0.5), torch.ones(1, 1))[0])
    assert codec.decode(out).score.item() == pytest.approx(2 * 0.099, rel=0.02)


def test_bins_lie_where_resizing_puts_pixels():
    ramp = torch.arange(64.0).expand(64, 64)
    at = {align: Axis(64, 16, align).to_px(torch.arange(16.0)) for align in ("centre", "corner", "edge")}
    for align, option in (("centre", False), ("edge", True)):
        small = F.interpolate(ramp[None, None], (16, 16), mode="bilinear", align_corners=option)[0, 0, 5]
        torch.testing.assert_close(small, at[align])
    pixels = ramp.contiguous().numpy()
    assert torch.equal(torch.from_numpy(cv2.resize(pixels, (16, 16)))[5], at["centre"])
    scale = torch.tensor([[0.25, 0, 0], [0, 0.25, 0]]).numpy()
    assert torch.equal(torch.from_numpy(cv2.warpAffine(pixels, scale, (16, 16)))[5], at["corner"])


def test_three_px_bring_the_same_pixels_under_a_strided_networks_samples():
    weight = torch.randn(1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    image = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, 2, 1, bias=False) for _ in range(2))).requires_grad_(False)
    for layer in network:
        layer.weight.copy_(weight + weight.flip(-1))
    for px in (-4, -3, 0):
        difference = (network(mirror_image(image, px)).flip(-1) - network(image)).abs()[..., 3:-3].max()
        assert (difference < 1e-4) == (px == -3)


def test_hrnet_draws_the_last_joints_beyond_the_map():
    codec = Heatmap("256x192", align="corner", bounds="published")
    centre, weight = codec.centres(torch.tensor([[[189.9, 50.0], [190.0, 50.0], [191.4, 50.0]]]), torch.ones(1, 3))
    assert centre[0, :, 0].tolist() == [47, 48, 48] and weight.all() and codec.x.n == 48


def test_a_perfect_rounded_map_cannot_be_refined():
    codec = Heatmap("256x192", readouts={"shift": QuarterShift(), "dark": DARK()})
    out, _ = codec.encode(torch.tensor([[[90.4, 131.7]]]), torch.ones(1, 1))
    for name in codec.readouts:
        bins = codec.to_bins(codec.decode(out, name).xy)
        torch.testing.assert_close(bins, bins.round(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_doubt_scores_alike(tau):
    sigma, steps = 2.0, torch.linspace(-5, 5, 41)
    offsets = tau * torch.cartesian_prod(steps, steps)
    share = torch.softmax(-offsets.square().sum(-1) / (2 * tau**2), 0)

    def peak(codec, share):
        target, _ = codec.encode(codec.to_px(32 + offsets)[None], torch.ones(1, len(offsets)))
        best = each(target, lambda t: torch.einsum("k,bk...->b...", share, t)[:, None])
        return math.prod(float(d.max()) for d in codec.density(codec.oracle(best)).values())

    perfect = (offsets == 0).all(-1).float()
    for codec in (Heatmap("256x256", sigma=sigma, **numbers.WHOLE), SimCC("64x64", k=1, label=Gaussian(sigma))):
        assert peak(codec, share) / peak(codec, perfect) == pytest.approx(sigma**2 / (sigma**2 + tau**2), rel=0.01)


def test_examples():
    source = "\n".join(re.findall(r"```pycon\n(.*?)```", PAGE, re.S))
    examples = doctest.DocTestParser().get_doctest(source, {}, "", "", 0)
    assert examples.examples and doctest.DocTestRunner().run(examples).failed == 0


LINES = PAGE.replace("\\\n", "").splitlines()
COMMANDS = [shlex.split(line)[2:] for line in LINES if line.startswith("poserep train")]


@pytest.mark.parametrize("overrides", COMMANDS, ids=lambda o: o[0])
def test_commands_compose(overrides):
    assert len(COMMANDS) == len(table("coordinates")) == len(table("scores"))
    cfg = compose([*overrides, "size=256x192"]).cfg
    codec = make(cfg.representation.codec, size=cfg.input_size, align=cfg.align)
    given = dict(o.removeprefix("+representation.codec.").split("=") for o in overrides)
    assert codec.x.align == given["align"]
    assert codec.mirror_px == 0 or not given.keys() & {"flip_shift", "score_threshold"}
    for option in given.keys() & {"flip_shift", "score_threshold", "bounds", "score", "merge_on", "grid"}:
        value = getattr(codec if option in ("merge_on", "grid") else codec.deviations, option)
        assert str(value) == given[option] or value == float(given[option])


REPRESENTATIONS = (DOCS / "representations.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in REPRESENTATIONS.splitlines() if "| `" in line]


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "representation").glob("*.yaml")))
def test_every_representation_has_a_row_and_its_published_options_exist(name):
    (row,) = (row for row in ROWS if f"`{name}`" in row[0])
    options = [word for code in re.findall(r"`([^`]+)`", row[-1]) if "=" in code for word in code.split()]
    words = [re.sub(r"^([+~]?)(?!align|representation)", r"\1representation.codec.", word) for word in options]
    cfg = compose([f"representation={name}", "size=256x192", *words]).cfg
    readouts = make(cfg.representation.codec, size=cfg.input_size, align=cfg.align, sigmas=COCO.sigmas).readouts
    assert set(re.findall(r"`(\w+)`", row[2])) <= set(readouts)


@pytest.mark.parametrize("line", re.findall(r"^poserep evaluate RUN_DIR '(\+.+)'$", REPRESENTATIONS, re.M))
def test_readouts_of_the_page_can_be_added(line):
    for name in ("simcc", "rtmcc") if "Axis" in line else ("heatmap", "udp", "sr"):
        cfg = compose([f"representation={name}", line]).cfg
        codec = make(cfg.representation.codec, size=cfg.input_size, align=cfg.align, sigmas=COCO.sigmas)
        target, _ = codec.encode(torch.full((1, 17, 2), 30.0), torch.ones(1, 17))
        for readout in codec.readouts:
            assert (codec.decode(codec.oracle(target), readout).xy - 30).abs().max() < 3


def test_what_bins_cost_is_what_the_committed_table_says():
    found = {}
    for row in read_lines(CONF.parent / "results/quantisation.csv"):
        if row["condition"] == "clean" and row["align"] in ("centre", "edge"):
            # The first of a row's alignments is its own.
            found.setdefault((row["representation"], row["readout"], row["size"]), row)
    section = REPRESENTATIONS.split("## What bins cost")[1].split("## Scores")[0]
    lines = [
        [cell.strip("` ") for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"
    ]
    assert len(lines) > 10
    for name, readout, *cells in lines[2:]:
        for size, (px, ap) in zip(("64x64", "256x192"), (cells[:2], cells[2:]), strict=True):
            row = found[name, readout, size]
            assert (row["mean_px"], row["AP"]) == (shown(px), shown(ap))
