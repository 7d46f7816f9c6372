"""Weights to be shared: what the files hold, how the model card says to load them, and when none is written."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch.utils._pytree import tree_leaves

from poserep import cli
from poserep.data.from_config import skeleton_of
from poserep.deploy import weights
from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.weights import export_weights
from poserep.errors import Failed, InputError
from poserep.files import file_hash, load_yaml
from poserep.models.weights.read import read_state
from poserep.runs.create import prepare
from poserep.training.evaluate import configure as configure_run
from poserep.training.evaluate import restore
from poserep.training.import_checkpoint import import_checkpoint
from poserep.training.module import PoseModule
from poserep.training.network import build_network
from tiny import TINY

VIT = ["backbone=vitpose_s", "backbone.width=32", "backbone.num_heads=4", "+backbone.depth=2", "boxes=[gt]"]


@pytest.fixture
def vit(configure):
    """Make the directory of a small ViTPose of random weights."""

    def make(*overrides: str) -> Path:
        cfg = configure(*VIT, *overrides)
        run_dir = prepare(cfg, "vitpose_s").path
        skeleton = skeleton_of(cfg)
        torch.manual_seed(0)
        module = PoseModule(*build_network(cfg, skeleton), skeleton.flip_perm(), {}, cfg.readouts)
        (run_dir / "checkpoints").mkdir()
        torch.save({"state_dict": module.state_dict()}, run_dir / "checkpoints" / "last.ckpt")
        return run_dir

    return make


def restored(run_dir: Path) -> PoseModule:
    return restore(run_dir, configure_run(run_dir, [])).module.eval()


def loaded(readme: Path, monkeypatch, crops: torch.Tensor) -> dict:
    """What the code of a model card makes, in the folder of the card."""
    monkeypatch.chdir(readme.parent)
    (code,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.S)
    names = {"crops": crops}
    with torch.no_grad():
        exec(code, names)
    return names


def crops() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_a_trained_run_is_shared_with_all_that_is_known_of_it(trained, tmp_path, monkeypatch, capsys):
    file = tmp_path / "shared" / "model.safetensors"
    assert cli.main(["export", str(trained), str(file), "readout=dark"]) == 0
    printed = capsys.readouterr().out
    assert f"SHA-256 {file_hash(file)}" in printed and "by the names of poserep" in printed
    assert sorted(p.name for p in file.parent.iterdir()) == ["README.md", "config.yaml", "model.safetensors"]
    module = restored(trained)
    state = {key: value for key, value in module.net.state_dict().items() if "." in key}
    tensors = read_state(file)
    assert tensors.keys() == state.keys() and all(torch.equal(tensors[key], state[key]) for key in state)
    with safe_open(file, "pt") as stored:
        assert stored.metadata()["format"] == "pt"
        assert Card.from_json(stored.metadata()[METADATA_KEY], file).readout == "dark"
    text, result = (file.parent / "README.md").read_text(), json.loads((trained / "result.json").read_text())
    assert (
        text.startswith("---\nlibrary_name: poserep\npipeline_tag: keypoint-detection\n---\n")
        and "license: " not in text
    )
    for part in ("one person in a crop", "17 joints: nose", "Heatmap (heatmap)", "flip test on", "## Licence",
                 "Not chosen", "synthetic-easy, 1 epochs", "began from no weights", "protocol: synthetic-easy",
                 file_hash(file)[:12], f"trained by poserep {result['provenance']['poserep']}, commit",
                 "exported by poserep"):  # fmt: skip
        assert part in text, part
    # Each readout with its kind of boxes and its AP.
    ap = result["metrics"]["gt"]["dark"]["AP"]
    assert re.search(rf"\| gt \| dark \| {ap:.1f} \|", text)
    # Nothing of this machine.
    config = (file.parent / "config.yaml").read_text()
    assert str(tmp_path.parent) not in text + config and "root:" not in config and str(Path.home()) not in text + config
    names = loaded(file.parent / "README.md", monkeypatch, crops())
    with torch.no_grad():
        due = module.codec.decode(module.net(crops()), "dark")
    assert torch.equal(names["points"].xy, due.xy) and torch.equal(names["points"].score, due.score)


@pytest.mark.parametrize("overrides", [[], ["representation.head._target_=poserep.models.BilinearConv"]])
@pytest.mark.parametrize("class_entry", [True, False])
def test_a_vitpose_is_shared_by_the_names_of_the_hub(vit, tmp_path, monkeypatch, capsys, overrides, class_entry):
    run_dir = vit(*overrides, f"backbone.class_entry={class_entry}".lower())
    file = tmp_path / "hub" / "model.safetensors"
    assert cli.main(["export", str(run_dir), str(file), "--hub"]) == 0
    assert "outputs are the same bit for bit" in capsys.readouterr().out
    config = json.loads((file.parent / "config.json").read_text())
    assert config["use_simple_decoder"] == bool(overrides) and config["backbone_config"]["image_size"] == [64, 64]
    assert config["id2label"]["0"] == "nose" and config["backbone_config"]["num_attention_heads"] == 4
    tensors = read_state(file)
    assert tensors["backbone.embeddings.position_embeddings"].shape == (1, 17, 32)
    assert tensors["backbone.encoder.layer.1.attention.attention.key.weight"].shape == (32, 32)
    text = (file.parent / "README.md").read_text()
    assert "library_name: transformers" in text and "VitPoseForPoseEstimation" in text and "0.8 bins" in text
    names = loaded(file.parent / "README.md", monkeypatch, crops())
    net = restored(run_dir).net
    with torch.no_grad():
        assert torch.equal(names["net"](crops()), net(crops()))
    if class_entry:
        same = zip(names["net"].state_dict().items(), net.state_dict().items(), strict=True)
        assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in same)


def test_shared_weights_are_imported_and_shared_again(vit, synthetic, tmp_path, capsys):
    file = tmp_path / "hub" / "model.safetensors"
    source = vit()
    export_weights(source, configure_run(source, []), file, hub=True)
    words = [*TINY, *VIT, f"data.root={synthetic}", f"runs={tmp_path}/again"]
    with pytest.raises(InputError, match=r"config\.json beside it is of another network.*add backbone\.eps=1e-06"):
        import_checkpoint(file, [*words, "backbone.eps=1e-12"])
    assert not (tmp_path / "again").exists()
    run_dir = import_checkpoint(file, words)
    printed = capsys.readouterr().out
    assert "Hugging Face" in printed and "align=centre; ViTPose's models were trained with align=edge" in printed
    assert "backbone.num_heads and backbone.eps must" in printed
    export_weights(run_dir, configure_run(run_dir, []), tmp_path / "own" / "model.safetensors")
    text = (tmp_path / "own" / "README.md").read_text()
    assert f"imported from model.safetensors (Hugging Face, SHA-256 {file_hash(file)}" in text
    assert "Checkpoint last was not evaluated." in text
    own = read_state(tmp_path / "own" / "model.safetensors")
    state = restored(source).net.state_dict()
    assert all(torch.equal(own[key], state[key]) for key in own)
    # A run of poserep's own names is imported too.
    (tmp_path / "own" / "README.md").unlink()
    assert import_checkpoint(tmp_path / "own" / "model.safetensors", words).parent == run_dir.parent


def test_outputs_of_whole_images_and_calibrated_scores_are_shared(untrained, tmp_path, monkeypatch):
    run_dir = untrained("representation=bottomup", "flip_test=false")
    export_weights(run_dir, configure_run(run_dir, []), tmp_path / "a" / "w.safetensors")
    assert "all people of an image" in (tmp_path / "a" / "README.md").read_text()
    run_dir = untrained("representation=simcc", "boxes=[gt]")
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    tempered = state | {"codec.temperature": torch.tensor(2.0)}
    torch.save({"state_dict": tempered}, run_dir / "checkpoints" / "calibrated.ckpt")
    export_weights(run_dir, configure_run(run_dir, ["checkpoint=calibrated"]), tmp_path / "b" / "w.safetensors")
    names = loaded(tmp_path / "b" / "README.md", monkeypatch, crops())
    assert names["codec"].temperature == 2


def test_what_cannot_be_shared_is_refused_and_leaves_nothing(trained, tmp_path, monkeypatch):
    cfg, file = configure_run(trained, []), tmp_path / "shared" / "model.safetensors"
    with pytest.raises(InputError, match=r"--hub: .* ViTPose with its two decoders alone, not TinyMaps with Deconv"):
        export_weights(trained, cfg, file, hub=True)
    monkeypatch.setattr(weights, "same_outputs", lambda *_: False)
    with pytest.raises(Failed, match="gives other numbers than the run's; it is not written"):
        export_weights(trained, cfg, file)
    assert not file.parent.exists() or not list(file.parent.iterdir())
    file.parent.mkdir(exist_ok=True)
    file.with_name("README.md").write_text("mine")
    with pytest.raises(InputError, match=r"README\.md exists, .* as in .*/shared/.*model\.safetensors$"):
        export_weights(trained, cfg, file)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert cli.main(["export", str(trained), "model.onnx", "--hub"]) == 2
    assert "--hub is about weights: name a file whose name ends in .safetensors" in said.getvalue()


def test_a_shared_configuration_is_plain(vit, tmp_path):
    run_dir = vit("representation=heatmap")
    export_weights(run_dir, configure_run(run_dir, []), tmp_path / "w" / "w.safetensors")
    config = load_yaml((tmp_path / "w" / "config.yaml").read_text())
    assert config["data"]["skeleton"]["keypoints"][0] == "nose" and "runs" not in config
    assert len(tree_leaves(config)) > 50
