"""A trained run as one module from bytes to coordinates or maps, and what runs it: PyTorch, or ONNX Runtime."""

from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from poserep.codecs import AssociativeEmbedding, Codec
from poserep.config import DictConfig
from poserep.data.from_config import skeleton_of, takes_scenes
from poserep.deploy.card import METADATA_KEY, Card, decoding_of, reads_of, scene_options
from poserep.errors import InputError, first_line
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.weights.read import read_state
from poserep.runs.rundir import checkpoint_of
from poserep.training.evaluate import configure, load
from poserep.training.learnt_scores import SCORE_HEAD
from poserep.training.module import PoseModule, score_temperature, score_threshold
from poserep.training.network import build_network

Estimate = tuple[Tensor, Tensor]


class InferenceModule(nn.Module):
    """Turns crops into points as in evaluation: what `poserep.training.module.PoseModule` predicts, read in one way.

    ``perm`` (K,) is from `Skeleton.flip_perm`; without ``readout`` the codec's default one is taken.

    Attributes:
        outputs: Names of what `forward` returns.
    """

    outputs = ("xy", "score")

    def __init__(
        self, net: PoseNet, codec: Codec, perm: Tensor, readout: str | None = None, flip_test: bool = False
    ) -> None:
        super().__init__()
        codec.readout(readout)
        self.net, self.codec, self.readout, self.flip_test = net, codec, readout, flip_test
        self.perm = nn.Buffer(perm, persistent=False)

    def forward(self, image: Tensor) -> Estimate:
        """Return points (B, K, 2) in input px and scores (B, K) on images (B, C, H, W), uint8 or float32."""
        return self.read(self.net(image), self.net(self.codec.mirror(image)) if self.flip_test else None)

    def read(self, out: Any, mirrored: Any = None) -> Estimate:
        """Return points and scores of what the head emits for images, and for mirrored images in a flip test."""
        if self.flip_test:
            out = self.codec.merge(out, mirrored, self.perm)
        points = self.codec.decode(out, self.readout)
        return points.xy, points.score


class SceneMapModule(InferenceModule):
    """Turns whole images of any size that the network takes into heatmaps (B, K, h, w) and tags (B, K, h, w, L).

    Those of a flip test are merged: L is 2 then, else 1. People are read from them outside, by ``codec``, as it takes
    Python to group them. A codec other than `AssociativeEmbedding` is an `InputError`.
    """

    outputs = ("maps", "tags")
    codec: AssociativeEmbedding

    def __init__(self, net: PoseNet, codec: Codec, *args: Any) -> None:
        if not isinstance(codec, AssociativeEmbedding):
            raise InputError(
                f"codec {type(codec).__name__} reads whole images in a way of its own; poserep predict and poserep "
                "export take AssociativeEmbedding alone"
            )
        super().__init__(net, codec, *args)

    def read(self, out: Any, mirrored: Any = None) -> Estimate:
        """Return heatmaps and tags of what the head emits for images, and for mirrored images in a flip test."""
        merged = self.codec.merge(out, mirrored, self.perm) if self.flip_test else self.codec.maps_of(out)
        return merged.heat, merged.tags


