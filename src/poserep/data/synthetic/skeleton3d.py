"""The drawn person's 3D skeleton: body proportions, joint angles, and forward kinematics from them to joints.

The axes of a bone's frame at rest are x to the person's left, y up, z forward. Limbs point along minus y of their own
frame, so all angles of a straight, hanging limb are zero.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from poserep.data.synthetic.world import Array, Place, Rng, Triple, rot_x, rot_y, rot_z

SIDES = (("left", 1.0), ("right", -1.0))
# Directions that nose, eyes and ears face, in the head's frame.
_FACING = np.array([[0.0, 0.0, 1.0], [0.33, 0.1, 0.94], [-0.33, 0.1, 0.94], [0.995, 0.0, 0.1], [-0.995, 0.0, 0.1]])


class Proportions:
    """The body of an adult or adolescent, drawn at random: lengths in metres.

    ``girth`` and ``muscle`` are factors around 1, ``feminine`` is in [0, 1].
    """

    def __init__(self, rng: Rng) -> None:
        self.feminine = float(np.clip(rng.choice([0.12, 0.88]) + rng.normal(0.0, 0.1), 0.0, 1.0))
        self.stature = float(np.clip(rng.normal(1.79 - 0.12 * self.feminine, 0.06), 1.50, 2.0))
        legs, arms = rng.normal(1.0, 0.02, 2)

        def part(fraction: float) -> float:
            return float(self.stature * fraction * np.clip(rng.normal(1.0, 0.02), 0.94, 1.06))

        size = 0.97 + 0.03 * float(rng.normal())
        self.hip_half = part(0.050 + 0.004 * self.feminine)
        self.shoulder_half = part(0.108 - 0.014 * self.feminine)
        self.lumbar = part(0.052)
        self.waist = part(0.090)
        self.chest = part(0.150)
        self.neck = part(0.052)
        self.upper_arm = part(0.168) * arms
        self.forearm = part(0.148) * arms
        self.thigh = part(0.245) * legs
        self.shin = part(0.240) * legs
        self.ankle = part(0.043)
        self.foot = part(0.112)
        self.head = (0.087 * size, 0.123 * size, 0.102 * size)
        self.girth = float(np.clip(rng.normal(1.0, 0.09), 0.84, 1.28))
        self.muscle = float(np.clip(rng.normal(1.04 - 0.10 * self.feminine, 0.06), 0.85, 1.2))
        # Width of the trunk relative to that of an average person.
        self.width = self.girth * self.stature / 1.75


@dataclass(frozen=True)
class Arm:
    """Shoulder and elbow angles; ``flex`` lifts the arm forwards, ``abduct`` sideways, ``across`` before the chest."""

    flex: float = 0.0
    abduct: float = 8.0
    across: float = 0.0
    twist: float = 0.0
    elbow: float = 12.0


@dataclass(frozen=True)
class Leg:
    """Hip and knee angles; ``toe`` is the downward pitch of the foot against the pelvis."""

    flex: float = 0.0
    abduct: float = 3.0
    twist: float = 6.0
    knee: float = 3.0
    toe: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Joint angles of a whole figure; triples are pitch (forwards), roll and yaw (both to the left).

    ``lift`` is the height of the lowest foot or hand above the floor, metres.
    """

    root: Triple = (0.0, 0.0, 0.0)
    lumbar: Triple = (0.0, 0.0, 0.0)
    chest: Triple = (0.0, 0.0, 0.0)
    neck: Triple = (0.0, 0.0, 0.0)
    arms: tuple[Arm, Arm] = (Arm(), Arm())
    legs: tuple[Leg, Leg] = (Leg(), Leg())
    lift: float = 0.0
    seated: bool = False

    def mirrored(self) -> "Pose":
        """Return the same pose with left and right exchanged."""
        bends = {key: getattr(self, key) for key in ("root", "lumbar", "chest", "neck")}
        flipped: dict[str, Any] = {key: (pitch, -roll, -yaw) for key, (pitch, roll, yaw) in bends.items()}
        return replace(self, **flipped, arms=self.arms[::-1], legs=self.legs[::-1])


def _bend(angles: Triple) -> Array:
    pitch, roll, yaw = angles
    return rot_y(yaw) @ rot_z(-roll) @ rot_x(pitch)


