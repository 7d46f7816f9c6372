"""Joints one by one: as results record them, by the size of the person, and where two runs agree."""

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.metrics.taxonomy import KINDS
from poserep.report.compare.joint_errors import JointErrors, agreement, by_person_size, joint_errors
from poserep.report.compare.stored import read_side, rebuild
from poserep.runs.rundir import RunDir


def made_up(kind, error=0.5, size=None, person=None) -> JointErrors:
    """Of persons (N, K), with -1 for joints that are not labelled."""
    kind = np.array(kind)
    n, k = kind.shape
    persons, sizes = np.array(person or range(n)), np.array(size or range(1, n + 1), float)
    return JointErrors(tuple("abcdef"[:k]), persons, sizes, np.where(kind < 0, np.nan, error), kind)


def test_joints_are_those_that_the_result_counts(trained):
    run_dir = trained["heatmap"]
    result = RunDir(run_dir).result()
    for readout in ("shift", "dark"):
        (evaluation,) = read_side(f"{run_dir}:{readout}", "gt")
        found, recorded = joint_errors(evaluation), result["errors"]["gt"][readout]
        assert found.kind.shape == found.error.shape == (recorded["persons"], 17)
        assert found.names == tuple(recorded["joints"]) and (np.diff(found.person) > 0).all()
        for name, kind, error in zip(found.names, found.kind.T, found.error.T, strict=True):
            about = recorded["joints"][name]
            assert [int((kind == i).sum()) for i in range(len(KINDS))] == list(about["taxonomy"]["count"].values())
            assert np.isfinite(error).sum() == (kind >= 0).sum() == about["labelled"]
            if about["labelled"]:
                assert np.nanmean(error) == pytest.approx(about["mean_normalised"], rel=1e-6)
    table = rebuild(evaluation)[0].truth.instances
    assert np.square(found.size) == pytest.approx(table.area[np.searchsorted(table.id, found.person)])
    both = agreement(found, joint_errors(read_side(f"{run_dir}:shift", "gt")[0]))
    total = both.both + both.first + both.second + both.neither
    assert total.tolist() == [joint["labelled"] for joint in recorded["joints"].values()]
    with pytest.raises(InputError, match="boxes=det have no joints of their own"):
        joint_errors(read_side(str(run_dir), "det")[0])


def test_parts_are_as_many_persons_each_from_small_to_large():
    # Persons in the order of sizes 10, 20, 30, 40, 50.
    error = np.array([[0.9, np.nan], [0.3, 0.2], [0.1, 0.2], [0.6, np.nan], [0.5, 0.8]])
    run = made_up([[4, -1], [1, 0], [0, 0], [2, -1], [3, 4]], error, size=[50, 20, 10, 40, 30])
    small, large = by_person_size([run], 2)
    assert (small.low, small.high, large.low, large.high) == (10, 30, 40, 50)
    assert (small.labelled, large.labelled) == (6, 2)
    assert small.share == pytest.approx(np.array([3, 1, 0, 1, 1]) / 6) and large.share.tolist() == [0, 0, 0.5, 0, 0.5]
    assert small.error == pytest.approx(0.25) and large.error == pytest.approx(0.75)


def test_seeds_are_taken_together_and_parts_are_never_empty():
    first, second = by_person_size([made_up([[0], [1]], error=0.1), made_up([[4], [1]], error=0.3)], parts=9)
    assert first.labelled == second.labelled == 2 and first.error == pytest.approx(0.2)
    assert first.share.tolist() == [0.5, 0, 0, 0, 0.5] and second.share.tolist() == [0, 1, 0, 0, 0]


def test_agreement_counts_labelled_joints():
    found = agreement(made_up([[0, 1, -1], [4, 0, 2]]), made_up([[1, 4, -1], [3, 1, 0]]))
    assert found.names == ("a", "b", "c")
    assert [list(column) for column in found[1:]] == [[1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_other_persons_or_joints_are_refused():
    one = made_up([[0, 1]])
    for other in (made_up([[0, 1]], person=[7]), made_up([[0, 1, 2]])):
        for compare in (agreement, lambda a, b: by_person_size([a, b])):
            with pytest.raises(InputError, match="about other persons or joints"):
                compare(one, other)
    for runs, parts in (([], 4), ([one], 0)):
        with pytest.raises(InputError, match=f"{len(runs)} runs in {parts} parts"):
            by_person_size(runs, parts)
