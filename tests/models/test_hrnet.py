"""HRNet and ResNets with the papers' heads: official outputs, what learns, maps, normalisation."""

import zlib

import pytest
import torch

from model_cases import NETS, build, resnet
from poserep.codecs import Heatmap
from poserep.models import Deconv
from poserep.models.weights.load import load_official
from reference.vectors import tensors
from reference.weights import image, named_state, official_keys


# Those of which copies lie here; test_official.py has all.
@pytest.mark.parametrize("name", ["hrnet_w32_heatmap", "simplebaseline_res50_heatmap"])
def test_official_weights_give_official_outputs(name):
    v = tensors(f"parity_{name}_64x64")
    net = NETS[name]("64x64").eval()
    keys = official_keys(net)
    assert zlib.crc32("\n".join(sorted(keys)).encode()) == v["keys_crc"], "entries differ from the official model's"
    load_official(net, named_state(keys, float(v["conv_gain"])), name)
    with torch.no_grad():
        out = net.head(net.backbone(image(64, 64)))
    assert list(out.shape[1:]) == v["out0_shape"].tolist()
    out, theirs = out.flatten()[:: int(v["out0_stride"])], v["out0"]
    # Convolutions of float32 in another order: 4e-6 of the greatest value between float32 and float64.
    torch.testing.assert_close(out, theirs, atol=1e-4 * theirs.abs().max().item(), rtol=0)


def test_normalisation_is_imagenets_on_values_from_zero_to_one():
    net = build(resnet(18), Deconv, Heatmap("64x64"))
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    seen = []
    net.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net(image)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(seen[0], (image / 255 - mean) / std, atol=1e-5, rtol=0)
