"""The command that takes a published model over: run directory, evaluation, and refusals that leave nothing behind."""

import hashlib
import json

import numpy as np
import pytest
import torch

from poserep import cli
from poserep.config import OmegaConf, compose
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models.cost import summary
from poserep.models.weights.recognise import Looks
from poserep.report.study import read_report
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate, restore
from poserep.training.fit import fit
from poserep.training.import_checkpoint import cautions, import_checkpoint
from poserep.training.network import assemble
from state_dicts import mmpose0, mmpose1, papers, parallel, rtmpose, sapiens
from tiny import TINY


@pytest.fixture
def given(synthetic, tmp_path) -> list[str]:
    """Overrides of a run on the tiny data set."""
    return [*TINY, f"data.root={synthetic}", f"runs={tmp_path}/runs"]


def network(overrides: list[str], seed: int = 5):
    """Of a configuration, with random weights."""
    cfg = compose(overrides).cfg
    torch.manual_seed(seed)
    return assemble(cfg, skeleton_of(cfg))[0].eval()


# As mmpose's files: arrays and numbers of NumPy beside the weights.
META = {"epoch": np.int64(210), "dataset_meta": {"sigmas": np.full(17, 0.05, np.float32)}}
# Few and narrow blocks, and a narrow head.
SMALL_SAPIENS = [f"backbone.{o}" for o in ("width=32", "depth=2", "num_heads=4", "heads.Deconv.width=16")]
# What the files of the layouts hold beside the state dict; test_weights_load.py has every head in every layout.
FILES = {
    "hrnet": (papers, lambda s: s, ["backbone=hrnet_w32", "backbone.width=18"]),
    "simplebaseline": (
        parallel,
        lambda s: {"epoch": 1, "model": "pose_resnet", "state_dict": s, "best_state_dict": s, "perf": 0.7},
        ["backbone=resnet18"],
    ),
    "dark_hourglass": (papers, lambda s: {"state_dict": s}, ["backbone=hg4", "backbone.stacks=2", "size=128x96"]),
    "srpose": (
        mmpose0,
        lambda s: {"meta": META, "state_dict": s, "optimizer": {}},
        ["backbone=resnet18", "representation=srpose"],
    ),
    "mmpose1_simcc": (
        mmpose1,
        lambda s: {"meta": META, "state_dict": s | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}},
        ["representation=simcc"],
    ),
    "mmpose1_rtmpose": (
        rtmpose,
        lambda s: {"meta": META, "state_dict": s | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}},
        ["backbone=cspnext_t", "representation=rtmcc", "align=corner"],
    ),
    "sapiens": (
        sapiens,
        lambda s: {"meta": META, "state_dict": s},
        ["backbone=sapiens_03b", "representation=udp", *SMALL_SAPIENS],
    ),
}


def outputs(net, image):
    net.eval()
    with torch.no_grad():
        out = net(image)
    return out if isinstance(out, tuple) else (out,)


@pytest.mark.parametrize("name", FILES)
def test_imported_models_give_their_own_outputs(given, tmp_path, name):
    layout, wrap, overrides = FILES[name]
    overrides = ["backbone=resnet18", *overrides] if "backbone" not in str(overrides) else overrides
    source = network([*given, *overrides])
    torch.save(wrap(layout(source)), tmp_path / "published.pth")
    run_dir = import_checkpoint(tmp_path / "published.pth", [*given, *overrides])
    run = restore(run_dir, reconfigure(run_dir, []))
    size = Size.parse(reconfigure(run_dir, []).input_size)
    image = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
    ours, theirs = outputs(run.module.net, image), outputs(source, image)
    assert len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    about = json.loads((run_dir / "import.json").read_text())
    assert about["mapped"] == len(layout(source)) and not about["missing"]
    # As of any run of this network.
    assert about["cost"] == summary(source, size.height, size.width)
    assert about["sha256"] == hashlib.sha256((tmp_path / "published.pth").read_bytes()).hexdigest()


def test_alignments_that_published_models_were_not_trained_with():
    for backbone, layout, align, named in (
        ("hrnet_w32", "the papers' own code", "centre", "align=dark (DARK, TokenPose"),
        ("hrnet_w32", "the papers' own code", "corner", None),
        ("hrnet_w32", "the papers' own code", "dark", None),
        ("hrnet_w32", "the papers' own code", "edge", "differs where the input is not square"),
        ("tokenpose", "the papers' own code", "corner", "trained with align=dark"),
        ("tokenpose", "the papers' own code", "dark", None),
        ("transpose", "mmpose 0.x", "corner", None),
        ("sapiens_1b", "mmpose 1.x", "centre", "align=centre; Sapiens's models were trained with align=edge"),
        ("sapiens_1b", "mmpose 1.x", "edge", None),
    ):
        cfg = OmegaConf.create({"align": align, "data": {}, "backbone": {}})
        texts = cautions(cfg, Looks(layout, backbone, "", False, 17))
        assert [named in text for text in texts] == [True] if named else not texts


def test_hrformers_whose_tables_may_not_be_theirs_to_add_are_noted():
    cfg = OmegaConf.create({"align": "corner", "data": {}, "backbone": {"_target_": "poserep.models.HRFormer"}})
    looks = Looks("mmpose 0.x", "hrformer", "heatmap", False, 17)
    (note,) = cautions(cfg, looks)
    for part in ("mmpose 1.x", "classification code", "pose code of HRFormer and SRPose", "position_bias=false"):
        assert part in note
    cfg.backbone.position_bias = False
    assert cautions(cfg, looks) == []


