"""Ray-cast primitives into a depth and part buffer.

Every curved part is a round cone (the hull of two spheres) under a linear map, which covers tapered limbs, flattened
torsos and ellipsoids. Rays are written as (x/z, y/z, 1), so the ray parameter *is* the depth, and every coefficient
of the intersection is a quadratic form in the pixel position: three array operations each, however many parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.camera import Camera
from poserep.data.synthetic.skeleton3d import Array

NEAR = 0.15
SCENERY = -1


@dataclass(frozen=True)
class Part:
    """A round cone from ``a`` to ``b``, or a rectangle when ``half`` is given.

    Attributes:
        a: Start in the world, metres, shape (3,); the centre of a rectangle.
        b: End in the world, metres, shape (3,).
        frame: Local axes as columns, shape (3, 3); a rectangle's normal is the third.
        ra: Radius at ``a`` in scaled units (metres where ``scale`` is 1).
        rb: Radius at ``b``.
        material: Index into the scene's materials.
        owner: Index of the person, or ``SCENERY``.
        scale: Stretch of the local axes before the radii apply, shape (3,).
        open_end: Leave out the cap at ``b``, as at the hem of a sleeve.
        origin: Local coordinates of ``a`` in the garment's own texture, metres.
        head: Whether the part belongs to the head, which can hide facial keypoints.
        half: Half width and half height of a rectangle, metres.
    """

    a: Array
    b: Array
    frame: Array
    ra: float
    rb: float
    material: int
    owner: int = SCENERY
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    open_end: bool = False
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    head: bool = False
    half: tuple[float, float] | None = None


@dataclass(frozen=True)
class PartTable:
    """The parts in camera coordinates, one row each: ``matrix`` (P, 3, 3), ``start`` and ``axis`` (P, 3) after it."""

    matrix: Array
    start: Array
    axis: Array
    radii: Array
    stretch: Array
    material: NDArray[np.int64]
    owner: NDArray[np.int64]
    origin: Array
    head: NDArray[np.bool_]
    flat: NDArray[np.bool_]
    open_end: NDArray[np.bool_]
    half: Array
    window: NDArray[np.int64]

    @property
    def stretch_of_texture(self) -> Array:
        """What to divide local coordinates by for texture coordinates, (3, P): heads keep their unit sphere."""
        return np.where(self.radii[:, 0] == 1.0, 1.0, self.stretch.T)


@dataclass(frozen=True)
class Buffer:
    """What the rays hit: ``depth`` (H, W) in metres (inf for nothing) and ``part`` (H, W), -1 for nothing."""

    depth: NDArray[np.float32]
    part: NDArray[np.int16]
    xs: Array
    ys: Array


def part_table(parts: Sequence[Part], camera: Camera, scale: int) -> PartTable:
    """Move parts into the camera's frame and find their pixel windows (x0, x1, y0, y1) at ``scale`` times the size."""
    a = camera.to_camera(np.stack([part.a for part in parts]))
    b = camera.to_camera(np.stack([part.b for part in parts]))
    frames = camera.rotation @ np.stack([part.frame for part in parts])
    stretch = np.array([part.scale for part in parts])
    matrix = stretch[:, :, None] * frames.transpose(0, 2, 1)
    radii = np.array([(part.ra, part.rb) for part in parts])
    half = np.array([part.half or (0.0, 0.0) for part in parts])
    flat = np.array([part.half is not None for part in parts])
    reach = np.where(flat, np.hypot(half[:, 0], half[:, 1]), radii.max(axis=1) / stretch.min(axis=1))
    depth = np.stack([a[:, 2], b[:, 2]])
    near = np.maximum(depth - reach, NEAR)
    windows = []
    for axis, centre, size in ((0, camera.cx, camera.width), (1, camera.cy, camera.height)):
        place = np.stack([a[:, axis], b[:, axis]])
        low = (place - reach) / np.where(place - reach < 0.0, near, depth.clip(NEAR) + reach)
        high = (place + reach) / np.where(place + reach > 0.0, near, depth.clip(NEAR) + reach)
        first = np.floor((low.min(axis=0) * camera.focal + centre + 0.5) * scale) - 1
        last = np.ceil((high.max(axis=0) * camera.focal + centre + 0.5) * scale) + 1
        windows += [np.clip(first, 0, size * scale), np.clip(last, 0, size * scale)]
    window = np.stack(windows, axis=1).astype(np.int64)
    window[(depth.max(axis=0) + reach) < NEAR] = 0
    return PartTable(
        matrix=matrix,
        start=np.einsum("pij,pj->pi", matrix, a),
        axis=np.einsum("pij,pj->pi", matrix, b - a),
        radii=radii,
        stretch=stretch,
        material=np.array([part.material for part in parts]),
        owner=np.array([part.owner for part in parts]),
        origin=np.array([part.origin for part in parts]),
        head=np.array([part.head for part in parts]),
        flat=flat,
        open_end=np.array([part.open_end for part in parts]),
        half=half,
        window=window,
    )


