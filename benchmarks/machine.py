"""Describe the machine of a measurement, and write its file."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import cv2
import torch

from poserep.deploy.latency import processor
from poserep.files import provenance, write_json

RESULTS = Path(__file__).parent / "results"


def record(benchmark: str, device: str, settings: dict[str, Any], measured: dict[str, Any], part: str = "") -> Path:
    """Write benchmarks/results/<benchmark>-<device>.json, or one of several parts of it."""
    name = re.sub("[^a-z0-9]+", "-", f"{device} {part}".lower()).strip("-")
    path = RESULTS / f"{benchmark}-{name}.json"
    path.parent.mkdir(exist_ok=True)
    about = {
        "device": device,
        "processor": processor(),
        "cpu_cores": os.cpu_count(),
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "cuda": torch.version.cuda,
        # Where files lie on this machine is nobody's business.
        "command": " ".join([f"python benchmarks/{benchmark}.py", *(Path(a).name for a in sys.argv[1:])]),
        "settings": settings,
        "provenance": provenance(),
    }
    write_json(path, {**about, **measured})
    return path
