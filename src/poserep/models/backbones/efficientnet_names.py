"""Names of EfficientNet's parts in files of the ``efficientnet_pytorch`` family, for timm's networks."""

import re

from torch import nn

ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
# A block without expansion begins with its convolution by channel.
SEPARABLE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2", **SQUEEZE}
INVERTED = {
    **{"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"},
    **{"_project_conv": "conv_pwl", "_bn2": "bn3", **SQUEEZE},
}


def timm_name(key: str, stages: nn.Module | None) -> str:
    """Return timm's name of an entry, which counts blocks within stages where the files count all of them.

    Args:
        key: Name in the file; one of another layout is returned as it is.
        stages: timm's ``blocks``, a sequence of blocks for each stage; None for networks of other kinds.
    """
    found = re.fullmatch(r"(?:_blocks\.(\d+)\.)?(_\w+)\.(\w+)", key)
    if not found or not isinstance(stages, nn.Sequential):
        return key
    number, part, entry = found.groups()
    if number is None:
        return f"{ENDS[part]}.{entry}" if part in ENDS else key
    blocks = [
        (f"blocks.{i}.{j}", block)
        for i, stage in enumerate(stages)
        if isinstance(stage, nn.Sequential)
        for j, block in enumerate(stage)
    ]
    if int(number) >= len(blocks):
        return key
    place, block = blocks[int(number)]
    parts = INVERTED if hasattr(block, "conv_pwl") else SEPARABLE
    return f"{place}.{parts[part]}.{entry}" if part in parts else key
