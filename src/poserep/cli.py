"""The command ``poserep``: what it can do, and the one place where errors become a line and an exit code.

The module of a command is imported when it is called, so that ``poserep --help`` costs next to nothing. Its function
takes the arguments and returns an exit code, or None if all went well.

Exit codes: 0, done; 1, failed after work had begun; 2, refused before anything began; 75, stopped on request: run the
same command again to continue; 130, interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from poserep.errors import Failed, InputError, Stopped, message, similar

DONE, FAILED, REFUSED, STOPPED, INTERRUPTED = 0, 1, 2, os.EX_TEMPFAIL, 130


class Command(NamedTuple):
    """A command.

    Attributes:
        target: ``module:function`` below ``poserep``.
        summary: What it does, in a line.
    """

    target: str
    summary: str


# A word that is less like a command than this suggests none.
_NEAR = 0.7
COMMANDS = {
    "train": Command("sweeps.train:main", "train and evaluate a run, or with -m all combinations of listed values"),
    "evaluate": Command(
        "training.command:evaluate_command", "evaluate a run again, with other readouts, boxes, scores or data"
    ),
    "calibrate": Command("training.command:calibrate_command", "calibrate a run's scores to OKS with a temperature"),
    "import": Command("training.command:import_command", "turn a published checkpoint into a run"),
    "sweep run": Command("sweeps.command:run", "run a table of sweeps/, skipping runs that have finished"),
    "sweep status": Command("sweeps.command:status", "show the state of each run of a table"),
    "sweep budget": Command("sweeps.budget:main", "estimate what a table costs to run"),
    "report": Command("report.command:main", "print a study's table and write its HTML page"),
    "diff": Command("report.diff:main", "show what differs between two runs"),
    "compare": Command("report.compare.command:main", "test whether two runs differ by more than noise"),
    "wandb push": Command("runs.wandb.publish:main", "send finished runs to Weights & Biases"),
    "wandb dashboard": Command("report.dashboards.command:main", "create a study's W&B workspace and report"),
    "data check": Command("data.check.command:check_command", "find what is wrong with a data set"),
    "data stats": Command("data.check.command:stats_command", "count the persons, joints and sizes of a data set"),
    "data overlap": Command("data.check.command:overlap_command", "find images that two splits or two sets share"),
    "data preview": Command("data.check.command:preview_command", "draw augmented crops with their keypoints"),
    "data convert": Command("data.check.command:convert_command", "write MPII's MATLAB release as JSON"),
    "export": Command("deploy.command:export_command", "write a run as one ONNX file, and check it"),
    "predict": Command("deploy.command:predict_command", "find the joints of people in images, and draw them"),
    "cost": Command("deploy.cost:main", "count a network's parameters and operations, and time it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line, that of this process unless another is given."""
    if arguments is None and sys.path[:1] != [""]:
        # As with ``python -m``, classes that a configuration names are found in the folder where one stands.
        sys.path.insert(0, "")
    words = list(sys.argv[1:] if arguments is None else arguments)
    return ended(lambda: _call(words))


def ended(command: Callable[[], int | None], silent: bool = False) -> int:
    """Call a command and return its exit code; an error is printed as one line, unless ``silent``."""
    try:
        code = command() or DONE
        sys.stdout.flush()
        return code
    except Failed as error:
        code, text = FAILED, f"error: {message(error)}"
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain about it when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        code, text = FAILED, f"error: {error}"
    except InputError as error:
        code, text = REFUSED, f"error: {message(error)}"
    except SystemExit as end:
        # argparse has said what is wrong with the arguments, and a sweep how its runs have ended.
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr, flush=True)
        return end.code if isinstance(end.code, int) else DONE if end.code is None else FAILED
    except KeyboardInterrupt:
        code, text = INTERRUPTED, "interrupted"
    except Stopped as stop:
        code, text = STOPPED, f"stopped ({stop}); run the same command again to continue from its checkpoint"
    if not silent:
        print(text, file=sys.stderr, flush=True)
    return code


def _call(words: list[str]) -> int | None:
    if not words or words[0] in ("-h", "--help"):
        print(_overview("", COMMANDS))
        return DONE
    name = words[0]
    group = {known: command for known, command in COMMANDS.items() if known.startswith(f"{name} ")}
    if group:
        if len(words) == 1 or words[1] in ("-h", "--help"):
            print(_overview(f"{name} ", group))
            return DONE
        name = f"{name} {words[1]}"
    if name not in COMMANDS:
        raise InputError(f"{name!r} is no command of poserep{_near(name.split()[-1], words, group or COMMANDS)}")
    module, function = COMMANDS[name].target.split(":")
    call: Callable[[list[str]], int | None] = getattr(import_module(f"poserep.{module}"), function)
    return call(words[len(name.split()) :])


def _overview(group: str, commands: Mapping[str, Command]) -> str:
    width = max(map(len, commands))
    head = f"usage: poserep {group}COMMAND ...   (poserep {group}COMMAND --help shows its options and an example)"
    return "\n".join([head, "", *(f"  {name:<{width}}  {command.summary}" for name, command in commands.items())])


def _near(word: str, words: Sequence[str], known: Mapping[str, Command]) -> str:
    # A word may stand for a group, for a command, or for a command of a group: "status" for "sweep status".
    meant = {part: command for command in known for part in {command, command.split()[-1]}}
    groups = {command.split()[0] for command in known if " " in command and known is COMMANDS}
    meant |= {f"{group} {' '.join(words[1:2])}".strip(): group for group in groups} | {group: group for group in groups}
    score, near = max((max(similar(word, part), similar(" ".join(words[:2]), part)), part) for part in meant)
    if score < _NEAR:
        return f"; there are {', '.join(known)}"
    found = meant[near]
    whole = f"{found} {' '.join(words[1:2])}"
    return f"; did you mean {whole if whole in COMMANDS else found}?"


def wide_console() -> Console:
    """A console that does not squeeze tables on a narrow terminal or in a file; long lines wrap or scroll there."""
    return Console(width=max(Console().width, 160))


def parser_of(command: str, about: str | None) -> argparse.ArgumentParser:
    """A parser for the arguments of ``poserep COMMAND``; ``about`` is shown as it is written."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(
        prog=f"poserep {command}", description=about, formatter_class=formatter, allow_abbrev=False
    )


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Add the options that say from which file a configuration starts, for `poserep.config.compose`."""
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="folder of the file to start from (conf)")
    parser.add_argument("--config-name", default="config", metavar="NAME", help="the file, without .yaml (config)")
