"""Speed and memory of associative embedding beside loops over images and people, in one process and one thread.

The loops are those of tests/reference/associative_loops.py. Both sides' answers are compared before anything is timed;
then they take turns. Goals hold for the median: the loss of tags of full rows, and its gradient, in a tenth of the
loops' time, and all people of a batch drawn in 64 MB beside the maps. With few people on large maps both sides do
little but fill a gradient with zeros.

    python benchmarks/associative.py --record
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from comparison import compare, show
from machine import processor, record
from rivals import Job
from torch import Tensor

from poserep.codecs.associative_losses import TagLoss
from poserep.codecs.scene_targets import draw_people, tag_positions
from poserep.skeleton import COCO

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference import associative_loops

ROWS = 30
# Of SRPose's targets, at input resolution.
SIDE, SIGMA = 512, 8.0


def scenes(batch: int, people: int, side: int) -> tuple[Tensor, Tensor]:
    """Draw whole bins (B, 30, K, 2) all over square maps, and keep four in five joints of that many people."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, ROWS, COCO.num_keypoints)
    kept = torch.rand(shape, generator=generator) < 0.8
    kept[:, people:] = False
    return (torch.rand(*shape, 2, generator=generator) * side).floor(), kept


def tag_loss(batch: int, people: int, side: int) -> Job:
    """Time pull, push and their gradient."""
    centre, kept = scenes(batch, people, side)
    position = tag_positions(centre, kept, (side, side), floor=True)
    shape = (batch, COCO.num_keypoints, side, side)
    tags = torch.randn(shape, generator=torch.Generator().manual_seed(1)).requires_grad_()

    def both(terms: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
        pull, push = terms(tags, position, kept)
        return pull.detach(), push.detach(), *torch.autograd.grad((pull + push).sum(), tags)

    ours = TagLoss(pull=1, push=1).per_image
    goal = 10 if people == ROWS else None
    return Job(partial(both, ours), partial(both, associative_loops.pull_and_push), gradients=True, goal_ratio=goal)


def drawing(batch: int, people: int) -> Job:
    """Time the targets of input resolution, drawn in windows of 6 sigma + 3 bins."""
    centre, kept = scenes(batch, people, SIDE)
    rest = ((SIDE, SIDE), SIGMA, int(3 * SIGMA) + 1)
    maps_mb = batch * COCO.num_keypoints * SIDE**2 * 4 / 1e6
    return Job(
        lambda: (draw_people(centre, kept, *rest),),
        lambda: (associative_loops.people_maps(centre.numpy(), kept.numpy(), *rest),),
        goal_mb=maps_mb + 64,
    )


JOBS: dict[str, Callable[[int], Job]] = {
    **{
        f"tag loss and gradient, {people} people, {side}x{side}": partial(tag_loss, people=people, side=side)
        for side in (128, 512)
        for people in (ROWS, 5)
    },
    **{f"maps of {people} people, {SIDE}x{SIDE}": partial(drawing, people=people) for people in (ROWS, 5)},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=5, help="at least 2")
    parser.add_argument("--calls", type=int, default=3, help="of our side in a round; the loops run once")
    parser.add_argument("--only", default="", help="jobs whose name contains this")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/associative-<device>.json")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    settings = {"threads": 1, "batch": options.batch, "rounds": options.rounds, "calls": options.calls}
    rows = compare(JOBS, options.batch, options.rounds, options.calls, options.only)
    show(rows)
    if options.record:
        # Processes that ran or wanted to, over the minute before: with less than the cores, none was in the way.
        print(f"written: {record('associative', processor(), settings, {'load_before': load, 'rows': rows})}")


if __name__ == "__main__":
    main()
