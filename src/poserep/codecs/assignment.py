"""The Hungarian method, with a rule among assignments of equal cost."""

import numpy as np


def assignment(cost: np.ndarray) -> np.ndarray:
    """Assign a column to each row so that the sum of their costs is least (Munkres 1957).

    Rounded costs leave many assignments with the same sum. The one returned is that of the Python package ``munkres``,
    on which the published code of associative embedding relies: stars are set row by row at the first free zero; the
    search for a zero to prime begins at the row of the last prime, goes round, and takes in the row that it finds the
    zero that it would reach last from the column of the star met before; after each change of costs it begins at the
    first row and column. Sums and differences are taken in its order too, for equal costs are told by exact zeros.

    Args:
        cost: (R, C), finite. The work is done in its precision.

    Returns:
        The columns (R,), int64; -1 for rows that get none, which there are if R > C.
    """
    rows, columns = cost.shape
    n = max(rows, columns)
    cost = np.pad(cost, ((0, n - rows), (0, n - columns)))
    cost -= cost.min(1, keepdims=True, initial=np.inf)
    zeros = _zeros(cost)
    star = [-1] * n
    free = (1 << n) - 1
    for row, found in enumerate(zeros):
        if found & free:
            first = found & free & -(found & free)
            star[row] = first.bit_length() - 1
            free ^= first
    while free:
        free ^= 1 << _augment(cost, zeros, star, free)
    column = np.array(star[:rows], np.int64)
    return np.where(column < columns, column, -1)


def _zeros(cost: np.ndarray) -> list[int]:
    """Return where each row of a matrix is zero, as the bits of a number."""
    packed = np.packbits(cost == 0, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _augment(cost: np.ndarray, zeros: list[int], star: list[int], uncovered: int) -> int:
    """Star one more row in place, from primed to starred zeros and back; returns the column that is starred anew.

    Args:
        cost: (n, n), reduced further here.
        zeros: See `_zeros`; follows ``cost``.
        star: The column starred in each row, or -1.
        uncovered: The columns without a star, as bits.
    """
    n = len(star)
    open_rows = np.ones(n, bool)
    prime: dict[int, int] = {}
    row, column = 0, 0
    while True:
        turn = (*range(row, n), *range(row))
        row = next((i for i in turn if open_rows[i] and zeros[i] & uncovered), -1)
        if row < 0:
            open_columns = np.array([uncovered >> j & 1 for j in range(n)], bool)
            least = cost[np.ix_(open_rows, open_columns)].min()
            cost[~open_rows] += least
            cost[:, open_columns] -= least
            zeros[:] = _zeros(cost)
            row, column = 0, 0
            continue
        found = zeros[row] & uncovered
        prime[row] = (found & ((1 << column) - 1) or found).bit_length() - 1
        column = star[row]
        if column < 0:
            break
        open_rows[row] = False
        uncovered |= 1 << column
    owner = {column: row for row, column in enumerate(star)}
    while True:
        star[row] = column = prime[row]
        if column not in owner:
            return column
        row = owner[column]
