"""A pinhole camera with its principal point anywhere, so that a crop of a larger picture is just another camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from poserep.data.synthetic.skeleton3d import Array, Figure, rot_z


@dataclass(frozen=True)
class Camera:
    """Pinhole camera; camera axes are x right, y down, z forward, pixel centres lie at integers.

    Attributes:
        rotation: World to camera rotation, shape (3, 3).
        position: Camera centre in the world, shape (3,), metres.
        focal: Focal length in pixels.
        cx: Principal point x, pixels.
        cy: Principal point y, pixels.
        width: Image width, pixels.
        height: Image height, pixels.
    """

    rotation: Array
    position: Array
    focal: float
    cx: float
    cy: float
    width: int
    height: int

    def to_camera(self, points: Array) -> Array:
        """World points (N, 3) in metres to camera coordinates (N, 3)."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: Array) -> Array:
        """World points (N, 3) to rows of (x pixel, y pixel, depth in metres), shape (N, 3)."""
        local = self.to_camera(points)
        depth = np.maximum(local[:, 2], 1e-3)
        x = self.focal * local[:, 0] / depth + self.cx
        y = self.focal * local[:, 1] / depth + self.cy
        return np.stack([x, y, local[:, 2]], axis=1)

    def rays(self, scale: int = 1) -> tuple[Array, Array]:
        """Slopes x/z (W*scale,) and y/z (H*scale,) of the rays through (sub)pixel centres."""
        x = (np.arange(self.width * scale) + 0.5) / scale - 0.5
        y = (np.arange(self.height * scale) + 0.5) / scale - 0.5
        return (x - self.cx) / self.focal, (y - self.cy) / self.focal


def look_at(position: Array, target: Array, roll: float) -> tuple[Array, Array]:
    """Rotation (3, 3) and position (3,) of a camera that looks at a target; roll in degrees about the view axis."""
    ahead = (target - position) / np.linalg.norm(target - position)
    right = np.cross(ahead, np.array([0.0, 1.0, 0.0]))
    right /= np.linalg.norm(right)
    return rot_z(roll) @ np.stack([right, np.cross(ahead, right), ahead]), position


def outline_points(figure: Figure) -> Array:
    """Points (N, 3) that span the drawn body about as tightly as its silhouette does, metres."""
    joints = figure.joints
    names = [f"{side}_{end}" for side in ("left", "right") for end in ("elbow", "knee", "fingers", "heel", "toe")]
    points = [joints[name] for name in names] + [joints["crown"] + figure.frames["head"][:, 1] * 0.03]
    for side, sign in (("left", 1.0), ("right", -1.0)):
        points.append(joints[f"{side}_shoulder"] + figure.frames["chest"][:, 0] * 0.05 * sign)
        points.append(joints["head"] + figure.frames["head"][:, 0] * 0.10 * sign)
        points.append(joints["pelvis"] + figure.frames["pelvis"][:, 0] * 0.18 * sign)
    return np.stack(points)


def portrait_camera(rng: np.random.Generator, figure: Figure, width: int, height: int, person: float) -> Camera:
    """A camera that frames one figure about ``person`` pixels tall, nearly always complete."""
    distance, rise = rng.uniform(3.6, 7.5), rng.uniform(-3.0, 16.0)
    target = np.array([0.0, 0.9, 0.0])
    height_above = float(np.clip(0.9 + distance * np.sin(np.radians(rise)), 0.5, 4.0))
    side = rng.normal(0.0, 0.25)
    rotation, position = look_at(np.array([side, height_above, distance]), target, float(rng.normal(0.0, 2.0)))
    unit = Camera(rotation, position, 1.0, 0.0, 0.0, width, height)
    points = unit.project(outline_points(figure))[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    focal = float(min(person / max(high[1] - low[1], 1e-3), 0.92 * width / max(high[0] - low[0], 1e-3)))
    focal = min(focal, person / 0.75 * distance)
    spare = np.array([width, height]) - (high - low) * focal
    # A small share of the frames cuts a foot or a hand off, as photographs do.
    margin = -0.03 if rng.random() < 0.12 else 0.02
    share = np.clip(0.5 + rng.normal(0.0, 0.2, 2), 0.0, 1.0)
    corner = margin * width + share * np.maximum(spare - 2 * margin * width, 0.0)
    cx, cy = corner - low * focal
    return replace(unit, focal=focal, cx=float(cx), cy=float(cy))


def street_camera(rng: np.random.Generator, width: int, height: int) -> Camera:
    """A camera at eye height or somewhat above that looks into a crowd along -z from z = 0."""
    view = np.radians(rng.uniform(38.0, 66.0))
    focal = 0.5 * width / np.tan(view / 2)
    eye = float(np.clip(rng.normal(1.6, 0.45), 0.7, 3.2))
    far = rng.uniform(4.0, 8.0)
    target = np.array([0.0, rng.uniform(0.75, 1.15), -far])
    rotation, position = look_at(np.array([0.0, eye, 0.0]), target, float(rng.normal(0.0, 2.5)))
    return Camera(rotation, position, float(focal), (width - 1) / 2, (height - 1) / 2, width, height)
