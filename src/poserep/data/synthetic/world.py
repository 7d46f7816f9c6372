"""Types and rotations of the drawn world: lengths in metres, angles in degrees, the floor at y = 0 with y upwards."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rng = np.random.Generator
Triple = tuple[float, float, float]
Place = tuple[float, float]  # x and z on the floor


def _turn(first: int, second: int, degrees: float) -> Array:
    rotation, angle = np.eye(3), np.radians(degrees)
    rotation[[first, second], [first, second]] = np.cos(angle)
    rotation[first, second], rotation[second, first] = -np.sin(angle), np.sin(angle)
    return rotation


# Rotations (3, 3) by degrees about x, from y towards z; about y, from z towards x; about z, from x towards y.
rot_x, rot_y, rot_z = partial(_turn, 1, 2), partial(_turn, 2, 0), partial(_turn, 0, 1)
