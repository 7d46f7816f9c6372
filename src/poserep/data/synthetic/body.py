"""Build the drawn parts of a person from the posed skeleton and the look."""

from __future__ import annotations

import numpy as np

from poserep.data.synthetic.raster import Part
from poserep.data.synthetic.skeleton3d import SIDES, Array, Figure
from poserep.data.synthetic.wardrobe import BOTTOM, FACE, HAIR, SHOE, SKIN, TOP, TRIM, Look

Triple = tuple[float, float, float]
_TRUNK = ("pelvis", "waist", "chest")


class _Tailor:
    """Collects the parts of one figure; ``first`` is the index of its first material in the scene."""

    def __init__(self, figure: Figure, look: Look, first: int, owner: int) -> None:
        self.figure, self.look, self.first, self.owner = figure, look, first, owner
        self.parts: list[Part] = []

    def cone(
        self,
        frame: str,
        a: Array,
        b: Array,
        ra: float,
        rb: float,
        material: int,
        scale: Triple = (1.0, 1.0, 1.0),
        open_end: bool = False,
    ) -> None:
        axes = self.figure.frames[frame]
        # One texture space for the whole top, or checks would start afresh at every seam.
        x, y, z = (a - self.figure.joints["chest"]) @ axes if frame in _TRUNK else (0.0, 0.0, 0.0)
        index = self.first + material
        self.parts.append(
            Part(
                a, b, axes, ra, rb, index, self.owner, scale, open_end, (float(x), float(y), float(z)), frame == "head"
            )
        )

    def blob(self, frame: str, centre: Array, radii: Triple, material: int, turn: Array | None = None) -> None:
        """An ellipsoid with the given radii along the frame's axes."""
        axes = self.figure.frames[frame] if turn is None else self.figure.frames[frame] @ turn
        scale = (1.0 / radii[0], 1.0 / radii[1], 1.0 / radii[2])
        index = self.first + material
        self.parts.append(Part(centre, centre, axes, 1.0, 1.0, index, self.owner, scale, head=frame == "head"))

    def at(self, joint: str, frame: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
        return self.figure.joints[joint] + self.figure.frames[frame] @ np.array([x, y, z])


def _trunk(t: _Tailor) -> None:
    body, look = t.figure.body, t.look
    w, fem = body.girth * body.stature / 1.75, body.feminine
    depth = 1.42 / (0.4 + 0.6 * body.girth)
    hip, waist = (0.150 + 0.010 * fem) * w, (0.136 - 0.022 * fem) * w
    ribs, top = (0.152 - 0.018 * fem) * w, (0.150 - 0.020 * fem) * w
    lower = TOP if not look.tucked else BOTTOM
    cloth: Triple = (1.0, 1.6, depth)
    t.cone(
        "pelvis",
        t.at("pelvis", "pelvis", y=-0.030),
        t.at("waist", "pelvis", y=-0.02),
        hip,
        waist * 1.04,
        BOTTOM,
        (1.0, 1.9, depth * 0.95),
    )
    t.cone(
        "waist", t.at("waist", "waist", y=-0.02), t.at("chest", "waist"), waist * 1.02, (waist + ribs) / 2, TOP, cloth
    )
    t.cone(
        "chest",
        t.at("chest", "chest"),
        t.at("chest", "chest", y=body.chest * 0.62),
        (waist + ribs) / 2,
        top,
        TOP,
        (1.0, 1.9, depth),
    )
    if lower == TOP:
        hem = t.at("pelvis", "pelvis", y=-0.055)
        t.cone(
            "pelvis",
            t.at("waist", "pelvis", y=0.02),
            hem,
            waist * 1.05,
            hip * 1.06,
            TOP,
            (1.0, 1.0, depth * 0.95),
            True,
        )
    bust = 0.050 * fem * body.girth
    for side, sign in SIDES:
        shoulder = t.figure.joints[f"{side}_shoulder"]
        girdle = t.at("chest", "chest", sign * 0.045, body.chest * 0.80, -0.008)
        t.cone("chest", girdle, shoulder, 0.066 * w, 0.056 * w * body.muscle, TOP)
        t.cone("chest", t.at("neck", "chest", sign * 0.012, -0.005, -0.012), shoulder, 0.047, 0.046 * w, TOP)
        t.blob(
            "pelvis",
            t.at("pelvis", "pelvis", sign * 0.066 * w, -0.045, -0.040 * w),
            (0.088 * w, 0.095, 0.078 * w),
            BOTTOM,
        )
        if fem > 0.5:
            breast = t.at("chest", "chest", sign * 0.058 * w, body.chest * 0.42, 0.056 * w)
            t.cone("chest", breast, breast, 0.066, 0.066, TOP, (1.0, 1.0, 0.066 / (0.6 * bust + 0.032)))
    neck = t.figure.joints["neck"]
    t.cone(
        "neck",
        neck - t.figure.frames["neck"][:, 1] * 0.02,
        t.at("skull", "neck", y=0.02),
        0.060 * (1 - 0.12 * fem),
        0.052 * (1 - 0.12 * fem),
        SKIN,
    )
    if look.backpack:
        bag = t.at("chest", "chest", 0.0, body.chest * 0.30, -0.185 * w)
        t.blob("chest", bag, (0.135, 0.20, 0.085), TRIM)
        for _, sign in SIDES:
            over = t.at("chest", "chest", sign * 0.085, body.chest * 0.97, 0.02)
            t.cone(
                "chest", over, t.at("chest", "chest", sign * 0.095, body.chest * 0.15, 0.112 * w), 0.028, 0.022, TRIM
            )


def _arm(t: _Tailor, side: str) -> None:
    body, look, joints = t.figure.body, t.look, t.figure.joints
    m = body.muscle * (0.5 + 0.5 * body.girth) * body.stature / 1.75
    shoulder, elbow, wrist = (joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper, fore, hand = f"{side}_upper_arm", f"{side}_forearm", f"{side}_hand"
    cloth = TOP if look.sleeve == "long" else SKIN
    loose = 0.007 if look.sleeve == "long" else 0.0
    t.cone(upper, shoulder, elbow, 0.050 * m + loose, 0.036 * m + loose, cloth)
    middle = elbow + (wrist - elbow) * 0.30
    t.cone(fore, elbow, middle, 0.036 * m + loose, 0.040 * m + loose, cloth)
    t.cone(fore, middle, wrist - (wrist - elbow) * 0.04, 0.040 * m + loose, 0.026 * m + loose, cloth)
    if look.sleeve != "long":
        share = 0.55 if look.sleeve == "short" else 0.10
        end = shoulder + (elbow - shoulder) * share
        t.cone(upper, shoulder, end, 0.057 * m, 0.050 * m + 0.012, TOP, open_end=True)
    palm = t.at(f"{side}_wrist", hand, y=-0.040)
    sign = 1.0 if side == "left" else -1.0
    t.blob(hand, palm, (0.040 * m, 0.056, 0.021), SKIN)
    t.cone(
        hand,
        t.at(f"{side}_wrist", hand, y=-0.075),
        t.at(f"{side}_wrist", hand, -0.004 * sign, -0.135, 0.008),
        0.030,
        0.019,
        SKIN,
        (1.0, 1.0, 1.75),
    )
    t.cone(
        hand,
        t.at(f"{side}_wrist", hand, -0.022 * sign, -0.025, 0.010),
        t.at(f"{side}_wrist", hand, -0.046 * sign, -0.075, 0.028),
        0.014,
        0.011,
        SKIN,
    )


def _leg(t: _Tailor, side: str) -> None:
    body, look, joints = t.figure.body, t.look, t.figure.joints
    sign = 1.0 if side == "left" else -1.0
    m = (0.35 + 0.65 * body.girth) * body.stature / 1.75
    hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    thigh, shin, foot = f"{side}_thigh", f"{side}_shin", f"{side}_foot"
    long = look.legs in ("trousers", "tight")
    cloth, loose = (BOTTOM, 0.010 if look.legs == "trousers" else 0.0) if long else (SKIN, 0.0)
    t.cone(thigh, hip, knee, (0.084 + 0.006 * body.feminine) * m + loose, 0.054 * m + loose, cloth)
    calf = t.at(f"{side}_knee", shin, 0.004 * sign, -0.29 * body.shin, -0.016)
    t.cone(shin, knee, calf, 0.053 * m + loose, 0.055 * m + loose, cloth)
    flare = 0.016 if look.legs == "trousers" else 0.0
    t.cone(shin, calf, ankle, 0.055 * m + loose, 0.035 * m + flare, cloth, open_end=look.legs == "trousers")
    if look.legs == "shorts":
        end = hip + (knee - hip) * look.leg_cut
        t.cone(thigh, hip, end, 0.092 * m, (0.092 - 0.030 * look.leg_cut) * m + 0.022, BOTTOM, open_end=True)
    heel, toe = t.at(f"{side}_heel", foot, y=0.036), t.at(f"{side}_toe", foot, 0.0, 0.026, -0.045)
    instep = t.at(f"{side}_ankle", foot, 0.0, -0.012, 0.012)
    axes = t.figure.frames[foot] @ np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]).T
    t.figure.frames[f"{side}_shoe"] = axes
    t.cone(f"{side}_shoe", heel, toe, 0.037, 0.045, SHOE, (1.0, 1.0, 1.35))
    t.cone(foot, instep, t.at(f"{side}_toe", foot, 0.0, 0.030, -0.075), 0.042, 0.030, SHOE)
    if not long:
        t.cone(shin, t.at(f"{side}_ankle", shin, y=0.05), ankle, 0.037 * m + 0.003, 0.036 * m + 0.003, TRIM)


