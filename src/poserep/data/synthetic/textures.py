"""Colours and patterns of drawn surfaces: palettes, and procedural textures in a part's own coordinates."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.world import Array, Rng

Values = NDArray[Any]

SKINS = ("f6d7c3", "efc4a4", "e3ae87", "d29a6f", "b97c52", "99603b", "7a4a2e", "5a3524")
HAIRS = ("1c1715", "2e211b", "4a3022", "6b442a", "94633a", "c39a5b", "e2c68c", "8d8a88", "d9d6d0", "9a3f22")
CLOTHS = (
    "f4f1ea", "e9e3d5", "d8d3c8", "2b2d33", "3c4048", "5b6470", "1f3a5f", "2f5d8c", "5c8fc2", "9cc3e0", "1f6f6b",
    "3fa796", "87c7a8", "3d5a40", "7a9455", "c9cf7f", "f2c14e", "f0a35e", "e4683f", "c8402f", "8e2a3a", "d77a8d",
    "eab8bf", "6d4a7f", "a98bc4", "70523c", "a9825a", "cbb08a",
)  # fmt: skip
TROUSERS = (
    "22262e", "2d3a52", "3e5273", "56708f", "7f93a8", "4a4a4a", "6c6459", "8c7b63", "b7a27c", "3c4a3b", "5d3a33",
    "d5cdbf",
)  # fmt: skip
SHOES = ("f2f0ec", "2a2a2c", "6b4a33", "b03a30", "2c4e7a", "c7c3ba", "3f6b52")


@dataclass(frozen=True)
class Material:
    """Two colours (RGB in 0..1), a pattern that mixes them, its spatial frequency per metre, and gloss in 0..1.

    ``pattern`` is "plain", "face" or a key of `PATTERNS`; ``extra`` holds the colours of a face, see `_face`.
    """

    color: Array
    second: Array
    pattern: str = "plain"
    frequency: float = 10.0
    gloss: float = 0.0
    extra: Array | None = None


def rgb(code: str) -> Array:
    """Return the colour (3,) in 0..1 of six hexadecimal digits."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], dtype=np.float64) / 255.0


def pick(rng: Rng, codes: tuple[str, ...], jitter: float = 0.025) -> Array:
    """Draw a colour (3,) of a palette, slightly varied."""
    return np.clip(rgb(codes[int(rng.integers(len(codes)))]) + rng.normal(0.0, jitter, 3), 0.01, 0.99)


def _blend(a: Values, b: Values, share: Values) -> Values:
    return a + (b - a) * share[:, None]


def _smooth(low: float, high: float, value: Values) -> Values:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _dots(x: Values, v: Values, z: Values, f: float) -> Values:
    row = np.floor(f * v)
    u = f * x + 0.5 * (row % 2.0)
    return 1.0 * (np.hypot(u - np.round(u), f * v - row - 0.5) < 0.30)


def _planks(x: Values, v: Values, z: Values, f: float) -> Values:
    wave = np.sin(40.0 * v + 3.0 * np.sin(9.0 * x)) * 0.3
    return np.clip(0.35 + wave + 0.65 * (np.abs(f * x - np.round(f * x)) < 0.04), 0.0, 1.0)


# The share of a material's second colour at local coordinates x, v (along the part) and z, for frequency f.
PATTERNS: dict[str, Callable[[Values, Values, Values, float], Values]] = {
    "hoops": lambda x, v, z, f: _smooth(-0.25, 0.25, np.sin(2.0 * np.pi * f * v)),
    "stripes": lambda x, v, z, f: _smooth(-0.25, 0.25, np.sin(2.0 * np.pi * f * x + 1.57)),
    "checks": lambda x, v, z, f: 0.5 * (np.sin(2.0 * np.pi * f * x) > 0.0) + 0.5 * (np.sin(2.0 * np.pi * f * v) > 0.0),
    "dots": _dots,
    "gradient": lambda x, v, z, f: _smooth(-0.35, 0.25, v),
    "hair": lambda x, v, z, f: 0.5 + 0.5 * np.sin(26.0 * x + 9.0 * np.sin(5.0 * v) + 11.0 * z),
    "jacket": lambda x, v, z, f: 1.0 * ((z > 0.0) & (np.abs(x) < 0.012 + 0.34 * np.maximum(v - 0.06, 0.0))),
    # On the wearer's left, as breast pockets are: a small cue to which side is which.
    "badge": lambda x, v, z, f: 1.0 * ((z > 0.0) & (np.abs(x - 0.075) < 0.034) & (np.abs(v - 0.10) < 0.036)),
    "shoe": lambda x, v, z, f: 1.0 * (z < -0.012),
    "planks": _planks,
    "speckle": lambda x, v, z, f: (
        0.5 + 0.5 * np.sin(91.0 * x + 7.0 * np.sin(63.0 * v)) * np.sin(83.0 * v + 5.0 * np.sin(71.0 * z))
    ),
}


def _ellipse(x: Values, y: Values, cx: float, cy: float, rx: float, ry: float) -> NDArray[np.bool_]:
    return ((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1.0


def _face(material: Material, x: Values, y: Values, z: Values) -> Values:
    """Paint a face on the unit sphere; ``extra``: RGB of iris, brow, lips and beard, the beard's share, the smile."""
    assert material.extra is not None
    iris, brow, lips, beard = material.extra[:12].reshape(4, 3)
    bearded, smile = material.extra[12:14]
    front = z > 0.0
    out = np.repeat(material.color[None], x.size, axis=0)
    blush = np.exp(-(((np.abs(x) - 0.52) / 0.24) ** 2) - ((y + 0.30) / 0.20) ** 2) * front * 0.45
    out = _blend(out, material.second[None], blush)
    if bearded > 0.0:
        line = -0.30 - 0.25 * np.exp(-((x / 0.33) ** 2))
        out = _blend(out, beard, _smooth(0.06, -0.06, y - line) * bearded * (z > -0.1))
        out[front & _ellipse(x, y, 0.12, -0.36, 0.20, 0.07)] = beard * bearded + material.color * (1.0 - bearded)
    out[front & _ellipse(x, y, 0.40, 0.10, 0.225, 0.125)] = (0.97, 0.97, 0.95)
    out[front & _ellipse(x, y, 0.40, 0.10, 0.115, 0.135)] = iris
    out[front & _ellipse(x, y, 0.40, 0.14, 0.25, 0.15) & ~_ellipse(x, y, 0.40, 0.08, 0.27, 0.15)] = brow * 0.6
    arch = 0.37 - 0.5 * (np.abs(x) - 0.40) ** 2
    out[front & (np.abs(np.abs(x) - 0.40) < 0.25) & (np.abs(y - arch) < 0.055)] = brow
    curve = -0.545 + smile * x * x
    out[front & (np.abs(x) < 0.32) & (np.abs(y - curve) < 0.075 - 0.16 * x * x)] = lips
    return out


def albedo(material: Material, q: Values) -> Values:
    """Return the colours (N, 3) of points at local coordinates (3, N), metres, but on the unit sphere for heads."""
    x, v, z = q
    if material.pattern == "plain":
        return np.broadcast_to(material.color, (x.size, 3))
    if material.pattern == "face":
        return _face(material, x, v, z)
    share = PATTERNS[material.pattern](x, v, z, material.frequency)
    return _blend(material.color[None], material.second[None], share)
