"""An embedded data set: articulated people drawn from scratch, labelled exactly, stored as COCO keypoints.

Tiny copies of the public data sets' files are drawn from the same people.
"""

from poserep.data.synthetic.coco import generate_coco
from poserep.data.synthetic.crowdpose import generate_crowdpose
from poserep.data.synthetic.human4d import generate_human4d
from poserep.data.synthetic.mpii import generate_mpii
from poserep.data.synthetic.write import generate

__all__ = ["generate", "generate_coco", "generate_crowdpose", "generate_human4d", "generate_mpii"]
