"""State dicts of our networks under the names that others give to their parts."""

import re

from torch import Tensor, nn

LEVEL = re.compile(r"(side\.(?P<level>\d)|main)\.(?P<part>kp_encoder|converge)\.(?P<rest>.*)")


def named(net: nn.Module) -> dict[str, dict[str, Tensor]]:
    """Trunk and head, by names below each."""
    found: dict[str, dict[str, Tensor]] = {"backbone": {}, "head": {}}
    for key, value in net.state_dict().items():
        side, _, name = key.partition(".")
        if side in found:
            found[side][name.removeprefix("trunk.")] = value.clone()
    return found


def papers(net: nn.Module) -> dict[str, Tensor]:
    """HRNet's, SimpleBaseline's, SimCC's, DARK's: one module, no prefixes."""
    parts = named(net)
    return parts["backbone"] | parts["head"]


def parallel(net: nn.Module) -> dict[str, Tensor]:
    """The same from several GPUs."""
    return {f"module.{key}": value for key, value in papers(net).items()}


def mmpose0(net: nn.Module) -> dict[str, Tensor]:
    """mmpose 0.x and SRPose, its fork."""
    parts = named(net)
    head = {_srpose(key): value for key, value in parts["head"].items()}
    return _prefixed("backbone.", parts["backbone"]) | _prefixed("keypoint_head.", head)


def mmpose1(net: nn.Module) -> dict[str, Tensor]:
    """mmpose 1.x, whose SimCC head keeps deconvolutions and last convolution in a heatmap head."""
    parts = named(net)
    nested = "mlp_head_x.weight" in parts["head"] and any(key.startswith("deconv_layers") for key in parts["head"])
    head = {
        f"deconv_head.{key}" if nested and not key.startswith("mlp_head") else key: value
        for key, value in parts["head"].items()
    }
    return _prefixed("backbone.", parts["backbone"]) | _prefixed("head.", head)


def rtmpose(net: nn.Module) -> dict[str, Tensor]:
    """mmpose 1.x on CSPNeXt, whose stages it counts from 1."""

    def key_of(name: str) -> str:
        return re.sub(r"^stages\.(\d)", lambda stage: f"stage{int(stage[1]) + 1}", name.removeprefix("model."))

    parts = named(net)
    trunk = {key_of(name): value for name, value in parts["backbone"].items()}
    return _prefixed("backbone.", trunk) | _prefixed("head.", parts["head"])


def sapiens(net: nn.Module) -> dict[str, Tensor]:
    """mmpose 1.x on mmpretrain's vision transformer; Sapiens's head has our names."""
    changed = {
        **{"norm.": "ln1.", "patch_embed.proj.": "patch_embed.projection.", "blocks.": "layers.", ".norm1.": ".ln1."},
        **{".norm2.": ".ln2.", ".mlp.fc1.": ".ffn.layers.0.0.", ".mlp.fc2.": ".ffn.layers.1."},
    }
    state = {}
    for key, value in mmpose1(net).items():
        prefix, _, name = key.partition(".")
        for ours, theirs in changed.items() if prefix == "backbone" else ():
            name = name.replace(ours, theirs) if ours.startswith(".") else re.sub(f"^{re.escape(ours)}", theirs, name)
        state[f"{prefix}.{name}"] = value
    return state


LAYOUTS = {"papers": papers, "parallel": parallel, "mmpose0": mmpose0, "mmpose1": mmpose1}


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def _srpose(key: str) -> str:
    found = LEVEL.fullmatch(key)
    if found:
        level = found["level"] or "3"
        return f"{found['part']}.{level}.{'conv.' if found['part'] == 'converge' else ''}{found['rest']}"
    return key.removeprefix("predictor.").replace("converge.", "heatmap_head.")
