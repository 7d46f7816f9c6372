"""The look of figures, and the only drawer of skeletons: on matplotlib axes, and on pictures by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from poserep.skeleton import Skeleton

if TYPE_CHECKING:
    # Whoever needs a colour alone imports neither matplotlib nor OpenCV.
    from matplotlib.axes import Axes

# Schemes that always have the first colours, in this order; any other scheme has one of the rest.
KNOWN = (
    "Heatmap", "SimCC Gaussian", "SR head", "SimCC equal", "SRPose", "Heatmap, unbiased", "IPR", "SimCC one-hot",
    "Bottom-up heatmap", "SimCC, no upsampling", "1D heatmap", "SimCC Laplace", "DSNT", "Regression", "RLE",
    "Bottom-up SR head", "HigherHRNet", "UDP", "UDP combined", "RTMCC", "Gaussian regression", "IPR debiased",
    "IPR sampled", "Probability map", "RTMCC, MLECC", "NerPE",
)  # fmt: skip
PALETTE = (
    "#2563eb", "#db2777", "#059669", "#d97706", "#7c3aed", "#0891b2", "#65a30d", "#dc2626", "#475569", "#be185d",
    "#0f766e", "#92400e", "#c026d3", "#0369a1", "#a16207", "#4d7c0f", "#4338ca", "#f43f5e", "#0d9488", "#b45309",
    "#6d28d9", "#15803d", "#9f1239", "#1e40af", "#ca8a04", "#0e7490", "#a21caf", "#57534e", "#ea580c", "#166534",
)  # fmt: skip
# Darker than the colour of any scheme.
TRUTH = "#0f172a"
MARKS = ("o", "s", "D", "^", "v", "P", "X")
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#94a3b8",
    "axes.labelcolor": "#334155",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#475569",
    "ytick.color": "#475569",
    "grid.color": "#e2e8f0",
    "axes.grid": True,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    # Without it the names within a file are random, and no two files are the same.
    "svg.hashsalt": "poserep",
    "legend.frameon": False,
}


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for every scheme's title, in their order."""
    others = sorted(set(names) - set(KNOWN))
    left = PALETTE[len(KNOWN) :]
    fixed = dict(zip(KNOWN, PALETTE, strict=False)) | {n: left[i % len(left)] for i, n in enumerate(others)}
    return {name: fixed[name] for name in dict.fromkeys(names)}


