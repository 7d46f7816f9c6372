"""Associative embedding: heatmaps of all people in an image, and tags that say which joints are one person's."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs.associative_losses import MaskedMSE, TagLoss
from poserep.codecs.base import Codec, People, axes
from poserep.codecs.grouping import Parsed, TagParser
from poserep.codecs.heatmap import Heatmap
from poserep.codecs.readouts import LocalReadout
from poserep.codecs.scene_targets import draw_people, nearest_person, sampled_mask, tag_positions
from poserep.errors import InputError, check_choice
from poserep.geometry import BETWEEN_CENTRES, Align, Axis, Size

TagBin = Literal["nearest", "floor"]
# Apart enough that a tag's distance from another person's mean outweighs any heatmap, see `TagParser`.
ORACLE_STEP = 4.0


class SceneTarget(NamedTuple):
    """What is learnt of images: by stage, heatmaps (B, K, h, w) and which of their bins count (B, h, w); and tags.

    ``position`` (B, P, K) int64 is where in the first stage's maps, y w + x, the tags of the joints are read that are
    ``kept`` (B, P, K), around the bins ``centre`` (B, P, K, 2).
    """

    maps: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    position: Tensor
    kept: Tensor
    centre: Tensor


class SceneMaps(NamedTuple):
    """Heatmaps (B, K, h, w) of images of ``size`` px, and tags (B, K, h, w, L), one each, or two after a flip test.

    ``alone`` are then the maps without the mirrored image's.
    """

    heat: Tensor
    tags: Tensor
    size: Size
    alone: "SceneMaps | None" = None


@dataclass(frozen=True)
class WithoutFlip:
    """Readout: another one of the output for the image alone, so that one evaluation shows what a flip test adds."""

    readout: LocalReadout


class AssociativeEmbedding(Codec):
    """Heatmaps and tags of all people in an image (Newell, Huang and Deng 2017).

    ``out`` is one stage's maps (B, 2K, h, w), heatmaps before tags, or of several stages a tuple, those after the first
    without tags (Cheng et al. 2020, HigherHRNet). The heatmap loss and the losses of tags are added. Images may be of
    any size that the network takes; `size` is that of training. A person's score is the mean of the scores of all
    joints, 0 for those that were not found by their own maxima.

    Args:
        maps: One codec of heatmaps for each stage, coarse to fine, by name and without its size: it says where bins lie
            and what is drawn in them. Of several people's values in a bin the highest counts.
        parser: Groups maxima to people.
        tag_loss, criterion: The losses.
        tag_bin: The bin whose tag is a joint's: the ``nearest``, or the one before (``floor``, published code).
        project: Resize maps to input size before they are parsed (published code); by bilinear interpolation, which
            aligns corners under ``edge`` and ``dark`` alone.
        readouts: Local readouts, which move each maximum, also `WithoutFlip`.
        **deviations: See `Deviations`. ``bounds=published`` cuts bins toward zero before it compares them with the map,
            so that joints up to one bin beside its first bins are learnt, and those beyond the last ones are not.
    """

    def __init__(
        self,
        size: Size | str,
        maps: Mapping[str, Callable[..., Heatmap]],
        parser: TagParser | None = None,
        tag_loss: TagLoss | None = None,
        criterion: MaskedMSE | None = None,
        tag_bin: TagBin = "nearest",
        project: bool = False,
        readouts: Mapping[str, Any] | None = None,
        align: Align = "centre",
        **deviations: Any,
    ) -> None:
        name = type(self).__name__
        if not maps:
            raise InputError(f"{name}: maps={{}} needs a codec of heatmaps for each stage")
        check_choice(f"{name}: tag_bin", tag_bin, get_args(TagBin))
        stages = [codec(size=size, align=align) for codec in maps.values()]
        finest = stages[-1]
        # A person's score is a mean over all joints, found or not.
        deviations.setdefault("score_threshold", 0.0)
        super().__init__(finest.x, finest.y, readouts or finest.readouts, **deviations)
        for readout, function in self.readouts.items():
            local = function.readout if isinstance(function, WithoutFlip) else function
            if not isinstance(local, LocalReadout):
                raise InputError(
                    f"{name}: readout {readout!r} ({type(local).__name__}) looks at a whole map, which here shows "
                    "many people; take Argmax, QuarterShift, DARK or Adjust"
                )
        self.form = "heatmaps and tags" + ", then finer heatmaps" * (len(stages) - 1)
        self.size, self.stages, self.tag_bin, self.project = Size.parse(size), stages, tag_bin, project
        self.parser, self.tag_loss = parser or TagParser(), tag_loss or TagLoss()
        self.criterion = criterion or MaskedMSE()

    def uses_flip_test(self, readout: str) -> bool:
        """See `Codec.uses_flip_test`."""
        return not isinstance(self.readouts[readout], WithoutFlip)

    def options(self) -> dict[str, Any]:
        """Return the options of the parser, and whether maps are projected."""
        return {**asdict(self.parser), "project": self.project}

    def example(self, num_keypoints: int) -> tuple[Tensor, ...]:
        """Return the labels of an image with one person."""
        xy, weight = super().example(num_keypoints)
        return xy[:, None], weight[:, None], torch.ones(1, *self.size, dtype=torch.bool)

    def encode(self, xy: Tensor, weight: Tensor, mask: Tensor) -> tuple[SceneTarget, Tensor]:  # type: ignore[override]
        """Draw what is learnt of images.

        Of up to P people there are points (B, P, K, 2), input px, and weights (B, P, K); ``mask`` (B, H, W) tells which
        input px may be learnt.
        """
        drawn, masks, centres = [], [], []
        labelled, xy = weight > 0, torch.where((weight > 0)[..., None], xy.float(), 0.0)
        for stage in self.stages:
            kept = labelled & self._within(stage, xy)
            size = stage.y.n, stage.x.n
            radius = max(size) if stage.truncate is None else math.floor(stage.truncate * stage.sigma + 1e-6)
            centre = torch.where(kept[..., None], stage.quantised(xy), 0.0)
            drawn.append(draw_people(centre, kept, size, stage.sigma, radius))
            masks.append(sampled_mask(mask, stage.x, stage.y))
            centres.append((centre, kept))
        first, (centre, kept) = self.stages[0], centres[0]
        bins = torch.where(kept[..., None], first.to_bins(xy), 0.0)
        position = tag_positions(bins, kept, (first.y.n, first.x.n), self.tag_bin == "floor")
        return SceneTarget(tuple(drawn), tuple(masks), position, kept, centre), kept.to(weight.dtype)

    def _within(self, stage: Heatmap, xy: Tensor) -> Tensor:
        if self.deviations.bounds == "crop":
            return stage.in_crop(xy)
        bins = stage.to_bins(xy)
        return ((bins > -1) & (bins < bins.new_tensor([stage.x.n, stage.y.n]))).all(-1)

    def loss(self, out: Tensor | tuple[Tensor, ...], target: SceneTarget, weight: Tensor) -> Tensor:
        """Add the heatmap losses of all stages and the losses of tags."""
        stages = out if isinstance(out, tuple) else (out,)
        joints = target.kept.shape[2]
        heat = [
            self.criterion(stage[:, :joints].float(), maps, mask)
            for stage, maps, mask in zip(stages, target.maps, target.masks, strict=True)
        ]
        return torch.stack(heat).sum() + self.tag_loss(stages[0][:, joints:].float(), target.position, target.kept)

    def maps_of(self, out: Tensor | tuple[Tensor, ...] | SceneMaps) -> SceneMaps:
        """Return an output as heatmaps and tags of one size: the mean of all stages' heatmaps, at the finest's size."""
        if isinstance(out, SceneMaps):
            return out
        stages = cast(tuple[Tensor, ...], out if isinstance(out, tuple) else (out,))
        heat, tags = stages[0].chunk(2, 1)
        for maps in stages[1:]:
            heat, tags = (self._resized(coarse, maps.shape[-2:]) for coarse in (heat, tags))
            heat = (heat + maps) / 2
        height, width = (n * a.length // a.n for n, a in zip(heat.shape[-2:], (self.y, self.x), strict=True))
        return SceneMaps(heat, tags[..., None], Size(height, width))

    def _resized(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        if maps.shape[-2:] == torch.Size(size):
            return maps
        corners = self.x.align in BETWEEN_CENTRES
        return F.interpolate(maps, tuple(size), mode="bilinear", align_corners=corners)

    def merge(self, out: Any, mirrored: Any, perm: Tensor) -> SceneMaps:
        """Average heatmaps, and keep the tags of both, after un-mirroring."""
        one, two = self.maps_of(out), self.maps_of(mirrored)
        heat, *tags = (self.unmirror(maps, perm) for maps in (two.heat, *two.tags.unbind(-1)))
        return SceneMaps((one.heat + heat) / 2, torch.cat([one.tags, torch.stack(tags, -1)], -1), one.size, one)

    def aggregate(self, outs: Sequence[Any]) -> Any:
        """Average the heatmaps of several scales at the size of the first, whose tags are taken."""
        if len(outs) == 1:
            return outs[0]
        every = [self.maps_of(out) for out in outs]
        first = self.projected(every[0])
        maps = [self._resized(one.heat, first.heat.shape[-2:]) for one in (first, *every[1:])]
        alone = [one.alone for one in every if one.alone]
        return SceneMaps(torch.stack(maps).mean(0), first.tags, first.size, self.aggregate(alone) if alone else None)

    def projected(self, maps: SceneMaps) -> SceneMaps:
        """Return maps at input size if that is wanted, else as they are."""
        if not self.project:
            return maps
        tags = torch.stack([self._resized(tag, maps.size) for tag in maps.tags.unbind(-1)], -1)
        return maps._replace(heat=self._resized(maps.heat, maps.size), tags=tags)

    def decode(self, out: Any, readout: str | None = None) -> People:
        """Group maxima to people, whose joints are in input px."""
        return self.decode_each(out, [next(iter(self.readouts)) if readout is None else readout])[0]

    def decode_each(self, out: Any, readouts: Sequence[str]) -> list[People]:
        """Group maxima to people once for all readouts of the same maps."""
        maps, people = self.maps_of(out), dict[str, People]()
        alone = [name for name in readouts if isinstance(self.readout(name), WithoutFlip)]
        for names, shown in ((alone, maps.alone or maps), ([n for n in readouts if n not in alone], maps)):
            if names:
                people |= zip(names, self._people(shown, names), strict=True)
        return [people[name] for name in readouts]

    def _people(self, maps: SceneMaps, readouts: Sequence[str]) -> list[People]:
        if not torch.isfinite(maps.heat).all():
            raise InputError("heatmaps are not finite; the network has diverged: lower optim.lr, or clip gradients")
        maps = self.projected(maps)
        reads: Any = [self.readout(name) for name in readouts]
        reads = [read.readout if isinstance(read, WithoutFlip) else read for read in reads]
        every = self.parser(maps.heat.float(), maps.tags.float(), *reads)
        x, y = axes(maps.size, maps.heat.shape[-1] / maps.size.width, self.x.align)
        return [self._in_px(parsed, x, y) for parsed in every]

    def _in_px(self, parsed: Parsed, x: Axis, y: Axis) -> People:
        xy = torch.stack([x.to_px(parsed.xy[..., 0]), y.to_px(parsed.xy[..., 1])], -1)
        if self.deviations.score == "published":
            return People(parsed.row, xy, parsed.score, parsed.person_score)
        score = self.contract_score(parsed.score / self.stages[-1].least_peak)
        return People(parsed.row, xy, score, (score * parsed.found).mean(1))

    def oracle(self, target: SceneTarget) -> Tensor | tuple[Tensor, ...]:
        """Return the targets, and for tags which person's joint each bin is nearest to."""
        first, *finer = target.maps
        tags = nearest_person(target.centre, target.kept, (first.shape[2], first.shape[3])) * ORACLE_STEP
        both = torch.cat([first, tags], 1)
        return (both, *finer) if finer else both

    def density(self, out: Any) -> dict[str, Tensor]:
        """Return the heatmaps, without negative values."""
        return {"map": self.maps_of(out).heat.float().clamp_min(0)}
