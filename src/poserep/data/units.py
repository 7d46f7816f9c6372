"""Guesses about files whose coordinates are not px, or whose boxes are not x, y, width, height."""

import numpy as np

# Px by which a coordinate may leave its range, and the least image side for which percent differ from px.
ROUNDED, SMALLEST_IMAGE = 1.0, 150
# A file is refused for its boxes if more than this share of its persons speaks for it.
MAJORITY = 0.5


def held_joints(box: np.ndarray, xy: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Return how many labelled joints (N,) of persons lie in their boxes, enlarged by a quarter of their sides.

    Boxes (N, 4) are x, y, width, height, joints (N, K, 2), all in image px; ``labelled`` is (N, K) bool.
    """
    margin = 0.25 * box[:, None, 2:] + ROUNDED
    inside = (xy >= box[:, None, :2] - margin) & (xy <= box[:, None, :2] + box[:, None, 2:] + margin)
    return (inside.all(-1) & labelled).sum(1)


def guess_detections(box: np.ndarray, size: np.ndarray, images: int) -> str:
    """Return what detected boxes seem to be if they are not x, y, width, height in image px, and the remedy.

    The arguments are those of `guess_units`; the guess is empty if nothing is strange.
    """
    if box.max() <= 1:
        return "boxes seem to be fractions of the image: multiply x by its width, y by its height"
    if images > 1 and _reach_out_as_corners_do_not(box, size).mean() > MAJORITY:
        return "boxes seem to be corners x1, y1, x2, y2: subtract the first two numbers from the last two"
    return ""


def _reach_out_as_corners_do_not(box: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return which boxes (N,) reach out of their image, but would not if the last two numbers were a corner."""
    known = np.isfinite(size).all(1) & (box[:, 2:] >= box[:, :2]).all(1)
    return known & (box[:, :2] + box[:, 2:] > size + ROUNDED).any(1) & (box[:, 2:] <= size + ROUNDED).all(1)


def guess_units(box: np.ndarray, xy: np.ndarray, labelled: np.ndarray, size: np.ndarray, images: int) -> str:
    """Return what the coordinates of a file seem to be if they are not what they should be, and the remedy.

    Args:
        box: (N, 4), should be x, y, width, height, image px.
        xy: (N, K, 2), should be image px.
        labelled: (N, K) bool; persons have at least one such joint.
        size: (N, 2) width and height of the image, px; infinite if unknown.
        images: Number of different images.

    Returns:
        The guess; empty if nothing is strange.
    """
    points, known = xy[labelled], np.isfinite(size).all(1)
    if not len(points):
        return ""
    greatest, side = points.max(), size[known].min() if known.any() else 0
    if points.min() >= 0 and greatest <= 1 and box[:, 2:].max() <= 1:
        return "coordinates seem to be fractions of the image: multiply x by its width, y by its height"
    reach = (box[:, :2] + box[:, 2:]).max()
    # All people of one image may well stand in its corner.
    if images > 1 and side >= SMALLEST_IMAGE and points.min() >= 0 and 60 <= greatest <= 100 and reach <= 101:
        return "coordinates seem to be percent of the image: multiply x by its width / 100, y by its height / 100"
    corners = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], 1)
    out = _reach_out_as_corners_do_not(box, size)
    if images > 1 and (out & (held_joints(corners, xy, labelled) == labelled.sum(1))).mean() > MAJORITY:
        return "boxes seem to be corners x1, y1, x2, y2: subtract the first two numbers from the last two"
    if ((labelled.sum(1) > 2) & (held_joints(box, xy, labelled) == 0)).mean() > MAJORITY:
        return "boxes hold none of their joints: they must be x, y, width, height of the same persons"
    return ""
