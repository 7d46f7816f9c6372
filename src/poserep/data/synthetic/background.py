"""The background of a drawn picture: floor, wall or sky, clutter, and the shadows that people cast on the floor."""

from collections.abc import Sequence

import cv2
import numpy as np

from poserep.data.synthetic.camera import PinholeCamera
from poserep.data.synthetic.raycast import NEAREST, Surface
from poserep.data.synthetic.textures import CLOTHS, pick, rgb
from poserep.data.synthetic.world import Array, Pixels, Rng

_WALLS = ("d9dde0", "e6dfd3", "cfd8d2", "c4ccd6", "e3cfc0", "b9c4c9", "d8cfe0", "a9b5b0", "8fa0ad", "efe8dc", "c9b8a6")
_FLOORS = ("b89b7a", "9a7d5f", "c9b99f", "8b8f94", "a9aeb2", "75685c", "d3cabd", "6f7d7a", "a08c94")
_SKIES = ("7fb2dd", "a5c9e6", "c7d6e0", "f0cfae", "95a9bd", "b4d3d9")
_LANDS = ("7d9a58", "92a86a", "b7a77f", "8c8a85", "c9b98f", "6f8760", "9d9389")
_FRAMES = ("f2efe9", "2b2d33", "8a5f3c")
_FAR = 4000  # pixels; further coordinates would overflow OpenCV's


def _noise(rng: Rng, height: int, width: int, cells: int) -> Pixels:
    """Return smooth noise (height, width) in about -1..1 with ``cells`` lumps across."""
    rows = max(2, round(cells * height / width)) + 1
    grid = rng.uniform(-1.0, 1.0, (rows, cells + 1)).astype(np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.float32, copy=False)


def _soft(value: Pixels, width: float | Pixels) -> Pixels:
    return np.clip(np.float32(0.5) + value / width, 0.0, 1.0)


def _floor_pattern(rng: Rng, x: Pixels, z: Pixels, distance: Pixels) -> Pixels:
    """Return the relative brightness of a floor at world x and z; detail fades with distance before it can alias."""
    kind = rng.choice(["plain", "planks", "tiles", "rug"], p=[0.35, 0.30, 0.25, 0.10])
    fade = np.clip(2.2 - distance / 5.0, 0.0, 1.0)
    tone = np.ones_like(x)
    if kind == "planks":
        angle, size = np.radians(rng.choice([0.0, 90.0, 30.0])), rng.uniform(0.14, 0.22)
        u = float(np.cos(angle) / size) * x + float(np.sin(angle) / size) * z
        tint = np.sin(np.floor(u) * 12.9898) * 437.5
        tone += fade * ((tint - np.floor(tint) - 0.5) * 0.10 - 0.16 * (np.abs(u - np.round(u)) < 0.05))
    elif kind == "tiles":
        size = float(rng.uniform(0.4, 0.7))
        u, w = x / size, z / size
        joint = np.minimum(np.abs(u - np.round(u)), np.abs(w - np.round(w))) < 0.03
        checker = (np.floor(u) + np.floor(w)) % 2.0 - 0.5
        tone += fade * (checker * float(rng.choice([0.0, 0.10])) - 0.12 * joint)
    elif kind == "rug":
        tone -= 0.14 * _soft(1.2 - np.hypot(x, z + float(rng.uniform(0.0, 3.0))), 0.1)
    return tone


def _over(image: Pixels, mask: Pixels, color: Array | Pixels) -> None:
    """Blend a colour, or a picture of the image's size, into an image in place where the mask (H, W) is positive."""
    rows, cols = np.flatnonzero(mask.max(axis=1) > 0.0), np.flatnonzero(mask.max(axis=0) > 0.0)
    if rows.size:
        part = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        paint = np.asarray(color if color.ndim == 1 else color[part], dtype=np.float32)
        image[part] += (paint - image[part]) * mask[part][..., None]


