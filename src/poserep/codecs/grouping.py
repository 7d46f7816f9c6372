"""From heatmaps and tags of a scene to its people: associative embedding's parser (Newell et al. 2017, section 3.3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from poserep.codecs.assignment import assignment
from poserep.codecs.candidates import candidates
from poserep.codecs.readouts import LocalReadout, window
from poserep.errors import InputError, check_choice, check_odd, check_positive

Rules = Literal["exact", "published"]
# Of COCO's joints: the head and the trunk before the limbs.
COCO_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
# Cost of beginning a person.
NO_PERSON = 1e10
# Values of heatmaps that are searched at a time for joints that are missing: 4 MB, which a processor's cache may hold.
SEARCHED = 2**20
# Highest bins of a heatmap in which such joints are looked for first.
HIGHEST = 256


class Parsed(NamedTuple):
    """The people in a batch of images, image by image in the order in which the parser met them.

    Attributes:
        row: (N,), int64, the image of the batch that each person is in.
        xy: (N, K, 2), bins; zero for joints that were not found.
        score: (N, K), the heatmap's value at the joint; zero for joints that were not found.
        person_score: (N,), the mean over all K joints' scores before any was filled.
        found: (N, K), bool, which joints have a maximum of their own, and were not filled.
    """

    row: Tensor
    xy: Tensor
    score: Tensor
    person_score: Tensor
    found: Tensor


@dataclass(frozen=True)
class Adjust(LocalReadout):
    """Readout: a quarter of a bin from the maximum toward the higher neighbour on each axis, and up or left if equal.

    The rule of associative embedding's code. Unlike `QuarterShift` it moves every maximum, those at the border too,
    whose missing neighbour counts as equal to them.

    Attributes:
        offset: Bins added to both coordinates; 0.5 in the published code, 0 where bins are positions as they stand.
    """

    offset: float = 0.0

    def at(self, heatmap: Tensor, xy: Tensor) -> Tensor:
        """See `LocalReadout.at`."""
        around = window(heatmap, xy, 1)
        higher = torch.stack([around[..., 1, 2] > around[..., 1, 0], around[..., 2, 1] > around[..., 0, 1]], -1)
        return xy + torch.where(higher, self.offset + 0.25, self.offset - 0.25).to(heatmap.dtype)


@dataclass(frozen=True)
class TagParser:
    """Groups the maxima of heatmaps into people by their tags, joint by joint (Newell et al. 2017, section 3.3).

    Every maximum of the first joint begins a person. Those of each further joint are assigned to the people so far at
    the least sum of round(distance of tags) * 100 - value, where a person's tag is the mean of its joints'; among equal
    sums see `assignment`. A maximum whose tag is as far as ``tag_threshold`` from everybody's begins a person of its
    own.

    The published code weighs pairs beyond that distance too, and parts them afterwards. As numbers on a line are
    assigned at the same sum in many ways, a joint of somebody new may move all others one person on, of whom each then
    begins a person. It fills joints of any tag, and takes all bins of a plateau for maxima.

    That code also knows people by their first tag: one that begins with a tag that another began with takes its place,
    joint and tag. Here they are two, so that maps of one and the same tag serve as well.

    Attributes:
        kernel: Side in bins, odd, of the square in which a maximum is the highest; 5 in most published settings, 11 in
            SRPose's of HRNet-W32.
        max_people: Maxima of each joint that are used, the highest, and people that they are offered, the first; there
            may be more people in the end.
        threshold: What the maxima must exceed.
        tag_threshold: Distance of tags, L2, from which joints are of different people.
        fill: Take for each joint that a person lacks the bin with the highest value - round(distance from the person's
            tag), wherever it is; the joint stays missing if the value there is not positive. ``refine`` in the
            published code.
        ignore_too_much: Once there are ``max_people``, leave the maxima of further joints out. HigherHRNet's option of
            this name, off in all its settings.
        order: Joints in the order in which they are grouped. None takes COCO's published one, head and trunk first, for
            17 joints, and else all as they come.
        rules: ``exact``, or ``published`` where that code differs as said above.
    """

    kernel: int = 5
    max_people: int = 30
    threshold: float = 0.1
    tag_threshold: float = 1.0
    fill: bool = True
    ignore_too_much: bool = False
    order: Sequence[int] | None = None
    rules: Rules = "exact"

    def __post_init__(self) -> None:
        check_odd("TagParser: kernel", self.kernel, " (bins)")
        if not isinstance(self.max_people, int) or self.max_people < 1:
            raise InputError(f"TagParser: max_people={self.max_people} must be a positive whole number")
        if not 0 <= self.threshold < float("inf"):
            raise InputError(f"TagParser: threshold={self.threshold} must be finite and not negative")
        check_positive("TagParser: tag_threshold", self.tag_threshold)
        check_choice("TagParser: rules", self.rules, get_args(Rules))

    def __call__(self, heat: Tensor, tags: Tensor, *readouts: LocalReadout) -> list[Parsed]:
        """Find the people, as each of the readouts sees them.

        Args:
            heat: Heatmaps (B, K, h, w).
            tags: (B, K, h, w, L), L numbers for each bin.
            readouts: Each moves joints from the bins where the maxima are, and those that are filled.

        Raises:
            InputError: If ``order`` does not name each of the K joints once.
        """
        joints = heat.shape[1]
        order = self.order or (COCO_ORDER if joints == len(COCO_ORDER) else range(joints))
        if sorted(order) != list(range(joints)):
            raise InputError(
                f"TagParser: order={list(order)} must name each of {joints} joints once, by the numbers 0 to "
                f"{joints - 1}; leave it null for the default"
            )
        heat, tags = heat.detach().float(), tags.detach().float()
        found = candidates(heat, self.kernel, self.max_people, self.threshold, plateaus=self.rules == "published")
        images = zip(found.score.cpu().numpy(), _tags_at(tags, found.xy).cpu().numpy(), strict=True)
        people = [torch.from_numpy(self._group(score, tag, order).T) for score, tag in images]
        member = torch.full((len(heat), joints, max(own.shape[1] for own in people)), -1)
        for all_of_image, own in zip(member, people, strict=True):
            all_of_image[:, : own.shape[1]] = own
        member = member.to(heat.device)
        known, index = member >= 0, member.clamp_min(0)
        xy = found.xy.gather(2, index[..., None].expand(-1, -1, -1, 2)) * known[..., None]
        score = found.score.gather(2, index) * known
        person_score = score.mean(1)
        if self.fill:
            xy, score = _filled(heat, tags, xy, score, self.tag_threshold if self.rules == "exact" else float("inf"))
        row, person = known.any(1).nonzero(as_tuple=True)
        exact = [(read.at(heat, xy) * (score > 0)[..., None])[row, :, person] for read in readouts]
        score, known = (values[row, :, person] for values in (score, known))
        return [Parsed(row, at, score, person_score[row, person], known) for at in exact]

    def _group(self, score: np.ndarray, tag: np.ndarray, order: Sequence[int]) -> np.ndarray:
        """Return the candidate that each person of an image has for each joint, (P, K), int64; -1 for none.

        Args:
            score: (K, M), positive in front, and zero behind where a joint has less than M candidates.
            tag: (K, M, L).
            order: Of joints.
        """
        joints, _, depth = tag.shape
        members = np.full((0, joints), -1)
        total = np.zeros((0, depth), np.float32)
        for joint in order:
            n, offered = int(np.count_nonzero(score[joint])), min(len(members), self.max_people)
            if n == 0 or (self.ignore_too_much and offered == self.max_people):
                continue
            mean = total[:offered] / (members[:offered] >= 0).sum(1, dtype=np.float32, keepdims=True)
            with np.errstate(invalid="ignore"):
                # In float64 costs are exact, and so is which of them are equal.
                distance = np.linalg.norm(tag[joint, :n, None].astype(np.float64) - mean, axis=2)
            # The tags of a network that has diverged are like nobody's, which costs less than beginning a person.
            distance = np.nan_to_num(distance, nan=NO_PERSON / 1e4, posinf=NO_PERSON / 1e4)
            near = distance < self.tag_threshold
            cost = np.round(distance) * 100 - score[joint, :n, None]
            if self.rules == "exact":
                cost = np.where(near, cost, NO_PERSON)
            person = assignment(np.pad(cost, ((0, 0), (0, max(0, n - offered))), constant_values=NO_PERSON))
            alone = person >= offered
            alone[~alone] = ~near[~alone, person[~alone]]
            new = alone.sum()
            person[alone] = len(members) + np.arange(new)
            members = np.concatenate([members, np.full((new, joints), -1)])
            total = np.concatenate([total, np.zeros((new, depth), np.float32)])
            members[person, joint] = np.arange(n)
            total[person] += tag[joint, :n]
        return members


def _tags_at(tags: Tensor, xy: Tensor) -> Tensor:
    """Return the tags (B, K, M, L) that maps (B, K, h, w, L) hold at bins (B, K, M, 2)."""
    index = (xy[..., 1] * tags.shape[3] + xy[..., 0])[..., None]
    return tags.flatten(2, 3).gather(2, index.expand(-1, -1, -1, tags.shape[-1]))


def _filled(heat: Tensor, tags: Tensor, xy: Tensor, score: Tensor, within: float) -> tuple[Tensor, Tensor]:
    """Add the joints that people lack, see `TagParser`; returns bins and scores as it takes them.

    Args:
        heat: (B, K, h, w).
        tags: (B, K, h, w, L).
        xy: (B, K, P, 2), int64, bins.
        score: (B, K, P), zero for a joint that is missing; a person without any joint is none.
        within: Distance from the person's tag that a joint's must be below.
    """
    known = score > 0
    mean = (_tags_at(tags, xy) * known[..., None]).sum(1) / known.sum(1).clamp_min(1)[..., None]
    image, joint, person = (known.any(1, keepdim=True) & ~known).nonzero(as_tuple=True)
    own, values, tags = mean[image, person], heat.flatten(2), tags.flatten(2, 3)
    # Nearly always the bin is one of the highest: no other's value, less its distance, can exceed theirs.
    few = values.topk(min(HIGHEST, values.shape[2]), sorted=False).indices.sort().values
    rest = values.scatter(2, few, -torch.inf).amax(2)[image, joint]
    high = values.gather(2, few), tags.gather(2, few[..., None].expand(-1, -1, -1, tags.shape[3]))
    best, first = _nearest(*high, image, joint, own)
    best_bin = few[image, joint, first]
    (unsure,) = (best <= rest).nonzero(as_tuple=True)
    best_bin[unsure] = _nearest(values, tags, image[unsure], joint[unsure], own[unsure])[1]
    near = (tags[image, joint, best_bin] - own).norm(dim=1) < within
    there = values[image, joint, best_bin].clamp_min(0) * near
    at = torch.stack([best_bin % heat.shape[3], best_bin // heat.shape[3]], 1)
    xy, score = xy.clone(), score.clone()
    score[image, joint, person] = there
    xy[image, joint, person] = at * (there > 0)[:, None]
    return xy, score


def _nearest(values: Tensor, tags: Tensor, image: Tensor, joint: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Find the highest value - round(distance of tags), and the first bin that has it, in N maps, (N,) each.

    Args:
        values: (B, K, M).
        tags: (B, K, M, L).
        image: (N,), the image of each map.
        joint: (N,), its joint.
        own: (N, L), the tag from which the distance is.
    """
    found = [(values.new_zeros(0), image.new_zeros(0))]
    for part in torch.arange(len(image), device=image.device).split(max(1, SEARCHED // values.shape[2])):
        i, k = image[part], joint[part]
        distance = torch.zeros_like(values[i, k])
        for depth in range(tags.shape[3]):
            distance += (tags[i, k, :, depth] - own[part, depth, None]).square_()
        best, first = (values[i, k] - distance.sqrt_().round_()).max(1)
        found.append((best, first))
    every, firsts = zip(*found, strict=True)
    return torch.cat(every), torch.cat(firsts)