class Figure:
    """A posed body in the world: joints by name, each (3,), and frames of bones, (3, 3) with the axes as columns.

    It is posed by forward kinematics and stands on the floor with its pelvis above ``place``. The heading ``yaw`` is in
    degrees: 0 faces the world's +z (towards the camera), 90 faces +x.
    """

    def __init__(self, body: Proportions, pose: Pose, yaw: float, place: Place = (0.0, 0.0)) -> None:
        self.body, self.pose = body, pose
        self.frames = frames = {"pelvis": rot_y(yaw) @ _bend(pose.root)}
        self.joints = joints = {"pelvis": np.zeros(3)}
        joints["waist"] = joints["pelvis"] + frames["pelvis"][:, 1] * body.lumbar
        frames["waist"] = frames["pelvis"] @ _bend(pose.lumbar)
        joints["chest"] = joints["waist"] + frames["waist"][:, 1] * body.waist
        frames["chest"] = frames["waist"] @ _bend(pose.chest)
        self._add_head(pose.neck)
        for (side, sign), arm, leg in zip(SIDES, pose.arms, pose.legs, strict=True):
            self._add_arm(side, sign, arm)
            self._add_leg(side, sign, leg)
        lowest = min(float(joints[f"{side}_{end}"][1]) for side, _ in SIDES for end in ("heel", "toe", "fingers"))
        shift = np.array([place[0], pose.lift - lowest, place[1]])
        for name in joints:
            joints[name] = joints[name] + shift

    def at(self, joint: str, frame: str, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Array:
        """Return the point (3,) at an offset from a joint, along the axes of a bone."""
        return self.joints[joint] + self.frames[frame] @ np.array([x, y, z])

    def face_normals(self) -> Array:
        """Return the unit directions (5, 3) that nose, eyes and ears face."""
        return _FACING / np.linalg.norm(_FACING, axis=1, keepdims=True) @ self.frames["head"].T

    def _add_arm(self, side: str, sign: float, arm: Arm) -> None:
        body, joints, frames = self.body, self.joints, self.frames
        swing = rot_y(-sign * arm.across) @ rot_z(sign * arm.abduct) @ rot_x(-arm.flex)
        upper = frames["chest"] @ swing @ rot_y(-sign * arm.twist)
        # The collar bone follows a raised arm; without it overhead arms grow out of the neck's side.
        rise = np.clip((0.1 - swing[1, 1]) / 1.1, 0.0, 1.0)
        x, y = sign * body.shoulder_half * (1.0 - 0.10 * rise), body.chest * 0.86 + 0.055 * rise
        fore = upper @ rot_x(-arm.elbow)
        # Resting hands turn their palms to the thigh.
        hand = fore @ rot_y(-sign * 60.0) @ rot_x(-8.0)
        frames[f"{side}_upper_arm"], frames[f"{side}_forearm"], frames[f"{side}_hand"] = upper, fore, hand
        shoulder = self.at("chest", "chest", x, y, -0.005)
        elbow = shoulder - upper[:, 1] * body.upper_arm
        wrist = elbow - fore[:, 1] * body.forearm
        joints[f"{side}_shoulder"], joints[f"{side}_elbow"], joints[f"{side}_wrist"] = shoulder, elbow, wrist
        joints[f"{side}_fingers"] = wrist - hand[:, 1] * 0.098 * body.stature

    def _add_leg(self, side: str, sign: float, leg: Leg) -> None:
        body, joints, frames = self.body, self.joints, self.frames
        thigh = frames["pelvis"] @ rot_z(sign * leg.abduct) @ rot_x(-leg.flex) @ rot_y(sign * leg.twist)
        shin = thigh @ rot_x(leg.knee)
        pitch = float(np.clip(leg.flex - leg.knee + leg.toe, -35.0, 55.0))
        foot = shin @ rot_z(-sign * leg.abduct * 0.8) @ rot_x(pitch)
        frames[f"{side}_thigh"], frames[f"{side}_shin"], frames[f"{side}_foot"] = thigh, shin, foot
        hip = self.at("pelvis", "pelvis", sign * body.hip_half, -0.012 * body.stature)
        knee = hip - thigh[:, 1] * body.thigh
        ankle = knee - shin[:, 1] * body.shin
        sole = ankle - foot[:, 1] * body.ankle
        joints[f"{side}_hip"], joints[f"{side}_knee"], joints[f"{side}_ankle"] = hip, knee, ankle
        joints[f"{side}_heel"] = sole - foot[:, 2] * 0.30 * body.foot
        joints[f"{side}_toe"] = sole + foot[:, 2] * body.foot

    def _add_head(self, neck: Triple) -> None:
        body, joints, frames = self.body, self.joints, self.frames
        lower = frames["chest"] @ rot_x(14.0) @ _bend((neck[0] * 0.5, neck[1] * 0.5, neck[2] * 0.4))
        head = lower @ rot_x(-14.0) @ _bend((neck[0] * 0.5, neck[1] * 0.5, neck[2] * 0.6))
        frames["neck"], frames["head"] = lower, head
        rx, ry, rz = body.head
        joints["neck"] = joints["chest"] + frames["chest"][:, 1] * body.chest
        joints["skull"] = joints["neck"] + lower[:, 1] * body.neck
        joints["head"] = self.at("skull", "head", 0.0, ry * 0.78, rz * 0.22)
        joints["nose"] = self.at("head", "head", 0.0, -0.13 * ry, 1.13 * rz)
        for side, sign in SIDES:
            joints[f"{side}_eye"] = self.at("head", "head", sign * 0.40 * rx, 0.10 * ry, 0.91 * rz)
            joints[f"{side}_ear"] = self.at("head", "head", sign * 1.03 * rx, -0.02 * ry, -0.06 * rz)
        joints["crown"] = self.at("head", "head", 0.0, ry)
