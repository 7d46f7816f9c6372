"""Cast rays at drawn surfaces: which surface each subpixel sees, and at which depth.

Every curved surface is a round cone (the hull of two spheres) under a linear map, which covers tapered limbs, flattened
torsos and ellipsoids. Rays are written as (x/z, y/z, 1), so the ray parameter *is* the depth, and every coefficient
of the intersection is a quadratic form in the pixel position: three array operations each, however many surfaces.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from poserep.data.synthetic.camera import PinholeCamera
from poserep.data.synthetic.world import Array, Mask, Triple

NEAREST = 0.15  # metres; what is closer to the camera is not seen
SCENERY = -1


@dataclass(frozen=True)
class Surface:
    """A round cone from ``a`` to ``b``, or a rectangle around ``a`` if ``half``, its half sides, is given; metres.

    The local axes are the columns of ``frame`` (3, 3), a rectangle's normal is the third. They are stretched by
    ``scale`` before the radii apply. ``material`` is an index into the scene's materials, ``owner`` the index of the
    person, or `SCENERY`. An ``open_end`` has no cap at ``b``, as at the hem of a sleeve. ``origin`` is where ``a`` lies
    in the garment's own texture; ``head`` tells whether the surface can hide facial keypoints.
    """

    a: Array
    b: Array
    frame: Array
    ra: float
    rb: float
    material: int
    owner: int = SCENERY
    scale: Triple = (1.0, 1.0, 1.0)
    open_end: bool = False
    origin: Array | Triple = (0.0, 0.0, 0.0)
    head: bool = False
    half: tuple[float, float] | None = None


class SurfaceTable:
    """Surfaces in a camera's axes, one row each: ``matrix`` (P, 3, 3) scales, ``start`` and ``axis`` are scaled.

    ``window`` (P, 4) holds the subpixels that a surface may fill, at ``scale`` times the image's resolution: x0, x1,
    y0, y1.
    """

    def __init__(self, surfaces: Sequence[Surface], camera: PinholeCamera, scale: int) -> None:
        def column(name: str) -> Any:
            return np.array([getattr(surface, name) for surface in surfaces])

        a, b = camera.to_camera(column("a")), camera.to_camera(column("b"))
        self.stretch: Array = column("scale")
        self.matrix: Array = self.stretch[:, :, None] * (camera.rotation @ column("frame")).transpose(0, 2, 1)
        self.start, self.axis = (np.einsum("pij,pj->pi", self.matrix, v) for v in (a, b - a))
        self.radii = np.stack([column("ra"), column("rb")], axis=1)
        self.half = np.array([surface.half or (0.0, 0.0) for surface in surfaces])
        self.flat: Mask = np.array([surface.half is not None for surface in surfaces])
        self.material, self.owner, self.origin = column("material"), column("owner"), column("origin")
        self.head, self.open_end = column("head"), column("open_end")
        reach = np.where(self.flat, np.hypot(*self.half.T), self.radii.max(axis=1) / self.stretch.min(axis=1))
        depth = np.stack([a[:, 2], b[:, 2]])
        near = np.maximum(depth - reach, NEAREST)
        windows = []
        for axis, centre, size in ((0, camera.cx, camera.width), (1, camera.cy, camera.height)):
            place = np.stack([a[:, axis], b[:, axis]])
            low = (place - reach) / np.where(place - reach < 0.0, near, depth.clip(NEAREST) + reach)
            high = (place + reach) / np.where(place + reach > 0.0, near, depth.clip(NEAREST) + reach)
            first = np.floor((low.min(axis=0) * camera.focal + centre + 0.5) * scale) - 1
            last = np.ceil((high.max(axis=0) * camera.focal + centre + 0.5) * scale) + 1
            windows += [np.clip(first, 0, size * scale), np.clip(last, 0, size * scale)]
        self.window = np.stack(windows, axis=1).astype(np.int64)
        self.window[(depth.max(axis=0) + reach) < NEAREST] = 0


def _form(c: Array, x: Array, y: Array) -> Array:
    """Return r'Cr for rays r = (x, y, 1) and a symmetric C (3, 3)."""
    (c00, c01, c02), (_, c11, c12), (_, _, c22) = c.tolist()
    out = (2.0 * c01 * y)[:, None] * x
    out += (c00 * x + 2.0 * c02) * x + c22
    out += ((c11 * y + 2.0 * c12) * y)[:, None]
    return out


