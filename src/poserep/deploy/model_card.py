"""The README.md beside shared weights: what they are, how they were made and evaluated, and how they are loaded."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poserep.deploy.card import Card
from poserep.files import file_hash, provenance
from poserep.models import PoseNet
from poserep.models.cost import summary
from poserep.runs.records import read_record
from poserep.runs.rundir import RunDir, named_result
from poserep.training.evaluation_sheet import evaluation_sheet

LOADING = """```python
from poserep.config import OmegaConf
from poserep.data.from_config import skeleton_of
from poserep.models.weights.load import load_official
from poserep.models.weights.read import read_state
from poserep.training.network import build_network

cfg = OmegaConf.load("config.yaml")
net, codec = build_network(cfg, skeleton_of(cfg)){temper}
load_official(net, read_state("{file}"), "{file}")
points = codec.decode(net.eval()(crops), "{readout}")  # crops: uint8 (B, {channels}, {height}, {width})
```

`points.xy` (B, {joints}, 2) is in px of the crop, the first pixel's centre being (0, 0), `points.score` in [0, 1].
Training starts from these weights with `poserep train init={file}` and the settings of config.yaml."""
HUB = """
Transformers load the folder too: `VitPoseForPoseEstimation.from_pretrained(".")`. Its own decoding blurs heatmaps less
than ViTPose's code (standard deviation 0.8 bins, not 2.0), and takes crops with `align=edge`."""


def model_card(run_dir: Path, card: Card, config: Mapping[str, Any], net: PoseNet, file: Path, hub: bool) -> str:
    """Return the card of a run's exported weights in Markdown, with the head that model hubs read."""
    run = RunDir(run_dir)
    evaluations = [evaluation_sheet(title, record).markdown().strip() for title, record in _evaluations(run, card)]
    sections = {
        "": _network(card, config, net, hub),
        "Training": _training(run, card, config),
        "Evaluation": "\n\n".join(evaluations) or f"Checkpoint {card.checkpoint} was not evaluated.",
        "Loading": LOADING.format(
            file=file.name, readout=card.readout, joints=len(card.skeleton.names), channels=card.channels,
            height=card.height, width=card.width,
            temper=f"\ncodec.temperature.fill_({card.temperature:.9g})" if card.temperature != 1 else "",
        ) + (HUB if hub else ""),
        "Licence": "Not chosen: whoever publishes these weights states it here, and as `license:` at the head of this "
        f"file. The terms of the data ({card.data}) and of the weights that training began from hold as well.",
        "Provenance": _provenance(run, card, file),
    }  # fmt: skip
    head = f"---\nlibrary_name: {'transformers' if hub else 'poserep'}\npipeline_tag: keypoint-detection\n---\n"
    texts = [f"## {title}\n\n{text}" if title else text for title, text in sections.items()]
    return "\n\n".join([f"{head}# {card.run}", *texts]) + "\n"


def _network(card: Card, config: Mapping[str, Any], net: PoseNet, hub: bool) -> str:
    task = "all people of an image (bottom-up)" if card.scenes else "one person in a crop (top-down)"
    cost = summary(net, card.height, card.width)
    backbone = (config.get("names") or {}).get("backbone") or type(net.backbone).__name__
    entries = {
        "task": f"2D keypoints of {task}, {len(card.skeleton.names)} joints: {', '.join(card.skeleton.names)}",
        "representation": f"{config['representation'].get('title', card.representation)} ({card.representation})",
        "network": f"{backbone} with {type(net.head).__name__}, {cost['params'] / 1e6:.2f} M parameters, "
        f"{cost['gmacs']:.2f} GMACs (true multiply-accumulates, one image)",
        "input": f"{card.size} px (height x width), {'BGR' if card.bgr else 'RGB'} bytes"
        if card.channels == 3
        else f"{card.size} px, {card.channels} channel",
        "crop": f"alignment {card.align}, boxes enlarged by {card.padding:g}",
        "readout": f"{card.readout}, flip test {'on' if card.flip_test else 'off'}",
        "score": f"{card.score}, temperature {card.temperature:g}"
        + (" (of calibration; no tensor holds it)" if card.temperature != 1 else ""),
        "names of tensors": "Hugging Face's Transformers" if hub else "poserep's own",
    }
    return "\n".join(["| | |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in entries.items())])


def _training(run: RunDir, card: Card, config: Mapping[str, Any]) -> str:
    if (run / "import.json").is_file():
        about = read_record(run / "import.json")
        return (
            f"None here: imported from {about['file']} ({about['layout']}, SHA-256 {about['sha256']}), of which "
            f"{about['mapped']} entries were taken. Its makers' terms and training hold."
        )
    trainer, contents = config["trainer"], config.get("contents") or {}
    began = {"init": config.get("init"), "weights": config["backbone"].get("weights")}
    files = [f"{Path(str(path)).name} ({contents.get(role, 'unknown')})" for role, path in began.items() if path]
    return (
        f"{card.data}, {trainer['epochs']} epochs, batches of {trainer['batch']}, seed {config['seed']}; began from "
        f"{' and '.join(files) or 'no weights'}. All settings are in config.yaml."
    )


def _evaluations(run: RunDir, card: Card) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the results of the exported checkpoint, the run's own first, each with a title."""
    for file in (run.result_file(), *sorted(run.path.glob("evaluation-*.json"))):
        if file.is_file():
            record = run.result(named_result(file)[1])
            if (record.get("checkpoint") or record["config"].get("checkpoint")) == card.checkpoint:
                yield f"Checkpoint {card.checkpoint}, by boxes and readout", record


def _provenance(run: RunDir, card: Card, file: Path) -> str:
    now, lines = provenance(), [f"- weights: {file.name}, SHA-256 begins with {file_hash(file)}"]
    trained = run.result().get("provenance") if run.finished else None
    for what, record in (("trained", trained), ("exported", now)):
        if record:
            changed = ", with changes that are not committed" if record.get("dirty") else ""
            lines.append(f"- {what} by poserep {record['poserep']}, commit {record['commit'] or 'unknown'}{changed}")
    return "\n".join([f"- run: {card.run}, checkpoint {card.checkpoint}", *lines])
