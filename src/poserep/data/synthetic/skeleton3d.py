"""The articulated figure: body proportions, joint angles and forward kinematics.

Axes of every local frame at rest: x to the person's left, y up, z forward. Lengths are metres, angles degrees.
Limb bones point along minus y of their own frame, so a straight, hanging limb has every angle at zero.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

KEYPOINT_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
SIDES = (("left", 1.0), ("right", -1.0))


def rot_x(degrees: float) -> Array:
    """Rotation about x; shape (3, 3). Positive turns y towards z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def rot_y(degrees: float) -> Array:
    """Rotation about y; shape (3, 3). Positive turns z towards x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def rot_z(degrees: float) -> Array:
    """Rotation about z; shape (3, 3). Positive turns x towards y."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class Proportions:
    """Lengths and girths of one body, in metres (girth and build are factors around one)."""

    stature: float
    feminine: float
    hip_half: float
    shoulder_half: float
    lumbar: float
    waist: float
    chest: float
    neck: float
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    ankle: float
    foot: float
    head: tuple[float, float, float]
    girth: float
    muscle: float


def sample_proportions(rng: np.random.Generator) -> Proportions:
    """Draw one adult or adolescent body; ``feminine`` runs from 0 to 1 and shifts hips, shoulders and stature."""
    feminine = float(np.clip(rng.choice([0.12, 0.88]) + rng.normal(0.0, 0.1), 0.0, 1.0))
    stature = float(np.clip(rng.normal(1.79 - 0.12 * feminine, 0.06), 1.50, 2.0))
    legs, arms = rng.normal(1.0, 0.02, 2)

    def part(fraction: float, spread: float = 0.02) -> float:
        return float(stature * fraction * np.clip(rng.normal(1.0, spread), 0.94, 1.06))

    size = 0.97 + 0.03 * float(rng.normal())
    return Proportions(
        stature=stature,
        feminine=feminine,
        hip_half=part(0.050 + 0.004 * feminine),
        shoulder_half=part(0.108 - 0.014 * feminine),
        lumbar=part(0.052),
        waist=part(0.090),
        chest=part(0.150),
        neck=part(0.052),
        upper_arm=part(0.168) * arms,
        forearm=part(0.148) * arms,
        thigh=part(0.245) * legs,
        shin=part(0.240) * legs,
        ankle=part(0.043),
        foot=part(0.112),
        head=(0.087 * size, 0.123 * size, 0.102 * size),
        girth=float(np.clip(rng.normal(1.0, 0.09), 0.84, 1.28)),
        muscle=float(np.clip(rng.normal(1.04 - 0.10 * feminine, 0.06), 0.85, 1.2)),
    )


@dataclass(frozen=True)
class Arm:
    """Shoulder and elbow angles: flexion is forward, abduction sideways, across turns in front of the chest."""

    flex: float = 0.0
    abduct: float = 8.0
    across: float = 0.0
    twist: float = 0.0
    elbow: float = 12.0


@dataclass(frozen=True)
class Leg:
    """Hip and knee angles; ``toe`` is the wanted downward pitch of the foot against the pelvis."""

    flex: float = 0.0
    abduct: float = 3.0
    twist: float = 6.0
    knee: float = 3.0
    toe: float = 0.0


@dataclass(frozen=True)
class Pose:
    """Joint angles of a whole figure; the three-vectors are pitch (forward), roll (to the left), yaw (to the left)."""

    name: str = "stand"
    root: tuple[float, float, float] = (0.0, 0.0, 0.0)
    lumbar: tuple[float, float, float] = (0.0, 0.0, 0.0)
    chest: tuple[float, float, float] = (0.0, 0.0, 0.0)
    neck: tuple[float, float, float] = (0.0, 0.0, 0.0)
    arms: tuple[Arm, Arm] = (Arm(), Arm())
    legs: tuple[Leg, Leg] = (Leg(), Leg())
    lift: float = 0.0
    seated: bool = False

    def mirrored(self) -> Pose:
        """The same pose with left and right exchanged."""

        def flip(angles: tuple[float, float, float]) -> tuple[float, float, float]:
            return (angles[0], -angles[1], -angles[2])

        return replace(
            self,
            root=flip(self.root),
            lumbar=flip(self.lumbar),
            chest=flip(self.chest),
            neck=flip(self.neck),
            arms=(self.arms[1], self.arms[0]),
            legs=(self.legs[1], self.legs[0]),
        )


@dataclass
class Figure:
    """A posed body in the world: named joints (each (3,), metres) and bone frames (each (3, 3), columns are axes)."""

    body: Proportions
    pose: Pose
    joints: dict[str, Array] = field(default_factory=dict)
    frames: dict[str, Array] = field(default_factory=dict)

    def keypoints(self) -> Array:
        """COCO keypoints in world coordinates, shape (17, 3), metres."""
        return np.stack([self.joints[name] for name in KEYPOINT_NAMES])

    def face_normals(self) -> Array:
        """Outward directions of nose, eyes and ears, shape (5, 3), unit length."""
        head = self.frames["head"]
        local = np.array(
            [[0.0, 0.0, 1.0], [0.33, 0.1, 0.94], [-0.33, 0.1, 0.94], [0.995, 0.0, 0.1], [-0.995, 0.0, 0.1]]
        )
        return local / np.linalg.norm(local, axis=1, keepdims=True) @ head.T


def _trunk(angles: tuple[float, float, float]) -> Array:
    return rot_y(angles[2]) @ rot_z(-angles[1]) @ rot_x(angles[0])


