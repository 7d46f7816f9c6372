"""The drawn person's body and garments: surfaces around the posed skeleton, cut as the look says."""

from functools import partial

import numpy as np

from poserep.data.synthetic.clothes import BOTTOM, FACE, HAIR, SHIRT, SHOE, SKIN, TRIM, Look
from poserep.data.synthetic.raycast import Surface
from poserep.data.synthetic.skeleton3d import SIDES, Figure
from poserep.data.synthetic.world import Array, Triple

_ROUND: Triple = (1.0, 1.0, 1.0)
# From a foot's axes to a shoe's, whose y runs from the toe to the heel.
_SHOE_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])


class _Tailor:
    """Collects the surfaces of one figure; ``first`` is the index of its first material in the scene."""

    def __init__(self, figure: Figure, look: Look, first: int, owner: int) -> None:
        self.figure, self.look, self.first, self.owner = figure, look, first, owner
        self.surfaces: list[Surface] = []

    def cone(
        self,
        frame: str,
        a: Array,
        b: Array,
        ra: float,
        rb: float,
        material: int,
        scale: Triple = _ROUND,
        hem: bool = False,
    ) -> None:
        """Add a round cone along a bone; at a hem it is open in place of ending in a cap."""
        axes, index = self.figure.frames[frame], self.first + material
        # One texture space for the whole top, or checks would start afresh at every seam.
        seamless = frame in ("pelvis", "waist", "chest")
        origin = (a - self.figure.joints["chest"]) @ axes if seamless else np.zeros(3)
        head = frame == "head"
        self.surfaces.append(Surface(a, b, axes, ra, rb, index, self.owner, scale, hem, origin, head))

    def blob(self, frame: str, centre: Array, radii: Triple, material: int) -> None:
        """Add an ellipsoid with radii along a bone's axes."""
        axes, index = self.figure.frames[frame], self.first + material
        scale = (1.0 / radii[0], 1.0 / radii[1], 1.0 / radii[2])
        head = frame == "head"
        self.surfaces.append(Surface(centre, centre, axes, 1.0, 1.0, index, self.owner, scale, head=head))


def _trunk(t: _Tailor) -> None:
    body, look, at = t.figure.body, t.look, t.figure.at
    w, fem = body.width, body.feminine
    depth = 1.42 / (0.4 + 0.6 * body.girth)
    hip, waist = (0.150 + 0.010 * fem) * w, (0.136 - 0.022 * fem) * w
    ribs, top = (0.152 - 0.018 * fem) * w, (0.150 - 0.020 * fem) * w
    middle, on_chest = (waist + ribs) / 2, partial(at, "chest", "chest")
    low, flat, deep = (1.0, 1.9, depth * 0.95), (1.0, 1.0, depth * 0.95), (1.0, 1.9, depth)
    t.cone("pelvis", at("pelvis", "pelvis", y=-0.030), at("waist", "pelvis", y=-0.02), hip, waist * 1.04, BOTTOM, low)
    belly = at("waist", "waist", y=-0.02)
    t.cone("waist", belly, at("chest", "waist"), waist * 1.02, middle, SHIRT, (1.0, 1.6, depth))
    t.cone("chest", on_chest(), on_chest(y=body.chest * 0.62), middle, top, SHIRT, deep)
    if not look.tucked:
        belt, hem = at("waist", "pelvis", y=0.02), at("pelvis", "pelvis", y=-0.055)
        t.cone("pelvis", belt, hem, waist * 1.05, hip * 1.06, SHIRT, flat, hem=True)
    bust = 0.050 * fem * body.girth
    for side, sign in SIDES:
        shoulder = t.figure.joints[f"{side}_shoulder"]
        girdle = on_chest(sign * 0.045, body.chest * 0.80, -0.008)
        t.cone("chest", girdle, shoulder, 0.066 * w, 0.056 * w * body.muscle, SHIRT)
        t.cone("chest", at("neck", "chest", sign * 0.012, -0.005, -0.012), shoulder, 0.047, 0.046 * w, SHIRT)
        seat = at("pelvis", "pelvis", sign * 0.066 * w, -0.045, -0.040 * w)
        t.blob("pelvis", seat, (0.088 * w, 0.095, 0.078 * w), BOTTOM)
        if fem > 0.5:
            breast = on_chest(sign * 0.058 * w, body.chest * 0.42, 0.056 * w)
            t.cone("chest", breast, breast, 0.066, 0.066, SHIRT, (1.0, 1.0, 0.066 / (0.6 * bust + 0.032)))
    nape, skull, slim = at("neck", "neck", y=-0.02), at("skull", "neck", y=0.02), 1 - 0.12 * fem
    t.cone("neck", nape, skull, 0.060 * slim, 0.052 * slim, SKIN)
    if look.backpack:
        t.blob("chest", on_chest(0.0, body.chest * 0.30, -0.185 * w), (0.135, 0.20, 0.085), TRIM)
        for _, sign in SIDES:
            over = on_chest(sign * 0.085, body.chest * 0.97, 0.02)
            t.cone("chest", over, on_chest(sign * 0.095, body.chest * 0.15, 0.112 * w), 0.028, 0.022, TRIM)


