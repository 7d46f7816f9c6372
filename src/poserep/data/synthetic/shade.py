"""Turn the depth and part buffer into colour: normals, light, soft ambient occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.camera import Camera
from poserep.data.synthetic.materials import Material, albedo
from poserep.data.synthetic.raster import Buffer, PartTable
from poserep.data.synthetic.skeleton3d import Array

Pixels = NDArray[np.float32]


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
    power = rng.uniform(0.66, 0.90)
    return Light(
        direction,
        power * np.array([1.0 + warm, 1.0, 1.0 - warm]),
        rng.uniform(0.48, 0.58) * np.array([1.0 - warm * 0.6, 1.0, 1.0 + warm * 0.8]),
        rng.uniform(0.30, 0.40) * np.array([1.03, 1.0, 0.95]),
    )


def _occlusion(depth: Pixels, covered: NDArray[np.bool_], reach: int) -> Pixels:
    """Darkening (H, W) in 0..1 where a surface lies behind its neighbourhood, as under an arm or between legs."""
    weight = covered.astype(np.float32)
    both = cv2.merge([np.where(covered, depth, np.float32(0.0)), weight])
    small = cv2.resize(both, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    size = (2 * reach + 1, 2 * reach + 1)
    mean = cv2.blur(cv2.blur(small, size), size)
    ratio = mean[..., 0] / np.maximum(mean[..., 1], 1e-4)
    around = cv2.resize(ratio, (depth.shape[1], depth.shape[0]), interpolation=cv2.INTER_LINEAR)
    out: Pixels = np.clip((depth - around - 0.012) * 4.5, 0.0, 0.38)
    return out


def shade(
    buffer: Buffer, table: PartTable, materials: Sequence[Material], light: Light, camera: Camera, scale: int
) -> tuple[Pixels, Pixels]:
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
    color: Pixels = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    cover: Pixels = cv2.resize(covered.astype(np.float32), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return color, cover


def _dot(a: NDArray[Any], b: NDArray[Any]) -> Pixels:
    out: Pixels = a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    return out


def _unit(a: Pixels) -> Pixels:
    return np.divide(a, np.sqrt(_dot(a, a)) + np.float32(1e-12), dtype=np.float32)


def _surface(
    buffer: Buffer, table: PartTable, rows: NDArray[np.intp], cols: NDArray[np.intp], part: NDArray[np.int64]
) -> tuple[Pixels, Pixels, Pixels]:
    """Unit view rays, unit normals in the camera's frame and scaled local coordinates, each (3, N)."""
    depth = buffer.depth[rows, cols]
    view = np.stack([buffer.xs[cols], buffer.ys[rows], np.ones(rows.size)]).astype(np.float32)
    matrix = table.matrix.transpose(1, 2, 0).astype(np.float32)[:, :, part]
    q = np.stack([_dot(matrix[i], view) for i in range(3)]) * depth - table.start.T.astype(np.float32)[:, part]
    axis = table.axis.T.astype(np.float32)[:, part]
    difference = table.radii[:, 0] - table.radii[:, 1]
    span = np.maximum((table.axis**2).sum(axis=1) - difference**2, 0.0)
    # A sphere has no axis: the same formula serves it with any positive span.
    d2 = np.where(span <= 1e-9, 1.0, span).astype(np.float32)[part]
    level = _dot(axis, q) - (table.radii[:, 0] * difference).astype(np.float32)[part]
    inner = d2 * q - axis * np.clip(level, 0.0, d2)
    flat = table.flat[part]
    if flat.any():
        inner[:, flat] = np.array([[0.0], [0.0], [1.0]])
    return _unit(view), _unit(np.stack([_dot(matrix[:, i], inner) for i in range(3)])), q


def _colour(
    buffer: Buffer,
    table: PartTable,
    materials: Sequence[Material],
    light: Light,
    camera: Camera,
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
) -> Pixels:
    part = buffer.part[rows, cols].astype(np.int64)
    view, normal, q = _surface(buffer, table, rows, cols, part)
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

    texture = q / table.stretch_of_texture.astype(np.float32)[:, part] + table.origin.T.astype(np.float32)[:, part]
    base = np.empty((rows.size, 3), dtype=np.float32)
    which = table.material[part]
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(len(materials) + 1))
    for m, material in enumerate(materials):
        chosen = order[bounds[m] : bounds[m + 1]]
        if chosen.size:
            base[chosen] = albedo(material, texture[:, chosen])
    for c in range(3):
        lit = (light.sun[c] * direct + light.sky[c] * sky + light.ground[c] * (1.0 - sky)) * edge
        base[:, c] = base[:, c] * lit + (shine + rim)
    return np.clip(base, 0.0, 1.0)