def _form(c: Array, x: Array, y: Array) -> Array:
    """Evaluate r'Cr for rays r = (x, y, 1); C symmetric (3, 3)."""
    (c00, c01, c02), (_, c11, c12), (_, _, c22) = c.tolist()
    out = (2.0 * c01 * y)[:, None] * x
    out += (c00 * x + 2.0 * c02) * x + c22
    out += ((c11 * y + 2.0 * c12) * y)[:, None]
    return out


def _line(v: Array, x: Array, y: Array) -> Array:
    v0, v1, v2 = v.tolist()
    return (v0 * x + v2) + (v1 * y)[:, None]


def _sphere(quad: Array, line: Array, rest: float, x: Array, y: Array) -> Array:
    """Depth at which rays meet |M r t - c|^2 = radius^2; inf where they miss."""
    h = _form(np.outer(line, line) - rest * quad, x, y)
    with np.errstate(invalid="ignore"):
        t = (-_line(line, x, y) - np.sqrt(h)) / _form(quad, x, y)
    t[~(h > 0.0)] = np.inf
    return t


def _cone(table: PartTable, p: int, matrix: Array, x: Array, y: Array) -> Array:
    """Depth of a round cone along rays (x, y, 1); inf where they miss."""
    start, axis = table.start[p], table.axis[p]
    ra, rb = table.radii[p].tolist()
    quad = matrix.T @ matrix
    to_a = -start @ matrix
    m0, m1, m5 = float(axis @ axis), float(-axis @ start), float(start @ start)
    rr = float(ra - rb)
    d2 = m0 - rr * rr
    best = _sphere(quad, to_a, m5 - ra * ra, x, y)
    if d2 <= 1e-9:
        return best
    along = axis @ matrix
    if not table.open_end[p]:
        end = start + axis
        np.minimum(best, _sphere(quad, -end @ matrix, float(end @ end) - rb * rb, x, y), out=best)
    k2 = d2 * quad - np.outer(along, along)
    k1 = d2 * to_a + (rr * ra - m1) * along
    k0 = d2 * m5 - m1 * m1 + m1 * rr * ra * 2.0 - m0 * ra * ra
    h = _form(np.outer(k1, k1) - k0 * k2, x, y)
    hit = h > 0.0
    root = np.sqrt(np.maximum(h, 0.0))
    middle, bottom, slope = -_line(k1, x, y), _form(k2, x, y), _line(along, x, y)
    # Through an open hem one sees the far wall, so the second root counts there as well.
    for sign in (-1.0, 1.0) if table.open_end[p] else (-1.0,):
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (middle + sign * root) / bottom
            level = slope * t + (m1 - ra * rr)
            side = hit & (level > 0.0) & (level < d2) & (t > NEAR)
        np.minimum(best, t, out=best, where=side)
    return best


def _rectangle(table: PartTable, p: int, matrix: Array, x: Array, y: Array) -> Array:
    """Depth of a rectangle along rays (x, y, 1); inf where they miss or see its back."""
    start = table.start[p]
    if start[2] >= 0.0:
        return np.full((y.size, x.size), np.inf, dtype=np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = start[2] / _line(matrix[2], x, y)
        u = _line(matrix[0], x, y) * t - start[0]
        v = _line(matrix[1], x, y) * t - start[1]
        inside = (np.abs(u) < table.half[p, 0]) & (np.abs(v) < table.half[p, 1])
    t[~inside] = np.inf
    return t


def cast(table: PartTable, camera: Camera, scale: int) -> Buffer:
    """Cast every ray at ``scale`` times the image's resolution and keep the nearest part of each."""
    xs, ys = camera.rays(scale)
    depth = np.full((ys.size, xs.size), np.inf, dtype=np.float32)
    part = np.full(depth.shape, -1, dtype=np.int16)
    for p in range(len(table.window)):
        x0, x1, y0, y1 = table.window[p]
        if x1 <= x0 or y1 <= y0:
            continue
        shape = _rectangle if table.flat[p] else _cone
        # Rays relative to the window's centre: the squares then cancel little enough for single precision.
        x, y = float(xs[(x0 + x1) // 2]), float(ys[(y0 + y1) // 2])
        matrix = table.matrix[p] @ np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
        t = shape(table, p, matrix, (xs[x0:x1] - x).astype(np.float32), (ys[y0:y1] - y).astype(np.float32))
        view = depth[y0:y1, x0:x1]
        closer = (t < view) & (t > NEAR)
        np.copyto(view, t, where=closer)
        np.copyto(part[y0:y1, x0:x1], np.int16(p), where=closer)
    return Buffer(depth, part, xs, ys)
