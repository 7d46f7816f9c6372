"""Apple's GPUs have no float64. There is none here: tensors that say they lie on one, and refuse float64, stand in."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from poserep.codecs import DARK
from poserep.training.build import build

APPLE, HERE = torch.device("mps"), torch.device("cpu")


class Apple(TorchFunctionMode):
    """Counts the tensors that are sent to the device, and refuses float64 there; with ``all_there`` all others are."""

    def __init__(self, all_there: bool = False) -> None:
        super().__init__()
        self.sent, self.all_there = 0, all_there

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function == Tensor.device.__get__ and self.all_there:
            return APPLE
        to = function is Tensor.to and APPLE in args
        self.sent += to
        wide = function is Tensor.double or (function is Tensor.to and torch.float64 in args)
        if (to and args[0].dtype == torch.float64) or (wide and self.all_there):
            raise TypeError("no float64 on Apple's GPU")
        here = {key: HERE if value == APPLE else value for key, value in (kwargs or {}).items()}
        return function(*(HERE if isinstance(value, torch.device) else value for value in args), **here)


def test_a_batch_moves_without_the_matrices_of_its_crops(configure):
    data = build(configure("boxes=[gt]")).data
    batch = next(iter(data.train_dataloader()))
    with Apple() as device:
        moved = data.transfer_batch_to_device(batch, APPLE, 0)
        with pytest.raises(TypeError, match="no float64"):
            batch.crop.matrix.to(APPLE)
    assert device.sent == 5 and moved.crop is batch.crop and moved.crop.matrix.dtype == torch.float64
    points = moved.crop.to_image(moved.xy)
    assert points.dtype == torch.float32 and torch.allclose(moved.crop.to_input(points), batch.xy, atol=1e-3)


@pytest.mark.parametrize("dark", [DARK(), DARK(None), DARK(5, rescale="range", border="reflect")])
def test_dark_decodes_in_single_precision_where_there_is_no_double(dark):
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(20.0), indexing="ij")
    centre = torch.tensor([[8.3, 11.4], [10.7, 12.2]])
    maps = torch.exp(-((x - centre[:, :1, None]) ** 2 + (y - centre[:, 1:, None]) ** 2) / 8)[None]
    with Apple(all_there=True):
        xy, value = dark(maps)
    exact, exact_value = dark(maps)
    torch.testing.assert_close(xy, exact, atol=1e-4, rtol=0)
    torch.testing.assert_close(value, exact_value)
