"""Pictures of drawn people with exact labels, made from a seed."""

from poserep.data.synthetic.human4d import generate_human4d
from poserep.data.synthetic.write import generate

__all__ = ["generate", "generate_human4d"]