def _line(v: Array, x: Array, y: Array) -> Array:
    v0, v1, v2 = v.tolist()
    return (v0 * x + v2) + (v1 * y)[:, None]


def _sphere(quad: Array, square: Array, line: Array, rest: float, x: Array, y: Array) -> Array:
    """Return the depth at which rays meet |M r t - c|^2 = radius^2; infinite where they miss; ``square`` is |M r|^2."""
    h = _form(np.outer(line, line) - rest * quad, x, y)
    with np.errstate(invalid="ignore"):
        t = (-_line(line, x, y) - np.sqrt(h)) / square
    t[~(h > 0.0)] = np.inf
    return t


def _cone(table: SurfaceTable, p: int, matrix: Array, x: Array, y: Array) -> Array:
    """Return the depth of a round cone along rays (x, y, 1); infinite where they miss."""
    start, axis = table.start[p], table.axis[p]
    ra, rb = table.radii[p].tolist()
    quad = matrix.T @ matrix
    to_a = -start @ matrix
    m0, m1, m5 = float(axis @ axis), float(-axis @ start), float(start @ start)
    rr = float(ra - rb)
    d2 = m0 - rr * rr
    square = _form(quad, x, y)
    best = _sphere(quad, square, to_a, m5 - ra * ra, x, y)
    if d2 <= 1e-9:
        return best
    along = axis @ matrix
    if not table.open_end[p]:
        end = start + axis
        np.minimum(best, _sphere(quad, square, -end @ matrix, float(end @ end) - rb * rb, x, y), out=best)
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
            side = hit & (level > 0.0) & (level < d2) & (t > NEAREST)
        np.minimum(best, t, out=best, where=side)
    return best


def _rectangle(table: SurfaceTable, p: int, matrix: Array, x: Array, y: Array) -> Array:
    """Return the depth of a rectangle along rays (x, y, 1); infinite where they miss or see its back."""
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


class RayHits:
    """What the rays of a camera hit at ``scale`` times its resolution, (H*scale, W*scale): the nearest surface of each.

    ``depth`` is in metres along the optical axis, ``surface`` a row of ``table``; infinite and -1 where nothing is hit.
    """

    def __init__(self, surfaces: Sequence[Surface], camera: PinholeCamera, scale: int) -> None:
        self.camera, self.scale, self.table = camera, scale, SurfaceTable(surfaces, camera, scale)
        xs, ys = camera.rays(scale)
        self.depth = np.full((ys.size, xs.size), np.inf, dtype=np.float32)
        self.surface = np.full(self.depth.shape, -1, dtype=np.int16)
        for p, (x0, x1, y0, y1) in enumerate(self.table.window):
            if x1 <= x0 or y1 <= y0:
                continue
            # Rays relative to the window's centre: the squares then cancel little enough for single precision.
            x, y = float(xs[(x0 + x1) // 2]), float(ys[(y0 + y1) // 2])
            matrix = self.table.matrix[p] @ np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])
            meet = _rectangle if self.table.flat[p] else _cone
            t = meet(self.table, p, matrix, (xs[x0:x1] - x).astype(np.float32), (ys[y0:y1] - y).astype(np.float32))
            view = self.depth[y0:y1, x0:x1]
            closer = (t < view) & (t > NEAREST)
            np.copyto(view, t, where=closer)
            np.copyto(self.surface[y0:y1, x0:x1], np.int16(p), where=closer)
