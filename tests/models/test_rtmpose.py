"""RTMPose's head and networks against mmpose's: outputs, flip test, parameters, products; and the head in loops.

Whole networks also stand in test_official.py. Files of POSEREP_MODELS are no part of the project.
"""

import csv
import json
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from model_cases import head_on, pair
from official_models import CASES, FOLDER, official
from poserep.codecs import SimCC, Softened
from poserep.models import RTMCC, TimmFeatures
from poserep.models.cost import macs, parameters
from poserep.models.weights.load import load_official, load_trunk
from poserep.models.weights.recognise import look
from poserep.models.weights.transfer import PerJoint, transfer
from poserep.skeleton import COCO
from poserep.studies.published_costs.countings import countings, gflops
from reference.weights import named_state

needs_models = pytest.mark.skipif(not FOLDER.is_dir(), reason="POSEREP_MODELS names no folder: no official models")
CODEC = partial(SimCC, label=Softened((4.9, 5.66), True), beta=10, align="corner", merge_on="logits", score="published")
CHANNELS = {"t": 384, "s": 512, "m": 768, "l": 1024}
TIMM = {size: partial(TimmFeatures, f"cspnext_{'tiny' if size == 't' else size}", (4,)) for size in CHANNELS}


def drawn(seed: Tensor, shape: Tensor) -> list[Tensor]:
    return [torch.from_numpy(np.random.default_rng(int(seed)).standard_normal(tuple(shape)).astype(np.float32))]


def close(ours: Tensor, theirs: np.ndarray, part: float = 1e-5) -> None:
    """Compare with an output that is kept whole, in parts of its greatest value."""
    assert list(ours.shape) == list(theirs.shape)
    torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=0, atol=part * float(np.abs(theirs).max()))


@needs_models
@pytest.mark.parametrize("size", ["t", "s"])
def test_heads_give_mmposes_outputs(size):
    name = f"rtmcc_head_{size}_256x192"
    head = head_on(RTMCC, SimCC("256x192"), (CHANNELS[size],), (32,)).eval()
    shapes = json.loads((FOLDER / f"{name}.manifest.json").read_text())
    assert {key: tuple(shape) for key, shape, _ in shapes} == {k: tuple(p.shape) for k, p in head.state_dict().items()}
    with np.load(FOLDER / f"{name}.parity.npz") as v, torch.no_grad():
        head.load_state_dict(named_state(head.state_dict(), float(v["conv_gain"])))
        given, mirrored = (drawn(v[key], v["feature_shape"]) for key in ("feature_seed", "flip_feature_seed"))
        out = head(given)
        for i in range(2):
            close(out[i], v[f"out{i}"])
        codec = CODEC("256x192", flip_shift=0)
        merged = codec.merge(out, head(mirrored), COCO.flip_perm())
        for outs, kind in ((out, "decode"), (merged, "flip_decode")):
            points = codec.decode(outs)
            close(points.xy, v[f"{kind}_kpts"])
            close(points.score, v[f"{kind}_scores"])
        for i in range(2):
            close(merged[i], v[f"flip_avg{i}"])
        # With these the attention is most of the output.
        for scale in (head.gau.gamma, head.gau.beta):
            scale *= float(v["qk_gain"])
        for i, strong in enumerate(head(given)):
            close(strong, v[f"strong_out{i}"])


def test_the_published_flip_test_is_a_bin_off():
    xy = torch.tensor([[[50.3, 70.2]] * 17])
    mirrored = torch.stack([191 - xy[..., 0], xy[..., 1]], -1)
    for shift, off in ((None, 0), (0, 1)):
        codec = CODEC("256x192", flip_shift=shift)
        out, other = (codec.oracle(codec.encode(points, torch.ones(1, 17))[0]) for points in (xy, mirrored))
        peaks = codec.unmirror(other[0], COCO.flip_perm()).argmax(-1) - out[0].argmax(-1)
        assert (peaks == off).all()


