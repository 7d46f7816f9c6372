"""The head of an implicit function: heatmap values at any position, from the features around it."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec

WIDTHS = (256, 256, 128, 128, 128)
# Queries along the longer side of an image: 8 cells of 8 at 256x192, as published.
QUERIES = 64
# Queries of an image that are evaluated at once, which bounds the memory that prediction takes.
AT_ONCE = 4096
# Areas by which neighbours are weighted never add up to 0.
LEAST_AREA = 1e-9


class Queried(NamedTuple):
    """Values (B, 4, K, Q) that four cells predict at Q positions on their own; positions (B, Q, 2) in bins, x first."""

    value: Tensor
    position: Tensor


class ImplicitHead(Head):
    """An implicit function of heatmaps (Hu et al. 2024, NerPE): features and a position in, values of K joints out.

    The map is brought to ``width`` channels by a 1x1 convolution; unlike in some published configurations its
    resolution stays that of the backbone. Positions count in cells of the map. Moving a position by half a cell to
    either side, on both axes, and back into the map if need be, meets four cells; each predicts its own values by one
    network of linear layers and ReLU from its features and the way from its centre to the position, on whose scale a
    cell is 2 wide. Layers start by He's rule, the last one near 0, with which it learns sooner than with PyTorch's own.

    Emits `Queried` in training, at random positions, one in each sub-cell. Otherwise it emits the map (B, K, y.n, x.n)
    of values at the centres of bins: means of the four predictions, weighted by the areas of the rectangles between
    the position and the opposite centres, which is bilinear interpolation.

    Args:
        spec: See `HeadSpec`.
        width: Channels of the map.
        hidden: Widths of the hidden layers.
        subcells: Sub-cells of a cell along each axis; 8 in the paper, on maps of stride 32. None takes the least number
            with which the longer side has 64 queries: the published 8 at 256x192, fewer on finer maps.
    """

    form = "continuous map"

    def __init__(
        self, spec: HeadSpec, width: int = 256, hidden: Sequence[int] = WIDTHS, subcells: int | None = None
    ) -> None:
        super().__init__()
        if min(width, *hidden, 1 if subcells is None else subcells) < 1:
            raise InputError(f"ImplicitHead: {width=}, hidden={list(hidden)} and {subcells=} must be at least 1")
        channels, self.stride = spec.one_map(self)
        self.x, self.y = spec.x, spec.y
        self.cells = spec.x.length // self.stride, spec.y.length // self.stride
        self.subcells = subcells or math.ceil(QUERIES / max(self.cells))
        self.reduce = nn.Conv2d(channels, width, 1)
        sizes = (width + 2, *hidden, spec.num_keypoints)
        self.first, *others = layers = [nn.Linear(n, m) for n, m in pairwise(sizes)]
        self.others = nn.Sequential(*(layer for linear in others for layer in (nn.ReLU(inplace=True), linear)))
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.normal_(layers[-1].weight, std=0.01)
        # The diagonally opposite one has the same place counted from the end.
        shifts = torch.tensor([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
        self.shifts = nn.Buffer(shifts[:, None], persistent=False)
        self.last_cell = nn.Buffer(torch.tensor(self.cells) - 1.0, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> Queried | Tensor:
        """Turn the map into values at random positions in training, at all bins otherwise."""
        maps = self.reduce(features[-1])
        # The first layer is linear: its share of features is the same for all positions.
        table = functional.linear(maps.flatten(2).mT, self.first.weight[:, :-2], self.first.bias)
        if self.training:
            at = self.draw(maps)
            px = (at * self.stride - 0.5).unbind(-1)
            return Queried(self.each(table, at)[0].mT, torch.stack([self.x.to_bin(px[0]), self.y.to_bin(px[1])], -1))
        along = [(a.to_px(torch.arange(a.n, device=maps.device)) + 0.5) / self.stride for a in (self.x, self.y)]
        values = torch.cat([self.blended(table, at[None]) for at in _grid(*along).split(AT_ONCE)], 1)
        return values.mT.contiguous().unflatten(-1, (self.y.n, self.x.n))

    def draw(self, maps: Tensor) -> Tensor:
        """Draw a position in each sub-cell of maps (B, C, h, w) by PyTorch's own generator: (B, Q, 2), in cells."""
        corner = _grid(*(torch.arange(n * self.subcells, device=maps.device) for n in self.cells))
        return (corner + torch.rand(maps.shape[0], *corner.shape, device=maps.device)) / self.subcells

    def each(self, table: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Predict values (B, 4, Q, K) at positions (B or 1, Q, 2), in cells; and ways (B or 1, 4, Q, 2) to them.

        ``table`` (B, cells, D) is what the first layer makes of features.
        """
        cell = (at[:, None] + self.shifts).floor().clamp_min(0).minimum(self.last_cell)
        way = 2 * (at[:, None] - cell) - 1
        image = torch.arange(table.shape[0], device=at.device)[:, None, None]
        index = (cell[..., 1] * self.cells[0] + cell[..., 0]).long() + image * table.shape[1]
        rows = functional.embedding(index, table.flatten(0, 1))
        return self.others(rows + functional.linear(way.to(table.dtype), self.first.weight[:, -2:])), way

    def blended(self, table: Tensor, at: Tensor) -> Tensor:
        """Predict values (B, Q, K) at positions (1, Q, 2), in cells, from all four cells."""
        values, way = self.each(table, at)
        area = way.prod(-1).abs().flip(1) + LEAST_AREA
        return (values * (area / area.sum(1, keepdim=True))[..., None]).sum(1)


def _grid(x: Tensor, y: Tensor) -> Tensor:
    """Return all positions (len(y) len(x), 2), row by row."""
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
