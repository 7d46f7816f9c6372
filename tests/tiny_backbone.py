"""A backbone so small that what is tested is everything behind it."""

from torch import nn
from torch.nn import functional as F

from poserep.config import DictConfig, OmegaConf


def on_tiny_backbone(cfg: DictConfig, kind: str = "TinyMaps") -> DictConfig:
    """Take a backbone of this module in place of a configuration's own."""
    OmegaConf.set_struct(cfg, False)
    cfg.backbone = {"_target_": f"tiny_backbone.{kind}", "weights": None}
    return cfg


class TinyMaps(nn.Module):
    """One convolution to stride 4, and its average pools if the head reads several resolutions."""

    multiple = 32

    def __init__(self, multiscale: bool = False, in_channels: int = 3, weights: str | None = None) -> None:
        super().__init__()
        count = 4 if multiscale else 1
        self.channels, self.strides = (8,) * count, tuple(4 * 2**i for i in range(count))
        self.stem = nn.Conv2d(in_channels, 8, 4, stride=4)

    def forward(self, image):
        first = F.relu(self.stem(image))
        return [F.avg_pool2d(first, stride // 4) for stride in self.strides]


class TinyNormed(TinyMaps):
    """With a batch norm."""

    def __init__(self, in_channels: int = 3, weights: str | None = None) -> None:
        super().__init__(in_channels=in_channels)
        self.stem = nn.Sequential(self.stem, nn.BatchNorm2d(8))
