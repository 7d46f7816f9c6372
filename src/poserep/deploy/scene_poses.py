"""The people on a picture without boxes: the whole of it at each scale, its heatmaps and tags, and who is in them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice

import numpy as np
import torch

from poserep.codecs.associative_embedding import SceneMaps
from poserep.codecs.base import People
from poserep.data.scene_table import SceneRecord, SceneTable
from poserep.data.scenes import SceneDataset
from poserep.deploy.card import Card
from poserep.deploy.frame_poses import FramePoses
from poserep.deploy.inference import Estimator
from poserep.deploy.media import Frame
from poserep.geometry import Crop, Size


class ScenePoses(FramePoses):
    """The people of a picture who are found in the whole of it; ``crops`` are the picture at each scale.

    A joint that was not found has a ``joint_score`` of 0, and its ``xy`` means nothing. ``box`` is what the others
    cover, and ``score`` is that of the codec, by which evaluation ranks people.
    """

    def fill_people(self, people: People) -> None:
        """Take the people, whose joints are in px of the first input."""
        self.xy, self.joint_score = self.crop.to_image(people.xy.double()).numpy(), people.score.double().numpy()
        self.score, self.crops = people.person_score.double().numpy(), []
        low = np.where(self._found, self.xy, np.inf).min(1)
        high = np.where(self._found, self.xy, -np.inf).max(1)
        self.box = np.concatenate([low, high - low], 1)

    def drawn(self, card: Card, threshold: float) -> np.ndarray:
        """See `FramePoses.drawn`; joints that were not found are left out."""
        return FramePoses.drawn(replace(self, xy=np.where(self._found, self.xy, np.nan)), card, threshold)

    @property
    def _found(self) -> np.ndarray:
        return self.joint_score[..., None] > 0


def scene_of(card: Card, frame: Frame) -> ScenePoses:
    """Scale and pad a picture as evaluation does, once for each scale of the model's test."""
    assert card.scenes is not None
    height, width = frame.image.shape[:2]
    table = SceneTable([SceneRecord(frame.path, 0, width, height, [], b"")], card.skeleton.num_keypoints)
    dataset = SceneDataset(table, card.skeleton, card.size, card.align, read=lambda _: frame.image, **card.scenes)
    item = dataset[0, 0]
    inputs = [(image.flip(0) if card.bgr else image).numpy() for image in item.scales]
    return ScenePoses(frame, np.zeros((0, 4)), np.zeros(0), inputs, Crop(item.crop.matrix[None]), [])


def scenes_estimated(model: Estimator, pictures: Iterable[ScenePoses], batch: int) -> Iterator[ScenePoses]:
    """Yield pictures with their people, in order; up to ``batch`` neighbours of equal input size are one batch."""
    for _, equal in groupby(pictures, lambda picture: picture.crops[0].shape):
        while some := list(islice(equal, batch)):
            _fill(model, some)
            yield from some


@torch.no_grad()
def _fill(model: Estimator, pictures: Sequence[ScenePoses]) -> None:
    assert model.codec is not None
    batches = [np.stack(images) for images in zip(*(picture.crops for picture in pictures), strict=True)]
    maps = [SceneMaps(*model.estimate(images), Size(*images.shape[2:])) for images in batches]
    out = model.codec.aggregate(maps)
    sound = out.heat.sum((1, 2, 3)).isfinite().tolist()
    # One picture's fault leaves the others of its batch their people.
    out = out._replace(heat=out.heat.nan_to_num(0, 0, 0))
    people = People(*(values.cpu() for values in model.codec.decode(out, model.card.readout)))
    for number, picture in enumerate(pictures):
        picture.fill_people(People(*(values[people.row == number] for values in people)))
        if not sound[number]:
            picture.errors.append(
                f"{picture.frame.path}: {model.card.run} gives heatmaps that are no numbers; its weights are not "
                "finite, take another checkpoint"
            )
