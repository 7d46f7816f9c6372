"""Any timm model that offers feature maps."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import timm
import torch
from timm.layers.format import Format
from torch import Tensor, nn
from torch.func import functional_call

from poserep.errors import InputError, first_line
from poserep.models.backbones.efficientnet_names import timm_name
from poserep.models.weights.load import resample_positions

# Arguments of timm.create_model that are set here.
OWN = ("pretrained", "features_only", "out_indices", "in_chans", "img_size")
# Makes a trunk with the maps of `out_indices`, without which it has all.
Build = Callable[..., Any]


class TimmFeatures(nn.Module):
    """Feature maps of a timm model.

    Later stages are cut off where timm can; where it cannot (EfficientNet, MobileNet, HRNet), parameters that none of
    the maps depend on are frozen: they count, but do not learn. For poses take `HRNet` in place of timm's.

    Args:
        name: timm's model name, for example ``resnet50``.
        out_indices: Which maps, fine to coarse; for ResNets 1 to 4 are strides 4 to 32. Models without stages, such as
            vision transformers, have one map per block, all of one stride: take one (-1 is the last).
        multiscale: Give, beside the one map of ``out_indices``, the finer ones down to stride 4.
        size: (height, width) of the input, which some models must know (Swin, vision transformers); None is their own.
        init: None keeps timm's; for ResNets He's normal numbers (fan out), and zero for the last scale of every
            residual block.
        options: Further arguments of ``timm.create_model``, such as ``drop_path_rate``. Swin needs
            ``always_partition: true`` to keep its windows, and so the shapes of ImageNet weights, at sizes that its
            windows do not divide.
    """

    def __init__(
        self,
        name: str,
        out_indices: Sequence[int],
        in_channels: int = 3,
        size: tuple[int, int] | None = None,
        init: Callable[[nn.Module], None] | None = None,
        options: Mapping[str, Any] | None = None,
        multiscale: bool = False,
    ) -> None:
        super().__init__()
        options = options or {}
        if not timm.is_model(name):
            raise InputError(f"backbone {name!r} is not in timm {timm.__version__}; see timm.list_models()")
        if taken := ", ".join(key for key in options if key in OWN):
            raise InputError(f"backbone {name}: options={dict(options)} set {taken}, which follow from the rest")
        indices = tuple(out_indices)
        build = partial(_features, name, in_channels, size, options)
        if multiscale and len(indices) == 1:
            indices = _finer(build, indices[0])
        self.trunk = _create(build, name, size, indices)
        info: Any = self.trunk.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self.strides: tuple[int, ...] = tuple(info.reduction())
        self.multiple = max(self.strides)
        if any(fine >= coarse for fine, coarse in pairwise(self.strides)):
            raise InputError(
                f"backbone {name}: out_indices={list(indices)} are maps of strides {list(self.strides)}; name maps "
                "from fine to coarse, one of each stride"
            )
        self.channels_last = getattr(self.trunk, "output_fmt", Format.NCHW) == Format.NHWC
        # So that weights find their place.
        self.entries = frozenset(self.trunk.state_dict())
        self.parts = {name.split(".")[0] for name in self.entries}
        if size is None:
            pretrained: Any = timm.get_pretrained_cfg(name)
            size = pretrained.input_size[1:] if pretrained else (224, 224)
        # Other sizes are refused when the network is built, which names the nearest.
        if all(n % self.multiple == 0 for n in size):
            self._check_maps(name, in_channels, *size)
        if init:
            init(self.trunk)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into maps (B, channels[i], H / strides[i], W / strides[i])."""
        maps = self.trunk(image)
        return tuple(x.permute(0, 3, 1, 2) for x in maps) if self.channels_last else tuple(maps)

    def official(self, key: str) -> str:
        """Return the own name of an entry in the layout of a timm model, mmpose's CSPNeXt or efficientnet_pytorch.

        timm's feature extractors rename it: ``stages.0`` becomes ``stages_0``, or everything lies below ``model``.
        mmpose counts CSPNeXt's stages from 1: ``stage1``.
        """
        key = timm_name(key, getattr(self.trunk, "blocks", None))
        from_zero = re.sub(r"^stage(\d+)", lambda stage: f"stages.{int(stage[1]) - 1}", key)
        names = (key, key.replace(".", "_", 1), f"model.{key}", f"model.{from_zero}")
        # Of a part that is here, although it has no such entry: then the file is another network's.
        near = (name for name in names[:2] if name.split(".")[0] in self.parts)
        own = next((name for name in names if name in self.entries), None) or next(near, None)
        return f"trunk.{own}" if own else key

    def resampled(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a file's tensors with a vision transformer's table of positions resampled to this one's size."""
        inner: Any = getattr(self.trunk, "model", self.trunk)
        if not isinstance(getattr(inner, "pos_embed", None), nn.Parameter) or not hasattr(inner, "num_prefix_tokens"):
            return dict(state)
        extra = 0 if getattr(inner, "no_embed_class", False) else inner.num_prefix_tokens
        return resample_positions(state, inner.pos_embed, inner.patch_embed.grid_size, extra)

    def _check_maps(self, name: str, in_channels: int, height: int, width: int) -> None:
        """Check the sizes of the maps on the meta device, and freeze the parameters that they do not depend on."""
        parameters = {key: p.detach().to("meta").requires_grad_() for key, p in self.named_parameters()}
        buffers = {key: b.to("meta") for key, b in self.named_buffers()}
        image, training = torch.zeros(2, in_channels, height, width, device="meta"), self.training
        try:
            with torch.enable_grad():
                outputs = functional_call(self.eval(), parameters | buffers, (image,))
                total = sum((x.sum() for x in outputs), torch.zeros((), device="meta"))
                gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        except Exception as error:
            raise InputError(
                f"backbone {name} cannot take an input of {height}x{width}: {first_line(error)}; take another size or "
                "model"
            ) from error
        maps = [tuple(x.shape[1:]) for x in outputs]
        due = [(c, height // s, width // s) for c, s in zip(self.channels, self.strides, strict=True)]
        if maps != due:
            raise InputError(
                f"backbone {name} gives maps {maps} (channels, height, width) in place of {due} for an input of "
                f"{height}x{width}; take another size, out_indices or model"
            )
        for p, gradient in zip(self.train(training).parameters(), gradients, strict=True):
            p.requires_grad_(p.requires_grad and gradient is not None)


def _finer(build: Build, index: int) -> tuple[int, ...]:
    """Return the indices of the last map of each stride from 4 on that is finer than ``index``'s, and ``index``.

    An index that the model lacks is returned alone, for `_create` to refuse.
    """
    strides = [level["reduction"] for level in _levels(build)]
    if not -len(strides) <= index < len(strides):
        return (index,)
    last = index % len(strides)
    by_stride = {stride: i for i, stride in enumerate(strides[: last + 1]) if 4 <= stride < strides[last]}
    return (*by_stride.values(), index)


def _create(build: Build, name: str, size: tuple[int, int] | None, indices: tuple[int, ...]) -> nn.Module:
    """Make the trunk, or raise an `InputError` that lists the maps that there are."""
    try:
        if not indices:
            raise ValueError("no indices")
        return build(out_indices=indices)
    # timm refuses in as many ways as it has families.
    except Exception as error:
        try:
            levels = _levels(build)
        except Exception as other:
            at = f" at {size[0]}x{size[1]}" if size else ""
            raise InputError(
                f"backbone {name}: timm {timm.__version__} offers no feature maps of this model{at} ({other}); "
                "take another"
            ) from error
        maps = ", ".join(f"{i} (stride {m['reduction']}, {m['num_chs']} channels)" for i, m in enumerate(levels))
        raise InputError(
            f"backbone {name}: out_indices={list(indices)} must be some of its feature maps: {maps}"
        ) from error


def _levels(build: Build) -> list[dict[str, Any]]:
    with torch.device("meta"):
        return build().feature_info.info


def _features(
    name: str, in_channels: int, size: tuple[int, int] | None, options: Mapping[str, Any], **indices: Any
) -> nn.Module:
    options = {**options, **indices, "pretrained": False, "features_only": True, "in_chans": in_channels}
    if size:
        try:
            return timm.create_model(name, img_size=tuple(size), **options)
        except TypeError as error:
            if "img_size" not in str(error):
                raise
    return timm.create_model(name, **options)