def test_an_imported_run_is_evaluated_and_is_no_trained_one(given, tmp_path, capsys):
    overrides = [*given, "backbone=resnet18", "representation=simcc"]
    torch.save(papers(network(overrides)), tmp_path / "published.pth")
    run_dir = import_checkpoint(tmp_path / "published.pth", overrides)
    assert run_dir.parent == tmp_path / "runs" / "imported"
    assert run_dir.name.startswith("simcc-resnet18-synthetic-easy-64x64-s0-")
    assert sorted(p.relative_to(run_dir).as_posix() for p in run_dir.rglob("*") if p.is_file()) == [
        "checkpoints/last.ckpt", "config.yaml", "import.json", "status.json",
    ]  # fmt: skip
    said = capsys.readouterr().out
    assert f"next: poserep evaluate {run_dir}" in said and "resnet18, SimCC, 17 joints" in said
    assert "note: align=centre" in said and "data.crop.bgr=true" in said
    about = json.loads((run_dir / "import.json").read_text())
    assert len(about["cautions"]) == 2 and all(f"note: {text}" in said for text in about["cautions"])
    assert json.loads((run_dir / "status.json").read_text())["state"] == "imported"
    with pytest.raises(InputError, match=r"holds no finished run\n.*imported evaluated, not trained"):
        read_report(run_dir.parent)
    with pytest.raises(InputError, match="was imported and is not trained; evaluate it"):
        fit(run_dir)
    result = reevaluate(run_dir, reconfigure(run_dir, ["boxes=[gt]"]))
    assert 0 <= result["metrics"]["gt"]["argmax"]["AP"] <= 100
    assert result["config"]["imported"] == json.loads((run_dir / "import.json").read_text())["sha256"][:12]
    # Other weights are another run; the same ones again are the same.
    assert import_checkpoint(tmp_path / "published.pth", overrides) == run_dir
    torch.save(papers(network(overrides, seed=6)), tmp_path / "published.pth")
    assert import_checkpoint(tmp_path / "published.pth", overrides) != run_dir


def test_everything_about_the_file_is_recorded(given, tmp_path, capsys):
    overrides = [*given, "backbone=resnet18", "representation=srpose", "study=mine", "align=corner"]
    state = mmpose0(network(overrides))
    side = [key for key in state if key.split(".")[1] in ("kp_encoder", "converge") and key.split(".")[2] != "3"]
    inference = {key: value for key, value in state.items() if key not in side}
    torch.save({"state_dict": inference | {"ema_a": torch.ones(1)}, "meta": META}, tmp_path / "sr.pth")
    run_dir = import_checkpoint(tmp_path / "sr.pth", overrides)
    assert run_dir.parent.name == "mine"
    about = json.loads((run_dir / "import.json").read_text())
    assert about["file"] == "sr.pth" and about["layout"] == "mmpose 0.x" and about["mapped"] == len(inference)
    assert about["unused"] == {"ema_a": "moving average, kept beside the weights"}
    assert len(about["missing"]) == 12 and set(about["missing"].values()) == {"runs in training alone"}
    assert {"net.scale", "net.offset"} <= set(about["kept"]) and about["beside"] == ["meta"]
    said = capsys.readouterr().out
    assert "12: runs in training alone" in said and "note: " not in said
    restore(run_dir, reconfigure(run_dir, []))


@pytest.mark.parametrize("representation", ["bottomup", "bottomup_sr", "bottomup_higher"])
def test_bottom_up_models_are_imported(representation, given, tmp_path, capsys):
    overrides = [*given, "backbone=resnet18", f"representation={representation}"]
    torch.save({"state_dict": mmpose0(network(overrides))}, tmp_path / "bu.pth")
    run_dir = import_checkpoint(tmp_path / "bu.pth", overrides)
    about = json.loads((run_dir / "import.json").read_text())
    assert about["layout"] == "mmpose 0.x" and not about["unused"] and not about["missing"]
    assert f"next: poserep evaluate {run_dir}" in capsys.readouterr().out
    restore(run_dir, reconfigure(run_dir, []))


def test_refusals_leave_no_run(given, tmp_path):
    file, words = tmp_path / "published.pth", [*given, "backbone=resnet18", "representation=simcc"]
    torch.save(papers(network(words)), file)
    for overrides, message in {
        "representation=heatmap": "looks like a SimCC checkpoint",
        "representation.codec.k=3": "to 128 bins, the model 256 to 192",
        "backbone=hrnet_w32": "looks like resnet18, the model's like hrnet_w32",
        "backbone.weights=x.pth": "backbone.weights would be replaced",
        "foo=1": "no key or group foo; a run has align",
        "representation=nothing": "no representation .nothing.; there are",
        "-m": "may only hold overrides",
        "input_size=100x100": "does not suit backbone",
    }.items():
        with pytest.raises(InputError, match=message):
            import_checkpoint(file, [*words, overrides])
    with pytest.raises(InputError, match="take head and codec from one representation"):
        other = ["representation=heatmap", "representation.head._target_=poserep.models.PointHead"]
        import_checkpoint(file, [*words, *other])
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(InputError, match="damaged, or no checkpoint of PyTorch"):
        import_checkpoint(file, words)
    assert not (tmp_path / "runs").exists()


def test_a_page_in_place_of_weights_is_refused(given, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.pth").write_text("<html>")
    assert cli.main(["import", "page.pth", *given, "backbone=resnet18"]) == 2
    assert capsys.readouterr().err.startswith("error: weights page.pth cannot be read as tensors: this is a web page")
