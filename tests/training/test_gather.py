"""Predictions gathered over batches: once each and in order, and refused if they are not finite."""

import numpy as np
import pytest
import torch

from poserep.codecs.base import Points
from poserep.errors import InputError
from poserep.training.gather import Gather


def points(index: list[int]) -> Points:
    """Coordinates and scores that follow from the index."""
    value = torch.tensor(index, dtype=torch.float32)
    return Points(value[:, None, None].expand(-1, 5, 2).clone(), value[:, None].expand(-1, 5) / 10)


def test_repeated_indices_and_the_order_of_batches_change_nothing():
    gather = Gather()
    for batch in ([2, 0], [1, 2], [0]):
        gather.update(torch.tensor(batch), points(batch))
    index, xy, score = gather.compute()
    expected = points([0, 1, 2])
    assert index.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(xy, expected.xy)
    np.testing.assert_array_equal(score, expected.score)

    gather.reset()
    with pytest.raises(InputError, match="no predictions"):
        gather.compute()


def test_predictions_that_are_not_finite_are_refused_by_instance():
    for value in (float("nan"), float("inf")):
        batch = points([0, 1])
        batch.xy[1, 2, 0] = value
        with pytest.raises(InputError, match=r"instances \[1\] are not finite; the network has diverged"):
            Gather().update(torch.tensor([0, 1]), batch)