def restore_inference(run_dir: Path, cfg: DictConfig, readout: str | None = None) -> tuple[InferenceModule, Card]:
    """Return a run as a module, with the weights of the checkpoint that ``cfg.checkpoint`` names, and its card.

    No data are needed. ``cfg`` is the run's configuration from `poserep.training.evaluate.configure`; without
    ``readout`` the run's default one is taken. A checkpoint that is missing or does not fit, an unknown readout, and
    images that are neither photographs nor depth maps raise an `InputError`.
    """
    state = read_state(checkpoint_of(run_dir, cfg.checkpoint))
    if any(key.startswith(SCORE_HEAD) for key in state):
        raise InputError(
            f"checkpoint={cfg.checkpoint} of {run_dir} has learnt scores, which are for evaluation; take another one, "
            "such as checkpoint=last or checkpoint=calibrated"
        )
    cfg = cfg.copy()
    cfg.trainer.channels_last = False
    skeleton = skeleton_of(cfg)
    net, codec = build_network(cfg, skeleton)
    module = PoseModule(net, codec, skeleton.flip_perm(), {}, cfg.readouts)
    load(module, state, f"checkpoint {cfg.checkpoint} of {run_dir}")
    chosen = readout or module.readouts[0]
    kind = SceneMapModule if takes_scenes(cfg) else InferenceModule
    flip_test = cfg.flip_test and codec.uses_flip_test(chosen)
    inference = kind(net, codec, skeleton.flip_perm(), chosen, flip_test).eval().requires_grad_(False)
    crop: dict[str, Any] = {"padding": 1.25, "inclusive": None, "bgr": False, "whole": False}
    crop |= {str(key): value for key, value in (cfg.data.get("crop") or {}).items() if key in crop}
    category = asdict(skeleton)
    card = Card(
        run=run_dir.resolve().name,
        checkpoint=cfg.checkpoint,
        version=version("poserep"),
        data=cfg.data.name,
        representation=cfg.representation.name,
        category={"name": category.pop("name"), "keypoints": category.pop("names"), **category},
        **Size.parse(cfg.input_size)._asdict(),
        channels=net.channels,
        reads=reads_of(cfg.data.get("read")),
        align=cfg.align,
        **crop,
        readout=chosen,
        flip_test=flip_test,
        score=codec.deviations.score,
        temperature=score_temperature(codec),
        score_threshold=score_threshold(codec),
        orientation=cfg.data.get("orientation") or "stored",
        range=tuple(cfg.data.range) if cfg.data.get("range") else None,
        scenes=scene_options(cfg.representation.get("scenes")),
        codec=decoding_of(cfg.representation.codec) if takes_scenes(cfg) else None,
    )
    return inference, card


class Estimator(NamedTuple):
    """A model that can be run, and its card.

    ``estimate`` returns, for images (B, C, H, W), uint8 or float32, what the model's graph gives, on its device: points
    (B, K, 2) in input px and scores (B, K) of crops, or heatmaps and tags of whole images, see `SceneMapModule`, from
    which ``codec`` reads people; it is None where points are in the graph.
    """

    card: Card
    estimate: Callable[[np.ndarray], Estimate]
    codec: AssociativeEmbedding | None = None


def torch_estimator(module: InferenceModule, card: Card, device: str = "cpu") -> Estimator:
    """Run a module by PyTorch on ``cpu`` or ``cuda``; an `InputError` says if there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda is not available to PyTorch here; take --device cpu")
    module.to(device)

    @torch.no_grad()
    def estimate(images: np.ndarray) -> Estimate:
        return module(torch.from_numpy(images).to(device))

    return Estimator(card, estimate, module.codec if isinstance(module, SceneMapModule) else None)


def onnx_estimator(path: Path, device: str = "cpu") -> Estimator:
    """Run a file that `poserep.deploy.export` has written by ONNX Runtime on ``cpu`` or ``cuda``.

    A file that is missing, damaged or another model's, and a device that is not there, raise an `InputError`.
    """
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
        session = onnxruntime.InferenceSession(path, options, [provider])
    except Exception as error:
        # ONNX Runtime's own errors have no common class but this.
        raise InputError(f"model {path} cannot be read as ONNX: {first_line(error)}; export the run again") from error
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise InputError(
            f"model {path} does not say how to crop and what its joints are; give a file that was written by "
            "poserep export"
        )
    card = Card.from_json(metadata[METADATA_KEY], path)

    def estimate(images: np.ndarray) -> Estimate:
        card.check_sides(Size(*images.shape[2:]))
        first, second = session.run(None, {"image": images})
        return torch.from_numpy(first), torch.from_numpy(second)

    return Estimator(card, estimate, card.decoder(path) if card.scenes else None)


def open_model(path: Path, readout: str | None = None, checkpoint: str | None = None, device: str = "cpu") -> Estimator:
    """Open the model of a run directory or an ONNX file.

    Without ``readout`` and ``checkpoint`` these are the run's default readout and last checkpoint, or the file's. An
    `InputError` says which of the arguments is not available.
    """
    if path.is_dir():
        cfg = configure(path, [f"checkpoint={checkpoint or 'last'}"])
        return torch_estimator(*restore_inference(path, cfg, readout), device)
    if path.suffix != ".onnx":
        raise InputError(f"model {path} is neither a run directory nor a file whose name ends in .onnx")
    model = onnx_estimator(path, device)
    for name, asked in (("readout", readout), ("checkpoint", checkpoint)):
        exported = getattr(model.card, name)
        if asked not in (None, exported):
            raise InputError(
                f"model {path} was exported with {name} {exported!r} and has no {asked!r}; export the run again with "
                f"{name}={asked}"
            )
    return model