def _wall(rng: Rng, x: Pixels, y: Pixels, pixel: Pixels, cluttered: bool) -> Pixels:
    """Return the colours (H, W, 3) of a wall at world x and y; ``pixel`` is the size of a pixel on it, metres."""
    color = pick(rng, _WALLS, 0.02)
    image = np.full((*x.shape, 3), color * 0.96, np.float32)
    if rng.random() < 0.4:
        lower = color * rng.uniform(0.72, 0.92) if rng.random() < 0.6 else pick(rng, CLOTHS) * 0.4 + color * 0.5
        _over(image, _soft(float(rng.uniform(0.8, 1.1)) - y, pixel), lower)
    if rng.random() < 0.6:
        _over(image, _soft(0.10 - y, pixel), rgb("f2efe9") * 0.95)
    pictures = int(rng.integers(1, 8 if cluttered else 3)) if cluttered or rng.random() < 0.25 else 0
    for _ in range(pictures):
        left = float(rng.uniform(-5.0, 4.0) if cluttered else rng.choice([-2.2, 1.4]))
        low, w, h = rng.uniform((0.7, 0.4, 0.4), (2.0, 1.5, 1.1)).tolist()
        frame, a, b = pick(rng, _FRAMES), pick(rng, CLOTHS), pick(rng, CLOTHS)
        if not cluttered:
            a, b = a * 0.45 + color * 0.55, b * 0.45 + color * 0.55
        blot = _noise(rng, x.shape[0], x.shape[1], int(rng.integers(6, 30 if cluttered else 12)))[..., None] * 0.5 + 0.5
        inside = np.minimum(np.minimum(x - left, left + w - x), np.minimum(y - low, low + h - y))
        _over(image, _soft(inside, pixel), frame)
        _over(image, _soft(inside - 0.05, pixel), a + (b - a) * blot)
    return image


def _outdoors(rng: Rng, slope: Pixels) -> Pixels:
    """Return sky and far hills (H, W, 3); ``slope`` is the rise of each ray against the horizon."""
    sky = pick(rng, _SKIES, 0.02)
    image = np.full((*slope.shape, 3), sky, np.float32)
    _over(image, 0.8 * np.exp(-4.0 * np.clip(slope, 0.0, None)), rgb("f6f3ec"))
    height, width = slope.shape
    cloud = np.clip(_noise(rng, height, width, 5) + 0.5 * _noise(rng, height, width, 11) - 0.1, 0.0, 1.0)
    _over(image, cloud * np.clip(slope * 5.0, 0.0, 0.8), rgb("f7f7f7"))
    for level in (0.16, 0.09):
        ridge = level * (1.0 + 0.6 * _noise(rng, 2, width, int(rng.integers(3, 8)))[0])
        _over(image, _soft(ridge - slope, 0.01), pick(rng, _LANDS) * 0.6 + sky * (0.2 + level))
    return image


def _polygons(rng: Rng, image: Pixels) -> None:
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(2, 8))):
        centre, size = rng.uniform((0, 0), (width, height * 0.8)), rng.uniform(0.04, 0.2) * width
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
        ring = np.stack([np.cos(angles), np.sin(angles)], axis=1) * rng.uniform(0.4, 1.0, (angles.size, 1))
        mask = np.zeros((height, width), dtype=np.uint8)
        cv2.fillPoly(mask, [np.round(centre + size * ring).astype(np.int32)], 255.0, cv2.LINE_AA)
        _over(image, mask * np.float32(rng.uniform(0.3, 0.9) / 255.0), pick(rng, CLOTHS))


