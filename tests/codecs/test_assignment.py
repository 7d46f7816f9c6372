"""The Hungarian method: least sums, and among equal ones the published code's choice."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from poserep.codecs.assignment import assignment
from reference.people import hungarian

# As the parser's: the candidates of a joint pay for the rounded distance from people, less what is theirs anywhere.
COSTS = {
    "parser": lambda rng, shape: np.round(3 * rng.random(shape)) * 100 - rng.random((shape[0], 1)).astype(np.float32),
    "few values": lambda rng, shape: np.round(2 * rng.random(shape)),
    "equal": lambda _, shape: np.full(shape, -0.5),
    "no ties": lambda rng, shape: rng.standard_normal(shape),
}


def shapes(rng: np.random.Generator, most: int) -> list[tuple[int, int]]:
    return [(1, 1), (0, 0), (0, 3), *(tuple(sorted(rng.integers(1, most, 2).tolist())) for _ in range(40))]


@pytest.mark.parametrize("kind", COSTS)
def test_as_cell_by_cell(kind):
    rng = np.random.default_rng(0)
    for shape in shapes(rng, 12):
        cost = COSTS[kind](rng, shape)
        assert list(enumerate(assignment(cost).tolist())) == hungarian(cost), cost


def test_more_rows_than_people():
    rng = np.random.default_rng(1)
    for people, rows in shapes(rng, 12):
        cost = np.pad(COSTS["parser"](rng, (rows, people)), ((0, 0), (0, rows - people)), constant_values=1e10)
        assert list(enumerate(assignment(cost).tolist())) == hungarian(cost), cost


@pytest.mark.parametrize("kind", COSTS)
def test_least_sum(kind):
    rng = np.random.default_rng(2)
    for rows, columns in shapes(rng, 40)[3:]:
        for shape in ((rows, columns), (columns, rows)):
            cost = COSTS[kind](rng, shape)
            before = cost.copy()
            column = assignment(cost)
            assigned = column >= 0
            assert assigned.sum() == len(set(column[assigned].tolist())) == min(shape)
            least = cost[linear_sum_assignment(cost)].sum()
            assert cost[np.flatnonzero(assigned), column[assigned]].sum() == pytest.approx(least, abs=1e-9)
            assert np.array_equal(cost, before)


def test_a_tie_by_hand():
    # Stars at (0, 0) and (1, 1). The third row's zeros are taken; the first is primed in the only free column, the
    # second in the last zero after column 0, the third in the last after column 1, which is the first.
    cost = np.array([[0, 0, 0], [0, 0, 0], [0, 0, 100.0]])
    assert assignment(cost).tolist() == [2, 1, 0]
    assert linear_sum_assignment(cost)[1].tolist() != [2, 1, 0]
