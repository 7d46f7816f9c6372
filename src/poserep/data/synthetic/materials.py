"""Surface materials: palettes and procedural textures in part coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.skeleton3d import Array


class Pattern(IntEnum):
    """How a material varies over its part."""

    PLAIN = 0
    HOOPS = 1
    STRIPES = 2
    CHECKS = 3
    DOTS = 4
    GRADIENT = 5
    FACE = 6
    HAIR = 7
    JACKET = 8
    BADGE = 9
    SHOE = 10
    PLANKS = 11
    SPECKLE = 12


@dataclass(frozen=True)
class Material:
    """Two colours (RGB in 0..1), a pattern, its spatial frequency per metre, and gloss in 0..1."""

    color: Array
    second: Array
    pattern: Pattern = Pattern.PLAIN
    frequency: float = 10.0
    gloss: float = 0.0
    extra: Array | None = None


def rgb(code: str) -> Array:
    """Colour from six hexadecimal digits, shape (3,), 0..1."""
    return np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], dtype=np.float64) / 255.0


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


def pick(rng: np.random.Generator, codes: tuple[str, ...], jitter: float = 0.025) -> Array:
    """One colour of a palette, slightly varied, shape (3,)."""
    return np.clip(rgb(codes[int(rng.integers(len(codes)))]) + rng.normal(0.0, jitter, 3), 0.01, 0.99)


def _blend(a: NDArray[Any], b: NDArray[Any], share: NDArray[Any]) -> NDArray[Any]:
    return a + (b - a) * share[:, None]


def _smooth(low: float, high: float, value: NDArray[Any]) -> NDArray[Any]:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _ellipse(x: NDArray[Any], y: NDArray[Any], cx: float, cy: float, rx: float, ry: float) -> NDArray[np.bool_]:
    return ((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1.0


def _face(material: Material, q: NDArray[Any]) -> NDArray[Any]:
    """Paint a face on the unit sphere; ``extra`` holds iris, brow, lips and beard colours and the beard's share."""
    assert material.extra is not None
    x, y, z = q
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
    lid = front & _ellipse(x, y, 0.40, 0.14, 0.25, 0.15) & ~_ellipse(x, y, 0.40, 0.08, 0.27, 0.15)
    out[lid] = brow * 0.6
    arch = 0.37 - 0.5 * (np.abs(x) - 0.40) ** 2
    out[front & (np.abs(np.abs(x) - 0.40) < 0.25) & (np.abs(y - arch) < 0.055)] = brow
    curve = -0.545 + smile * x * x
    out[front & (np.abs(x) < 0.32) & (np.abs(y - curve) < 0.075 - 0.16 * x * x)] = lips
    return out


def albedo(material: Material, q: NDArray[Any]) -> NDArray[Any]:
    """Colour of surface points.

    Args:
        material: The material they are made of.
        q: Texture coordinates, shape (3, N); metres, but on the unit sphere for heads.

    Returns:
        RGB in 0..1, shape (N, 3).
    """
    x, v, z = q
    first, second, f = material.color, material.second, material.frequency
    pattern = material.pattern
    if pattern == Pattern.FACE:
        return _face(material, q)
    if pattern == Pattern.PLAIN:
        return np.broadcast_to(first, (x.size, 3))
    if pattern == Pattern.HOOPS:
        share = _smooth(-0.25, 0.25, np.sin(2.0 * np.pi * f * v))
    elif pattern == Pattern.STRIPES:
        share = _smooth(-0.25, 0.25, np.sin(2.0 * np.pi * f * x + 1.57))
    elif pattern == Pattern.CHECKS:
        share = 0.5 * (np.sin(2.0 * np.pi * f * x) > 0.0) + 0.5 * (np.sin(2.0 * np.pi * f * v) > 0.0)
    elif pattern == Pattern.DOTS:
        row = np.floor(f * v)
        u = f * x + 0.5 * (row % 2.0)
        share = 1.0 * (np.hypot(u - np.round(u), f * v - row - 0.5) < 0.30)
    elif pattern == Pattern.GRADIENT:
        share = _smooth(-0.35, 0.25, v)
    elif pattern == Pattern.HAIR:
        share = 0.5 + 0.5 * np.sin(26.0 * x + 9.0 * np.sin(5.0 * v) + 11.0 * z)
    elif pattern == Pattern.JACKET:
        front = z > 0.0
        share = 1.0 * (front & (np.abs(x) < 0.012 + 0.34 * np.maximum(v - 0.06, 0.0)))
    elif pattern == Pattern.BADGE:
        # On the wearer's left, as breast pockets are: a small cue to which side is which.
        share = 1.0 * ((z > 0.0) & (np.abs(x - 0.075) < 0.034) & (np.abs(v - 0.10) < 0.036))
    elif pattern == Pattern.SHOE:
        share = 1.0 * (z < -0.012)
    elif pattern == Pattern.PLANKS:
        wave = np.sin(40.0 * v + 3.0 * np.sin(9.0 * x)) * 0.3
        share = np.clip(0.35 + wave + 0.65 * (np.abs(f * x - np.round(f * x)) < 0.04), 0.0, 1.0)
    elif pattern == Pattern.SPECKLE:
        share = 0.5 + 0.5 * np.sin(91.0 * x + 7.0 * np.sin(63.0 * v)) * np.sin(83.0 * v + 5.0 * np.sin(71.0 * z))
    else:
        raise ValueError(f"no texture for {pattern!r}")
    return _blend(first[None], second[None], share)
