"""The commands of ``poserep`` that `equality` runs, by step, and the tiny data sets that they need."""

import contextlib
import importlib
import importlib.util
import io
import json
import os
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from poserep.data.synthetic import generate

SEVERAL = ".several.json"
MODES = ("published", "controlled")
EASY = "data.prepare.train=64 data.prepare.val=24"
HARD = "data.level=hard data.prepare.train=16 data.prepare.val=12"
SMOKE = "trainer=smoke trainer.limit=null trainer.batch=8"
BOXES = "data.detections=person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
CROWDS = "data.detections=annotations/det_for_crowd_test_0.1_0.5.json"
# Patterns stand for runs, whose names end with a hash.
SETS = f"""
train study=sets {SMOKE} data=coco {BOXES} augment=hrnet data.clip=hrnet data.crop.bgr=true align=corner
train study=sets {SMOKE} data=crowdpose {CROWDS} augment=srpose representation=simcc
train study=sets {SMOKE} data=mpii augment=mpii align=dark representation=heatmap_unbiased
train study=sets {SMOKE} data=human4d augment=none flip_test=false input_size=80x160
train study=sets {SMOKE} data=lspet data.root=data/lspet augment=resnet align=edge representation=sr
train study=sets {SMOKE} {HARD} representation=simcc
evaluate runs/sets/heatmap-*-coco-* data.clip=exact flip_test=false +representation.codec.score=published
evaluate runs/sets/heatmap-*-coco-* data=coco_testdev boxes=null
"""
# A table with printed values and a baseline, in both modes.
LINES = f"""
sweep run simcc-table5 --rows '*no smoothing' --rows '*Gaussian*' {SMOKE} size=64x64 seed=0,1
sweep run simcc-table5 --rows '*no smoothing' --rows '*Gaussian*' {SMOKE} size=64x64 table.mode=controlled
"""
# Long enough to learn something, so that the numbers of evaluations and reports are not 0.
LEARNT = "data.prepare.train=1000 data.prepare.val=100"
RECORDS = f"""
sweep run demo {LEARNT}
sweep run embedded --rows 'Heatmap, *' --rows 'SR head*' {LEARNT} data.level=easy trainer.epochs=8 size=64x64 seed=0
{SETS.strip()}
{LINES.strip()}
""".strip().splitlines()
NETWORK = f"train study=networks {SMOKE} {EASY}"
ALONE = {
    "networks": f"""
{NETWORK} backbone=hrnet_w18 representation=simcc augment=hrnet align=centre
{NETWORK} backbone=hrformer_s representation=heatmap_unbiased augment=dark align=dark
{NETWORK} backbone=tokenpose_s representation=simcc_equal augment=mpii align=dark optim=adam_step
{NETWORK} backbone=transpose_r representation=simcc_laplace augment=photometric align=edge
{NETWORK} backbone=vitpose_s representation=heatmap augment=resnet align=corner optim=adam_step
{NETWORK} backbone=hg4 representation=heatmap augment=none align=centre
{NETWORK} backbone=resnet50 representation=simcc_onehot augment=flip align=corner optim=adam_step
{NETWORK} backbone=resnet18 representation=srpose augment=srpose align=edge
{NETWORK} backbone=hrnet_w18 representation=srpose augment=hrnet align=corner optim=adam_step
{NETWORK} representation=ipr augment=hrnet align=edge
{NETWORK} representation=dsnt augment=dark align=centre
{NETWORK} representation=regression augment=mpii align=corner
{NETWORK} representation=rle augment=srpose align=dark
{NETWORK} representation=heatmap1d augment=photometric align=centre
{NETWORK} representation=simcc_free augment=resnet align=centre
""",
    "sets": SETS,
    "checkpoints": """
evaluate runs/demo/heatmap-* checkpoint=best readouts=[dark,argmax] boxes=[gt]
evaluate runs/demo/sr-* flip_test=false +representation.codec.score_threshold=0
calibrate runs/demo/simcc-*
evaluate runs/demo/simcc-* checkpoint=calibrated
export runs/demo/heatmap-* dark.onnx readout=dark
predict data/coco/images/val2017/000000100700.jpg --model dark.onnx --boxes 40,20,120,200 --out poses
predict data/coco/images/val2017/000000100701.jpg --model runs/demo/sr-* --out poses-of-run
""",
    "lines": LINES,
    "demo": f"sweep run demo {EASY} trainer.epochs=2 trainer.evaluate_every=1 trainer.batch=8",
}
LOOKS = (
    ("coco", BOXES), ("coco_testdev", ""), ("crowdpose", CROWDS), ("mpii", ""), ("human4d", ""),
    ("lspet", "data.root=data/lspet"), ("synthetic", HARD),
)  # fmt: skip
TOGETHER = {
    "looks": "\n".join(
        f"data check --decode data={name} {more}\ndata overlap data={name} {more}\n"
        f"data preview data={name} {more} --count 4 --split val --out {name}.png\n"
        f"data stats data={name} {more} --json {name}.json"
        for name, more in LOOKS
    )
    + """
data stats data.root=drawn data.prepare.train=12 data.prepare.val=8
data stats data.root=drawn data.prepare.train=12 data.prepare.val=8 data.level=hard
data preview data=coco augment=hrnet --count 4 --out augmented.png
""",
    "counts": """
cost backbone=resnet50 representation=heatmap size=256x192 --json resnet50.json
cost backbone=hrnet_w32 representation=simcc size=256x192 --json hrnet.json
cost backbone=hrformer_s representation=heatmap size=64x64 --json hrformer.json
cost backbone=tokenpose_b representation=simcc_equal size=128x128 --json tokenpose.json
cost backbone=transpose_h_s representation=heatmap size=128x96 --json transpose.json
cost backbone=hg8 representation=heatmap size=64x64 --json hourglass.json
cost backbone=resnet50 representation=srpose size=128x96 --json srpose.json
cost backbone=hrnet_w32 representation=bottomup size=64x64 --json bottomup.json
sweep budget demo simcc-table5 dark-table6 lspet
sweep budget simcc-table5 srpose-table6 --mode controlled
""",
    "reports": """
report demo
report sets
report embedded
report simcc-table5
report simcc-table5 --format latex
diff runs/demo/heatmap-* runs/demo/simcc-* --all --json demo.json
diff runs/sets/heatmap-*-coco-* runs/sets/simcc-*
compare runs/demo/heatmap-*:dark runs/demo/simcc-* --samples 300 --json demo-AP.json
compare runs/demo/sr-*:argmax runs/demo/sr-*:shift --metric AP75 --score-threshold 0 --samples 100 --json demo-AP75.json
compare runs/sets/heatmap_unbiased-*:dark runs/sets/heatmap_unbiased-*:argmax --samples 50 --json mpii.json
""",
}
LSP = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
)  # fmt: skip