@needs_models
@pytest.mark.parametrize("size", ["t", pytest.param("s", marks=pytest.mark.long)])
def test_networks_give_mmposes_outputs_from_whole_files_and_start_from_them(size):
    name = f"rtmpose_{size}_256x192"
    net = CASES[name]().eval()
    state, v = official(name, net)
    assert str(look(state)) == f"cspnext_{size}, RTMCC, 17 joints" and look(state).layout == "mmpose 1.x"
    done = load_official(net, state, name)
    assert set(done.mapped) == set(state) and not done.unused and not done.missing
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, 256, 192)).astype(np.float32))
    with torch.no_grad():
        for i, out in enumerate(net.head(net.backbone(images))):
            close(out, v[f"out{i}"], 2e-5)
    trunk, other = TIMM[size](), CASES[name]()
    load_trunk(trunk, state, name)
    assert all(torch.equal(value, net.backbone.state_dict()[key]) for key, value in trunk.state_dict().items())
    done = transfer(other, state, name, PerJoint(17, ()))
    assert not done.unused and not done.missing
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in other.state_dict().items())


def counted(name: str) -> dict[str, str]:
    with (FOLDER / "rtmpose.csv").open() as file:
        return next(row for row in csv.DictReader(file) if row["name"] == name)


QUICK = ["t_256x192", "m_384x288"]
OTHERS = ["s_256x192", "m_256x192", "l_256x192", "t_384x288", "s_384x288", "l_384x288"]


# Parameters and multiply-accumulates at 256x192 also stand in reference/official_counts.yaml.
@needs_models
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
def test_parameters_and_multiply_accumulates_are_the_counted_and_the_printed_ones(name):
    size, shape = name.split("_")
    row, sides = counted(f"rtmpose_{name}"), tuple(map(int, shape.split("x")))
    with torch.device("meta"):
        net = pair(TIMM[size], RTMCC, SimCC)(shape)
    assert parameters(net) == int(row["params"]) and parameters(net.head) == int(row["params_head"])
    for part in ("final_layer", "mlp", "gau"):
        assert parameters(net.head.get_submodule(part)) == int(row[f"head_{part}"])
    assert macs(net, *sides) == int(row["fcm_macs"]) and countings(net, *sides)["mmengine"] == int(
        row["mmengine_flops"]
    )
    if row["paper_params_M"]:
        assert f"{parameters(net) / 1e6:.2f}" == row["paper_params_M"]
        assert f"{gflops(net, *sides, 'mmengine'):.2f}" == row["paper_gflops"]


def test_the_head_is_its_definition():
    torch.manual_seed(0)
    head = head_on(RTMCC, SimCC("64x32", k=1), (3,), (16,), 4, kernel=3, width=8, attention=4, expansion=2).double()
    for p in head.parameters():
        torch.nn.init.normal_(p)
    given = torch.randn(2, 3, 4, 2, dtype=torch.float64)
    w = {key: p.detach().numpy() for key, p in head.state_dict().items()}

    def scale_norm(vector, g):
        return vector / max(np.sqrt(np.mean(vector**2)), 1e-5) * g

    def silu(values):
        return values / (1 + np.exp(-values))

    for b, image in enumerate(given.numpy()):
        padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
        vectors = []
        for j in range(4):
            flat = [
                np.sum(w["final_layer.weight"][j] * padded[:, y : y + 3, x : x + 3]) + w["final_layer.bias"][j]
                for y in range(4)
                for x in range(2)
            ]
            vectors.append(w["mlp.1.weight"] @ scale_norm(np.array(flat), w["mlp.0.g"]))
        parts = [silu(w["gau.uv.weight"] @ scale_norm(vector, w["gau.ln.g"])) for vector in vectors]
        for j in range(4):
            query, total = parts[j][32:] * w["gau.gamma"][0] + w["gau.beta"][0], np.zeros(16)
            for part in parts:
                key = part[32:] * w["gau.gamma"][1] + w["gau.beta"][1]
                total += max(query @ key / np.sqrt(4), 0) ** 2 * part[16:32]
            joint = vectors[j] * w["gau.res_scale.scale"] + w["gau.o.weight"] @ (parts[j][:16] * total)
            for ours, axis in zip(head([given]), "xy", strict=True):
                np.testing.assert_allclose(ours[b, j].detach().numpy(), w[f"cls_{axis}.weight"] @ joint, rtol=1e-9)