def _arm(t: _Tailor, side: str, sign: float) -> None:
    body, look, joints = t.figure.body, t.look, t.figure.joints
    m = body.muscle * (0.5 + 0.5 * body.girth) * body.stature / 1.75
    shoulder, elbow, wrist = (joints[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper, fore, hand = f"{side}_upper_arm", f"{side}_forearm", f"{side}_hand"
    cloth, loose = (SHIRT, 0.007) if look.sleeve == "long" else (SKIN, 0.0)
    t.cone(upper, shoulder, elbow, 0.050 * m + loose, 0.036 * m + loose, cloth)
    middle = elbow + (wrist - elbow) * 0.30
    t.cone(fore, elbow, middle, 0.036 * m + loose, 0.040 * m + loose, cloth)
    t.cone(fore, middle, wrist - (wrist - elbow) * 0.04, 0.040 * m + loose, 0.026 * m + loose, cloth)
    if look.sleeve != "long":
        end = shoulder + (elbow - shoulder) * (0.55 if look.sleeve == "short" else 0.10)
        t.cone(upper, shoulder, end, 0.057 * m, 0.050 * m + 0.012, SHIRT, hem=True)
    palm = partial(t.figure.at, f"{side}_wrist", hand)
    t.blob(hand, palm(y=-0.040), (0.040 * m, 0.056, 0.021), SKIN)
    t.cone(hand, palm(y=-0.075), palm(-0.004 * sign, -0.135, 0.008), 0.030, 0.019, SKIN, (1.0, 1.0, 1.75))
    t.cone(hand, palm(-0.022 * sign, -0.025, 0.010), palm(-0.046 * sign, -0.075, 0.028), 0.014, 0.011, SKIN)


def _leg(t: _Tailor, side: str, sign: float) -> None:
    body, look, joints = t.figure.body, t.look, t.figure.joints
    m = (0.35 + 0.65 * body.girth) * body.stature / 1.75
    hip, knee, ankle = (joints[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    thigh, shin, foot, shoe = f"{side}_thigh", f"{side}_shin", f"{side}_foot", f"{side}_shoe"
    at_toe, wide = partial(t.figure.at, f"{side}_toe", foot), look.legs == "trousers"
    bare = look.legs in ("shorts", "skirt")
    cloth, loose = SKIN if bare else BOTTOM, 0.010 if wide else 0.0
    t.cone(thigh, hip, knee, (0.084 + 0.006 * body.feminine) * m + loose, 0.054 * m + loose, cloth)
    calf = t.figure.at(f"{side}_knee", shin, 0.004 * sign, -0.29 * body.shin, -0.016)
    t.cone(shin, knee, calf, 0.053 * m + loose, 0.055 * m + loose, cloth)
    t.cone(shin, calf, ankle, 0.055 * m + loose, 0.035 * m + (0.016 if wide else 0.0), cloth, hem=wide)
    if look.legs == "shorts":
        end = hip + (knee - hip) * look.leg_cut
        t.cone(thigh, hip, end, 0.092 * m, (0.092 - 0.030 * look.leg_cut) * m + 0.022, BOTTOM, hem=True)
    t.figure.frames[shoe] = t.figure.frames[foot] @ _SHOE_AXES
    heel = t.figure.at(f"{side}_heel", foot, y=0.036)
    t.cone(shoe, heel, at_toe(0.0, 0.026, -0.045), 0.037, 0.045, SHOE, (1.0, 1.0, 1.35))
    instep = t.figure.at(f"{side}_ankle", foot, 0.0, -0.012, 0.012)
    t.cone(foot, instep, at_toe(0.0, 0.030, -0.075), 0.042, 0.030, SHOE)
    if bare:
        sock = t.figure.at(f"{side}_ankle", shin, y=0.05)
        t.cone(shin, sock, ankle, 0.037 * m + 0.003, 0.036 * m + 0.003, TRIM)


def _skirt(t: _Tailor) -> None:
    joints, w = t.figure.joints, t.figure.body.width
    hips, knees = (np.stack([joints[f"{side}_{name}"] for side, _ in SIDES]) for name in ("hip", "knee"))
    left, right = hips + (knees - hips) * (0.35 + 0.6 * t.look.leg_cut)
    radius = max(0.19 * w, 0.5 * float(np.linalg.norm(left - right)) + 0.105 * w)
    waist = t.figure.at("waist", "pelvis")
    t.cone("pelvis", waist, (left + right) / 2, 0.128 * w, radius, BOTTOM, (1.0, 1.0, 1.12), hem=True)


def _head(t: _Tailor) -> None:
    rx, ry, rz = t.figure.body.head
    hair = t.look.hair

    def at(x: float, y: float, z: float) -> Array:
        return t.figure.at("head", "head", x * rx, y * ry, z * rz)

    def blob(x: float, y: float, z: float, across: float, up: float, ahead: float, material: int = HAIR) -> None:
        t.blob("head", at(x, y, z), (rx * across, ry * up, rz * ahead), material)

    blob(0.0, 0.0, 0.0, 1.0, 1.0, 1.0, FACE)
    t.cone("head", at(0.0, -0.02, 0.86), at(0.0, -0.16, 1.02), 0.010, 0.0165, SKIN)
    for _, sign in SIDES:
        t.blob("head", at(sign * 0.99, -0.02, -0.06), (0.015, 0.033, 0.023), SKIN)
    if hair == "bald":
        return
    if hair == "cap":
        blob(0.0, 0.44, -0.08, 1.07, 0.68, 1.07, TRIM)
        blob(0.0, 0.56, 0.80, 0.84, 0.075, 0.66, TRIM)
        blob(0.0, -0.08, -0.22, 1.02, 0.70, 0.86)
        return
    if hair == "afro":
        blob(0.0, 0.40, -0.42, 1.38, 1.10, 1.18)
    else:
        blob(0.0, 0.19, -0.21, 1.07, 0.99, 1.07)
        blob(0.10, 0.80, 0.30, 0.80, 0.32, 0.66)
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


def dressed(figure: Figure, look: Look, first: int, owner: int) -> list[Surface]:
    """Return the surfaces of one person, about sixty round cones in the world; adds shoes' frames to the figure.

    ``first`` is the index of the look's first material among the scene's materials, ``owner`` that of the person.
    """
    tailor = _Tailor(figure, look, first, owner)
    _trunk(tailor)
    for side, sign in SIDES:
        _arm(tailor, side, sign)
        _leg(tailor, side, sign)
    if look.legs == "skirt":
        _skirt(tailor)
    _head(tailor)
    return tailor.surfaces
