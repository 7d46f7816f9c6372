"""A group of people who fill a small picture: two staggered rows before the camera, somebody or a crowd far behind."""

from dataclasses import dataclass

import numpy as np

from poserep.data.synthetic.camera import PinholeCamera, look_at
from poserep.data.synthetic.world import Place, Rng

# How likely 2, 3, ... 8 people are.
_COUNT = (0.20, 0.19, 0.17, 0.14, 0.12, 0.10, 0.08)
_STATURE = 1.75
# Metres that somebody takes of a row's width, and from row to row.
_ELBOW_ROOM, _ROW = 0.44, 0.7
# How often somebody but the first two stands far behind, and how often a crowd does.
_FAR, _CROWD = 0.12, 0.2


@dataclass(frozen=True)
class Group:
    """Where people stand and the camera that frames them.

    ``places`` are those of 2 to 8 people in no order, ``crowd`` those of a far crowd, often empty; ``depth`` is the
    distance of the furthest, metres.
    """

    camera: PinholeCamera
    places: list[Place]
    crowd: list[Place]
    depth: float

    @classmethod
    def sample(cls, rng: Rng) -> "Group":
        """Draw a group before a camera that looks along -z from z = 0; its outermost people may leave the picture."""
        width, height = (int(v) for v in rng.integers((144, 128), (193, 177)))
        count, distance = 2 + int(rng.choice(len(_COUNT), p=_COUNT)), float(rng.uniform(3.0, 6.0))
        # As tall as the picture allows, or as they fit beside each other.
        tall = min(float(rng.uniform(0.60, 0.95)) * height, _STATURE * width / (_ELBOW_ROOM * count))
        focal = tall * distance / _STATURE
        target = np.array([0.0, _STATURE / 2 + rng.normal(0.0, 0.08), -distance])
        view = look_at(np.array([0.0, rng.uniform(1.2, 2.8), 0.0]), target, float(rng.normal(0.0, 2.0)))
        camera = PinholeCamera(*view, focal, (width - 1) / 2, (height - 1) / 2, width, height)

        # Everybody has a share of the width, in which neighbours keep a distance; the rows prevent that bodies meet.
        shares = (np.arange(count) + 0.5 + rng.uniform(-0.35, 0.35, count)) / count - 0.5
        rows = (np.arange(count) + rng.integers(2)) % 2
        z = distance + _ROW * rows + rng.uniform(-0.2, 0.2, count)
        order = rng.permutation(count)
        z = np.where((order > 1) & (rng.random(count) < _FAR), distance * rng.uniform(4.0, 6.0, count), z)
        x = shares * rng.uniform(0.85, 1.1) * width / focal * z
        places = [(float(x[i]), float(-z[i])) for i in np.argsort(order)]

        crowd: list[Place] = []
        if rng.random() < _CROWD:
            many, away = int(rng.integers(4, 8)), distance * float(rng.uniform(3.5, 5.5))
            middle = float(rng.uniform(-0.4, 0.4)) * width / focal * away
            steps = (np.arange(many) - many / 2) * 0.6 + rng.uniform(-0.15, 0.15, many)
            crowd = [(middle + float(step), -away - float(rng.uniform(0.0, 1.0))) for step in steps]
        return cls(camera, places, crowd, -min(z for _, z in places + crowd))
