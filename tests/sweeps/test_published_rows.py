"""Every published row of every table: its alignment, bounds, score, threshold and flip shift are those of its code.

What each code does stands here once more, by the paper, the network and the representation of a row alone, so that no
row can follow another code's rule: not DarkPose's rows HRNet's crops, nor SimCC's rows the threshold of heatmaps.
"""

from functools import cache

import pytest
from paper_tables import read, settings

from poserep.overrides import SWEEPS
from poserep.sweeps.sweep_file import read_sweep, table_names
from poserep.sweeps.table import Row

CODEC = "representation.codec."
# SimCC's and SimDR's configurations state the least score of a joint that counts by input size.
EQUAL = {"64x64": 0.02, "128x128": 0.02, "256x192": 0.01, "256x256": 0.01, "384x288": 0.01}
GAUSSIAN = {"256x192": 0.01, "384x288": 0.005}


def code(align, flip_shift, bounds="published", clip="hrnet", threshold=0.2, merge_on=None) -> dict:
    """What published code does about coordinates; a threshold holds for all sizes or by size, None is not set."""
    codec = {f"{CODEC}bounds": bounds, f"{CODEC}flip_shift": flip_shift, f"{CODEC}merge_on": merge_on}
    return {"align": align, "data.clip": clip, "threshold": threshold, **codec}


CODES = {
    "HRNet": code("corner", "1"),
    "DarkPose": code("dark", None, clip="dark"),
    "SimDR": code("corner", "-1", threshold=EQUAL),
    "SA-SimDR": code("corner", "-1", threshold=GAUSSIAN, merge_on="logits"),
    # Not published: TokenPose's geometry with SimDR's thresholds.
    "TokenPose, SimDR": code("dark", None, clip="dark", threshold=EQUAL),
    # Joints outside the image have no label in our reader of the data; the tables say so.
    "MOAI": code("corner", None, bounds=None, clip=None, threshold=None),
    # SRPose's is built on mmpose 0.x, which does as HRNet's code, at every resolution.
    "SRPose": code("corner", "1"),
    # Of whole images, whose people have no boxes; their flip test moves nothing.
    "SRPose, bottom-up": code("corner", "0", clip=None, threshold=0),
    # Where papers quote others without settings, as the other rows of their tables: HRNet's crops, exact flip tests.
    "none": code("corner", None, bounds=None),
}
QUOTED = ("ipr", "dsnt", "heatmap1d")
# The comparison on drawn people takes coordinates and scores from the codes, and nothing else.
DRAWN = {"heatmap_unbiased": "DarkPose", "heatmap": "HRNet", "sr": "SRPose", "srpose": "SRPose", "simcc": "SA-SimDR",
         "simcc_equal": "SimDR", "simcc_onehot": "SimDR", "simcc_laplace": "SA-SimDR"}  # fmt: skip


def code_of(paper: str, backbone: str, representation: str) -> str:
    """The code that a row was made with."""
    if paper == "repro":
        return "MOAI"
    if representation.startswith("bottomup"):
        return "SRPose, bottom-up"
    if paper == "srpose":
        return "SRPose"
    if representation in QUOTED:
        return "none"
    if backbone.startswith(("tokenpose", "transpose")):
        return "TokenPose, SimDR" if representation.startswith("simcc") else "DarkPose"
    if representation.startswith("simcc"):
        return "SimDR" if representation in ("simcc_equal", "simcc_onehot") else "SA-SimDR"
    return {"heatmap": "HRNet", "heatmap_unbiased": "DarkPose"}[representation]


@cache
def rows(name: str) -> list[tuple[Row, dict[str, str]]]:
    """The rows of a table that run, with the settings of the published mode and the groups of the file."""
    found, groups = read(name, "published"), read_sweep(SWEEPS, name)["overridden"]
    return [(row, groups | settings(found, row)) for row in found.runnable]


PAPERS = [name for name in table_names() if read(name).paper]


@pytest.mark.parametrize("name", PAPERS)
def test_rows_follow_the_code_that_they_were_made_with(name):
    paper = name.split("-")[0]
    assert paper in ("simcc", "simdr", "dark", "srpose", "repro")
    for row, said in rows(name):
        made_with = code_of(paper, said["backbone"], said["representation"])
        wanted = dict(CODES[made_with])
        threshold = wanted.pop("threshold")
        # HUMAN4D's training lists fill every batch, and nothing is known of its loader.
        wanted["trainer.drop_last"] = None if made_with == "MOAI" else "false"
        # MPII and HUMAN4D rank nobody, and have no detections whose boxes are clipped otherwise.
        if said["data"] in ("coco", "coco_testdev", "crowdpose"):
            least = threshold[said["size"]] if isinstance(threshold, dict) else threshold
            wanted[f"{CODEC}score_threshold"] = str(least)
        else:
            wanted["data.clip"] = None
        if made_with == "none":
            assert row.undetermined, f"{row.name} has no published code and does not say so"
            # SimCC's table says no more of its 1D heatmap, whose flip test is that of SimCC's vectors.
            wanted[f"{CODEC}flip_shift"] = "-1" if said["representation"] == "heatmap1d" else None
        else:
            wanted[f"{CODEC}score"] = "published"
        assert {key: said.get(key) for key in wanted} == wanted, row.name


QUIRKS = {"data.crop.bgr", *(CODEC + key for key in ("flip_shift", "score", "bounds", "merge_on", "label.renormalise"))}
RECIPE = ("data", "augment", "optim", "trainer", "seed")


@pytest.mark.parametrize("name", PAPERS)
def test_controlled_rows_have_one_recipe_and_none_of_the_quirks(name):
    controlled = read(name, "controlled")
    made = [settings(controlled, row) for row in controlled.runnable]
    recipes = [{key: value for key, value in row.items() if key.split(".")[0] in RECIPE} for row in made]
    # Whole images have a recipe of their own.
    boxes = [row.boxes for row in controlled.runnable]
    for row, recipe, kind in zip(made, recipes, boxes, strict=True):
        assert recipe == recipes[boxes.index(kind)] and row["align"] == "centre" and not QUIRKS & set(row)
        assert row.get("data.clip", "exact") == "exact" and row.get(f"{CODEC}score_threshold", "0") == "0"
        assert not any(key.endswith("dark.kernel") for key in row)
        # No detections where the data have none.
        assert ("data.detections" in row) == (controlled.data not in ("mpii", "human4d"))


def test_published_rows_on_drawn_people_take_coordinates_from_the_codes():
    for row, said in rows("embedded"):
        wanted = dict(CODES[DRAWN.get(said["representation"], "none")])
        del wanted["threshold"]
        # No code of SimCC with Laplace labels was published: which of its two flip tests they had is open.
        if said["representation"] == "simcc_laplace":
            wanted[f"{CODEC}merge_on"] = None
        assert {key: said.get(key) for key in wanted} == wanted, row.name


def test_every_code_has_rows_and_darkposes_are_not_all_square():
    sizes: dict[str, set[str]] = {name: set() for name in CODES}
    for name in PAPERS:
        for _, said in rows(name):
            sizes[code_of(name.split("-")[0], said["backbone"], said["representation"])].add(said["size"])
    assert all(sizes.values())
    for one in ("DarkPose", "TokenPose, SimDR"):
        assert {"256x192", "384x288"} <= sizes[one]
