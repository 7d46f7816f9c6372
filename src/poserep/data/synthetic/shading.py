"""Turn what the rays hit into colours: normals, light, and soft ambient occlusion."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.raycast import RayHits
from poserep.data.synthetic.textures import Material, albedo
from poserep.data.synthetic.world import Mask, Pixels, Rng

Indices = NDArray[np.intp]


class Light:
    """A directional light over a sky, drawn above and roughly behind the camera.

    ``direction`` is the unit vector (3,) towards it, ``sun``, ``sky`` and ``ground`` are RGB; ``spread`` (degrees) says
    how far round it may be.
    """

    def __init__(self, rng: Rng, spread: float) -> None:
        around, up = np.radians(rng.uniform(-spread, spread)), np.radians(rng.uniform(30.0, 68.0))
        self.direction = np.array([np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)])
        warm, power = rng.uniform(-0.05, 0.07), rng.uniform(0.66, 0.90)
        self.sun = power * np.array([1.0 + warm, 1.0, 1.0 - warm])
        self.sky = rng.uniform(0.48, 0.58) * np.array([1.0 - warm * 0.6, 1.0, 1.0 + warm * 0.8])
        self.ground = rng.uniform(0.30, 0.40) * np.array([1.03, 1.0, 0.95])


def _occlusion(depth: Pixels, covered: Mask, reach: int) -> Pixels:
    """Return the darkening (H, W) in 0..1 of what lies behind its neighbourhood, as under an arm or between legs."""
    both = cv2.merge([np.where(covered, depth, np.float32(0.0)), covered.astype(np.float32)])
    small = cv2.resize(both, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    size = (2 * reach + 1, 2 * reach + 1)
    mean = cv2.blur(cv2.blur(small, size), size)
    ratio = mean[..., 0] / np.maximum(mean[..., 1], 1e-4)
    around = cv2.resize(ratio, (depth.shape[1], depth.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip((depth - around - 0.012) * 4.5, 0.0, 0.38)


def shaded(hits: RayHits, materials: Sequence[Material], light: Light) -> tuple[Pixels, Pixels]:
    """Return premultiplied RGB (H, W, 3) and coverage (H, W) at the image's own resolution, both in 0..1."""
    camera, covered = hits.camera, hits.surface >= 0
    image = np.zeros((*covered.shape, 3), dtype=np.float32)
    rows, cols = np.nonzero(covered)
    if rows.size:
        top, left = rows.min(), cols.min()
        window = (slice(top, rows.max() + 1), slice(left, cols.max() + 1))
        reach = max(2, int(0.05 * camera.focal * hits.scale / float(np.median(hits.depth[rows, cols])) / 2))
        dark = _occlusion(hits.depth[window], covered[window], reach)[rows - top, cols - left]
        image[rows, cols] = _colours(hits, materials, light, rows, cols) * (1.0 - dark)[:, None]
    size = (camera.width, camera.height)
    color: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    cover: Pixels = cv2.resize(covered.astype(np.float32), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return color, cover


def _dot(a: NDArray[Any], b: NDArray[Any]) -> Pixels:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _unit(a: Pixels) -> Pixels:
    return np.divide(a, np.sqrt(_dot(a, a)) + np.float32(1e-12), dtype=np.float32)


def _points(hits: RayHits, rows: Indices, cols: Indices) -> tuple[Pixels, Pixels, Pixels]:
    """Return unit view rays and unit normals in the camera's axes, and scaled local coordinates, each (3, N)."""
    table, part = hits.table, hits.surface[rows, cols]
    xs, ys = hits.camera.rays(hits.scale)
    view = np.stack([xs[cols], ys[rows], np.ones(rows.size)]).astype(np.float32)
    matrix = table.matrix.transpose(1, 2, 0).astype(np.float32)[:, :, part]
    depth, start = hits.depth[rows, cols], table.start.T.astype(np.float32)[:, part]
    q = np.stack([_dot(matrix[i], view) for i in range(3)]) * depth - start
    axis = table.axis.T.astype(np.float32)[:, part]
    difference = table.radii[:, 0] - table.radii[:, 1]
    span = np.maximum((table.axis**2).sum(axis=1) - difference**2, 0.0)
    # A sphere has no axis: the same formula serves it with any positive span.
    d2 = np.where(span <= 1e-9, 1.0, span).astype(np.float32)[part]
    level = _dot(axis, q) - (table.radii[:, 0] * difference).astype(np.float32)[part]
    inner = d2 * q - axis * np.clip(level, 0.0, d2)
    inner[:, table.flat[part]] = np.array([[0.0], [0.0], [1.0]])
    return _unit(view), _unit(np.stack([_dot(matrix[:, i], inner) for i in range(3)])), q


def _colours(hits: RayHits, materials: Sequence[Material], light: Light, rows: Indices, cols: Indices) -> Pixels:
    table, camera, part = hits.table, hits.camera, hits.surface[rows, cols]
    view, normal, q = _points(hits, rows, cols)
    facing = -_dot(normal, view)
    normal *= np.sign(facing)
    facing = np.abs(facing)
    to_light, upwards = (v.astype(np.float32) for v in (camera.rotation @ light.direction, camera.rotation[:, 1]))
    up = _dot(upwards, normal)
    # Wrapped light keeps the shaded side readable: a hard terminator looks like a second garment at this size.
    direct = np.clip((_dot(to_light, normal) + 0.25) / 1.25, 0.0, 1.0)
    gloss = np.array([m.gloss for m in materials], dtype=np.float32)[table.material][part]
    shine = gloss * np.clip(_dot(_unit(to_light[:, None] - view), normal), 0.0, 1.0) ** 16
    flat = table.flat[part]
    rim = np.where(flat, 0.0, 0.10 * (1.0 - facing) ** 3 * np.clip(0.4 + up, 0.0, 1.0))
    edge = np.where(flat, 1.0, 0.80 + 0.20 * np.sqrt(facing))
    sky = 0.5 + 0.5 * up
    # Heads keep their unit sphere as texture coordinates.
    stretch = np.where(table.radii[:, 0] == 1.0, 1.0, table.stretch.T)
    texture = q / stretch.astype(np.float32)[:, part] + table.origin.T.astype(np.float32)[:, part]
    base = np.empty((rows.size, 3), dtype=np.float32)
    which = table.material[part]
    for m in np.unique(which):
        chosen = np.flatnonzero(which == m)
        base[chosen] = albedo(materials[m], texture[:, chosen])
    for c in range(3):
        lit = (light.sun[c] * direct + light.sky[c] * sky + light.ground[c] * (1.0 - sky)) * edge
        base[:, c] = base[:, c] * lit + (shine + rim)
    return np.clip(base, 0.0, 1.0)
