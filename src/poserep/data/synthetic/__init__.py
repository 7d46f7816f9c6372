"""An embedded data set: articulated people drawn from scratch, labelled exactly, stored as COCO keypoints."""

from poserep.data.synthetic.write import generate

__all__ = ["generate"]
