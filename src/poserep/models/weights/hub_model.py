"""A ViTPose as Hugging Face's Transformers load it: tensors by their names, and the config.json that goes with them."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.backbones.vitpose import PATCH, ViTPose
from poserep.models.heads.maps_and_axes import BilinearConv, Deconv
from poserep.models.model import PoseNet
from poserep.models.weights.hugging_face import hidden_settings, to_hub

# What the loader's classic decoder consists of.
HUB_STRIDE, HUB_WIDTH = 4, 256


def hub_state(net: PoseNet) -> dict[str, Tensor]:
    """Return the tensors of a ViTPose with one of its two decoders, as ``VitPoseForPoseEstimation`` names them.

    A table of positions without an entry for a class token gets one of zeros. Any other network is an `InputError`.
    """
    backbone = loadable(net)
    state = {key.replace(".trunk.", "."): value for key, value in net.state_dict().items() if "." in key}
    tensors, table = to_hub(state), "backbone.embeddings.position_embeddings"
    if not backbone.extra:
        tensors[table] = nn.functional.pad(tensors[table], (0, 0, 1, 0))
    return tensors


def hub_config(net: PoseNet, joints: Sequence[str]) -> dict[str, Any]:
    """Return what config.json says of a network that `hub_state` takes; ``joints`` are names in the maps' order."""
    backbone = loadable(net)
    depth = len(backbone.trunk.blocks)
    own = hidden_settings(backbone) or {}
    return {
        "architectures": ["VitPoseForPoseEstimation"],
        "model_type": "vitpose",
        "use_simple_decoder": isinstance(net.head, BilinearConv),
        "scale_factor": net.head.factor if isinstance(net.head, BilinearConv) else PATCH // HUB_STRIDE,
        "id2label": {str(i): name for i, name in enumerate(joints)},
        "label2id": {name: i for i, name in enumerate(joints)},
        "backbone_config": {
            "model_type": "vitpose_backbone",
            "image_size": [side * PATCH for side in backbone.grid],
            "patch_size": [PATCH, PATCH],
            "num_channels": net.channels,
            "hidden_size": backbone.channels[0],
            "num_hidden_layers": depth,
            "num_attention_heads": own["num_heads"],
            "mlp_ratio": 4,
            "num_experts": 1,
            "hidden_act": "gelu",
            "layer_norm_eps": own["eps"],
            "qkv_bias": True,
            "out_indices": [depth],
        },
    }


def loadable(net: PoseNet) -> ViTPose:
    """Return the backbone of a network that the loader has; any other network is an `InputError`."""
    backbone, head = net.backbone, net.head
    names = f"{type(backbone).__name__} with {type(head).__name__}"
    if not isinstance(backbone, ViTPose) or not isinstance(head, (Deconv, BilinearConv)):
        raise InputError(
            f"--hub: Hugging Face's loader has ViTPose with its two decoders alone, not {names}; leave --hub out, "
            "which writes the names of poserep"
        )
    if isinstance(head, BilinearConv):
        return backbone
    widths = [layer.out_channels for layer in head.deconv_layers if isinstance(layer, nn.ConvTranspose2d)]
    norms = [layer for layer in head.modules() if isinstance(layer, nn.BatchNorm2d)]
    if widths != [HUB_WIDTH, HUB_WIDTH] or len(norms) != 2 or len(head.conv_layers) or head.sigmoid:
        raise InputError(
            f"--hub: the classic decoder of Hugging Face's loader has two deconvolutions of {HUB_WIDTH} channels, to "
            f"stride {HUB_STRIDE}, with batch norms, no convolution but the last and no sigmoid, not {len(widths)} of "
            f"{widths}; leave --hub out"
        )
    return backbone