def steps(quantisation: str) -> dict[str, list[str]]:
    """Return the commands of every step.

    Args:
        quantisation: Module of the study without training.
    """
    checkout = Path(str(importlib.util.find_spec("poserep").origin)).parents[2]  # type: ignore[union-attr]
    more = {"lspet": "data.root=data/lspet", "embedded": "seed=0"}
    sweeps = [path.stem for path in sorted((checkout / "sweeps").glob("*.yaml"))]
    choices = [(path.parent.name, path.stem) for path in sorted((checkout / "conf").glob("*/*.yaml"))]
    found = {step: text.strip().splitlines() for step, text in {**ALONE, **TOGETHER}.items()}
    found["quantisation"] = [f"{quantisation} size=64x64,256x192 {EASY}"]
    found["choices"] = [f"train --cfg job {group}={choice}" for group, choice in choices if group != "recipes"]
    found["sweeps"] = [f"sweep run {s} ++table.mode={m} {more.get(s, '')}" for s in sweeps for m in MODES]
    return found


def draw(data: Path, writers: str) -> None:
    """Draw tiny copies of all data sets.

    Args:
        data: Folder for them.
        writers: Module that has what writes them.
    """
    # Last, so that writers of other code come first where PYTHONPATH names it.
    sys.path.append(str(Path(__file__).parents[1]))
    made = importlib.import_module(writers)
    for name, counts in {"coco": (8, 8), "crowdpose": (6, 6), "mpii": (8, 8), "human4d": (3,)}.items():
        getattr(made, f"generate_{name}")(data, *counts).rename(data / name)
    generate(data / "synthetic", "easy", 64, 24, workers=1)
    generate(data / "synthetic", "hard", 16, 12, workers=1)
    # CrowdPose's joints are those of Leeds Sports Pose in another order.
    shutil.copytree(data / "crowdpose" / "images", data / "lspet" / "images")
    for split, file in {"train": "trainval", "val": "test"}.items():
        found = json.loads((data / "crowdpose" / "annotations" / f"mmpose_crowdpose_{file}.json").read_text())
        (category,) = found["categories"]
        order = [category["keypoints"].index(name) for name in LSP]
        category |= {"keypoints": [*LSP[:-1], "head_top"], "skeleton": []}
        for person in found["annotations"]:
            joints = np.reshape(person["keypoints"], (-1, 3))[order]
            area, labelled = 0.53 * person["bbox"][2] * person["bbox"][3], int((joints[:, 2] > 0).sum())
            person |= {"keypoints": joints.ravel().tolist(), "num_keypoints": labelled, "area": area}
        (data / "lspet" / f"{split}.json").write_text(json.dumps(found))