def _skirt(t: _Tailor) -> None:
    body, joints = t.figure.body, t.figure.joints
    ends = [
        joints[f"{side}_hip"] + (joints[f"{side}_knee"] - joints[f"{side}_hip"]) * (0.35 + 0.6 * t.look.leg_cut)
        for side, _ in SIDES
    ]
    middle, apart = (ends[0] + ends[1]) / 2, float(np.linalg.norm(ends[0] - ends[1]))
    w = body.girth * body.stature / 1.75
    t.cone(
        "pelvis",
        t.at("waist", "pelvis", y=0.0),
        middle,
        0.128 * w,
        max(0.19 * w, 0.5 * apart + 0.105 * w),
        BOTTOM,
        (1.0, 1.0, 1.12),
        True,
    )


def _head(t: _Tailor) -> None:
    rx, ry, rz = t.figure.body.head
    hair = t.look.hair

    def at(x: float, y: float, z: float) -> Array:
        return t.at("head", "head", x * rx, y * ry, z * rz)

    t.blob("head", at(0.0, 0.0, 0.0), (rx, ry, rz), FACE)
    t.cone("head", at(0.0, -0.02, 0.86), at(0.0, -0.16, 1.02), 0.010, 0.0165, SKIN)
    for _, sign in SIDES:
        t.blob("head", at(sign * 0.99, -0.02, -0.06), (0.015, 0.033, 0.023), SKIN)
    if hair == "bald":
        return
    if hair == "cap":
        t.blob("head", at(0.0, 0.44, -0.08), (rx * 1.07, ry * 0.68, rz * 1.07), TRIM)
        t.blob("head", at(0.0, 0.56, 0.80), (rx * 0.84, ry * 0.075, rz * 0.66), TRIM)
        t.blob("head", at(0.0, -0.08, -0.22), (rx * 1.02, ry * 0.70, rz * 0.86), HAIR)
        return
    if hair == "afro":
        t.blob("head", at(0.0, 0.40, -0.42), (rx * 1.38, ry * 1.10, rz * 1.18), HAIR)
    else:
        t.blob("head", at(0.0, 0.19, -0.21), (rx * 1.07, ry * 0.99, rz * 1.07), HAIR)
        t.blob("head", at(0.10, 0.80, 0.30), (rx * 0.80, ry * 0.32, rz * 0.66), HAIR)
    if hair in ("long", "bob"):
        drop = -1.65 if hair == "long" else -0.75
        t.cone("head", at(0.0, 0.15, -0.35), at(0.0, drop, -0.62), rx * 1.10, rx * 0.86, HAIR, (1.0, 1.0, 1.5))
        for _, sign in SIDES:
            t.cone("head", at(sign * 0.84, 0.25, -0.12), at(sign * 0.98, drop * 0.9, -0.22), 0.030, 0.022, HAIR)
    elif hair == "bun":
        t.blob("head", at(0.0, 0.92, -0.62), (0.048, 0.046, 0.048), HAIR)
    elif hair == "tail":
        t.cone("head", at(0.0, 0.42, -1.10), at(0.0, -0.15, -1.52), 0.030, 0.040, HAIR)
        t.cone("head", at(0.0, -0.15, -1.52), at(0.05, -1.35, -1.30), 0.040, 0.014, HAIR)


def person_parts(figure: Figure, look: Look, first: int, owner: int) -> list[Part]:
    """Parts of one person.

    Args:
        figure: The posed skeleton.
        look: Garments and hair.
        first: Index of the look's first material among the scene's materials.
        owner: Index of the person in the scene.

    Returns:
        About sixty round cones in world coordinates.
    """
    tailor = _Tailor(figure, look, first, owner)
    _trunk(tailor)
    for side, _ in SIDES:
        _arm(tailor, side)
        _leg(tailor, side)
    if look.legs == "skirt":
        _skirt(tailor)
    _head(tailor)
    return tailor.parts
