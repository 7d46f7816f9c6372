"""poserep: controlled, repeatable comparison of keypoint coordinate representations."""

__version__ = "0.1.0"
