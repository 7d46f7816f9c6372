"""From a configuration to network and codec: which head a backbone takes, and whether they work together."""

import inspect
from pkgutil import resolve_name
from typing import Any

import torch

from poserep.codecs import Codec
from poserep.config import DictConfig, OmegaConf, as_dict, make
from poserep.errors import InputError, first_line
from poserep.geometry import Size
from poserep.models import Head, HeadSpec, PoseNet
from poserep.models.cost import activations
from poserep.skeleton import Skeleton


def build_network(cfg: DictConfig, skeleton: Skeleton) -> tuple[PoseNet, Codec]:
    """Build network and codec of a configuration, and try that they can train and predict together.

    If backbone, head, codec and size do not fit, an `InputError` names both sides.
    """
    net, codec = assemble(cfg, skeleton)
    head = net.head
    if head.form != codec.form:
        raise InputError(
            f"head {type(head).__name__} emits {head.form!r}, but codec {type(codec).__name__} reads {codec.form!r}; "
            "take head and codec from one representation"
        )
    # Names of a representation and of its alignment would not tell what was run.
    if (own := cfg.representation.get("align", cfg.align)) != cfg.align:
        raise InputError(
            f"representation={cfg.representation.name} is defined with align={own}, not align={cfg.align}; leave align "
            f"out, or take its coding without its geometry with representation.align={cfg.align}"
        )
    if scenes := cfg.representation.get("scenes"):
        _check_any_size(cfg, net, Size.parse(cfg.input_size), scenes.get("multiple", 64))
    for readout in cfg.readouts or ():
        codec.readout(readout)
    features = features_of(net.backbone, Size.parse(cfg.input_size), skeleton.num_keypoints)
    _try(head, codec, features, skeleton.flip_perm())
    return net, codec


def assemble(cfg: DictConfig, skeleton: Skeleton) -> tuple[PoseNet, Codec]:
    """Build network and codec of a configuration, whether or not the codec can read what the network emits.

    Files of weights are not needed: `poserep.training.initial_weights` loads them when training starts.
    """
    size = Size.parse(cfg.input_size)
    # That the backbone cannot take a size is the better reason, where the codec cannot either.
    if step := getattr(resolve_name(cfg.backbone._target_), "multiple", None):
        _check_size(cfg, size, step)
    codec: Codec = make(cfg.representation.codec, size=size, align=cfg.align, sigmas=skeleton.sigmas)
    pixels = as_dict(cfg.data.get("pixels"))
    net = PoseNet(*_parts(cfg, codec, skeleton.num_keypoints), **pixels, channels_last=cfg.trainer.channels_last)
    # Weights in the images' layout, or every step converts them.
    return net.to(memory_format=torch.channels_last) if cfg.trainer.channels_last else net, codec


def _parts(cfg: DictConfig, codec: Codec, num_keypoints: int) -> tuple[Any, Head]:
    in_channels = len(cfg.data.pixels.mean) if cfg.data.get("pixels") else 3
    backbone = make_backbone(cfg, Size.parse(cfg.input_size), num_keypoints, in_channels, reads_multiscale(cfg))
    spec = HeadSpec(backbone.channels, backbone.strides, num_keypoints, codec.x, codec.y)
    return backbone, make(head_node(cfg), spec)


def joint_tensors(cfg: DictConfig, net: PoseNet, codec: Codec, num_keypoints: int) -> set[str]:
    """Return the names of the tensors of a configuration's network whose shapes depend on the number of joints."""
    with torch.device("meta"):
        more = PoseNet(*_parts(cfg, codec, num_keypoints + 1)).state_dict()
    return {name for name, value in net.state_dict().items() if name in more and more[name].shape != value.shape}


def make_backbone(cfg: DictConfig, size: Size, num_keypoints: int, in_channels: int, multiscale: bool) -> Any:
    """Build the backbone with its own options and, as far as its constructor takes them, the arguments given here."""
    offered = {"size": size, "num_keypoints": num_keypoints, "in_channels": in_channels}
    offered |= {"multiscale": True} if multiscale else {}
    taken = inspect.signature(resolve_name(cfg.backbone._target_)).parameters
    node = cfg.backbone.copy()
    OmegaConf.set_struct(node, False)
    for key in ("heads", "weights"):
        node.pop(key, None)
    backbone = make(node, **{key: value for key, value in offered.items() if key in taken})
    _check_size(cfg, size, backbone.multiple)
    return backbone


def _check_size(cfg: DictConfig, size: Size, step: int) -> None:
    if size.height % step or size.width % step:
        near = Size(*(max(step, round(n / step) * step) for n in size))
        raise InputError(
            f"input_size={size} does not suit backbone {cfg.backbone._target_.split('.')[-1]}, whose input must be a "
            f"multiple of {step} px on both sides; the nearest is {near}"
        )


def _check_any_size(cfg: DictConfig, net: PoseNet, size: Size, multiple: int) -> None:
    """Refuse a network that cannot take the sizes that whole images are evaluated at."""
    try:
        activations(net, 1, size.height, size.width + multiple)
    except Exception as error:
        raise InputError(
            f"representation={cfg.representation.name} shows the network whole images, whose sides are multiples of "
            f"representation.scenes.multiple={multiple} px, and backbone {cfg.backbone._target_.split('.')[-1]} fails "
            f"on {size.height}x{size.width + multiple} ({first_line(error)}); take a network of convolutions, such as "
            "resnet50 or hrnet_w32, and a multiple of its greatest stride"
        ) from error


def head_node(cfg: DictConfig) -> DictConfig:
    """Return the node of the representation's head, or of the one that the backbone has in its place (``heads``).

    Keypoint tokens and stacks need heads of their own. Options that the representation sets of a head that is replaced
    would be ignored: they are an `InputError`.
    """
    node = cfg.representation.head
    name = node._target_.split(".")[-1]
    instead = (cfg.backbone.get("heads") or {}).get(name)
    if instead is None:
        return node
    defaults = {key: p.default for key, p in inspect.signature(resolve_name(node._target_)).parameters.items()}
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


def reads_multiscale(cfg: DictConfig) -> bool:
    """Return whether the head of a configuration reads maps of several resolutions."""
    return getattr(resolve_name(head_node(cfg)._target_), "multiscale", False)


def features_of(backbone: Any, size: Size, num_keypoints: int) -> list[torch.Tensor]:
    """Return zeros of the shapes that a backbone gives for one image of ``size``."""
    if not backbone.strides:
        return [torch.zeros(1, num_keypoints, channels) for channels in backbone.channels]
    maps = zip(backbone.channels, backbone.strides, strict=True)
    return [torch.zeros(1, c, size.height // s, size.width // s) for c, s in maps]


def _try(head: Head, codec: Codec, features: list[torch.Tensor], perm: torch.Tensor) -> None:
    """Pass features through all that training and evaluation do with an output, before any data are read."""
    target, weight = codec.encode(*codec.example(len(perm)))
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
