"""Every published row of every table: its alignment, bounds, score, threshold and flip shift are those of its code.

What each code does stands here once more, by the paper, the network and the representation of a row alone, so that no
row can follow another code's rule: not DarkPose's rows HRNet's crops, nor SimCC's rows the threshold of heatmaps.
"""

from dataclasses import dataclass
from functools import cache

import pytest

from poserep.sweep.compositions import SWEEPS, names, table
from poserep.tables.files import read_sweep
from poserep.tables.table import Table

CODEC = "representation.codec."
# SimCC's and SimDR's configurations state the least score of a joint that counts by input size.
EQUAL = {"64x64": 0.02, "128x128": 0.02, "256x192": 0.01, "256x256": 0.01, "384x288": 0.01}
GAUSSIAN = {"256x192": 0.01, "384x288": 0.005}


@dataclass(frozen=True)
class Code:
    """What published code does about coordinates.

    Attributes:
        align: Of crops and bins.
        flip_shift: In bins; None: not moved.
        bounds: Which joints are learnt.
        clip: How annotated boxes are clipped.
        threshold: Of a joint's score, one for all sizes or by size; None where joints are not scored.
        merge_on: What a flip test averages, if it says.
    """

    align: str
    flip_shift: str | None
    bounds: str | None = "published"
    clip: str | None = "hrnet"
    threshold: float | dict[str, float] | None = 0.2
    merge_on: str | None = None


HRNET = Code("corner", "1")
DARKPOSE = Code("dark", None, clip="dark")
SIMDR = Code("corner", "-1", threshold=EQUAL)
SA_SIMDR = Code("corner", "-1", threshold=GAUSSIAN, merge_on="logits")
# Not published: TokenPose's geometry with SimDR's thresholds.
TOKENPOSE_SIMDR = Code("dark", None, clip="dark", threshold=EQUAL)
# Joints outside the image have no label in our reader of the data; the tables say so.
MOAI = Code("corner", None, bounds=None, clip=None, threshold=None)
# SRPose's is built on mmpose 0.x, which does as HRNet's code, at every resolution.
SRPOSE = Code("corner", "1")
# Quoted by the papers without settings or code.
UNPUBLISHED = {"ipr", "dsnt", "heatmap1d"}


def code_of(paper: str, backbone: str, representation: str) -> Code:
    """The code that a row was made with."""
    if paper == "repro":
        return MOAI
    if paper == "srpose":
        return SRPOSE
    if representation.startswith("simcc"):
        if backbone.startswith("tokenpose"):
            return TOKENPOSE_SIMDR
        return SIMDR if representation in ("simcc_equal", "simcc_onehot") else SA_SIMDR
    return DARKPOSE if representation == "heatmap_unbiased" else {"heatmap": HRNET}[representation]


@cache
def published(name: str) -> Table:
    return table(name, "published")


PAPERS = [name for name in names() if published(name).paper]


@pytest.mark.parametrize("name", PAPERS)
def test_rows_follow_the_code_that_they_were_made_with(name):
    found, paper = published(name), name.split("-")[0]
    assert paper in ("simcc", "simdr", "dark", "srpose", "repro")
    for row in found.runnable:
        said = read_sweep(SWEEPS, name)["overridden"]
        said = {**said, **{key: o.split("=", 1)[1] for key, o in found.settings(row).items()}}
        if said["representation"] in UNPUBLISHED:
            assert row.undetermined, f"{row.name} has no published code and does not say so"
            continue
        code = code_of(paper, said["backbone"], said["representation"])
        # MPII and HUMAN4D rank nobody, and have no detections whose boxes are clipped otherwise.
        rescored = said["data"] in ("coco", "coco_testdev", "crowdpose")
        threshold = code.threshold[said["size"]] if rescored and isinstance(code.threshold, dict) else code.threshold
        expected = {
            "align": code.align,
            f"{CODEC}bounds": code.bounds,
            f"{CODEC}score": "published",
            f"{CODEC}flip_shift": code.flip_shift,
            f"{CODEC}merge_on": code.merge_on,
            f"{CODEC}score_threshold": str(threshold),
            "data.clip": code.clip if rescored else None,
            # Whose training lists fill every batch, the study of HUMAN4D says nothing of it.
            "trainer.drop_last": None if code is MOAI else "false",
        }
        if not rescored:
            del expected[f"{CODEC}score_threshold"]
        assert {key: said.get(key) for key in expected} == expected, row.name


def test_every_code_has_rows_and_darkposes_are_not_all_square():
    rows = [
        (code_of(name.split("-")[0], said["backbone"], said["representation"]), said["size"])
        for name in PAPERS
        for row in published(name).runnable
        for said in [{key: o.split("=", 1)[1] for key, o in published(name).settings(row).items()}]
        if said["representation"] not in UNPUBLISHED
    ]
    codes = [code for code, _ in rows]
    assert all(code in codes for code in (HRNET, DARKPOSE, SIMDR, SA_SIMDR, TOKENPOSE_SIMDR, MOAI, SRPOSE))
    for code in (DARKPOSE, TOKENPOSE_SIMDR):
        assert {"256x192", "384x288"} <= {size for mine, size in rows if mine is code}
