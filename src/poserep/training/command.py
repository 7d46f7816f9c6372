"""The commands ``poserep evaluate``, ``calibrate``, ``learn-scores`` and ``import``.

What they need is imported once their arguments have been read, so that help and refusals come at once.
"""

from collections.abc import Sequence
from pathlib import Path

from poserep.cli import add_origin, parser_of
from poserep.errors import InputError
from poserep.runs.launch import is_rank, launch, refuse_other_launchers

EVALUATE = """Evaluate a checkpoint of a run again, with other readouts, boxes, scores or data.

Overrides are written as for training; +key=value adds, for example a readout. Data of other joints are evaluated, by
name, on those that they have in common with the run's. Writes evaluation-ID.json and .npz beside the result of the run.

With --results the results of another program, a list in COCO's format, are scored as they stand in place of a run, and
FILE.evaluation.json is written beside them; poserep compare takes them as well.

example: poserep evaluate runs/demo/heatmap-... checkpoint=best flip_test=false 'boxes=[det]'
         poserep evaluate --results results.json data=coco data.root=data/coco
"""
CALIBRATE = """Calibrate a run's scores to OKS: fit a temperature on half of the images, measure it on the others.

Overrides are written as for poserep evaluate. Writes calibration.json and checkpoints/calibrated.ckpt, the same weights
with the temperature, which poserep evaluate RUN_DIR checkpoint=calibrated evaluates. The temperature is fitted on
annotated boxes with the default readout and applied to every readout, on one device whatever the run had. A temperature
that the checkpoint has already is replaced.

example: poserep calibrate runs/demo/simcc-... checkpoint=best
"""
LEARN_SCORES = """Learn a run's joint scores: a small head on its features predicts OKS, points stay as they are.

It is trained on the training set, augmented as the run was, with the default readout's points, on one device. Overrides
are written as for poserep evaluate. Writes checkpoints/learnt.ckpt, the same weights with that head, which poserep
evaluate RUN_DIR checkpoint=learnt evaluates, with learnt scores for every readout. Such a checkpoint is not exported.

example: poserep learn-scores runs/demo/simcc-... checkpoint=best --epochs 5
"""
IMPORT = """Take a published pose model's weights over as a run that can be evaluated.

Overrides are written as for training, and say which network and data the file is of. Nothing is downloaded, and
nothing in the file is executed; every entry of it finds its place, or the import fails and leaves nothing behind.

example: poserep import pose_hrnet_w32_256x192.pth backbone=hrnet_w32 representation=heatmap size=256x192 align=corner
"""


_RUN_DIR = "directory made by poserep train or import"


def run_and_overrides(command: str, description: str, arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Parse the arguments of a command that takes a run directory and overrides."""
    parser = parser_of(command, description)
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help=_RUN_DIR)
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="changes of its settings")
    options = parser.parse_intermixed_args(arguments)
    return options.run, options.overrides


def evaluate_command(arguments: Sequence[str]) -> None:
    """Run ``poserep evaluate``, on several devices in one process for each; for results in this one alone."""
    parser = parser_of("evaluate", EVALUATE)
    parser.add_argument("run", nargs="?", metavar="RUN_DIR", help=_RUN_DIR)
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="changes of its settings")
    parser.add_argument("--results", type=Path, metavar="FILE", help="results of another program, in place of a run")
    add_origin(parser)
    options = parser.parse_intermixed_args(arguments)
    words = [word for word in (options.run, *options.overrides) if word]
    if options.results:
        if stray := next((word for word in words if "=" not in word and not word.startswith("~")), None):
            raise InputError(
                f"--results takes settings such as data=coco, not {stray}; to score results beside a run, use "
                f"poserep compare RUN_DIR {options.results}"
            )
        from poserep.config import compose
        from poserep.training.evaluate_results import evaluate_results

        evaluate_results(options.results, compose(words, options.config_name, options.config_dir).cfg)
        return
    if not words:
        parser.error("the following arguments are required: RUN_DIR")
    if options.config_dir or options.config_name != "config":
        raise InputError(
            "--config-dir and --config-name go with --results, as a run has its own configuration; choose a file of "
            "yours by its path, as in data=conf/data/mine.yaml"
        )
    run_dir, overrides = Path(words[0]), words[1:]
    refuse_other_launchers()
    from poserep.training.evaluate import configure, reevaluate

    cfg = configure(run_dir, overrides)
    if cfg.trainer.devices > 1 and not is_rank():
        launch("poserep", ["evaluate", *arguments], cfg.trainer.devices)
    else:
        reevaluate(run_dir, cfg)


def calibrate_command(arguments: Sequence[str]) -> None:
    """Run ``poserep calibrate``."""
    run_dir, overrides = run_and_overrides("calibrate", CALIBRATE, arguments)
    from poserep.training.calibrate import calibrate
    from poserep.training.evaluate import configure

    calibrate(run_dir, configure(run_dir, overrides))


def learn_scores_command(arguments: Sequence[str]) -> None:
    """Run ``poserep learn-scores``."""
    parser = parser_of("learn-scores", LEARN_SCORES)
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help=_RUN_DIR)
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="changes of its settings")
    parser.add_argument("--epochs", type=int, default=5, help="times that the training set is gone through (5)")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate of the head (0.001)")
    options = parser.parse_intermixed_args(arguments)
    if options.epochs < 1 or not options.lr > 0:
        raise InputError(f"--epochs {options.epochs} must be at least 1, and --lr {options.lr} positive")
    from poserep.training.evaluate import configure
    from poserep.training.learn_scores import learn_scores

    learn_scores(options.run, configure(options.run, options.overrides), options.epochs, options.lr)


def import_command(arguments: Sequence[str]) -> None:
    """Run ``poserep import``."""
    parser = parser_of("import", IMPORT)
    parser.add_argument("file", type=Path, metavar="FILE", help="checkpoint of published code")
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="settings of its network")
    add_origin(parser)
    options = parser.parse_intermixed_args(arguments)
    from poserep.training.import_checkpoint import import_checkpoint

    import_checkpoint(options.file, options.overrides, options.config_name, options.config_dir)
