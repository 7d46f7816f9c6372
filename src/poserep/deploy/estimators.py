"""Estimators from crops to points: PyTorch on a run directory or ONNX Runtime on a file, with the same results."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import torch

from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.graph import PoseGraph, restore_graph
from poserep.errors import InputError
from poserep.training.evaluate import configure

Estimate = tuple[np.ndarray, np.ndarray]


class Estimator(Protocol):
    """Predicts points on crops; ``card`` describes the model."""

    card: Card

    def __call__(self, images: np.ndarray) -> Estimate:
        """Return points (B, K, 2) in input px and scores (B, K), float32, on crops (B, C, H, W), uint8 or float32."""


class TorchEstimator:
    """Runs a graph by PyTorch on ``cpu`` or ``cuda``.

    Raises:
        InputError: If there is no such device.
    """

    def __init__(self, graph: PoseGraph, card: Card, device: str = "cpu") -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device cuda is not available to PyTorch here; take --device cpu")
        self.graph, self.card, self.device = graph.to(device), card, device

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> Estimate:
        """See `Estimator`."""
        xy, score = self.graph(torch.from_numpy(images).to(self.device))
        return xy.float().cpu().numpy(), score.float().cpu().numpy()


class OnnxEstimator:
    """Runs a file that `poserep.deploy.export` has written, by ONNX Runtime on ``cpu`` or ``cuda``.

    Raises:
        InputError: If the file is missing, damaged or another model's, or there is no such device.
    """

    def __init__(self, path: Path, device: str = "cpu") -> None:
        if not path.is_file():
            raise InputError(f"model {path} does not exist; export a run with poserep export RUN_DIR")
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
        if provider not in onnxruntime.get_available_providers():
            raise InputError(
                f"--device {device} is not available to ONNX Runtime; install onnxruntime-gpu, or take --device cpu"
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(path, options, [provider])
        except Exception as error:
            # ONNX Runtime's own errors have no common class but this.
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"model {path} cannot be read as ONNX: {reason}; export the run again") from error
        metadata = self.session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise InputError(
                f"model {path} does not say how to crop and what its joints are; give a file that was written by "
                "poserep export"
            )
        self.card = Card.from_json(metadata[METADATA_KEY], path)

    def __call__(self, images: np.ndarray) -> Estimate:
        """See `Estimator`."""
        outputs: Any = self.session.run(["xy", "score"], {"image": images})
        return outputs[0], outputs[1]


def open_model(path: Path, readout: str | None = None, checkpoint: str | None = None, device: str = "cpu") -> Estimator:
    """Open the model of a run directory or an ONNX file.

    Without ``readout`` and ``checkpoint`` these are the run's default readout and last checkpoint, or the file's.

    Raises:
        InputError: If the path is neither, has no such readout or checkpoint, or there is no such device.
    """
    if path.is_dir():
        graph, card = restore_graph(path, configure(path, [f"checkpoint={checkpoint or 'last'}"]), readout)
        return TorchEstimator(graph, card, device)
    if path.suffix != ".onnx":
        raise InputError(f"model {path} is neither a run directory nor a file whose name ends in .onnx")
    model = OnnxEstimator(path, device)
    for name, asked in (("readout", readout), ("checkpoint", checkpoint)):
        exported = getattr(model.card, name)
        if asked not in (None, exported):
            raise InputError(
                f"model {path} was exported with {name} {exported!r} and has no {asked!r}; export the run again with "
                f"{name}={asked}"
            )
    return model
