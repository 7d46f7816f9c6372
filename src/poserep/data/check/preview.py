"""A sheet of crops with their keypoints, as training or evaluation sees them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from poserep.config import make
from poserep.data.augment import Augment
from poserep.data.from_config import dataset_of, is_labelled, load_split, root_of, skeleton_of
from poserep.data.scenes import SceneDataset
from poserep.drawing import LEFT, MIDDLE, RIGHT, STYLE, as_rgb, limbs_by_side, show_crop
from poserep.errors import InputError
from poserep.files import replacing
from poserep.skeleton import Skeleton

GREY = "#64748b"
# Number of augmented crops of each person.
VIEWS = 3
# Screen px: side of a square crop, gap between crops of a person, margin between persons, caption, head of the sheet.
SIDE, GAP, _MARGIN, _CAPTION, _HEAD = 150, 3, 16, 15, 64
DPI = 100


class PreviewRow(NamedTuple):
    """A person or a whole image: caption; items, the first without augmentation; closed box (5, 2) in that, px."""

    caption: str
    crops: list[Any]
    box: np.ndarray


def preview_rows(cfg: Any, split: str, count: int, epoch: int) -> list[PreviewRow]:
    """Return persons, or whole images, evenly spread over a split; of ``train`` with the augmentation of epochs."""
    if count < 1:
        raise InputError(f"count={count} is no number of persons: give at least 1")
    if epoch < 0:
        raise InputError(f"epoch={epoch} is no epoch: they count from 0")
    skeleton, root = skeleton_of(cfg), root_of(cfg)
    if split == "train" and not is_labelled(cfg):
        raise InputError(f"{cfg.data.name} has no annotated persons to train on; take --split val")
    persons = load_split(cfg, split, skeleton, root, "gt" if is_labelled(cfg) else "det").required()
    # An augmentation that does nothing fits whole images into inputs of one size.
    plain = dataset_of(cfg, persons, skeleton, Augment(), split, root)
    augmented = dataset_of(cfg, persons, skeleton, make(cfg.augment), split, root) if split == "train" else None
    chosen = np.unique(np.linspace(0, len(plain) - 1, count).round().astype(int))
    rows = []
    for index in chosen.tolist():
        crops: list[Any] = [plain[epoch, index]]
        crops += [augmented[epoch + later, index] for later in range(VIEWS)] if augmented else []
        if isinstance(plain, SceneDataset):
            key, path = crops[0].index.item(), plain.scenes.path(index)
            outline = np.array([-0.5, -0.5, *plain.scenes.size[index]])
        else:
            person = plain.instances[index]
            key, path, outline = person.id, person.image, person.box
        corners = outline[:2] + outline[2:] * [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
        matrix = crops[0].crop.matrix.numpy()
        box = corners @ matrix[:, :2].T + matrix[:, 2]
        rows.append(PreviewRow(f"{key} · {path.stem}", crops, box))
    return rows


def preview_sheet(rows: Sequence[PreviewRow], skeleton: Skeleton, title: str, epoch: int) -> Figure:
    """Return the figure: persons in columns of blocks, the first crop with the box, then those from ``epoch`` on."""
    shape = rows[0].crops[0].image.shape[1:]
    zoom = SIDE / np.prod(shape) ** 0.5
    height, width = (round(n * zoom) for n in shape)
    views = len(rows[0].crops)
    block = views * (width + GAP) - GAP + _MARGIN, height + _CAPTION + _MARGIN
    # About as wide as it is high, rather wider.
    columns = max(1, min(len(rows), round((1.3 * len(rows) * block[1] / block[0]) ** 0.5)))
    lines = -(-len(rows) // columns)
    total = max(columns * block[0] + _MARGIN, 720), lines * block[1] + _HEAD + _MARGIN
    figure = plt.figure(figsize=(total[0] / DPI, total[1] / DPI), dpi=DPI, facecolor="white")

    def text(x: float, y: float, words: str, **style: Any) -> None:
        figure.text(x / total[0], 1 - y / total[1], words, va="baseline", **style)

    for number, row in enumerate(rows):
        left = _MARGIN + number % columns * block[0]
        top = _HEAD + number // columns * block[1]
        for view, batch in enumerate(row.crops):
            x = left + view * (width + GAP)
            ax = figure.add_axes((x / total[0], 1 - (top + height) / total[1], width / total[0], height / total[1]))
            show_crop(ax, as_rgb(batch.image.numpy()))
            if view == 0:
                ax.plot(*row.box.T, color="black", linewidth=2.0, alpha=0.4)
                ax.plot(*row.box.T, color="white", linewidth=0.9)
            joints = skeleton.num_keypoints
            people = batch.xy.numpy().reshape(-1, joints, 2), batch.weight.numpy().reshape(-1, joints)
            for xy, weight in zip(*people, strict=True):
                if weight.any():
                    limbs_by_side(ax, xy, weight, skeleton)
            if number < columns and views > 1:
                text(x, top - 5, f"epoch {epoch + view - 1}" if view else "no augmentation", fontsize=7, color=GREY)
        # As much of the caption as there is room for.
        room = max(12, (block[0] - _MARGIN) // 5)
        text(left, top + height + 11, row.caption[:room], fontsize=6.5, color="#334155")
    text(_MARGIN, 22, title, fontsize=10, weight="bold", color="#0f172a")
    for x, name, colour in ((0, "left", LEFT), (44, "right", RIGHT), (96, "middle, and from side to side", MIDDLE)):
        text(_MARGIN + x, 40, f"● {name}", fontsize=8, color=colour)
    return figure


def write_preview(cfg: Any, out: Path, split: str, count: int, epoch: int, augment: str) -> tuple[int, int]:
    """Write the sheet as a PNG file, whose folder is made, and return the numbers of its rows and of crops in each.

    The sheet shows ``count`` persons, or whole images, of a split, ``train`` with augmentation from ``epoch`` on or
    ``val`` as evaluation crops; ``augment`` names the augmentation in the title.
    """
    rows = preview_rows(cfg, split, count, epoch)
    how = f"augment {augment}" if split == "train" else "as evaluated"
    title = f"{cfg.data.name} {split}, {how}, {cfg.input_size}, {cfg.align} alignment, seed {cfg.seed}"
    with plt.rc_context(STYLE), replacing(out) as partial:
        figure = preview_sheet(rows, skeleton_of(cfg), title, epoch)
        figure.savefig(partial, format="png", dpi=DPI)
    plt.close(figure)
    return len(rows), len(rows[0].crops)