def run(commands: Sequence[str], folder: Path, together: bool = False) -> dict[str, Any]:
    """Run commands in a folder, each in a process of its own or all in one, which spares imports.

    Returns:
        Output and exit status of each.
    """
    paths = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    fixed = {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "CUDA_VISIBLE_DEVICES": "", "PYTHONWARNINGS": "ignore"}
    env = {**os.environ, **fixed, "PYTHONPATH": os.pathsep.join(paths)}
    if together:
        script = [sys.executable, str(Path(__file__).resolve()), json.dumps(commands)]
        subprocess.run(script, cwd=folder, env=env, check=True)
        return dict(json.loads((folder / SEVERAL).read_text()))
    outcomes = {}
    for command in commands:
        words = words_of(command, folder)
        call = [sys.executable, "-m", *([] if "." in words[0] else ["poserep"]), *words]
        done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True)
        outcomes[command] = outcome(done.returncode, done.stdout, done.stderr)
    return outcomes


def words_of(command: str, folder: Path) -> list[str]:
    """Split a command into words; a pattern of runs stands for the first of them."""
    words = []
    for word in shlex.split(command):
        pattern, *readout = word.split(":") if word.startswith("runs/") else [word]
        found = [str(path.relative_to(folder)) for path in folder.glob(pattern)] if word.startswith("runs/") else []
        words.append(":".join([min(found, default=pattern), *readout]))
    return words


def outcome(status: int, out: str, err: str) -> dict[str, Any]:
    """Return exit status and output of a command; warnings come and go, but the reason of a failure does not."""
    return {"status": status, "lines": [*out.splitlines(), *(err.splitlines() if status else [])]}


def several(commands: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Run commands in this process; cells of sweeps are composed, recorded, and not run."""
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra.core.plugins import Plugins
    from omegaconf import OmegaConf

    compose_cell = ConfigLoaderImpl.load_sweep_config
    nowhere = SimpleNamespace(launch=lambda *cells, **given: sys.exit(0))

    def recorded(loader: Any, config: Any, overrides: list[str]) -> Any:
        cfg = compose_cell(loader, config, overrides)
        own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key not in ("hydra", "table")])
        cells.append({"overrides": overrides, "config": OmegaConf.to_container(own, resolve=True)})
        return cfg

    ConfigLoaderImpl.load_sweep_config = recorded  # type: ignore[assignment, method-assign]
    Plugins.instantiate_launcher = lambda self, **given: nowhere  # type: ignore[assignment, method-assign]
    for command in commands:
        cells: list[dict[str, Any]] = []
        sys.argv, out, err, status = ["poserep", *words_of(command, Path())], io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_module("poserep", run_name="__main__", alter_sys=True)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 0
        asked = [json.loads(path.read_text()) for path in Path().glob("runs/*/cells/*.json")] if cells else []
        uses = sorted(({key: cell[key] for key in ("overrides", "uses")} for cell in asked), key=str)
        if cells:
            shutil.rmtree("runs")
        yield outcome(status, out.getvalue(), err.getvalue()) | ({"cells": cells, "uses": uses} if cells else {})


if __name__ == "__main__":
    # As with ``python -m``, and not the folder of this file.
    sys.path[0] = ""
    (given,) = map(json.loads, sys.argv[1:])
    Path(SEVERAL).write_text(json.dumps(list(zip(given, several(given), strict=True))))
