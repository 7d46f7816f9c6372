"""Write a run's weights to be shared: safetensors, the configuration of their network, and a model card."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.utils._pytree import tree_leaves

from poserep.config import DictConfig, OmegaConf, as_dict
from poserep.data.from_config import skeleton_of
from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.inference import restore_inference
from poserep.deploy.model_card import model_card
from poserep.errors import Failed, InputError
from poserep.files import file_hash, replacing, write_json, write_text
from poserep.models import PoseNet
from poserep.models.weights.hub_model import hub_config, hub_state
from poserep.models.weights.load import load_official
from poserep.models.weights.read import read_state
from poserep.training.network import build_network

# Keys of a configuration that say where a run happened; a network does not depend on them.
PRIVATE = ("runs", "study", "table", "logger", "init", "data.root", "data.prepare.root", "backbone.weights")


def export_weights(run_dir: Path, cfg: DictConfig, path: Path, readout: str | None = None, hub: bool = False) -> None:
    """Write the weights of backbone and head to ``path``, and beside it config.yaml and a model card, README.md.

    ``cfg`` is the run's configuration from `poserep.training.evaluate.configure`. With ``hub`` the tensors have the
    names of Hugging Face's Transformers, and config.json lies beside them; the network must then be a ViTPose with one
    of its two decoders. The files are read back, and `Failed` leaves none if the network that they make gives other
    numbers. A folder that has a README.md already is an `InputError`.
    """
    readme = path.with_name("README.md")
    if readme.exists():
        raise InputError(
            f"{readme} exists, and the card of these weights would replace it; give them a folder of their own, as in "
            f"{path.parent / run_dir.resolve().name / path.name}"
        )
    module, card = restore_inference(run_dir, cfg, readout)
    net = module.net
    config = shared_config(cfg, card, hub)
    tensors = hub_state(net) if hub else own_state(net)
    with replacing(path) as partial:
        # The Hub's loader wants to know what made the tensors.
        save_file(tensors, partial, {"format": "pt", METADATA_KEY: card.to_json()})
        if not same_outputs(net, read_back(config, partial), card):
            raise Failed(f"{path}: its network gives other numbers than the run's; it is not written")
    write_text(path.with_name("config.yaml"), OmegaConf.to_yaml(OmegaConf.create(config)))
    if hub:
        write_json(path.with_name("config.json"), hub_config(net, card.skeleton.names))
    write_text(readme, model_card(run_dir, card, as_dict(cfg), net, path, hub))
    kind = "of Hugging Face's Transformers" if hub else "of poserep"
    print(
        f"{path}: {len(tensors)} tensors by the names {kind}, {path.stat().st_size / 1e6:.1f} MB, SHA-256 "
        f"{file_hash(path)}, checkpoint {card.checkpoint}; read back, outputs are the same bit for bit\n"
        f"written: {path.with_name('config.yaml')}{', config.json' if hub else ''}, README.md (it awaits a licence)"
    )


def own_state(net: PoseNet) -> dict[str, torch.Tensor]:
    """Return the tensors of backbone and head by their own names."""
    state = {key: value for key, value in net.state_dict().items() if key.startswith(("backbone.", "head."))}
    return {key: value.contiguous().clone() for key, value in state.items()}


def shared_config(cfg: DictConfig, card: Card, hub: bool) -> dict[str, Any]:
    """Return the configuration of a network without paths; the skeleton stands in it as a whole."""
    config = as_dict(cfg)
    for dotted in PRIVATE:
        *parents, last = dotted.split(".")
        node = config
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    config["data"]["skeleton"] = card.category
    if hub and "class_entry" in config["backbone"]:
        config["backbone"]["class_entry"] = True
    return config


def read_back(config: dict[str, Any], file: Path) -> PoseNet:
    """Build the network of a shared configuration with the weights of a file, as the model card tells."""
    cfg = OmegaConf.create(config)
    net, _ = build_network(cfg, skeleton_of(cfg))
    load_official(net, read_state(file), str(file))
    return net.eval()


@torch.no_grad()
def same_outputs(one: PoseNet, other: PoseNet, card: Card) -> bool:
    """Tell whether two networks give the same numbers, bit for bit, on an image of noise."""
    shape, random = (1, card.channels, *card.size), torch.Generator().manual_seed(0)
    image = torch.rand(shape, generator=random)
    if card.reads == "photographs":
        image = (255 * image).byte()
    pairs = zip(tree_leaves(one(image)), tree_leaves(other(image)), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
