"""Things that are not people: seats, crates, poles, tables, plants, fences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from poserep.data.synthetic.materials import CLOTHS, TROUSERS, Material, Pattern, pick, rgb
from poserep.data.synthetic.raster import Part
from poserep.data.synthetic.skeleton3d import Array, Figure, rot_x, rot_y

_WOODS = ("8a5f3c", "b58455", "6a4630", "c9a273", "a3764a")
_LEAVES = ("3f6b3a", "57884a", "2f5540", "7c9a4b", "4d7a5c")


@dataclass
class Stage:
    """Parts and materials gathered for one picture."""

    parts: list[Part] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)

    def add(self, *materials: Material) -> int:
        """Register materials and return the index of the first."""
        self.materials.extend(materials)
        return len(self.materials) - len(materials)

    def box(self, base: Array, size: tuple[float, float, float], frame: Array, material: int) -> None:
        """A box whose bottom centre is ``base`` (world, metres) with size along its own x, y and z axes."""
        centre = base + frame[:, 1] * size[1] / 2
        faces = (
            (np.eye(3), size[2], size[0], size[1]),
            (rot_y(180.0), size[2], size[0], size[1]),
            (rot_y(90.0), size[0], size[2], size[1]),
            (rot_y(-90.0), size[0], size[2], size[1]),
            (rot_x(-90.0), size[1], size[0], size[2]),
            (rot_x(90.0), size[1], size[0], size[2]),
        )
        for turn, depth, width, height in faces:
            axes = frame @ turn
            middle = centre + axes[:, 2] * depth / 2
            self.parts.append(Part(middle, middle, axes, 0.0, 0.0, material, half=(width / 2, height / 2)))

    def rod(self, a: Array, b: Array, radius: float, material: int, tip: float | None = None) -> None:
        """A round bar from ``a`` to ``b``, metres; ``tip`` is the radius at ``b`` when it tapers."""
        y = (a - b) / np.linalg.norm(a - b)
        x = np.cross(y, np.array([0.31, 0.2, 0.93]))
        x /= np.linalg.norm(x)
        frame = np.stack([x, y, np.cross(x, y)], axis=1)
        self.parts.append(Part(a, b, frame, radius, radius if tip is None else tip, material))


def _surface(stage: Stage, rng: np.random.Generator) -> int:
    if rng.random() < 0.5:
        color = pick(rng, _WOODS)
        return stage.add(Material(color, color * 0.72, Pattern.PLANKS, float(rng.uniform(5, 10))))
    color = pick(rng, CLOTHS + TROUSERS)
    pattern = Pattern(
        int(rng.choice([Pattern.PLAIN, Pattern.HOOPS, Pattern.CHECKS, Pattern.SPECKLE], p=[0.6, 0.1, 0.1, 0.2]))
    )
    return stage.add(Material(color, color * 0.8, pattern, float(rng.uniform(4, 8))))


def crate(stage: Stage, rng: np.random.Generator, place: Array, yaw: float) -> None:
    """A crate, now and then with a second one on top."""
    frame, size = rot_y(yaw), rng.uniform((0.45, 0.35, 0.4), (1.1, 0.95, 0.8))
    stage.box(place, (float(size[0]), float(size[1]), float(size[2])), frame, _surface(stage, rng))
    if rng.random() < 0.3:
        top = place + np.array([rng.normal(0, 0.05), size[1], 0.0])
        side = float(size[0] * rng.uniform(0.5, 0.8))
        stage.box(top, (side, side * 0.7, side), frame @ rot_y(float(rng.uniform(-25, 25))), _surface(stage, rng))


def table(stage: Stage, rng: np.random.Generator, place: Array, yaw: float) -> None:
    """A table with four legs."""
    frame, wood = rot_y(yaw), _surface(stage, rng)
    w, h, d = rng.uniform((0.8, 0.68, 0.5), (1.6, 0.85, 0.8))
    stage.box(place + np.array([0.0, h - 0.045, 0.0]), (float(w), 0.045, float(d)), frame, wood)
    for x in (-0.46, 0.46):
        for z in (-0.44, 0.44):
            foot = place + frame @ np.array([x * w, 0.0, z * d])
            stage.rod(foot + np.array([0.0, h - 0.03, 0.0]), foot, 0.024, wood)


def pole(stage: Stage, rng: np.random.Generator, place: Array, yaw: float) -> None:
    """A post, a lamp post or a traffic sign."""
    metal = stage.add(
        Material(
            pick(rng, TROUSERS), pick(rng, CLOTHS), Pattern.HOOPS if rng.random() < 0.3 else Pattern.PLAIN, 2.5, 0.25
        )
    )
    top = place + np.array([0.0, rng.uniform(1.3, 3.6), 0.0])
    stage.rod(top, place, float(rng.uniform(0.025, 0.085)), metal)
    if rng.random() < 0.4:
        sign = stage.add(Material(pick(rng, CLOTHS), rgb("f4f1ea"), Pattern.CHECKS, 2.2))
        stage.box(top - np.array([0.0, 0.55, 0.0]), (0.5, 0.5, 0.03), rot_y(yaw * 0.3), sign)


def plant(stage: Stage, rng: np.random.Generator, place: Array, yaw: float) -> None:
    """A pot with broad leaves."""
    height, spread = float(rng.uniform(0.7, 1.5)), float(rng.uniform(0.22, 0.42))
    pot = stage.add(Material(pick(rng, ("b5653f", "e4ded2", "4a4f57", "7b8f86")), rgb("555555"), gloss=0.1))
    green = pick(rng, _LEAVES)
    leaf = stage.add(
        Material(green, green * 0.7, Pattern.GRADIENT, gloss=0.12), Material(green * 0.8, green, Pattern.PLAIN)
    )
    stage.rod(place + np.array([0.0, 0.30, 0.0]), place + np.array([0.0, 0.10, 0.0]), 0.17, pot, 0.12)
    for i in range(15):
        around = yaw + i * 137.5
        up = float(rng.uniform(0.35, 1.0)) * height
        tilt = rot_y(around) @ rot_x(float(rng.uniform(15, 65)))
        centre = place + np.array([0.0, 0.25 + up * 0.6, 0.0]) + tilt[:, 1] * spread * 0.7
        scale = (1 / (0.28 * spread), 1 / (0.75 * spread), 1 / 0.012)
        stage.parts.append(Part(centre, centre, tilt, 1.0, 1.0, leaf + i % 2, scale=scale))
        stage.rod(centre, place + np.array([0.0, 0.25, 0.0]), 0.010, leaf + 1)


def fence(stage: Stage, rng: np.random.Generator, place: Array, yaw: float) -> None:
    """A low fence of upright bars between two rails."""
    frame, metal = rot_y(yaw * 0.35), stage.add(Material(pick(rng, TROUSERS + _WOODS), rgb("888888"), gloss=0.15))
    count, gap, height = int(rng.integers(5, 10)), float(rng.uniform(0.14, 0.24)), float(rng.uniform(0.7, 1.1))
    for i in range(count):
        foot = place + frame @ np.array([(i - count / 2) * gap, 0.0, 0.0])
        stage.rod(foot + np.array([0.0, height, 0.0]), foot, 0.016, metal)
    for level in (0.15, 0.95):
        ends = [place + frame @ np.array([s * count * gap / 2, level * height, 0.0]) for s in (-1.1, 1.0)]
        stage.rod(ends[0], ends[1], 0.022, metal)


def barrel(stage: Stage, rng: np.random.Generator, place: Array, yaw: float) -> None:
    """An upright drum or bin."""
    color, height, radius = pick(rng, CLOTHS + TROUSERS), float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.18, 0.32))
    skin = stage.add(Material(color, color * 0.7, Pattern.HOOPS, float(rng.uniform(2, 5)), 0.2))
    axes = rot_y(yaw)
    squash = (1.0, 5.0, 1.0)
    a, b = place + np.array([0.0, height, 0.0]), place + np.array([0.0, radius / 5.0, 0.0])
    stage.parts.append(Part(a, b, axes, radius, radius * 0.92, skin, scale=squash))


PROPS: tuple[Callable[[Stage, np.random.Generator, Array, float], None], ...] = (
    crate,
    table,
    pole,
    plant,
    fence,
    barrel,
)


def seat(stage: Stage, rng: np.random.Generator, figure: Figure) -> None:
    """A stool, chair or block that fits under a sitting figure."""
    joints, frame = figure.joints, figure.frames["pelvis"]
    ahead = np.array([frame[0, 2], 0.0, frame[2, 2]])
    yaw = float(np.degrees(np.arctan2(ahead[0], ahead[2])))
    top = float(min(joints["left_hip"][1], joints["right_hip"][1])) - 0.088
    base = np.array([joints["pelvis"][0], 0.0, joints["pelvis"][2]]) + ahead * 0.06
    material, axes = _surface(stage, rng), rot_y(yaw)
    if rng.random() < 0.4:
        stage.box(base, (0.46, top, 0.42), axes, material)
        return
    stage.box(base + np.array([0.0, top - 0.05, 0.0]), (0.46, 0.05, 0.44), axes, material)
    for x in (-0.19, 0.19):
        for z in (-0.18, 0.18):
            foot = base + axes @ np.array([x, 0.0, z])
            stage.rod(foot + np.array([0.0, top - 0.03, 0.0]), foot, 0.019, material)
            if z < 0:
                stage.rod(foot + axes @ np.array([0.0, top + 0.42, -0.08]), foot, 0.017, material)
    stage.box(base + axes @ np.array([0.0, top + 0.22, -0.25]), (0.42, 0.20, 0.03), axes @ rot_x(-8.0), material)