# Colours of a skeleton's joints and limbs by side.
LEFT, RIGHT, MIDDLE = "#f97316", "#2563eb", "#059669"
# Longest side (px) of smaller pictures once they are enlarged, or limbs would hide what they belong to.
LEAST_SIDE = 480


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Return an image (C, H, W) as uint8 (H, W, 3) to look at; of depths, the near is bright and the unknown black."""
    if image.dtype == np.uint8:
        return image.transpose(1, 2, 0)
    depth = image[0]
    known = depth > 0
    if not known.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    near, far = depth[known].min(), depth[known].max()
    bright = (1 - 0.85 * (depth - near) / max(far - near, 1e-6)) * known
    return np.repeat((255 * bright).astype(np.uint8)[..., None], 3, -1)


def side_colours(skeleton: Skeleton) -> tuple[list[str], list[str]]:
    """Return the colours of a skeleton's limbs and of its joints: left, right or middle.

    A limb between the middle and a side has the side's colour, one from side to side the middle's.
    """
    side = {pair[0]: LEFT for pair in skeleton.pairs} | {pair[1]: RIGHT for pair in skeleton.pairs}
    limbs = []
    for ends in skeleton.edges:
        sides = {side[name] for name in ends if name in side}
        limbs.append(sides.pop() if len(sides) == 1 else MIDDLE)
    return limbs, [side.get(name, MIDDLE) for name in skeleton.names]


def show_crop(ax: Axes, image: np.ndarray) -> None:
    """Show a crop (H, W, 3) without axes."""
    ax.imshow(image, interpolation="lanczos")
    ax.set_xlim(-0.5, image.shape[1] - 0.5)
    ax.set_ylim(image.shape[0] - 0.5, -0.5)
    ax.set_axis_off()


def limbs(ax: Axes, xy: np.ndarray, weight: np.ndarray, edges: np.ndarray, colour: str) -> None:
    """Draw a skeleton of one colour on axes, on a light rim so that it can be seen on any picture.

    Joints ``xy`` (K, 2) are in px of the picture; those with a ``weight`` (K,) of 0 are not drawn. ``edges`` (E, 2) are
    the positions of the joints that limbs connect.
    """
    for a, b in edges:
        if weight[a] > 0 and weight[b] > 0:
            ax.plot(*xy[[a, b]].T, color="white", linewidth=3.0, alpha=0.75, solid_capstyle="round")
            ax.plot(*xy[[a, b]].T, color=colour, linewidth=1.6, solid_capstyle="round")
    joints = xy[weight > 0]
    ax.scatter(joints[:, 0], joints[:, 1], s=9, color=colour, edgecolors="white", linewidths=0.5, zorder=3)


def limbs_by_side(ax: Axes, xy: np.ndarray, weight: np.ndarray, skeleton: Skeleton) -> None:
    """Draw a skeleton on axes in the colours of `side_colours`; see `limbs`."""
    limb_colours, joint_colours = map(np.array, side_colours(skeleton))
    edges = np.array(skeleton.edge_indices(), int).reshape(-1, 2)
    # What is drawn later lies on top.
    for colour in (MIDDLE, RIGHT, LEFT):
        limbs(ax, xy, weight, edges[limb_colours == colour], colour)
    for colour in (MIDDLE, RIGHT, LEFT):
        limbs(ax, xy, weight * (joint_colours == colour), edges[:0], colour)


def paint_people(
    pixels: np.ndarray,
    xy: np.ndarray,
    score: np.ndarray,
    skeleton: Skeleton,
    threshold: float,
    box: np.ndarray,
    least: int = LEAST_SIDE,
) -> np.ndarray:
    """Return a picture with everybody's limbs and joints in the colours of `side_colours`.

    Joints whose score does not exceed the threshold are hollow, and their limbs are left out.

    Args:
        pixels: (H, W, 3) uint8, RGB.
        xy: (N, K, 2) image px; NaN for joints that are not drawn.
        score: (N, K).
        skeleton: The joints.
        threshold: Score above which a joint is sure.
        box: (N, 4) x, y, width, height, image px; the smaller, the thinner a person's limbs.
        least: Px; a picture whose longest side is shorter is enlarged by a whole factor.

    Returns:
        (H, W, 3) uint8, RGB.
    """
    import cv2

    factor = max(1, -(-least // max(pixels.shape[:2])))
    height, width = (side * factor for side in pixels.shape[:2])
    canvas = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC) if factor > 1 else pixels.copy()
    widest = max(2.0, 0.0048 * np.hypot(height, width))
    # The largest first, so that people in front do not hide those behind.
    for i in np.argsort(-box[:, 2:].prod(1), kind="stable"):
        thickness = float(np.clip(0.02 * factor * np.hypot(*box[i, 2:]), 1.5, widest))
        # From px with centres at integers to those of the enlarged picture.
        _paint_person(canvas, (xy[i] + 0.5) * factor - 0.5, score[i] > threshold, skeleton, thickness)
    return canvas


def _paint_person(canvas: np.ndarray, points: np.ndarray, sure: np.ndarray, skeleton: Skeleton, thick: float) -> None:
    import cv2

    bits = 4  # OpenCV takes points in 16ths of a pixel
    limb_colours, joint_colours = ([tuple(bytes.fromhex(c[1:])) for c in codes] for codes in side_colours(skeleton))
    light = (255, 255, 255)
    # Points far outside the picture would overflow OpenCV's integers.
    far, known = 4.0 * max(canvas.shape[:2]), ~np.isnan(points).any(1)
    sure = sure & known
    at = [tuple(round(v * 2**bits) for v in point) for point in np.nan_to_num(np.clip(points, -far, far)).tolist()]
    edges = [
        (at[a], at[b], c) for (a, b), c in zip(skeleton.edge_indices(), limb_colours, strict=True) if sure[a] & sure[b]
    ]

    def line(picture: np.ndarray, a: Any, b: Any, colour: Any, width: float) -> None:
        cv2.line(picture, a, b, colour, max(1, round(width)), cv2.LINE_AA, bits)

    def circle(centre: Any, radius: float, colour: Any, width: int = cv2.FILLED) -> None:
        cv2.circle(canvas, centre, round(radius * 2**bits), colour, width, cv2.LINE_AA, bits)

    halo = canvas.copy()
    for a, b, _ in edges:
        line(halo, a, b, light, thick + max(2.0, 0.9 * thick))
    cv2.addWeighted(halo, 0.6, canvas, 0.4, 0, canvas)
    for a, b, colour in edges:
        line(canvas, a, b, colour, thick)
    radius, rim = 1.05 * thick, max(1, round(0.35 * thick))
    for centre, colour, filled in compress(zip(at, joint_colours, sure, strict=True), known):
        if filled:
            circle(centre, radius + rim, light)
            circle(centre, radius, colour)
        else:
            circle(centre, 1.2 * radius, light, rim + 2)
            circle(centre, 1.2 * radius, colour, rim)
