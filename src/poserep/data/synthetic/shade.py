"""Turn the depth and part buffer into colour: normals, light, soft ambient occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from poserep.data.synthetic.camera import Camera
from poserep.data.synthetic.materials import Material, albedo
from poserep.data.synthetic.raster import Buffer, PartTable
from poserep.data.synthetic.skeleton3d import Array


@dataclass(frozen=True)
class Light:
    """A directional light over a sky; ``direction`` points to the light in the world, shape (3,), unit length."""

    direction: Array
    sun: Array
    sky: Array
    ground: Array


def sample_light(rng: np.random.Generator, spread: float) -> Light:
    """A light above and roughly behind the camera; ``spread`` (degrees) says how far round it may be."""
    around, up = np.radians(rng.uniform(-spread, spread)), np.radians(rng.uniform(30.0, 68.0))
    direction = np.array([np.sin(around) * np.cos(up), np.sin(up), np.cos(around) * np.cos(up)])
    warm = rng.uniform(-0.05, 0.07)
    power = rng.uniform(0.62, 0.85)
    return Light(
        direction,
        power * np.array([1.0 + warm, 1.0, 1.0 - warm]),
        rng.uniform(0.40, 0.50) * np.array([1.0 - warm * 0.6, 1.0, 1.0 + warm * 0.8]),
        rng.uniform(0.22, 0.32) * np.array([1.03, 1.0, 0.95]),
    )


def _occlusion(depth: Array, covered: Array, reach: int) -> Array:
    """Darkening (H, W) in 0..1 where a surface lies behind its neighbourhood, as under an arm or between legs."""
    small = cv2.resize(np.where(covered, depth, 0.0).astype(np.float32), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    weight = cv2.resize(covered.astype(np.float32), (small.shape[1], small.shape[0]), interpolation=cv2.INTER_AREA)
    size = (2 * reach + 1, 2 * reach + 1)
    mean = cv2.blur(cv2.blur(small, size), size) / np.maximum(cv2.blur(cv2.blur(weight, size), size), 1e-4)
    around = cv2.resize(mean, (depth.shape[1], depth.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.clip((depth - around - 0.012) * 4.5, 0.0, 0.38)


def shade(
    buffer: Buffer, table: PartTable, materials: Sequence[Material], light: Light, camera: Camera, scale: int
) -> tuple[Array, Array]:
    """Colour every ray that hit something.

    Args:
        buffer: Depth and part of each ray, (H*scale, W*scale).
        table: The parts that were cast.
        materials: What ``table.material`` refers to.
        light: Light in world coordinates.
        camera: The camera of the cast.
        scale: Supersampling factor of the buffer.

    Returns:
        Premultiplied RGB (H, W, 3) and coverage (H, W) at the image's own resolution, both in 0..1.
    """
    covered = buffer.part >= 0
    image = np.zeros((*covered.shape, 3), dtype=np.float32)
    rows, cols = np.nonzero(covered)
    if rows.size:
        r0, r1, c0, c1 = rows.min(), rows.max() + 1, cols.min(), cols.max() + 1
        window = (slice(r0, r1), slice(c0, c1))
        reach = max(2, int(0.05 * camera.focal * scale / float(np.median(buffer.depth[rows, cols])) / 2))
        dark = _occlusion(buffer.depth[window], covered[window], reach)[rows - r0, cols - c0]
        image[rows, cols] = _colour(buffer, table, materials, light, camera, rows, cols) * (1.0 - dark)[:, None]
    size = (camera.width, camera.height)
    color = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return color, cv2.resize(covered.astype(np.float32), size, interpolation=cv2.INTER_AREA)


def _colour(
    buffer: Buffer, table: PartTable, materials: Sequence[Material], light: Light, camera: Camera, rows: Array, cols: Array
) -> Array:
    part = buffer.part[rows, cols].astype(np.int64)
    depth = buffer.depth[rows, cols]
    view = np.stack([buffer.xs[cols], buffer.ys[rows], np.ones(rows.size)])
    matrix = np.ascontiguousarray(table.matrix.transpose(1, 2, 0))[:, :, part]
    start, axis = table.start.T[:, part], table.axis.T[:, part]
    q = np.stack([(matrix[i] * view).sum(axis=0) * depth for i in range(3)]) - start
    difference = table.radii[:, 0] - table.radii[:, 1]
    d2 = np.maximum((table.axis**2).sum(axis=1) - difference**2, 0.0)[part]
    level = (axis * q).sum(axis=0) - (table.radii[:, 0] * difference)[part]
    inner = d2 * q - axis * np.clip(level, 0.0, d2)
    ball = d2 <= 1e-9
    inner[:, ball] = q[:, ball]
    flat = table.flat[part]
    inner[:, flat] = np.array([[0.0], [0.0], [1.0]])
    normal = np.stack([(matrix[:, i] * inner).sum(axis=0) for i in range(3)])
    normal /= np.sqrt((normal**2).sum(axis=0)) + 1e-12
    view /= np.sqrt((view**2).sum(axis=0))
    facing = -(normal * view).sum(axis=0)
    normal *= np.sign(facing)
    facing = np.abs(facing)

    to_light = camera.rotation @ light.direction
    up = camera.rotation[:, 1] @ normal
    lambert = (to_light[:, None] * normal).sum(axis=0)
    # Wrapped light keeps the shaded side readable: a hard terminator looks like a second garment at this size.
    direct = np.clip((lambert + 0.25) / 1.25, 0.0, 1.0)
    gloss = np.array([m.gloss for m in materials])[table.material][part]
    rim = (1.0 - facing) ** 3
    half = to_light[:, None] - view
    half /= np.sqrt((half**2).sum(axis=0))
    shine = gloss * np.clip((half * normal).sum(axis=0), 0.0, 1.0) ** 24
    sky = 0.5 + 0.5 * up
    lit = light.sun[:, None] * direct + light.sky[:, None] * sky + light.ground[:, None] * (1.0 - sky)
    lit *= np.where(flat, 1.0, 0.80 + 0.20 * np.sqrt(facing))

    texture = q / np.where(table.radii[part, 0] == 1.0, 1.0, table.stretch.T[:, part])
    v = texture[1] + table.shift[part]
    base = np.empty((rows.size, 3))
    which = table.material[part]
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(len(materials) + 1))
    for m, material in enumerate(materials):
        chosen = order[bounds[m] : bounds[m + 1]]
        if chosen.size:
            base[chosen] = albedo(material, texture[:, chosen], v[chosen])
    highlight = shine + np.where(flat, 0.0, 0.10 * rim * np.clip(0.4 + up, 0.0, 1.0))
    return np.clip(base * lit.T + highlight[:, None], 0.0, 1.0)
