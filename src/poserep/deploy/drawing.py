"""Skeletons over a picture."""

import cv2
import numpy as np

from poserep.skeleton import Skeleton

# As in `poserep.data.check.preview`; RGB.
LEFT, RIGHT, MIDDLE, LIGHT = (249, 115, 22), (37, 99, 235), (5, 150, 105), (255, 255, 255)
# Smaller pictures are enlarged by a whole factor, or limbs would cover what they belong to.
LEAST_SIDE = 480
# OpenCV takes points in 16ths of a pixel.
BITS = 4


def draw(
    pixels: np.ndarray, xy: np.ndarray, score: np.ndarray, skeleton: Skeleton, threshold: float, box: np.ndarray
) -> np.ndarray:
    """A picture with everybody's limbs and joints; the left side orange, the right blue, the middle green.

    Joints whose score does not exceed the threshold are hollow, and their limbs are left out.

    Args:
        pixels: (H, W, 3) uint8, RGB.
        xy: (N, K, 2) image px.
        score: (N, K).
        skeleton: The joints.
        threshold: See above.
        box: (N, 4) x, y, width, height, image px; by which joints of small people are small.

    Returns:
        (H, W, 3) uint8, RGB; larger by a whole factor if the picture is small.
    """
    factor = max(1, -(-LEAST_SIDE // max(pixels.shape[:2])))
    height, width = (side * factor for side in pixels.shape[:2])
    canvas = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_CUBIC) if factor > 1 else pixels.copy()
    widest = max(2.0, 0.0048 * np.hypot(height, width))
    # The largest first, so that whoever stands behind is not hidden.
    for i in np.argsort(-box[:, 2:].prod(1), kind="stable"):
        small = 0.02 * factor * np.hypot(*box[i, 2:])
        # From px with centres at integers to those of the enlarged picture.
        points = (xy[i] + 0.5) * factor - 0.5
        _person(canvas, points, score[i] > threshold, skeleton, float(np.clip(small, 1.5, widest)))
    return canvas


def _person(canvas: np.ndarray, points: np.ndarray, sure: np.ndarray, skeleton: Skeleton, thick: float) -> None:
    limbs, joints = colours(skeleton)
    far = 4.0 * max(canvas.shape[:2])
    # What lies far outside the picture would overflow OpenCV's numbers.
    at = [tuple(round(v * 2**BITS) for v in np.clip(point, -far, far).tolist()) for point in points]
    edges = [
        (a, b, colour) for (a, b), colour in zip(skeleton.edge_indices(), limbs, strict=True) if sure[a] and sure[b]
    ]
    halo = canvas.copy()
    for a, b, _ in edges:
        _line(halo, at[a], at[b], LIGHT, thick + max(2.0, 0.9 * thick))
    cv2.addWeighted(halo, 0.6, canvas, 0.4, 0, canvas)
    for a, b, colour in edges:
        _line(canvas, at[a], at[b], colour, thick)
    for k, colour in enumerate(joints):
        _joint(canvas, at[k], colour, thick, bool(sure[k]))


def _line(canvas: np.ndarray, a: tuple[int, ...], b: tuple[int, ...], colour: tuple[int, ...], thick: float) -> None:
    cv2.line(canvas, a, b, colour, max(1, round(thick)), cv2.LINE_AA, BITS)


def _joint(canvas: np.ndarray, at: tuple[int, ...], colour: tuple[int, ...], thick: float, sure: bool) -> None:
    radius, rim = 1.05 * thick, max(1, round(0.35 * thick))
    if sure:
        _disc(canvas, at, radius + rim, LIGHT)
        _disc(canvas, at, radius, colour)
    else:
        for ring, shade in ((rim + 2, LIGHT), (rim, colour)):
            cv2.circle(canvas, at, round(1.2 * radius * 2**BITS), shade, ring, cv2.LINE_AA, BITS)


def _disc(canvas: np.ndarray, at: tuple[int, ...], radius: float, colour: tuple[int, ...]) -> None:
    cv2.circle(canvas, at, round(radius * 2**BITS), colour, cv2.FILLED, cv2.LINE_AA, BITS)


def colours(skeleton: Skeleton) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Of every limb and every joint; limbs between middle and side are the side's, from side to side the middle's."""
    side = {pair[0]: LEFT for pair in skeleton.pairs} | {pair[1]: RIGHT for pair in skeleton.pairs}
    joints = [side.get(name, MIDDLE) for name in skeleton.names]
    limbs = []
    for ends in skeleton.edges:
        found = {side[name] for name in ends if name in side}
        limbs.append(found.pop() if len(found) == 1 else MIDDLE)
    return limbs, joints
