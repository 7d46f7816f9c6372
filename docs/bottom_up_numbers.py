"""The numbers of bottom-up.md and its picture: what codecs of whole images are off, measured with poserep's own."""

import sys
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from poserep.codecs import DARK, Adjust, AssociativeEmbedding, Heatmap, QuarterShift, TagParser
from poserep.codecs.associative_embedding import SceneMaps
from poserep.data import load_coco
from poserep.data.coco_file import read_coco
from poserep.data.scene_table import scenes_of
from poserep.data.scenes import SceneDataset
from poserep.geometry import Crop, Size
from poserep.instances import CocoForm, Tally, Truth
from poserep.metrics import CocoAP
from poserep.metrics.scorer import FinishedResults
from poserep.skeleton import COCO
from poserep.training.gather import Gather

# As the published code does it, where ours does something else.
PUBLISHED = {"align": "corner", "project": True, "score": "published", "bounds": "published", "flip_shift": 0}
# UDP decodes resized maps too, which it aligns at the corners.
UDP = {"align": "edge", "project": True}
READOUTS = {
    "adjust": Adjust(),
    "published": Adjust(offset=0.5),
    "shift": QuarterShift(),
    "dark": DARK(kernel=None),
    "dark, blurred": DARK(kernel=3),
}


def codec_of(size: Size | str, stride: int, quantise: Any = "none", **options: Any) -> AssociativeEmbedding:
    """Return a codec of one stage with the published sigmas and windows: 2 bins, and 8 at input size."""
    sigma = 8 if stride == 1 else 2
    maps = {"heatmap": partial(Heatmap, stride=stride, sigma=sigma, quantise=quantise, truncate=3 + 1 / sigma)}
    return AssociativeEmbedding(size, maps, readouts=READOUTS, **options)


def answer(codec: AssociativeEmbedding, xy: Tensor, mirror_px: float) -> Tensor:
    """Return the heatmaps (B, 1, h, w) that fit pictures best which show a joint at ``xy`` (B, 2), input px.

    In training half of such pictures are mirrored ones, whose labels lie ``mirror_px`` beside the joint.
    """
    weight, mask = torch.ones(len(xy), 1, 1), torch.ones(len(xy), *codec.size, dtype=torch.bool)
    labels = (xy, xy + torch.tensor([mirror_px, 0.0]))
    one, two = (codec.encode(at[:, None, None].float(), weight, mask)[0].maps[0] for at in labels)
    return (one + two) / 2


def response(
    codec: AssociativeEmbedding, xy: Tensor, mirror_px: float, flip_test: bool, noise: tuple[Any, Any] = (0, 0)
) -> SceneMaps:
    """Return what a network that answers so gives in a test, with noise on the answers to picture and mirror image."""
    other = xy.clone()
    other[:, 0] = codec.size.width - 1 - xy[:, 0] + codec.mirror_px
    views = zip((xy, other), noise, strict=True)
    heats = [answer(codec, at, mirror_px) + added for at, added in views]
    out, mirrored = (torch.cat([heat, torch.zeros_like(heat)], 1) for heat in heats)
    return codec.merge(out, mirrored, torch.tensor([0])) if flip_test else codec.maps_of(out)


def positions(codec: AssociativeEmbedding, maps: SceneMaps, readout: str) -> Tensor:
    """Return where the best person of each image has the joint, (B, 2) input px."""
    people = codec.decode(maps, readout)
    # Of one joint everybody is a maximum, the highest of an image first.
    return people.xy[torch.searchsorted(people.row, torch.arange(len(maps.heat))), 0]


class Pipeline(NamedTuple):
    """A way from labels to positions: title, stride, centres, px by which mirrored labels are off, readout, options."""

    title: str
    stride: int
    quantise: str
    mirror_px: int
    readout: str
    options: dict[str, Any]


