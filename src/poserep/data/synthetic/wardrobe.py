"""What a person wears: garments, hair and their materials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from poserep.data.synthetic.materials import CLOTHS, HAIRS, SHOES, SKINS, TROUSERS, Material, Pattern, pick, rgb
from poserep.data.synthetic.skeleton3d import Array, Proportions

# The palette ends in browns, which in the shade pass for some skin or other.
_TOPS = CLOTHS[:-3]
SKIN, FACE, HAIR, TOP, BOTTOM, SHOE, TRIM = range(7)


@dataclass(frozen=True)
class Look:
    """Garment cuts and the seven materials of a person, indexed by SKIN .. TRIM.

    Attributes:
        materials: One material per slot.
        sleeve: "none", "short" or "long".
        legs: "trousers", "tight", "shorts" or "skirt".
        leg_cut: Where shorts end along the thigh, or a skirt along the leg, 0..1.
        hair: "short", "long", "bob", "bun", "tail", "afro", "bald" or "cap".
        tucked: Whether the top ends at the waist.
        backpack: Whether straps and a bag are worn.
    """

    materials: tuple[Material, ...]
    sleeve: str
    legs: str
    leg_cut: float
    hair: str
    tucked: bool
    backpack: bool


def _cloth(rng: np.random.Generator, codes: tuple[str, ...], skin: Array) -> Array:
    """A colour that nobody takes for bare skin."""
    color = pick(rng, codes)
    while np.abs(color - skin).sum() < 0.42:
        color = pick(rng, codes)
    return color


def _top(rng: np.random.Generator, skin: Array) -> Material:
    color, second = _cloth(rng, _TOPS, skin), pick(rng, CLOTHS)
    while np.abs(color - second).sum() < 0.45:
        second = pick(rng, CLOTHS)
    pattern = Pattern(
        int(
            rng.choice(
                [0, Pattern.HOOPS, Pattern.STRIPES, Pattern.CHECKS, Pattern.DOTS, Pattern.GRADIENT, 8, Pattern.BADGE],
                p=[0.28, 0.16, 0.08, 0.10, 0.08, 0.08, 0.12, 0.10],
            )
        )
    )
    if pattern == Pattern.CHECKS:
        second = color + (second - color) * 0.6
    low, high = {Pattern.DOTS: (12.0, 18.0), Pattern.CHECKS: (7.0, 11.0)}.get(pattern, (6.0, 13.0))
    return Material(color, second, pattern, float(rng.uniform(low, high)), 0.04)


def _skin(rng: np.random.Generator) -> tuple[int, Array]:
    tone = int(rng.integers(len(SKINS)))
    return tone, np.clip(rgb(SKINS[tone]) + rng.normal(0.0, 0.012, 3), 0.05, 1.0)


def _face(rng: np.random.Generator, skin: Array, hair: Array, body: Proportions) -> Material:
    bearded = float(rng.uniform(0.5, 0.95)) if body.feminine < 0.5 and rng.random() < 0.28 else 0.0
    lips = skin * np.array([0.86, 0.58, 0.56]) if body.feminine < 0.5 else skin * np.array([0.88, 0.46, 0.48])
    iris = rgb(("2b1d14", "3a2718", "2f4a5e", "3d4a2a")[int(rng.integers(4))])
    brow = np.minimum(hair * 0.7, skin * 0.55)
    extra = np.concatenate([iris, brow, lips, hair * 0.85, [bearded, rng.uniform(0.0, 0.45)]])
    return Material(skin, skin * np.array([1.0, 0.74, 0.70]), Pattern.FACE, gloss=0.08, extra=extra)


def sample_look(rng: np.random.Generator, body: Proportions) -> Look:
    """Dress one body."""
    tone, skin = _skin(rng)
    # Dark skin with very fair hair reads as a hat, so the palette narrows with the tone.
    fair = HAIRS if tone < 3 else (HAIRS[:5] + HAIRS[7:8] if tone < 5 else HAIRS[:3] + HAIRS[7:8])
    hair = pick(rng, fair, 0.015)
    top = _top(rng, skin)
    bottom = _cloth(rng, TROUSERS, skin)
    if rng.random() < 0.25:
        bottom = _cloth(rng, CLOTHS, skin)
    shoe = pick(rng, SHOES)
    pattern = Pattern.HOOPS if rng.random() < 0.06 else Pattern.PLAIN
    feminine = body.feminine > 0.5
    legs = str(
        rng.choice(
            ["trousers", "tight", "shorts", "skirt"],
            p=[0.42, 0.24, 0.20, 0.14] if feminine else [0.62, 0.04, 0.34, 0.0],
        )
    )
    dress = legs == "skirt" and rng.random() < 0.5
    styles = ["short", "long", "bob", "bun", "tail", "afro", "bald", "cap"]
    odds = (
        [0.10, 0.30, 0.16, 0.14, 0.18, 0.06, 0.0, 0.06]
        if feminine
        else [0.62, 0.03, 0.02, 0.03, 0.02, 0.07, 0.08, 0.13]
    )
    sleeve = str(rng.choice(["none", "short", "long"], p=[0.16, 0.44, 0.40] if feminine else [0.08, 0.48, 0.44]))
    if top.pattern == Pattern.JACKET:
        sleeve = "long"
    materials = (
        Material(skin, skin, gloss=0.10),
        _face(rng, skin, hair, body),
        Material(hair, hair * 0.72, Pattern.HAIR, gloss=0.16),
        top,
        top if dress else Material(bottom, bottom * 0.75, pattern, 9.0, 0.03),
        Material(shoe, np.clip(shoe * 0.4 + 0.5, 0.0, 1.0), Pattern.SHOE, gloss=0.12),
        Material(pick(rng, CLOTHS), pick(rng, CLOTHS), gloss=0.08),
    )
    return Look(
        materials=materials,
        sleeve=sleeve,
        legs=legs,
        leg_cut=float(rng.uniform(0.55, 0.9)),
        hair=str(rng.choice(styles, p=odds)),
        tucked=bool(rng.random() < 0.4) or dress,
        backpack=bool(rng.random() < 0.08),
    )
