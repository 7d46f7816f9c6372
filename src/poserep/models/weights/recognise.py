"""Recognises a checkpoint by names and shapes alone: layout, backbone, head, joints; and says what would suit it."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from poserep.models.weights.hugging_face import HUGGING_FACE, from_hub

PREFIXES = re.compile(
    r"(?:(?:module|model|net|backbone|keypoint_head|head|deconv_head|trunk|features|pre_feature|predictor)\.)+"
)
# Backbones by what names of their entries contain; the first match counts.
BACKBONES = {
    "hg.": "hourglass",
    "keypoint_token": "tokenpose",
    "global_encoder.": "transpose",
    "relative_position": "hrformer",
}
# Vision transformers by width: ViTPoses, and Sapiens, whose head has more convolutions.
VITPOSES = {384: "vitpose_s", 768: "vitpose_b", 1024: "vitpose_l", 1280: "vitpose_h"}
SAPIENS = {1024: "sapiens_03b", 1280: "sapiens_06b", 1536: "sapiens_1b", 1920: "sapiens_2b"}
# Two of them have the same trunk.
SAME_TRUNK = {"sapiens_03b": "vitpose_l", "sapiens_06b": "vitpose_h"}
# Its successor has norms of queries, and tokens beside the class token, by Meta's name or that of Transformers.
SAPIENS_2, SAPIENS_2_TOKENS = "Sapiens 2", ("storage_tokens", "register_tokens")
# Depths of ResNets, by whether blocks are bottlenecks and how many the third stage has.
RESNETS = {(False, 2): 18, (False, 6): 34, (True, 6): 50, (True, 23): 101, (True, 36): 152}
# CSPNeXt by the channels of its stem.
CSPNEXTS = {24: "t", 32: "s", 48: "m", 64: "l", 80: "x"}
# Heads by a part that only such a checkpoint has; the first match counts.
HEADS = {
    "mlp_head_x": "SimCC",
    "cls_x": "RTMCC",
    "lr_head": "SRPose",
    "tag_head": "bottom-up SR",
    "final_layers": "HigherHRNet",
    "kp_encoder": "SR head",
    "incre_modules": "ImageNet classifier",
    "classifier": "ImageNet classifier",
    "final_layer": "heatmap",
    "mlp_head": "heatmap",
    "score": "heatmap",
    "fc": "ImageNet classifier",
}
# mmpose's regression heads, whose only layer has the name of a classifier's last one.
POINTS = {"head.fc", "keypoint_head.fc"}
SUITING = {
    "SimCC": "representation=simcc_equal or another whose name begins with simcc (simcc_free without deconvolutions)",
    "RTMCC": "representation=rtmcc",
    "SRPose": "representation=srpose",
    "bottom-up SR": "representation=bottomup_sr",
    "HigherHRNet": "representation=bottomup_higher",
    "SR head": "representation=sr",
    "heatmap": "representation=heatmap or another that draws heatmaps at stride 4",
    "points": "no reader for it; representation=regression and rle have heads of their own",
    "ImageNet classifier": "no pose model to import; train from it with backbone.weights=FILE",
    "": "no pose model to import; train from it with backbone.weights=FILE",
}


class Looks(NamedTuple):
    """What names and shapes of a checkpoint say.

    ``layout`` is the code that names parts so, ``backbone`` a name as in conf/backbone where there is one, ``head`` one
    of `HEADS`; these are empty, and ``joints`` None, if not recognised.
    """

    layout: str
    backbone: str
    head: str
    deconvolutions: bool
    joints: int | None

    def __str__(self) -> str:
        parts = [self.backbone or "unknown backbone", self.head or "no head"]
        return ", ".join(parts + ([f"{self.joints} joints"] if self.joints else []))


def look(state: Mapping[str, Tensor]) -> Looks:
    """Recognise a state dict."""
    given, state = state, from_hub(state)
    shapes = {PREFIXES.sub("", key, count=1): tuple(value.shape) for key, value in state.items()}
    parts = {key.split(".")[0] for key in shapes}
    head = next((name for part, name in HEADS.items() if part in parts), "")
    if any(key.rsplit(".", 1)[0] in POINTS for key in state):
        head = "points"
    layers = ("lr_head.0.weight", "tag_head.weight", "final_layers.1.weight", "score.0.weight", "final_layer.weight")
    joints = next((shapes[key][0] for key in layers if key in shapes), None)
    backbone, deconvolutions = _recognise_backbone(shapes, parts), "deconv_layers" in parts
    if head == "ImageNet classifier" or (head == "SimCC" and backbone.startswith("resnet") and not deconvolutions):
        # Classes, or several channels for each joint.
        joints = None
    tops = {key.removeprefix("module.").split(".")[0] for key in state}
    if {"scale", "offset"} <= shapes.keys():
        return Looks("poserep", backbone, head, deconvolutions, joints)
    layout = "the papers' own code"
    if "backbone" in tops and tops & {"keypoint_head", "head"}:
        layout = "mmpose 0.x" if "keypoint_head" in tops else "mmpose 1.x"
    if state is not given:
        layout = HUGGING_FACE
    if any(key.startswith("module.") for key in state):
        layout += ", of several GPUs"
    return Looks(layout, backbone, head, deconvolutions, joints)


def _recognise_backbone(shapes: Mapping[str, tuple[int, ...]], parts: set[str]) -> str:
    whole = " ".join(shapes)
    for mark, name in BACKBONES.items():
        if mark in whole:
            return name
    if "q_norm." in whole and any(token in whole for token in SAPIENS_2_TOKENS):
        return SAPIENS_2
    if {"pos_embed", "patch_embed"} <= parts:
        width = shapes["pos_embed"][-1]
        if "conv_layers" in parts:
            return SAPIENS.get(width, "sapiens")
        return VITPOSES.get(width) or SAPIENS.get(width, "vitpose")
    if "transition1.0.0.weight" in shapes:
        four = any(key.startswith("stage4.2.fuse_layers.1.") for key in shapes)
        return f"hrnet_w{shapes['transition1.0.0.weight'][0]}{' with four maps' if four else ''}"
    if ".short_conv." in whole and "stem.2.conv.weight" in shapes:
        return f"cspnext_{CSPNEXTS.get(shapes['stem.2.conv.weight'][0], '')}".rstrip("_")
    if "layer4" in parts:
        blocks = len({key.split(".")[1] for key in shapes if key.startswith("layer3.")})
        depth = RESNETS.get(("layer1.0.conv3.weight" in shapes, blocks))
        return f"resnet{depth}" if depth else ""
    return ""


def remedy(file: Mapping[str, Tensor], own: Mapping[str, Tensor], trunk: bool = False) -> str:
    """Say what to change so that a file suits the model, or its trunk; empty if nothing is known."""
    theirs, ours, other = look(file), look(own), ""
    if theirs.backbone == SAPIENS_2:
        return (
            "this looks like Sapiens 2, which is another network than Sapiens (rotary positions, gated layers) and not "
            "available here"
        )
    names = [SAME_TRUNK.get(looks.backbone, looks.backbone) if trunk else looks.backbone for looks in (theirs, ours)]
    if theirs.backbone and names[0] != names[1]:
        other = f"its backbone looks like {theirs.backbone}, the model's like {ours.backbone or 'none of those known'}"
    if trunk:
        return other
    if theirs.layout == "poserep":
        return (
            "this is a checkpoint of a run of poserep: give its run directory to poserep evaluate, or train on from it "
            "with init=RUN_DIR"
        )
    advice = []
    if theirs.head != ours.head:
        kind = f"looks like {'an' if theirs.head.startswith(('I', 'SR', 'RT')) else 'a'} {theirs.head} checkpoint"
        advice.append(f"this {kind if theirs.head else 'has no head'}: {SUITING[theirs.head]}")
    if other and theirs.head not in ("", "ImageNet classifier"):
        advice.append(other)
    elif theirs.head == ours.head == "heatmap" and theirs.backbone.startswith("vitpose") and _unlike(theirs, ours):
        kind, head = ("classic", "Deconv") if theirs.deconvolutions else ("simple", "BilinearConv")
        advice.append(f"it has ViTPose's {kind} decoder: representation.head._target_=poserep.models.{head}")
    elif theirs.head == ours.head and _unlike(theirs, ours):
        has, wants = ("has", "none") if theirs.deconvolutions else ("has no", "some")
        advice.append(f"it {has} deconvolutions, the model {wants}: see representation.head.upsample_to")
    if theirs.joints and ours.joints and 2 * theirs.joints == ours.joints:
        advice.append("its last layer has half as many maps as the model's: without tags, take representation=heatmap")
    elif theirs.joints and ours.joints and theirs.joints == 2 * ours.joints:
        advice.append(
            f"its last layer has {theirs.joints} maps, twice the model's: if they are heatmaps and tags of a bottom-up "
            "model, take representation=bottomup"
        )
    elif theirs.joints and ours.joints and theirs.joints != ours.joints:
        advice.append(
            f"its last layer is for {theirs.joints} joints, the model's for {ours.joints}: take the data set that it "
            "was trained on, or its data.skeleton; or train from what fits, by poserep train init=FILE"
        )
    return "; ".join(advice)


def _unlike(theirs: Looks, ours: Looks) -> bool:
    """Return whether only one of two networks has deconvolutions."""
    return theirs.deconvolutions != ours.deconvolutions


def shape_remedy(key: str, theirs: tuple[int, ...], ours: tuple[int, ...]) -> str:
    """Say what to change so that one tensor fits; empty if nothing is known."""
    if "mlp_head_" in key and len(theirs) == 2:
        return (
            f"the file takes {theirs[1]} features to {theirs[0]} bins, the model {ours[1]} to {ours[0]}: change the "
            "input (size=...), the bins per px (representation.codec.k) or the channels per joint "
            "(representation.head.channels_per_joint)"
        )
    if re.fullmatch(r"head\.(mlp\.1|cls_[xy])\.weight", key):
        return (
            "its positions or bins are those of another input: change the input (size=...) or the bins per px "
            "(representation.codec.k)"
        )
    if len(theirs) == len(ours) == 4 and theirs[0] == ours[0] and theirs[1] == 3 and ours[1] == 1:
        return "the file is for images of 3 channels, the model for depths of 1; train depths without such weights"
    if "pos" in key and len(theirs) == len(ours) == 3:
        more = theirs[1] - ours[1]
        if key.removeprefix("backbone.") == "pos_embed" and abs(more) == 1 and theirs[2] == ours[2]:
            has, value = ("an", "true") if more > 0 else ("no", "false")
            return (
                f"the file's table has {has} entry for a class token: set backbone.class_entry={value} (ViTPose's code "
                "has one, mmpose 1.x none)"
            )
        if theirs[2] != ours[2]:
            return f"the file's features are {theirs[2]} wide, the model's {ours[2]}: take another backbone"
    if "pos" in key or "patch" in key:
        return "its positions are those of another input: change size=..."
    return ""
