"""A sheet of crops with their keypoints, as training or evaluation sees them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.batch import Batch
from poserep.config import make
from poserep.data.build import dataset_of, root_of, skeleton_of
from poserep.data.check.loading import labelled, load
from poserep.data.dataset import PoseDataset
from poserep.data.depth import picture
from poserep.drawing import STYLE, limbs, show
from poserep.errors import InputError
from poserep.skeleton import Skeleton

LEFT, RIGHT, MIDDLE = "#f97316", "#2563eb", "#059669"
GREY = "#64748b"
VIEWS = 3
# Screen px: the side of a square crop, between crops of a person, between persons, of a caption, of the head.
SIDE, GAP, MARGIN, CAPTION, HEAD = 150, 3, 16, 15, 64
DPI = 100


class Row(NamedTuple):
    """What is shown of a person.

    Attributes:
        caption: To find it in its file.
        crops: Without augmentation, then with.
        box: (5, 2) the corners of its box in the first crop, closed, input px.
    """

    caption: str
    crops: list[Batch]
    box: np.ndarray


def rows(cfg: Any, split: str, count: int, epoch: int) -> list[Row]:
    """Persons of a split, evenly spread over it; of the training split with the augmentation of several epochs.

    Raises:
        InputError: If the split cannot be read or there is no such count or epoch.
    """
    if count < 1:
        raise InputError(f"count={count} is no number of persons: give at least 1")
    if epoch < 0:
        raise InputError(f"epoch={epoch} is no epoch: they count from 0")
    skeleton, root = skeleton_of(cfg), root_of(cfg)
    if split == "train" and not labelled(cfg):
        raise InputError(f"{cfg.data.name} has no annotated persons to train on; take --split val")
    loaded = load(cfg, split, skeleton, root, "gt" if labelled(cfg) else "det")
    if not loaded.instances:
        raise InputError(loaded.refusal)
    plain = dataset_of(cfg, loaded.instances, skeleton)
    augmented = dataset_of(cfg, loaded.instances, skeleton, make(cfg.augment)) if split == "train" else None
    chosen = np.unique(np.linspace(0, len(plain) - 1, count).round().astype(int))
    return [_row(plain, augmented, int(i), epoch) for i in chosen]


def _row(plain: PoseDataset, augmented: PoseDataset | None, index: int, epoch: int) -> Row:
    person = plain.instances[index]
    crops = [plain[epoch, index]]
    crops += [augmented[epoch + later, index] for later in range(VIEWS)] if augmented else []
    x, y, w, h = person.box
    corners = np.array([(x, y), (x + w, y), (x + w, y + h), (x, y + h), (x, y)])
    matrix = crops[0].crop.matrix.numpy()
    return Row(f"{person.id} · {person.image.stem}", crops, corners @ matrix[:, :2].T + matrix[:, 2])


def sides(skeleton: Skeleton) -> np.ndarray:
    """(K,) 0 for joints on the left of a body, 1 on the right, 2 for the others."""
    left, right = ({pair[side] for pair in skeleton.pairs} for side in (0, 1))
    return np.array([0 if n in left else 1 if n in right else 2 for n in skeleton.names])


def draw_pose(ax: Axes, xy: np.ndarray, weight: np.ndarray, edges: np.ndarray, side: np.ndarray) -> None:
    """A skeleton whose left and right are told by colour; joints without weight are not drawn."""
    ends = side[edges]
    own = np.where(ends[:, 0] == 2, ends[:, 1], np.where(ends[:, 1] == 2, ends[:, 0], 2))
    own = np.where(ends[:, 0] == ends[:, 1], ends[:, 0], own)
    # What is drawn later lies on top: each joint last in its own colour.
    for which, colour in ((2, MIDDLE), (1, RIGHT), (0, LEFT)):
        limbs(ax, xy, weight, edges[own == which], colour)
    for which, colour in ((2, MIDDLE), (1, RIGHT), (0, LEFT)):
        limbs(ax, xy, weight * (side == which), edges[:0], colour)


def sheet(found: Sequence[Row], skeleton: Skeleton, title: str, epoch: int) -> Figure:
    """The figure: persons in columns of blocks, the first crop with the box, then the augmented ones.

    Args:
        found: Persons.
        skeleton: Theirs.
        title: What they were made of.
        epoch: Of the first augmented crop.
    """
    shape = found[0].crops[0].image.shape[1:]
    zoom = SIDE / np.prod(shape) ** 0.5
    height, width = (round(n * zoom) for n in shape)
    views = len(found[0].crops)
    block = views * (width + GAP) - GAP + MARGIN, height + CAPTION + MARGIN
    columns = columns_of(len(found), block)
    lines = -(-len(found) // columns)
    total = max(columns * block[0] + MARGIN, 720), lines * block[1] + HEAD + MARGIN
    figure = plt.figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI, facecolor="white")
    edges = np.array(skeleton.edge_indices(), int).reshape(-1, 2)
    side = sides(skeleton)
    for number, row in enumerate(found):
        left = MARGIN + number % columns * block[0]
        top = HEAD + number // columns * block[1]
        for view, batch in enumerate(row.crops):
            x = left + view * (width + GAP)
            ax = figure.add_axes((x / total[0], 1 - (top + height) / total[1], width / total[0], height / total[1]))
            show(ax, picture(batch.image.numpy()))
            if view == 0:
                ax.plot(*row.box.T, color="black", linewidth=2.0, alpha=0.4)
                ax.plot(*row.box.T, color="white", linewidth=0.9)
            draw_pose(ax, batch.xy.numpy(), batch.weight.numpy(), edges, side)
            if number < columns and views > 1:
                name = f"epoch {epoch + view - 1}" if view else "no augmentation"
                _text(figure, x, top - 5, name, total, fontsize=7, color=GREY)
        # As much as there is room for.
        room = max(12, (block[0] - MARGIN) // 5)
        _text(figure, left, top + height + 11, row.caption[:room], total, fontsize=6.5, color="#334155")
    _text(figure, MARGIN, 22, title, total, fontsize=10, weight="bold", color="#0f172a")
    for x, name, colour in ((0, "left", LEFT), (44, "right", RIGHT), (96, "middle, and from side to side", MIDDLE)):
        _text(figure, MARGIN + x, 40, f"● {name}", total, fontsize=8, color=colour)
    return figure


def columns_of(count: int, block: tuple[int, int]) -> int:
    """Blocks side by side, so that the sheet is about as wide as it is high, rather wider."""
    return max(1, min(count, round((1.3 * count * block[1] / block[0]) ** 0.5)))


def _text(figure: Figure, x: float, y: float, text: str, total: tuple[int, int], **style: Any) -> None:
    figure.text(x / total[0], 1 - y / total[1], text, va="baseline", **style)


def preview(cfg: Any, out: Path, split: str, count: int, epoch: int, augment: str) -> tuple[int, int]:
    """Write the sheet.

    Args:
        cfg: As for training.
        out: PNG file; its folder is made.
        split: ``train``, with augmentation, or ``val``, as evaluation crops.
        count: Persons.
        epoch: The first to show.
        augment: Name of the augmentation, for the title.

    Returns:
        Persons shown; crops of each.
    """
    found = rows(cfg, split, count, epoch)
    how = f"augment {augment}" if split == "train" else "as evaluated"
    title = f"{cfg.data.name} {split}, {how}, {cfg.input_size}, {cfg.align} alignment, seed {cfg.seed}"
    out.parent.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(STYLE):
        figure = sheet(found, skeleton_of(cfg), title, epoch)
        figure.savefig(out, format="png", dpi=DPI)
    plt.close(figure)
    return len(found), len(found[0].crops)
