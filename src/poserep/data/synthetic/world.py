"""Types and rotations of the drawn world: lengths in metres, angles in degrees, the floor at y = 0 with y upwards."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Rng = np.random.Generator
Triple = tuple[float, float, float]
Place = tuple[float, float]  # x and z on the floor


def rot_x(degrees: float) -> Array:
    """Return the rotation (3, 3) about x; positive angles turn y towards z."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def rot_y(degrees: float) -> Array:
    """Return the rotation (3, 3) about y; positive angles turn z towards x."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def rot_z(degrees: float) -> Array:
    """Return the rotation (3, 3) about z; positive angles turn x towards y."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
