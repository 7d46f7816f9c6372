"""docs/bottom-up.md: its picture is current, its tables say what the code does, and its commands compose."""

import json
import re
import shlex
from pathlib import Path

import bottom_up_numbers as numbers
import draw_bottom_up as pictures
import kept_results
import pytest
import torch

from poserep.codecs import TagParser
from poserep.config import compose, make
from poserep.overrides import CONF

DOCS = CONF.parent / "docs"
PAGE = (DOCS / "bottom-up.md").read_text()


def table(name: str) -> list[list[str]]:
    """The rows of a table of the page, without its head."""
    (found,) = re.findall(rf"<!-- table: {name} -->\n\n((?:\|.*\n)+)", PAGE)
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in found.splitlines()[2:]]


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def test_the_pictures_are_those_of_the_page_and_current(tmp_path):
    path, sweep = pictures.draw(tmp_path)
    assert f"]({path.name})" in PAGE and f"]({sweep.name})" in PAGE
    now, stored = (re.findall(r"<text[^>]*>([^<]*)</text>", p.read_text()) for p in (path, DOCS / path.name))
    assert now and now == stored


def test_errors_of_perfect_maps():
    for (heading, title, *cells), (key, by_test) in zip(table("bias"), numbers.budget().items(), strict=True):
        assert (heading, title) == key
        values = [float(v) for b in by_test.values() for i in range(2) for v in (b.mean[i], b.rms[i])]
        assert values == pytest.approx([number(cell) for cell in cells], abs=0.0051)


def test_the_sweep_shows_the_numbers_that_are_kept():
    lines = kept_results.read(pictures.SWEEP)
    assert len(lines) == 12 and {line["seeds"] for line in lines} == {"3"}
    assert f"<!-- table: results -->\n\n{kept_results.table(lines)}\n" in PAGE, "run docs/draw_bottom_up.py"


def test_three_px_are_what_the_published_mirror_is_off():
    for pipelines in numbers.PIPELINES.values():
        for pipeline in pipelines:
            corner = pipeline.options.get("align") == "corner"
            assert pipeline.mirror_px == (1 - pipeline.stride if corner else 0)


@pytest.mark.long
@pytest.mark.real
def test_ap_that_errors_cost(coco_subset):
    found = numbers.lost_ap(coco_subset)
    assert found.pop(("", "")) == pytest.approx(79.25, abs=0.1)
    assert [tuple(row[:2]) for row in table("lost")] == list(found)
    assert [number(row[2]) for row in table("lost")] == pytest.approx(list(found.values()), abs=0.15)


def check_ceilings(annotations: Path, chosen: list[int]) -> None:
    rows = table("ceilings")
    assert len(rows) == len(numbers.CEILINGS)
    for n in chosen:
        stride, rules, noise, kernel, fill = numbers.CEILINGS[n]
        assert rows[n][:5] == [str(stride), rules, f"{noise:g}", str(kernel), "yes" if fill else "no"]
        found = numbers.ceiling(annotations, stride, noise, kernel, fill=fill, rules=rules)
        assert [found.people, found.joints] == [1354, 14697]
        counts = [found.found, found.maxima, found.filled]
        assert [number(cell) for cell in rows[n][5:8]] == counts
        values = [found.values[name] for name in ("AP", "AP50", "AP75")]
        assert values == pytest.approx([number(cell) for cell in rows[n][8:]], abs=0.051)


# At stride 1 all images take minutes: bottom_up_numbers.py prints that row, and the next test reads some of them.
@pytest.mark.long
@pytest.mark.real
@pytest.mark.parametrize("row", [n for n, (stride, *_) in enumerate(numbers.CEILINGS) if stride > 1])
def test_annotations_come_back_from_maps_and_tags(coco_subset, row):
    check_ceilings(coco_subset, [row])


@pytest.mark.real
@pytest.mark.parametrize(("stride", "every"), [(4, 8), (1, 134)])
def test_some_images_come_back_from_maps_and_tags(coco_subset, tmp_path, stride, every):
    data = json.loads(coco_subset.read_text())
    # Those with a crowd, and others.
    crowded = sorted({record["image_id"] for record in data["annotations"] if record["iscrowd"]})
    taken = set(crowded[::every]) | set(sorted({record["image_id"] for record in data["annotations"]})[::every])
    data["images"] = [image for image in data["images"] if image["id"] in taken]
    data["annotations"] = [record for record in data["annotations"] if record["image_id"] in taken]
    (tmp_path / "some.json").write_text(json.dumps(data))
    found = numbers.ceiling(tmp_path / "some.json", stride)
    assert found.found == found.people > 5 and found.filled >= 0
    assert found.joints - found.maxima - found.filled <= 4
    assert found.values["AP50"] == pytest.approx(100) and found.values["AP"] >= 99


def test_more_people_than_thirty():
    # Two joints each, side by side.
    xy = torch.stack(torch.meshgrid(*[24.0 + 48 * torch.arange(7)] * 2, indexing="ij"), -1).reshape(1, 49, 1, 2)
    xy = xy + torch.tensor([0.0, 13.0])[:, None] * torch.tensor([1.0, 0.0])
    for most in (30, 60):
        codec = numbers.codec_of("384x384", 4, parser=TagParser(max_people=most))
        target, _ = codec.encode(xy, torch.ones(1, 49, 2), torch.ones(1, 384, 384, dtype=torch.bool))
        people = codec.decode(codec.oracle(target), "dark")
        assert len(people.row) == min(most, 49) and (people.score > 0.9).all()


LINES = PAGE.replace("\\\n", "").splitlines()
COMMANDS = [shlex.split(line)[2:] for line in LINES if line.startswith("poserep train")]


@pytest.mark.parametrize("overrides", COMMANDS, ids=lambda o: " ".join(o))
def test_commands_compose(overrides):
    cfg = compose(overrides).cfg
    assert make(cfg.representation.codec, size=cfg.input_size, align=cfg.align).x.align == cfg.align


def test_options_of_the_page_exist():
    options = set(re.findall(r"`\+?((?:representation|augment|data)\.[a-z_.]+=[a-z0-9.-]+)`", PAGE))
    missing = {option for option in options if f"`+{option}`" in PAGE}
    assert len(options) > 10 and missing
    given = [f"+{option}" if option in missing else option for option in sorted(options)]
    compose(["representation=bottomup", "augment=scenes", *given])
