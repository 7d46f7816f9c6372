"""Heads for heatmaps and for SimCC's axes: on one map, on the score maps of stacked networks, on keypoint tokens."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec, Stacks, deconvolved, doublings, normed
from poserep.models.init import small_normal, truncated_normal


class Deconv(Head):
    """SimpleBaseline's head (Xiao et al. 2018); without deconvolutions, HRNet's. Emits (B, K, y.n, x.n).

    The number of deconvolutions, of ``width`` channels, follows from the map and the codec's stride: 3 on stride 32, 0
    on HRNet. ``sigmoid`` squeezes the heatmaps into (0, 1), as in the HUMAN4D study. Sapiens (Khirodkar et al. 2024)
    has a ``width`` of 768, two ``convolutions`` of 1x1 after the deconvolutions, of as many channels and with a bias,
    and ``instance_norm``, which stands for instance norms and SiLU after all these in place of batch norms and ReLU.
    """

    form = "map"

    def __init__(
        self,
        spec: HeadSpec,
        width: int = 256,
        sigmoid: bool = False,
        convolutions: int = 0,
        instance_norm: bool = False,
    ) -> None:
        super().__init__()
        if convolutions < 0:
            raise InputError(f"{type(self).__name__}: convolutions={convolutions} must be at least 0")
        self.deconv_layers, channels, _ = deconvolved(self, spec, spec.stride, width, instance_norm)
        self.conv_layers = nn.Sequential()
        for _ in range(convolutions):
            self.conv_layers.extend([nn.Conv2d(channels, width, 1), *normed(width, instance_norm)])
            channels = width
        self.final_layer = nn.Conv2d(channels, spec.num_keypoints, 1)
        self.sigmoid = sigmoid
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into heatmaps."""
        maps = self.final_layer(self.conv_layers(self.deconv_layers(features[-1])))
        return maps.sigmoid() if self.sigmoid else maps


class DeconvOffsets(Deconv):
    """`Deconv` with three maps per joint, class and offsets (Huang et al. 2020, UDP). Emits (B, K, 3, y.n, x.n)."""

    form = "map with offsets"

    def __init__(self, spec: HeadSpec, width: int = 256) -> None:
        super().__init__(replace(spec, num_keypoints=3 * spec.num_keypoints), width)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into class maps and offsets; as published, a joint's channels follow each other."""
        return super().forward(features).unflatten(1, (-1, 3))


class BilinearConv(Head):
    """ViTPose's simple decoder (Xu et al. 2022, section 3.1): ReLU, bilinear upsampling, 3x3 convolution.

    Emits (B, K, y.n, x.n). The map is enlarged to the codec's stride at once, by a power of two; its bins keep their
    places in the image. Replaces `Deconv`.
    """

    form = "map"

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        channels, coarse = spec.one_map(self)
        self.factor = 2 ** doublings(self, coarse, spec.stride)
        self.final_layer = nn.Conv2d(channels, spec.num_keypoints, 3, padding=1)
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into heatmaps."""
        fine = functional.interpolate(
            features[-1].relu(), scale_factor=float(self.factor), mode="bilinear", align_corners=False
        )
        return self.final_layer(fine)


class AxisLinear(Head):
    """Classifies one map (or a few) per joint, flattened, along each axis (Li et al. 2022, SimCC, fig. 2).

    Emits logits (B, K, x.n) and (B, K, y.n). Deconvolutions of ``width`` channels bring the map to stride
    ``upsample_to``; None takes it as it is ("upsampling-free"). The published upsampling-free models have 32 or 28
    ``channels_per_joint``, maps for each joint.
    """

    form = "axes"

    def __init__(
        self, spec: HeadSpec, upsample_to: int | None = 4, channels_per_joint: int = 1, width: int = 256
    ) -> None:
        super().__init__()
        if channels_per_joint < 1:
            raise InputError(f"AxisLinear: channels_per_joint={channels_per_joint} must be at least 1")
        self.num_keypoints = spec.num_keypoints
        self.deconv_layers, channels, stride = deconvolved(self, spec, upsample_to, width)
        self.final_layer = nn.Conv2d(channels, spec.num_keypoints * channels_per_joint, 1)
        small_normal(self)
        features = channels_per_joint * int(spec.x.length // stride) * int(spec.y.length // stride)
        self.mlp_head_x = nn.Linear(features, spec.x.n)
        self.mlp_head_y = nn.Linear(features, spec.y.n)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn the map into logits."""
        maps = self.final_layer(self.deconv_layers(features[-1]))
        joints = maps.reshape(maps.shape[0], self.num_keypoints, -1)
        return self.mlp_head_x(joints), self.mlp_head_y(joints)