def _arm(figure: Figure, side: str, sign: float, arm: Arm) -> None:
    body, joints, frames = figure.body, figure.joints, figure.frames
    chest = frames["chest"]
    swing = rot_y(-sign * arm.across) @ rot_z(sign * arm.abduct) @ rot_x(-arm.flex)
    upper = chest @ swing @ rot_y(-sign * arm.twist)
    # The collar bone follows a raised arm; without it overhead arms grow out of the neck's side.
    rise = np.clip((0.1 - swing[1, 1]) / 1.1, 0.0, 1.0)
    offset = np.array([sign * body.shoulder_half * (1.0 - 0.10 * rise), body.chest * 0.86 + 0.055 * rise, -0.005])
    joints[f"{side}_shoulder"] = joints["chest"] + chest @ offset
    fore = upper @ rot_x(-arm.elbow)
    joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] - upper[:, 1] * body.upper_arm
    joints[f"{side}_wrist"] = joints[f"{side}_elbow"] - fore[:, 1] * body.forearm
    frames[f"{side}_upper_arm"], frames[f"{side}_forearm"] = upper, fore
    # Resting hands turn their palms to the thigh.
    frames[f"{side}_hand"] = fore @ rot_y(-sign * 60.0) @ rot_x(-8.0)
    joints[f"{side}_fingers"] = joints[f"{side}_wrist"] - frames[f"{side}_hand"][:, 1] * 0.098 * body.stature


def _leg(figure: Figure, side: str, sign: float, leg: Leg) -> None:
    body, joints, frames = figure.body, figure.joints, figure.frames
    pelvis = frames["pelvis"]
    thigh = pelvis @ rot_z(sign * leg.abduct) @ rot_x(-leg.flex) @ rot_y(sign * leg.twist)
    shin = thigh @ rot_x(leg.knee)
    joints[f"{side}_hip"] = joints["pelvis"] + pelvis @ np.array([sign * body.hip_half, -0.012 * body.stature, 0.0])
    joints[f"{side}_knee"] = joints[f"{side}_hip"] - thigh[:, 1] * body.thigh
    joints[f"{side}_ankle"] = joints[f"{side}_knee"] - shin[:, 1] * body.shin
    ankle = float(np.clip(leg.flex - leg.knee + leg.toe, -35.0, 55.0))
    foot = shin @ rot_z(-sign * leg.abduct * 0.8) @ rot_x(ankle)
    frames[f"{side}_thigh"], frames[f"{side}_shin"], frames[f"{side}_foot"] = thigh, shin, foot
    sole = joints[f"{side}_ankle"] - foot[:, 1] * body.ankle
    joints[f"{side}_heel"] = sole - foot[:, 2] * 0.30 * body.foot
    joints[f"{side}_toe"] = sole + foot[:, 2] * body.foot


def _head(figure: Figure, neck: tuple[float, float, float]) -> None:
    body, joints, frames = figure.body, figure.joints, figure.frames
    lower = frames["chest"] @ rot_x(14.0) @ _trunk((neck[0] * 0.5, neck[1] * 0.5, neck[2] * 0.4))
    head = lower @ rot_x(-14.0) @ _trunk((neck[0] * 0.5, neck[1] * 0.5, neck[2] * 0.6))
    rx, ry, rz = body.head
    joints["neck"] = joints["chest"] + frames["chest"][:, 1] * body.chest
    joints["skull"] = joints["neck"] + lower[:, 1] * body.neck
    joints["head"] = joints["skull"] + head @ np.array([0.0, ry * 0.78, rz * 0.22])
    frames["neck"], frames["head"] = lower, head
    local = {
        "nose": (0.0, -0.13 * ry, 1.13 * rz),
        "left_eye": (0.40 * rx, 0.10 * ry, 0.91 * rz),
        "right_eye": (-0.40 * rx, 0.10 * ry, 0.91 * rz),
        "left_ear": (1.03 * rx, -0.02 * ry, -0.06 * rz),
        "right_ear": (-1.03 * rx, -0.02 * ry, -0.06 * rz),
        "crown": (0.0, ry, 0.0),
    }
    for name, offset in local.items():
        joints[name] = joints["head"] + head @ np.array(offset)


def forward(body: Proportions, pose: Pose, yaw: float, place: tuple[float, float] = (0.0, 0.0)) -> Figure:
    """Pose a body and stand it on the ground plane y = 0.

    Args:
        body: Proportions in metres.
        pose: Joint angles in degrees.
        yaw: Heading in degrees; 0 faces the world's +z (towards the camera), 90 faces +x.
        place: World x and z of the pelvis, metres.

    Returns:
        The figure with world joints and bone frames.
    """
    figure = Figure(body, pose)
    joints, frames = figure.joints, figure.frames
    frames["pelvis"] = rot_y(yaw) @ _trunk(pose.root)
    joints["pelvis"] = np.zeros(3)
    joints["waist"] = joints["pelvis"] + frames["pelvis"][:, 1] * body.lumbar
    frames["waist"] = frames["pelvis"] @ _trunk(pose.lumbar)
    joints["chest"] = joints["waist"] + frames["waist"][:, 1] * body.waist
    frames["chest"] = frames["waist"] @ _trunk(pose.chest)
    _head(figure, pose.neck)
    for (side, sign), arm, leg in zip(SIDES, pose.arms, pose.legs, strict=True):
        _arm(figure, side, sign, arm)
        _leg(figure, side, sign, leg)
    lowest = min(float(joints[f"{side}_{end}"][1]) for side, _ in SIDES for end in ("heel", "toe", "fingers"))
    shift = np.array([place[0], pose.lift - lowest, place[1]])
    for name in joints:
        joints[name] = joints[name] + shift
    return figure
