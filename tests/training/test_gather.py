"""Predictions gathered over batches: once each and in order, and refused if they are not finite."""

import numpy as np
import pytest
import torch

from poserep.codecs.base import People, Points
from poserep.errors import InputError
from poserep.geometry import Crop
from poserep.metrics.scorer import FinishedResults
from poserep.training.gather import Gather


def points(index: list[int]) -> Points:
    """Coordinates and scores that follow from the index."""
    value = torch.tensor(index, dtype=torch.float32)
    return Points(value[:, None, None].expand(-1, 5, 2).clone(), value[:, None].expand(-1, 5) / 10)


def crops(count: int, shift: float = 0.0) -> Crop:
    """Crops that show the image from ``shift`` px on."""
    return Crop(torch.eye(2, 3, dtype=torch.float64).repeat(count, 1, 1) - shift * torch.eye(3)[2].repeat(2, 1))


EVERY = slice(None)


def test_repeated_indices_and_the_order_of_batches_change_nothing():
    gather = Gather()
    for batch in ([2, 0], [1, 2], [0]):
        gather.update(torch.tensor(batch), crops(len(batch)), points(batch), EVERY)
    gathered, expected = gather.predictions(0.3), points([0, 1, 2])
    assert gathered.index.tolist() == [0, 1, 2] and gathered.threshold == 0.3
    np.testing.assert_array_equal(gathered.xy, expected.xy)
    np.testing.assert_array_equal(gathered.score, expected.score)

    gather.reset()
    with pytest.raises(InputError, match="no predictions"):
        gather.predictions(0.3)


def test_predictions_that_are_not_finite_are_refused_by_instance():
    for value in (float("nan"), float("inf")):
        batch = points([0, 1])
        batch.xy[1, 2, 0] = value
        with pytest.raises(InputError, match=r"instances \[1\] are not finite; the network has diverged"):
            Gather().update(torch.tensor([0, 1]), crops(2), batch, EVERY)


def test_people_of_images_are_gathered_by_image_as_many_as_there_are():
    gather = Gather()
    for images, rows in (([7, 3], [0, 0, 1]), ([5], []), ([7, 3], [0, 0, 1])):
        found = points([10 * images[row] + i for i, row in enumerate(rows)])
        row = torch.tensor(rows, dtype=torch.int64)
        gather.update(torch.tensor(images), crops(len(images), 2.0), People(row, *found, found.score[:, 0]), [1, 0])
    people = gather.predictions(0.3)
    assert isinstance(people, FinishedResults)
    # Nobody is on image 5, and a repeated batch counts once.
    assert people.image_id.tolist() == [3, 7, 7] and people.index.tolist() == [0, 1, 2]
    np.testing.assert_allclose(people.person_score, [3.2, 7.0, 7.1], rtol=1e-6)
    assert people.xy.shape == (3, 2, 2) and people.xy[:, 0, 0].tolist() == [34.0, 72.0, 73.0]

    gather.reset()
    nobody = People(torch.zeros(0, dtype=torch.int64), torch.zeros(0, 5, 2), torch.zeros(0, 5), torch.zeros(0))
    gather.update(torch.tensor([7]), crops(1), nobody, EVERY)
    assert len(gather.predictions(0.3).xy) == 0

    bad = nobody._replace(row=torch.tensor([0]), xy=torch.full((1, 5, 2), torch.nan), score=torch.ones(1, 5))
    with pytest.raises(InputError, match=r"images \[7\] are not finite"):
        gather.update(torch.tensor([7]), crops(1), bad._replace(person_score=torch.ones(1)), EVERY)