PIPELINES = {
    "as published": [
        Pipeline("stride 4, floor", 4, "floor", -3, "published", PUBLISHED),
        Pipeline("stride 4, exact centres", 4, "none", -3, "published", PUBLISHED),
        Pipeline("stride 4, UDP", 4, "none", 0, "dark, blurred", UDP),
        Pipeline("SR head, floor", 1, "floor", 0, "published", PUBLISHED),
        Pipeline("SR head, exact centres", 1, "none", 0, "published", PUBLISHED),
    ],
    "poserep's defaults": [
        Pipeline("stride 4, shift", 4, "none", 0, "shift", {}),
        Pipeline("stride 4, DARK", 4, "none", 0, "dark", {}),
        Pipeline("SR head, shift", 1, "none", 0, "shift", {}),
        Pipeline("SR head, DARK", 1, "none", 0, "dark", {}),
    ],
}


class Bias(NamedTuple):
    """Errors to the right and downward, input px, each (2,): their mean, standard deviation and root mean square."""

    mean: Tensor
    sd: Tensor
    rms: Tensor


def errors(pipeline: Pipeline, flip_test: bool, joints: int = 128) -> Tensor:
    """Return the errors (2 joints, 2) of perfect maps, input px, over joints spread evenly.

    The maps have noise of 1e-3, so that nothing rests on ties, and each joint has it with either sign.
    """
    codec = codec_of("64x64", pipeline.stride, pipeline.quantise, **pipeline.options)
    part = (torch.arange(joints) + 0.5) / joints
    # All positions within one bin, far from the border; 37 shuffles those along y.
    xy = torch.stack([32 + 4 * part, 28 + 4 * ((37 * part) % 1)], -1).repeat(2, 1)
    generator = torch.Generator().manual_seed(0)
    noise = 1e-3 * torch.randn(2, joints, 1, codec.y.n, codec.x.n, generator=generator)
    maps = response(codec, xy, pipeline.mirror_px, flip_test, tuple(torch.cat([noise, -noise], 1)))
    return (positions(codec, maps, pipeline.readout) - xy).double()


@cache
def budget() -> dict[tuple[str, str], dict[bool, Bias]]:
    """Measure all pipelines, by heading and title, with and without a flip test."""
    found: dict[tuple[str, str], dict[bool, Bias]] = {}
    for heading, pipelines in PIPELINES.items():
        for pipeline in pipelines:
            for flip_test in (True, False):
                error = errors(pipeline, flip_test)
                value = Bias(error.mean(0), error.std(0, correction=0), error.square().mean(0).sqrt())
                found.setdefault((heading, pipeline.title), {})[flip_test] = value
    return found


def lost_ap(annotations: Path, spread: float = 0.35, draws: int = 10) -> dict[tuple[str, str], float]:
    """Return the AP that pipelines lose, by heading and title; of none, ``("", "")``, the AP itself.

    They are of annotated people, all found, whose joints a network misses by normal errors of ``spread`` times the
    distance at which OKS is exp(-1/2). To these the errors of perfect maps in a flip test are added.
    """
    persons = load_coco(annotations, annotations.parent, COCO, masks=True)
    scorer = CocoAP(Truth(persons, COCO, annotations, Size(512, 512), form=CocoForm(masks=True)))
    table, rng = scorer.truth.instances, np.random.default_rng(0)
    sizes = {int(record["id"]): (record["width"], record["height"]) for record in scorer.file.images_by_id.values()}
    px = np.array([min(sizes[key]) / 512 for key in table.image_id.tolist()])
    reach = spread * 2 * scorer.truth.sigmas * np.sqrt(table.area)[:, None]
    missed = [reach[..., None] * rng.standard_normal(table.keypoints.shape) for _ in range(draws)]
    found = {("", ""): np.zeros((1, 2))}
    for heading, pipelines in PIPELINES.items():
        found |= {(heading, pipeline.title): errors(pipeline, True, 512).numpy() for pipeline in pipelines}

    def ap(error: np.ndarray) -> float:
        own, values = np.random.default_rng(1), []
        for network in missed:
            drawn = error[own.integers(0, len(error), table.weight.shape)]
            xy = (table.keypoints + network + px[:, None, None] * drawn).astype(np.float32)
            people = FinishedResults(
                np.arange(len(xy)), xy, np.ones(xy.shape[:2], np.float32), image_id=table.image_id,
                person_score=np.ones(len(xy)),
            )  # fmt: skip
            values.append(scorer(people).values["AP"])
        return float(np.mean(values))

    values = {key: ap(error) for key, error in found.items()}
    return {key: value if key == ("", "") else values["", ""] - value for key, value in values.items()}


