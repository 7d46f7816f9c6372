"""The camera that looks at drawn people: a pinhole whose principal point may lie anywhere."""

from dataclasses import dataclass, replace

import numpy as np

from poserep.data.synthetic.skeleton3d import SIDES, Figure
from poserep.data.synthetic.world import Array, Rng, rot_z


@dataclass(frozen=True)
class PinholeCamera:
    """A camera with axes x right, y down, z forward, and pixels' centres at integers.

    ``rotation`` (3, 3) leads from the world's to the camera's axes, ``position`` (3,) is in metres, all else in pixels:
    focal length, principal point, and size of the image.
    """

    rotation: Array
    position: Array
    focal: float
    cx: float
    cy: float
    width: int
    height: int

    def to_camera(self, points: Array) -> Array:
        """Return world points (N, 3) in the camera's axes."""
        return (points - self.position) @ self.rotation.T

    def project(self, points: Array) -> Array:
        """Return world points (N, 3) as (N, 3) x and y in pixels and depth in metres."""
        local = self.to_camera(points)
        depth = np.maximum(local[:, 2], 1e-3)
        x, y = self.focal * local[:, 0] / depth + self.cx, self.focal * local[:, 1] / depth + self.cy
        return np.stack([x, y, local[:, 2]], axis=1)

    def rays(self, scale: int = 1) -> tuple[Array, Array]:
        """Return the slopes x/z (W*scale,) and y/z (H*scale,) of the rays through centres of (sub)pixels."""
        x, y = ((np.arange(n * scale) + 0.5) / scale - 0.5 for n in (self.width, self.height))
        return (x - self.cx) / self.focal, (y - self.cy) / self.focal


def look_at(position: Array, target: Array, roll: float) -> tuple[Array, Array]:
    """Return rotation and position of a camera that looks at a target, rolled by degrees about its view axis."""
    ahead = (target - position) / np.linalg.norm(target - position)
    right = np.cross(ahead, np.array([0.0, 1.0, 0.0]))
    right /= np.linalg.norm(right)
    return rot_z(roll) @ np.stack([right, np.cross(ahead, right), ahead]), position


def _outline(figure: Figure) -> Array:
    """Return points (N, 3) that span the drawn body about as tightly as its silhouette does."""
    ends = ("elbow", "knee", "fingers", "heel", "toe")
    points = [figure.joints[f"{side}_{end}"] for side, _ in SIDES for end in ends]
    points.append(figure.at("crown", "head", y=0.03))
    for side, sign in SIDES:
        points.append(figure.at(f"{side}_shoulder", "chest", 0.05 * sign))
        points.append(figure.at("head", "head", 0.10 * sign))
        points.append(figure.at("pelvis", "pelvis", 0.18 * sign))
    return np.stack(points)


def portrait_camera(rng: Rng, figure: Figure, width: int, height: int, person: float) -> PinholeCamera:
    """Return a camera that frames one figure about ``person`` pixels tall, nearly always complete."""
    distance, rise = rng.uniform(3.6, 7.5), rng.uniform(-3.0, 16.0)
    above = float(np.clip(0.9 + distance * np.sin(np.radians(rise)), 0.5, 4.0))
    position = np.array([rng.normal(0.0, 0.25), above, distance])
    view = look_at(position, np.array([0.0, 0.9, 0.0]), float(rng.normal(0.0, 2.0)))
    unit = PinholeCamera(*view, 1.0, 0.0, 0.0, width, height)
    points = unit.project(_outline(figure))[:, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    focal = float(min(person / max(high[1] - low[1], 1e-3), 0.92 * width / max(high[0] - low[0], 1e-3)))
    focal = min(focal, person / 0.75 * distance)
    spare = np.array([width, height]) - (high - low) * focal
    # A small share of the frames cuts a foot or a hand off, as photographs do.
    margin = (-0.03 if rng.random() < 0.12 else 0.02) * width
    share = np.clip(0.5 + rng.normal(0.0, 0.2, 2), 0.0, 1.0)
    cx, cy = margin + share * np.maximum(spare - 2 * margin, 0.0) - low * focal
    return replace(unit, focal=focal, cx=float(cx), cy=float(cy))


def street_camera(rng: Rng, width: int, height: int) -> PinholeCamera:
    """Return a camera about at eye height that looks into a crowd along -z from z = 0."""
    view = np.radians(rng.uniform(38.0, 66.0))
    focal = 0.5 * width / np.tan(view / 2)
    eye = float(np.clip(rng.normal(1.6, 0.45), 0.7, 3.2))
    far = rng.uniform(4.0, 8.0)
    target = np.array([0.0, rng.uniform(0.75, 1.15), -far])
    rotation, position = look_at(np.array([0.0, eye, 0.0]), target, float(rng.normal(0.0, 2.5)))
    return PinholeCamera(rotation, position, float(focal), (width - 1) / 2, (height - 1) / 2, width, height)
