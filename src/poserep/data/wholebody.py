"""The 133 joints of COCO-WholeBody (Jin et al. 2020): body, feet, face and hands, with the sigmas of its evaluation."""

from itertools import pairwise

from poserep.skeleton import COCO, Skeleton

_FOOT = ("big_toe", "small_toe", "heel")
_FINGERS = ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger")
# Points of the face that a mirror exchanges: outline, brows, nose, eyes, outer lips, inner lips.
_FACE_PAIRS = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34), (36, 45), (37, 44),
    (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63),
    (65, 67),
)  # fmt: skip
_FOOT_SIGMAS = (0.068, 0.066, 0.066, 0.092, 0.094, 0.094)
_FACE_SIGMAS = (
    0.042, 0.043, 0.044, 0.043, 0.040, 0.035, 0.031, 0.025, 0.020, 0.023, 0.029, 0.032, 0.037, 0.038, 0.043, 0.041,
    0.045, 0.013, 0.012, 0.011, 0.011, 0.012, 0.012, 0.011, 0.011, 0.013, 0.015, 0.009, 0.007, 0.007, 0.007, 0.012,
    0.009, 0.008, 0.016, 0.010, 0.017, 0.011, 0.009, 0.011, 0.009, 0.007, 0.013, 0.008, 0.011, 0.012, 0.010, 0.034,
    0.008, 0.008, 0.009, 0.008, 0.008, 0.007, 0.010, 0.008, 0.009, 0.009, 0.009, 0.007, 0.007, 0.008, 0.011, 0.008,
    0.008, 0.008, 0.010, 0.008,
)  # fmt: skip
_HAND_SIGMAS = (
    0.029, 0.022, 0.035, 0.037, 0.047, 0.026, 0.025, 0.024, 0.035, 0.018, 0.024, 0.022, 0.026, 0.017, 0.021, 0.021,
    0.032, 0.020, 0.019, 0.022, 0.031,
)  # fmt: skip


def _hand(side: str) -> list[str]:
    return [f"{side}_hand_root", *(f"{side}_{finger}{i}" for finger in _FINGERS for i in range(1, 5))]


def _chains(side: str) -> list[list[str]]:
    """Return the limbs of a side beyond the body's, as chains of neighbours."""
    root = f"{side}_hand_root"
    fingers = [[root, *(f"{side}_{finger}{i}" for i in range(1, 5))] for finger in _FINGERS]
    return [[f"{side}_wrist", root], *fingers, *([f"{side}_ankle", f"{side}_{part}"] for part in _FOOT)]


_FEET = [f"{side}_{part}" for side in ("left", "right") for part in _FOOT]
_FACE = [f"face-{i}" for i in range(68)]
_LEFT = [name for name in _FEET if name.startswith("left_")] + _hand("left")
WHOLEBODY = Skeleton(
    "wholebody",
    (*COCO.names, *_FEET, *_FACE, *_hand("left"), *_hand("right")),
    (
        *COCO.pairs,
        *((name, name.replace("left_", "right_")) for name in _LEFT),
        *((_FACE[a], _FACE[b]) for a, b in _FACE_PAIRS),
    ),
    (*COCO.edges, *(pair for side in ("left", "right") for chain in _chains(side) for pair in pairwise(chain))),
    (*COCO.sigmas, *_FOOT_SIGMAS, *_FACE_SIGMAS, *_HAND_SIGMAS, *_HAND_SIGMAS),
    (*COCO.upper, *_FACE, *_hand("left"), *_hand("right")),
)
