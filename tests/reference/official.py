"""Official models by their manifests: POSEREP_MODELS names the folder; it is no part of the project. See README.md."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from poserep.models import PoseNet
from poserep.models.weights.load import destinations, load_official
from reference.weights import image, named_state


def folder() -> Path:
    """Of manifests and parity outputs; skips the test without it."""
    path = os.environ.get("POSEREP_MODELS")
    if not path or not Path(path).is_dir():
        pytest.skip("POSEREP_MODELS names no folder: no manifests of official models")
    return Path(path)


def official_state(name: str, net: PoseNet) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """An official model's state dict, and its parity file. Fixed tables keep the values that ``net`` has for them."""
    v = _parity(name)
    shapes = json.loads((folder() / f"{name}.manifest.json").read_text())
    kept = set(_kept(name))
    made = named_state(
        {key: torch.empty(shape) for key, shape, kind in shapes if key not in kept and kind.startswith("float")},
        float(v["conv_gain"]),
    )
    own = net.state_dict()
    places = destinations(net, [key for key, *_ in shapes])
    for key, shape, _ in shapes:
        if key not in made:
            place = places[key]
            made[key] = own[place] if place else torch.zeros(shape)
            assert list(made[key].shape) == shape, f"{key}: {list(made[key].shape)} is not the official {shape}"
    return {key: made[key] for key, _, _ in shapes}, v


def check_parity(name: str, net: nn.Module, every: bool = False) -> None:
    """Import an official model's weights, every key, and compare the output; ``every`` compares all training outputs.

    Batch norms and dropout stay in evaluation mode.
    """
    assert isinstance(net, PoseNet)
    net.eval()
    state, v = official_state(name, net)
    imported = load_official(net, state, name)
    assert set(imported.mapped) == set(state)
    assert set(imported.missing.values()) <= {"runs in training alone"}, imported.missing
    check_output(name, net, v, every)


def check_output(name: str, net: PoseNet, v: dict[str, Tensor], every: bool = False) -> None:
    """Compare the output of a network that has an official model's weights with the official one's."""
    net.head.training = every
    height, width = (int(n) for n in v["input_hw"])
    with torch.no_grad():
        out = net.head(net.backbone(image(height, width)))
    outs = list(out) if isinstance(out, tuple) else [out]
    assert len(outs) == int(v["n_outputs"])
    for i, ours in enumerate(outs):
        theirs, stride, shape = v[f"out{i}"], int(v[f"out{i}_stride"]), v[f"out{i}_shape"].tolist()
        assert list(ours.shape[1:]) == shape[1:]
        # The first of the two images that the outputs are of.
        kept = theirs.flatten()[: -(-ours.numel() // stride)]
        worst = (ours.flatten()[::stride] - kept).abs().max().item() / theirs.abs().max().item()
        assert worst < 1e-4, f"{name}, output {i}: off by {worst:.2g} of the greatest value"


def _parity(name: str) -> dict[str, Tensor]:
    with np.load(folder() / f"{name}.parity.npz", allow_pickle=False) as found:
        keys = [key for key in found.files if not key.startswith("tap:") and key != "kept_keys"]
        return {key: torch.from_numpy(np.asarray(found[key])) for key in keys}


def _kept(name: str) -> list[str]:
    with np.load(folder() / f"{name}.parity.npz", allow_pickle=False) as found:
        return [str(key) for key in found["kept_keys"]]