class StackedMaps(Head):
    """Emits the score maps that a stacked network predicts, (B, K, y.n, x.n); has no parameters. Replaces `Deconv`.

    The HUMAN4D study squeezes the maps into (0, 1) (``sigmoid``) and supervises the last stack's alone (``last_only``).
    """

    form = "map"

    def __init__(self, spec: HeadSpec, last_only: bool = False, sigmoid: bool = False) -> None:
        super().__init__()
        stride = spec.score_maps(self)
        if (spec.x.n * stride, spec.y.n * stride) != (spec.x.length, spec.y.length):
            raise InputError(
                f"StackedMaps: the backbone's score maps have stride {stride}, the codec's heatmap has stride "
                f"{spec.stride:g}; take representation.codec.stride={stride}, or another backbone"
            )
        self.last_only, self.sigmoid = last_only, sigmoid

    def forward(self, features: Sequence[Tensor]) -> Tensor | Stacks:
        """Turn the score maps of all stacks into heatmaps."""
        if not self.training or self.last_only:
            return self._squeeze(features[-1])
        return Stacks(self._squeeze(maps) for maps in features)

    def _squeeze(self, maps: Tensor) -> Tensor:
        return maps.sigmoid() if self.sigmoid else maps


class StackedAxes(Head):
    """SimCC on every stack: two linear classifiers on the flattened score maps, shared by all joints.

    Emits logits (B, K, x.n) and (B, K, y.n). Replaces `AxisLinear`. No paper pairs the two. Each stack has classifiers
    of its own, of which prediction runs the last stack's; with ``last_only`` the others have none.
    """

    form = "axes"

    def __init__(self, spec: HeadSpec, last_only: bool = False) -> None:
        super().__init__()
        stride = spec.score_maps(self)
        features = (spec.x.length // stride) * (spec.y.length // stride)
        stacks = 1 if last_only else len(spec.channels)
        self.mlp_head_x = nn.ModuleList(nn.Linear(features, spec.x.n) for _ in range(stacks))
        self.mlp_head_y = nn.ModuleList(nn.Linear(features, spec.y.n) for _ in range(stacks))
        for extra in (*self.mlp_head_x[:-1], *self.mlp_head_y[:-1]):
            extra.training_only = True

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor] | Stacks:
        """Turn the score maps of all stacks into logits."""
        if not self.training or len(self.mlp_head_x) < len(features):
            return self._classify(-1, features[-1])
        return Stacks(self._classify(i, maps) for i, maps in enumerate(features))

    def _classify(self, i: int, maps: Tensor) -> tuple[Tensor, Tensor]:
        joints = maps.flatten(2)
        return self.mlp_head_x[i](joints), self.mlp_head_y[i](joints)


class TokenMaps(Head):
    """TokenPose's own head (Li et al. 2021, TokenPose, section 3.2): layer norm and linear layer to a whole heatmap.

    Emits (B, K, y.n, x.n). Starts from a truncated normal, as published. ``hidden`` is the width of a layer norm and
    linear layer in between, 0 for none. None takes the published rule: an eighth of the map's positions if that is at
    least twice the tokens' width, else none. At 256x192 S and B have 384; smaller maps and L have none.
    """

    form = "map"

    def __init__(self, spec: HeadSpec, hidden: int | None = None) -> None:
        super().__init__()
        inputs, outputs = spec.tokens(self), spec.x.n * spec.y.n
        if hidden is None:
            hidden = outputs // 8 if outputs // 8 >= 2 * inputs else 0
        if hidden < 0:
            raise InputError(f"TokenMaps: hidden={hidden} must be at least 0, or null for the published rule")
        self.shape = (spec.y.n, spec.x.n)
        layers = [nn.LayerNorm(inputs), nn.Linear(inputs, hidden)] if hidden else []
        self.mlp_head = nn.Sequential(*layers, nn.LayerNorm(hidden or inputs), nn.Linear(hidden or inputs, outputs))
        truncated_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn tokens into heatmaps."""
        return self.mlp_head(features[0]).unflatten(-1, self.shape)

    def official(self, key: str) -> str | None:
        """Return the own name of an entry of the published code, which has its head inside the transformer."""
        _, name, rest = key.partition("mlp_head.")
        return name + rest if name else None


class TokenAxes(Head):
    """SimCC on keypoint tokens (Li et al. 2022, SimCC, table 1): one linear layer per axis.

    Emits logits (B, K, x.n) and (B, K, y.n). Its code was not published; the paper says that linear layers take the
    place of TokenPose's head. Its printed parameters of TokenPose-S, 4.9, 5.1 and 5.5M at 64x64, 128x128 and 256x192,
    are reached with 2 bins per px (4.87, 5.07 and 5.54M), with a layer norm in front or without. It is there, because
    the transformer leaves its tokens unnormalised and every published head on them begins so.
    """

    form = "axes"

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        inputs = spec.tokens(self)
        self.norm = nn.LayerNorm(inputs)
        self.mlp_head_x = nn.Linear(inputs, spec.x.n)
        self.mlp_head_y = nn.Linear(inputs, spec.y.n)
        truncated_normal(self)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn tokens into logits."""
        tokens = self.norm(features[0])
        return self.mlp_head_x(tokens), self.mlp_head_y(tokens)