# Stride, rules of the parser, noise, its neighbourhood, and whether it fills missing joints.
CEILINGS = [
    (4, "exact", 0.0, 5, True),
    (4, "exact", 0.0, 11, True),
    (4, "exact", 0.0, 5, False),
    (1, "exact", 0.0, 11, True),
    (4, "published", 1e-5, 5, True),
    (4, "published", 1e-5, 5, False),
    (4, "published", 0.0, 5, True),
]


class Ceiling(NamedTuple):
    """What a perfect network would find: people and joints, annotated and found, and COCO's values."""

    people: int
    found: int
    joints: int
    maxima: int
    filled: int
    values: dict[str, float]


def ceiling(annotations: Path, stride: int, noise: float = 0.0, kernel: int = 5, **parser: Any) -> Ceiling:
    """Turn the annotations of a file in COCO's format into maps and tags, these into people, and score them.

    No picture is read. Maps are as large as those of an evaluation at 512 px, and each gets ``noise`` of that much.
    """
    tally, black = Tally(), np.zeros((8, 8, 3), np.uint8)
    form = CocoForm(masks=True)
    persons = load_coco(annotations, annotations.parent, COCO, tally=tally, masks=True)
    scenes = scenes_of(read_coco(annotations, form), annotations.parent, persons, False, tally)
    data = SceneDataset(scenes, COCO, Size(512, 512), read=lambda path: black)
    gather, generator, own, filled = Gather(), torch.Generator().manual_seed(0), 0, 0
    for group in data.groups():
        codec = codec_of(data.sizes(int(group[0]))[0], stride, parser=TagParser(kernel=kernel, **parser))
        for item in (data[0, int(index)] for index in group):
            target, _ = codec.encode(*(labels[None] for labels in item.labels))
            out = codec.oracle(target)
            out[:, : COCO.num_keypoints] += noise * torch.rand(target.maps[0].shape, generator=generator)
            people = codec.decode(out, "dark")
            gather.update(item.index[None], Crop(item.crop.matrix[None]), people, slice(None))
            # A person's score is the mean over the joints that have maxima of their own.
            found = (people.person_score * COCO.num_keypoints).round().sum()
            own, filled = own + int(found), filled + int((people.score > 0).sum() - found)
    truth = Truth(persons, COCO, annotations, data.size, form=form)
    predictions = gather.predictions(0.0)
    values = CocoAP(truth)(predictions).values
    return Ceiling(len(persons), len(predictions.index), int(truth.labelled.sum()), own, filled, values)


if __name__ == "__main__":
    for key, by_test in budget().items():
        cells = [f"{b.mean[i]:+.2f} | {b.rms[i]:.2f}" for b in by_test.values() for i in range(2)]
        print(f"| {' | '.join((*key, *cells))} |")
    for annotations in map(Path, sys.argv[1:]):
        for key, value in lost_ap(annotations).items():
            print(f"| {' | '.join(key)} | {value:.2f} |")
        for stride, rules, noise, kernel, fill in CEILINGS:
            print(
                stride, rules, noise, kernel, fill, ceiling(annotations, stride, noise, kernel, fill=fill, rules=rules)
            )