def backdrop(rng: Rng, camera: PinholeCamera, cluttered: bool, wall: tuple[float, float]) -> tuple[Pixels, Pixels]:
    """Paint floor and wall or landscape; ``cluttered`` adds pictures, polygons and noise at several scales.

    The wall stands at a z between minus the two values of ``wall``, metres.

    Returns RGB (H, W, 3) in roughly 0..1, and how much each pixel belongs to the floor (H, W), 0..1.
    """
    xs, ys = (v.astype(np.float32) for v in camera.rays())
    dx, dy, dz = (float(r[0]) * xs + (float(r[1]) * ys + float(r[2]))[:, None] for r in camera.rotation.T)
    ox, oy, oz = camera.position.tolist()
    flat = np.sqrt(dx * dx + dz * dz)
    slope = dy / flat
    kind = rng.choice(["studio", "room", "outdoors"], p=[0.1, 0.5, 0.4] if cluttered else [0.4, 0.35, 0.25])
    back = float(rng.uniform(-wall[1], -wall[0]))
    to_floor = oy / np.maximum(-dy, np.float32(1e-3))
    distance = to_floor * flat
    size = (camera.height, camera.width)
    tone = np.ones(size, dtype=np.float32)
    if kind == "outdoors":
        floor = _soft(-slope, 0.006)
        image = _outdoors(rng, slope)
        ground = pick(rng, _LANDS)
        tone = 1.0 + 0.05 * _noise(rng, *size, 24) + 0.06 * _noise(rng, *size, 7)
    else:
        to_wall = (back - oz) / np.minimum(dz, np.float32(-1e-3))
        height = oy + to_wall * dy
        pixel = np.minimum(to_wall / np.float32(camera.focal), 1.0)
        # A studio's backdrop curves into its floor; a room's corner is as sharp as the pixels allow.
        floor = _soft(-height, 0.35) if kind == "studio" else _soft(-height, pixel)
        image = _wall(rng, ox + to_wall * dx, height, pixel, cluttered and kind == "room")
        ground = pick(rng, _FLOORS)
        if kind == "room":
            tone = _floor_pattern(rng, ox + to_floor * dx, oz + to_floor * dz, distance)
        else:
            ground = pick(rng, _WALLS) * 0.9 if rng.random() < 0.4 else np.median(image[0], axis=0) * 0.95
    tone *= 1.04 - 0.03 * np.clip(distance - 3.0, -3.0, 5.0)
    surface = tone[..., None] * ground.astype(np.float32)
    if kind == "outdoors":
        _over(surface, np.clip(distance / 60.0, 0.0, 0.7), np.median(image[0], axis=0))
    _over(image, floor, surface)
    shade = 1.0 + 0.05 * _noise(rng, *size, 3)
    if cluttered:
        if rng.random() < 0.25:
            _polygons(rng, image)
        for cells in (9, 26, 70):
            shade *= 1.0 + float(rng.uniform(0.0, 0.07)) * _noise(rng, *size, cells)
    image *= shade[..., None]
    return image, floor


def _pixels(points: Array) -> Array:
    return np.clip(points[..., :2], -_FAR, _FAR).round().astype(np.int32)


def _segments(target: Pixels, ends: Array, size: Array) -> None:
    """Draw lines between projected points (2, N, 3), if both lie before the camera; ``size`` (N,) is in px at 1 m."""
    near = ends[..., 2].min(axis=0)
    seen = near > NEAREST
    thickness = np.rint(size[seen] / near[seen]).clip(1).astype(int).tolist()
    for a, b, width in zip(*_pixels(ends[:, seen]).tolist(), thickness, strict=True):
        cv2.line(target, a, b, 1.0, width)


def blurred(image: Pixels, sigma: float) -> Pixels:
    """Return an image blurred by a Gaussian of so many pixels."""
    return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)


def floor_shadow(surfaces: Sequence[Surface], camera: PinholeCamera, towards_light: Array) -> Pixels:
    """Return how dark the floor gets under surfaces, (H, W) in 0..1: a cast shadow plus tight contact shadows."""
    cast = np.zeros((camera.height, camera.width), dtype=np.float32)
    contact = np.zeros_like(cast)
    lean = towards_light / towards_light[1]

    def drop(points: Array, along: Array) -> Array:
        return camera.project(points - np.maximum(points[:, 1:2], 0.0) * along)

    ends = np.stack([[surface.a for surface in surfaces], [surface.b for surface in surfaces]])
    ground, below = (
        drop(ends.reshape(-1, 3), along).reshape(ends.shape) for along in (lean, np.array([0.0, 1.0, 0.0]))
    )
    for surface in surfaces:
        if surface.half is None:
            continue
        corners = np.array([(1, 1, 0), (1, -1, 0), (-1, -1, 0), (-1, 1, 0)]) * (*surface.half, 0.0)
        seen = drop(surface.a + corners @ surface.frame.T, lean)
        if (seen[:, 2] > NEAREST).all():
            cv2.fillConvexPoly(cast, _pixels(seen), 1.0)
    rounded = np.array([surface.half is None for surface in surfaces])
    width = np.array([(surface.ra + surface.rb) / sum(surface.scale[:2]) for surface in surfaces]) * 2.0 * camera.focal
    _segments(cast, ground[:, rounded], 0.8 * width[rounded])
    low = rounded & (ends[..., 1].max(axis=0) < 0.13)
    _segments(contact, below[:, low], 1.2 * width[low])
    metre = camera.focal / max(float(np.median(ground[..., 2])), 1.0)
    soft, tight = blurred(cast, max(0.6, 0.035 * metre)), blurred(contact, max(0.5, 0.02 * metre))
    return np.float32(1.0) - (np.float32(1.0) - 0.36 * soft) * (np.float32(1.0) - 0.45 * tight)
