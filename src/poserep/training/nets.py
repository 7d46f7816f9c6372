"""Configuration to network and codec: which head a backbone takes, and whether they work together. Nothing of data."""

import inspect
from typing import Any

import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from poserep.codecs import Codec
from poserep.config import make
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import UNREAD, Head, PoseNet
from poserep.skeleton import Skeleton


def parts(cfg: DictConfig, skeleton: Skeleton) -> tuple[PoseNet, Codec]:
    """Network and codec of a configuration, whether or not the codec can read what the network emits.

    Raises:
        InputError: If backbone, head and size do not fit.
    """
    size = Size.parse(cfg.input_size)
    # Which size a backbone takes is the better reason why a codec cannot have it.
    if step := getattr(get_class(cfg.backbone._target_), "multiple", None):
        _suits(cfg, size, step)
    codec: Codec = make(cfg.representation.codec, size=size, align=cfg.align)
    pixels: Any = OmegaConf.to_container(cfg.data.pixels) if cfg.data.get("pixels") else {}
    backbone = make_backbone(cfg, size, skeleton.num_keypoints, len(pixels["mean"]) if pixels else 3)
    node = head_node(cfg)
    head = make(node, backbone.channels, backbone.strides, skeleton.num_keypoints, codec.x, codec.y)
    net = PoseNet(backbone, head, **pixels, channels_last=cfg.trainer.channels_last)
    # Weights in the images' layout, or every step converts them.
    return net.to(memory_format=torch.channels_last) if cfg.trainer.channels_last else net, codec


def make_backbone(cfg: DictConfig, size: Size, num_keypoints: int, in_channels: int) -> Any:
    """The backbone, given of size, joints and channels what its constructor names."""
    offered = {"size": size, "num_keypoints": num_keypoints, "in_channels": in_channels}
    target = get_class(cfg.backbone._target_)
    named = inspect.signature(target).parameters
    node = cfg.backbone.copy()
    OmegaConf.set_struct(node, False)
    node.pop("heads", None)
    backbone = make(node, **{key: value for key, value in offered.items() if key in named})
    _suits(cfg, size, backbone.multiple)
    return backbone


def _suits(cfg: DictConfig, size: Size, step: int) -> None:
    if size.height % step or size.width % step:
        near = Size(*(max(step, round(n / step) * step) for n in size))
        raise InputError(
            f"input_size={size} does not suit backbone {cfg.backbone._target_.split('.')[-1]}, whose input must be a "
            f"multiple of {step} px on both sides; the nearest is {near}"
        )


def head_node(cfg: DictConfig) -> DictConfig:
    """The representation's head, or what the backbone has in its place: tokens and stacks need heads of their own.

    Raises:
        InputError: If the representation sets options of a head that is replaced, which would mean nothing.
    """
    node = cfg.representation.head
    name = node._target_.split(".")[-1]
    instead = (cfg.backbone.get("heads") or {}).get(name)
    if instead is None:
        return node
    defaults = {key: p.default for key, p in inspect.signature(get_class(node._target_)).parameters.items()}
    own = {key: value for key, value in node.items() if key not in ("_target_", "_partial_")}
    changed = {key: value for key, value in own.items() if key not in defaults or value != defaults[key]}
    if changed:
        backbone = cfg.backbone._target_.split(".")[-1]
        raise InputError(
            f"backbone {backbone} has {instead._target_.split('.')[-1]} in place of {name}, for which "
            f"{', '.join(f'representation.head.{k}={v}' for k, v in changed.items())} means nothing; take a "
            f"representation that leaves {name} as it is, or another backbone"
        )
    return instead


def build_net(cfg: DictConfig, skeleton: Skeleton) -> tuple[PoseNet, Codec]:
    """Network and codec of a configuration.

    Raises:
        InputError: If backbone, head, codec and size do not fit; both names are in the message.
    """
    net, codec = parts(cfg, skeleton)
    head, backbone = net.head, net.backbone
    if head.form == UNREAD:
        raise InputError(
            f"head {type(head).__name__} emits {head.form}: its network can be counted (poserep cost, make "
            "reproduce-cost) and imported, not trained or evaluated"
        )
    if head.form != codec.form:
        raise InputError(
            f"head {type(head).__name__} emits {head.form!r}, but codec {type(codec).__name__} reads {codec.form!r}; "
            "take head and codec from one representation"
        )
    for readout in cfg.readouts or ():
        codec.readout(readout)
    _try(head, codec, features_of(backbone, Size.parse(cfg.input_size), skeleton.num_keypoints), skeleton.flip_perm())
    return net, codec


def features_of(backbone: Any, size: Size, num_keypoints: int) -> list[torch.Tensor]:
    """Zeros of the shapes that a backbone gives for one image."""
    if not backbone.strides:
        return [torch.zeros(1, num_keypoints, channels) for channels in backbone.channels]
    maps = zip(backbone.channels, backbone.strides, strict=True)
    return [torch.zeros(1, c, size.height // s, size.width // s) for c, s in maps]


def _try(head: Head, codec: Codec, features: list[torch.Tensor], perm: torch.Tensor) -> None:
    """One pass through all that training and evaluation do with an output, before any data are read.

    Raises:
        InputError: If head, criterion, flip test or a readout cannot work with the others.
    """
    target, weight = codec.encode(torch.zeros(1, len(perm), 2), torch.ones(1, len(perm)))
    try:
        with torch.no_grad():
            perfect = codec.oracle(target)
            if getattr(head, "sigmoid", False) and (perfect.amin() < 0 or perfect.amax() > 1):
                raise InputError(
                    f"head {type(head).__name__} squeezes its maps into (0, 1), which codec {type(codec).__name__} "
                    "cannot use; set sigmoid=false where the head is named (backbone.heads.Deconv.sigmoid, or "
                    "representation.head.sigmoid if the backbone names none), or take representation=heatmap"
                )
            codec.loss(perfect, target, weight)
            out = head.eval()(features)
            for readout in codec.readouts:
                codec.decode(codec.merge(out, out, perm), readout)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"head {type(head).__name__} and codec {type(codec).__name__} of this representation fail on a trial: "
            f"{type(error).__name__}: {error}; see representation.head, .codec.criterion and .codec.readouts"
        ) from error
    head.train()
