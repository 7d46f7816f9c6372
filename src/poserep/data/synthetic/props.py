"""Things among the drawn people: seats, crates, tables, poles, plants, fences, barrels."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from poserep.data.synthetic.raycast import Surface
from poserep.data.synthetic.skeleton3d import Figure
from poserep.data.synthetic.textures import CLOTHS, TROUSERS, Material, pick, rgb
from poserep.data.synthetic.world import Array, Rng, Triple, rot_x, rot_y

_WOODS = ("8a5f3c", "b58455", "6a4630", "c9a273", "a3764a")
_LEAVES = ("3f6b3a", "57884a", "2f5540", "7c9a4b", "4d7a5c")
_POTS = ("b5653f", "e4ded2", "4a4f57", "7b8f86")
# A box's faces: the turn of its axes to the face's, and which of its sides are depth, width and height.
_FACES = (
    (np.eye(3), 2, 0, 1), (rot_y(180.0), 2, 0, 1), (rot_y(90.0), 0, 2, 1), (rot_y(-90.0), 0, 2, 1),
    (rot_x(-90.0), 1, 0, 2), (rot_x(90.0), 1, 0, 2),
)  # fmt: skip


def _up(height: float) -> Array:
    return np.array([0.0, height, 0.0])


@dataclass
class Stage:
    """The surfaces and materials of one picture."""

    surfaces: list[Surface] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)

    def add(self, *materials: Material) -> int:
        """Add materials and return the index of the first."""
        self.materials.extend(materials)
        return len(self.materials) - len(materials)

    def box(self, base: Array, size: Triple, frame: Array, material: int) -> None:
        """Add a box whose bottom centre is ``base``, with ``size`` along its own x, y and z axes; metres."""
        centre = base + frame[:, 1] * size[1] / 2
        for turn, depth, width, height in _FACES:
            axes = frame @ turn
            middle = centre + axes[:, 2] * size[depth] / 2
            half = (size[width] / 2, size[height] / 2)
            self.surfaces.append(Surface(middle, middle, axes, 0.0, 0.0, material, half=half))

    def rod(self, a: Array, b: Array, radius: float, material: int, tip: float | None = None) -> None:
        """Add a round bar from ``a`` to ``b``, metres; ``tip`` is the radius at ``b`` when it tapers."""
        y = (a - b) / np.linalg.norm(a - b)
        x = np.cross(y, np.array([0.31, 0.2, 0.93]))
        x /= np.linalg.norm(x)
        frame = np.stack([x, y, np.cross(x, y)], axis=1)
        self.surfaces.append(Surface(a, b, frame, radius, radius if tip is None else tip, material))


def _material(stage: Stage, rng: Rng) -> int:
    if rng.random() < 0.5:
        color = pick(rng, _WOODS)
        return stage.add(Material(color, color * 0.72, "planks", float(rng.uniform(5, 10))))
    color = pick(rng, CLOTHS + TROUSERS)
    pattern = str(rng.choice(["plain", "hoops", "checks", "speckle"], p=[0.6, 0.1, 0.1, 0.2]))
    return stage.add(Material(color, color * 0.8, pattern, float(rng.uniform(4, 8))))


def _crate(stage: Stage, rng: Rng, place: Array, yaw: float) -> None:
    frame, size = rot_y(yaw), rng.uniform((0.45, 0.35, 0.4), (1.1, 0.95, 0.8))
    stage.box(place, (float(size[0]), float(size[1]), float(size[2])), frame, _material(stage, rng))
    if rng.random() < 0.3:
        top = place + np.array([rng.normal(0, 0.05), size[1], 0.0])
        side = float(size[0] * rng.uniform(0.5, 0.8))
        turn = rot_y(float(rng.uniform(-25, 25)))
        stage.box(top, (side, side * 0.7, side), frame @ turn, _material(stage, rng))


def _desk(stage: Stage, rng: Rng, place: Array, yaw: float) -> None:
    frame, wood = rot_y(yaw), _material(stage, rng)
    w, h, d = rng.uniform((0.8, 0.68, 0.5), (1.6, 0.85, 0.8)).tolist()
    stage.box(place + _up(h - 0.045), (w, 0.045, d), frame, wood)
    for x in (-0.46, 0.46):
        for z in (-0.44, 0.44):
            foot = place + frame @ np.array([x * w, 0.0, z * d])
            stage.rod(foot + _up(h - 0.03), foot, 0.024, wood)


def _pole(stage: Stage, rng: Rng, place: Array, yaw: float) -> None:
    colors = pick(rng, TROUSERS), pick(rng, CLOTHS)
    metal = stage.add(Material(*colors, "hoops" if rng.random() < 0.3 else "plain", 2.5, 0.25))
    top = place + _up(rng.uniform(1.3, 3.6))
    stage.rod(top, place, float(rng.uniform(0.025, 0.085)), metal)
    if rng.random() < 0.4:
        sign = stage.add(Material(pick(rng, CLOTHS), rgb("f4f1ea"), "checks", 2.2))
        stage.box(top - _up(0.55), (0.5, 0.5, 0.03), rot_y(yaw * 0.3), sign)


def _plant(stage: Stage, rng: Rng, place: Array, yaw: float) -> None:
    height, spread = rng.uniform((0.7, 0.22), (1.5, 0.42)).tolist()
    pot = stage.add(Material(pick(rng, _POTS), rgb("555555"), gloss=0.1))
    green = pick(rng, _LEAVES)
    leaf = stage.add(Material(green, green * 0.7, "gradient", gloss=0.12), Material(green * 0.8, green))
    stage.rod(place + _up(0.30), place + _up(0.10), 0.17, pot, 0.12)
    scale = (1 / (0.28 * spread), 1 / (0.75 * spread), 1 / 0.012)
    for i in range(15):
        up = float(rng.uniform(0.35, 1.0)) * height
        tilt = rot_y(yaw + i * 137.5) @ rot_x(float(rng.uniform(15, 65)))
        centre = place + _up(0.25 + up * 0.6) + tilt[:, 1] * spread * 0.7
        stage.surfaces.append(Surface(centre, centre, tilt, 1.0, 1.0, leaf + i % 2, scale=scale))
        stage.rod(centre, place + _up(0.25), 0.010, leaf + 1)


def _fence(stage: Stage, rng: Rng, place: Array, yaw: float) -> None:
    frame, metal = rot_y(yaw * 0.35), stage.add(Material(pick(rng, TROUSERS + _WOODS), rgb("888888"), gloss=0.15))
    count, gap, height = int(rng.integers(5, 10)), float(rng.uniform(0.14, 0.24)), float(rng.uniform(0.7, 1.1))
    for i in range(count):
        foot = place + frame @ np.array([(i - count / 2) * gap, 0.0, 0.0])
        stage.rod(foot + _up(height), foot, 0.016, metal)
    for level in (0.15, 0.95):
        a, b = (place + frame @ np.array([s * count * gap / 2, level * height, 0.0]) for s in (-1.1, 1.0))
        stage.rod(a, b, 0.022, metal)


def _barrel(stage: Stage, rng: Rng, place: Array, yaw: float) -> None:
    color, height, radius = pick(rng, CLOTHS + TROUSERS), float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.18, 0.32))
    skin = stage.add(Material(color, color * 0.7, "hoops", float(rng.uniform(2, 5)), 0.2))
    a, b = place + _up(height), place + _up(radius / 5.0)
    stage.surfaces.append(Surface(a, b, rot_y(yaw), radius, radius * 0.92, skin, scale=(1.0, 5.0, 1.0)))


PROPS: tuple[Callable[[Stage, Rng, Array, float], None], ...] = (_crate, _desk, _pole, _plant, _fence, _barrel)


def seat(stage: Stage, rng: Rng, figure: Figure) -> None:
    """Add a block or a chair that fits under a sitting figure."""
    joints, frame = figure.joints, figure.frames["pelvis"]
    ahead = np.array([frame[0, 2], 0.0, frame[2, 2]])
    yaw = float(np.degrees(np.arctan2(ahead[0], ahead[2])))
    top = float(min(joints["left_hip"][1], joints["right_hip"][1])) - 0.088
    base = np.array([joints["pelvis"][0], 0.0, joints["pelvis"][2]]) + ahead * 0.06
    material, axes = _material(stage, rng), rot_y(yaw)
    if rng.random() < 0.4:
        stage.box(base, (0.46, top, 0.42), axes, material)
        return
    stage.box(base + _up(top - 0.05), (0.46, 0.05, 0.44), axes, material)
    for x in (-0.19, 0.19):
        for z in (-0.18, 0.18):
            foot = base + axes @ np.array([x, 0.0, z])
            stage.rod(foot + _up(top - 0.03), foot, 0.019, material)
            if z < 0:
                stage.rod(foot + axes @ np.array([0.0, top + 0.42, -0.08]), foot, 0.017, material)
    stage.box(base + axes @ np.array([0.0, top + 0.22, -0.25]), (0.42, 0.20, 0.03), axes @ rot_x(-8.0), material)
