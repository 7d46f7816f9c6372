"""Training speed and the share of time spent waiting for data, of every representation in turn, in one run.

Trains on the drawn people through the product's own loop. The first steps of each turn are warm-up and don't count;
the representations take turns ``--rounds`` times, so that a drifting machine shows as spread, not as a difference.

On a GPU:  python benchmarks/training.py --record
On a CPU:  python benchmarks/training.py --trainer cpu --backbone resnet18_s8 --size 64x64 --steps 20

With ``--steps-of`` networks alone are timed instead, each with channels_last, bfloat16 and compilation switched on one
after the other:  python benchmarks/training.py --steps-of resnet50 hrnet_w32 hg4 --record
"""

import argparse
import json
import os
import platform
import statistics
import sys
from pathlib import Path

import cv2
import lightning
import torch
from lightning.pytorch.callbacks import Callback
from machine import processor, record
from omegaconf import DictConfig
from steps import ratios, table

from poserep.config import compose
from poserep.files import provenance
from poserep.training.build import build
from poserep.training.progress import Progress
from poserep.training.trainer import make_trainer, quiet


class Window(Callback):
    """Lets `Progress` count only after ``warmup`` steps, and stops after ``steps`` more."""

    def __init__(self, progress: Progress, warmup: int, steps: int) -> None:
        self.progress, self.warmup, self.steps = progress, warmup, steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Count steps."""
        if trainer.global_step == self.warmup:
            self._wait()
            self.progress.totals[:] = 0
        if trainer.global_step == self.warmup + self.steps:
            self._wait()
            trainer.should_stop = True

    def _wait(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.progress.tick()


def measure(cfg: DictConfig, warmup: int, steps: int) -> dict[str, float]:
    """Return images per second and the share of waiting of one configuration."""
    lightning.seed_everything(0, verbose=False)
    run = build(cfg)
    progress = Progress(verbose=False)
    trainer = make_trainer(cfg, [], [progress, Window(progress, warmup, steps)])
    trainer.limit_val_batches = 0
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer.fit(run.module, run.data)
    memory = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    return {**progress.summary(), "memory_gib": memory}


def single_steps(options: argparse.Namespace) -> None:
    """Return the ratios of training steps for each backbone."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = []
    for word in options.steps_of:
        backbone, _, kind = word.partition(":")
        rows.append(ratios(backbone, kind or "heatmap", options.size, options.batch, device, options.rounds))
        print(table(rows[-1:]), flush=True)
        # A network that takes long to compile must not cost what the others have shown.
        if options.record:
            name = torch.cuda.get_device_name() if device == "cuda" else processor()
            settings = {"size": options.size, "batch": options.batch, "rounds": options.rounds}
            print(f"written: {record('training', f'steps {name}', settings, {'rows': rows}, options.size)}", flush=True)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainer", default="gpu")
    parser.add_argument("--backbone", default="hrnet_w32")
    parser.add_argument("--size", default="256x192")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--representations", nargs="+", default=["heatmap", "simcc", "sr"])
    parser.add_argument("--warmup", type=int, default=10)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--persons", type=int, default=2000)
    parser.add_argument("--steps-of", nargs="+", metavar="NETWORK", help="time single steps: BACKBONE[:REPRESENTATION]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/")
    parser.add_argument("overrides", nargs="*", help="of the configuration, as for poserep train")
    options = parser.parse_args()
    quiet()
    if options.steps_of:
        single_steps(options)
        return
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in options.representations}
    for _ in range(options.rounds):
        for name in options.representations:
            overrides = [
                f"trainer={options.trainer}",
                f"backbone={options.backbone}",
                f"size={options.size}",
                f"trainer.batch={options.batch}",
                f"representation={name}",
                f"data.prepare.train={options.persons}",
                "data.prepare.val=4",
                "augment=hrnet",
                "boxes=[gt]",
                "trainer.epochs=1000",
            ]
            cfg = compose([*overrides, *options.overrides]).cfg
            measured[name].append(measure(cfg, options.warmup, options.steps))
            print(name, {k: round(v, 3) for k, v in measured[name][-1].items()}, flush=True)
    first = statistics.median(m["img_s"] for m in measured[options.representations[0]])
    rows = [
        {
            "representation": name,
            "img_s": statistics.median(m["img_s"] for m in found),
            "img_s_rounds": [m["img_s"] for m in found],
            "ratio": statistics.median(m["img_s"] for m in found) / first,
            "data_wait": statistics.median(m["data_wait"] for m in found),
            "memory_gib": max(m["memory_gib"] for m in found),
        }
        for name, found in measured.items()
    ]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"
    for row in rows:
        print(
            f"{row['representation']:20} {row['img_s']:8.1f} img/s  x{row['ratio']:.2f}  {row['data_wait']:.1%} waiting"
        )
    if options.record:
        record = {
            "device": device,
            "cpu_cores": os.cpu_count(),
            "opencv": cv2.__version__,
            "cuda": torch.version.cuda,
            "command": f"python benchmarks/training.py {' '.join(sys.argv[1:])}",
            "settings": {k: v for k, v in vars(options).items() if k != "record"},
            "provenance": provenance(),
            "rows": rows,
        }
        path = Path(__file__).parent / "results" / f"training-{device.lower().replace(' ', '-')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=1) + "\n")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
