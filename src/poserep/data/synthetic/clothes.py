"""What a drawn person wears: garments, shoes, hair, and their materials."""

import numpy as np

from poserep.data.synthetic.skeleton3d import Proportions
from poserep.data.synthetic.textures import CLOTHS, HAIRS, SHOES, SKINS, TROUSERS, Material, pick, rgb
from poserep.data.synthetic.world import Array, Rng

# The palette ends in browns, which in the shade pass for some skin or other.
_TOPS = CLOTHS[:-3]
_TOP_PATTERNS = ("plain", "hoops", "stripes", "checks", "dots", "gradient", "jacket", "badge")
_IRISES = ("2b1d14", "3a2718", "2f4a5e", "3d4a2a")
# By how much a colour differs from that of the skin, summed over RGB, for nobody to take it for bare skin.
_NOT_SKIN = 0.42
# Indices of a person's materials.
SKIN, FACE, HAIR, SHIRT, BOTTOM, SHOE, TRIM = range(7)


def _far_from(rng: Rng, codes: tuple[str, ...], other: Array, least: float = _NOT_SKIN) -> Array:
    color = pick(rng, codes)
    while np.abs(color - other).sum() < least:
        color = pick(rng, codes)
    return color


def _top(rng: Rng, skin: Array) -> Material:
    color = _far_from(rng, _TOPS, skin)
    second = _far_from(rng, CLOTHS, color, 0.45)
    pattern = str(rng.choice(_TOP_PATTERNS, p=[0.28, 0.16, 0.08, 0.10, 0.08, 0.08, 0.12, 0.10]))
    if pattern == "checks":
        second = color + (second - color) * 0.6
    low, high = {"dots": (12.0, 18.0), "checks": (7.0, 11.0)}.get(pattern, (6.0, 13.0))
    return Material(color, second, pattern, float(rng.uniform(low, high)), 0.04)


def _face(rng: Rng, skin: Array, hair: Array, body: Proportions) -> Material:
    masculine = body.feminine < 0.5
    bearded = float(rng.uniform(0.5, 0.95)) if masculine and rng.random() < 0.28 else 0.0
    lips = skin * np.array([0.86, 0.58, 0.56] if masculine else [0.88, 0.46, 0.48])
    iris = rgb(_IRISES[int(rng.integers(4))])
    brow = np.minimum(hair * 0.7, skin * 0.55)
    extra = np.concatenate([iris, brow, lips, hair * 0.85, [bearded, rng.uniform(0.0, 0.45)]])
    return Material(skin, skin * np.array([1.0, 0.74, 0.70]), "face", gloss=0.08, extra=extra)


class Look:
    """The cuts of a person's garments, drawn at random, and their seven materials, indexed by SKIN .. TRIM.

    ``leg_cut``, 0..1, is where shorts end along the thigh or a skirt along the leg; a ``tucked`` top ends at the waist.
    """

    def __init__(self, rng: Rng, body: Proportions) -> None:
        tone = int(rng.integers(len(SKINS)))
        skin = np.clip(rgb(SKINS[tone]) + rng.normal(0.0, 0.012, 3), 0.05, 1.0)
        # Dark skin with very fair hair reads as a hat, so the palette narrows with the tone.
        hair = pick(rng, HAIRS if tone < 3 else (HAIRS[:5] if tone < 5 else HAIRS[:3]) + HAIRS[7:8], 0.015)
        top = _top(rng, skin)
        bottom = _far_from(rng, TROUSERS, skin)
        if rng.random() < 0.25:
            bottom = _far_from(rng, CLOTHS, skin)
        shoe = pick(rng, SHOES)
        pattern = "hoops" if rng.random() < 0.06 else "plain"

        def choose(words: tuple[str, ...], odds: list[float], others: list[float]) -> str:
            return str(rng.choice(words, p=odds if body.feminine > 0.5 else others))

        self.legs = choose(("trousers", "tight", "shorts", "skirt"), [0.42, 0.24, 0.20, 0.14], [0.62, 0.04, 0.34, 0.0])
        dress = self.legs == "skirt" and rng.random() < 0.5
        sleeve = choose(("none", "short", "long"), [0.16, 0.44, 0.40], [0.08, 0.48, 0.44])
        self.sleeve = "long" if top.pattern == "jacket" else sleeve
        self.materials = (
            Material(skin, skin, gloss=0.10),
            _face(rng, skin, hair, body),
            Material(hair, hair * 0.72, "hair", gloss=0.16),
            top,
            top if dress else Material(bottom, bottom * 0.75, pattern, 9.0, 0.03),
            Material(shoe, np.clip(shoe * 0.4 + 0.5, 0.0, 1.0), "shoe", gloss=0.12),
            Material(pick(rng, CLOTHS), pick(rng, CLOTHS), gloss=0.08),
        )
        self.leg_cut = float(rng.uniform(0.55, 0.9))
        self.hair = choose(
            ("short", "long", "bob", "bun", "tail", "afro", "bald", "cap"),
            [0.10, 0.30, 0.16, 0.14, 0.18, 0.06, 0.0, 0.06],
            [0.62, 0.03, 0.02, 0.03, 0.02, 0.07, 0.08, 0.13],
        )
        self.tucked = bool(rng.random() < 0.4) or dress
        self.backpack = bool(rng.random() < 0.08)
