"""The command ``poserep``: its subcommands, and the one place where errors become a line and an exit code.

The module of a command is imported when it is called, so that ``poserep --help`` costs next to nothing. Its function
takes the arguments and returns an exit code, or None if all went well.

Exit codes: 0, done; 1, failed after work had begun; 2, refused before anything began; 75, stopped on request: run the
same command again to continue; 130, interrupted.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from poserep.errors import Failed, InputError, Stopped, message, suggestion

_T = TypeVar("_T")
DONE, FAILED, REFUSED, STOPPED, INTERRUPTED = 0, 1, 2, os.EX_TEMPFAIL, 130

# For each command, ``module:function`` below ``poserep``, and what it does.
COMMANDS = {
    "train": ("sweeps.train:main", "train and evaluate a run, or with -m all combinations of listed values"),
    "evaluate": ("training.command:evaluate_command", "evaluate a run again with other readouts, boxes or data"),
    "calibrate": ("training.command:calibrate_command", "calibrate a run's scores to OKS with a temperature"),
    "learn-scores": ("training.command:learn_scores_command", "learn a run's joint scores from its features"),
    "import": ("training.command:import_command", "turn a published checkpoint into a run"),
    "sweep run": ("sweeps.command:run", "run a table of sweeps/, skipping runs that have finished"),
    "sweep status": ("sweeps.command:status", "show the state of each run of a table"),
    "sweep budget": ("sweeps.budget:main", "estimate what a table costs to run"),
    "report": ("report.command:main", "print a study's table and write its HTML page"),
    "claims": ("report.claims:main", "say which contested claims the kept records support"),
    "diff": ("report.diff:main", "show what differs between two runs"),
    "compare": ("report.compare.command:main", "test whether two runs differ by more than noise"),
    "wandb push": ("runs.wandb.publish:main", "send finished runs to Weights & Biases"),
    "wandb dashboard": ("report.dashboards:main", "create a study's W&B workspace and report"),
    "data init": ("data.check.command:init_command", "write the configuration of a data set of your own"),
    "data check": ("data.check.command:check_command", "find what is wrong with a data set"),
    "data stats": ("data.check.command:stats_command", "count the persons, joints and sizes of a data set"),
    "data overlap": ("data.check.command:overlap_command", "find images that two splits or two sets share"),
    "data preview": ("data.check.command:preview_command", "draw augmented crops with their keypoints"),
    "data split": ("data.check.command:split_command", "cut an annotation file in two by its images"),
    "data convert": ("data.check.command:convert_command", "write MPII's MATLAB release as JSON"),
    "export": ("deploy.command:export_command", "write a run as one ONNX file, and check it"),
    "predict": ("deploy.command:predict_command", "find the joints of people in images, and draw them"),
    "cost": ("deploy.command:cost_command", "count a network's parameters and operations, and time it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, that of this process unless another is given, and return its exit code."""
    if arguments is None and sys.path[:1] != [""]:
        # As with ``python -m``, classes that a configuration names are found in the working directory.
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
        # The reader of the output has closed it; Python must not complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        code, text = FAILED, f"error: {error}"
    except InputError as error:
        code, text = REFUSED, f"error: {message(error)}"
    except SystemExit as end:
        # Lightning exits without a code when it is told to end while it evaluates, and with 1 on Ctrl-C.
        if end.code is not None and not isinstance(end.__context__, KeyboardInterrupt):
            # argparse has printed what is wrong with the arguments.
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr, flush=True)
            return end.code if isinstance(end.code, int) else FAILED
        code, text = INTERRUPTED, "interrupted"
    except KeyboardInterrupt:
        code, text = INTERRUPTED, "interrupted"
    except Stopped as stop:
        code, text = STOPPED, f"stopped ({stop}); run the same command again to continue from its last checkpoint"
    if not silent:
        print(text, file=sys.stderr, flush=True)
    return code


def _call(words: list[str]) -> int | None:
    if not words or words[0] in ("-h", "--help"):
        print(_overview("", COMMANDS))
        return DONE
    if words == ["--version"]:
        print(f"poserep {version('poserep')}")
        return DONE
    name = words[0]
    group = {known: command for known, command in COMMANDS.items() if known.startswith(f"{name} ")}
    if group:
        if len(words) == 1 or words[1] in ("-h", "--help"):
            print(_overview(f"{name} ", group))
            return DONE
        name = f"{name} {words[1]}"
    if name not in COMMANDS:
        # A word may be a command, one of a group ("status" for "sweep status"), or a group.
        known = [command.replace(" ", ".") for command in group or COMMANDS]
        groups = [] if group else sorted({command.split()[0] for command in COMMANDS})
        # What follows a command may be a path.
        asked = ".".join(words[:2] if words[1:] and words[1].isidentifier() else words[:1])
        near = suggestion(asked, [*known, *groups], 1) or suggestion(words[0], [*known, *groups], 1)
        near = near or f"; there are {', '.join(known)}"
        raise InputError(f"{name!r} is no command of poserep{near.replace('.', ' ')}")
    module, function = COMMANDS[name][0].split(":")
    call: Callable[[list[str]], int | None] = getattr(import_module(f"poserep.{module}"), function)
    return call(words[len(name.split()) :])


def _overview(group: str, commands: Mapping[str, tuple[str, str]]) -> str:
    width = max(map(len, commands))
    head = f"usage: poserep {group}COMMAND ...   (poserep {group}COMMAND --help shows its options and an example)"
    return "\n".join([head, "", *(f"  {name:<{width}}  {summary}" for name, (_, summary) in commands.items())])


def wide_console() -> Console:
    """Return a console that does not squeeze tables on a narrow terminal or in a file, where long lines wrap."""
    return Console(width=max(Console().width, 160))


def tracked(items: Iterable[_T], what: str, total: int) -> Iterable[_T]:
    """Return the items; while they are gone through, a terminal shows how many of the total are done."""
    from rich.progress import track

    console = Console(stderr=True)
    hidden = not console.is_terminal
    # Drawn anew after each item, and by no thread beside, which would slow down what is timed.
    return track(items, what, total, auto_refresh=False, console=console, transient=True, disable=hidden)


def parser_of(command: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for the arguments of ``poserep COMMAND``, whose description is shown as it is written."""
    formatter = argparse.RawDescriptionHelpFormatter
    program = f"poserep {command}"
    return argparse.ArgumentParser(program, description=description, formatter_class=formatter, allow_abbrev=False)


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Add the options that say from which file a configuration starts, for `poserep.config.compose`."""
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="folder of the file to start from (conf)")
    parser.add_argument("--config-name", default="config", metavar="NAME", help="the file, without .yaml (config)")


def take_origin(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the values of `add_origin`'s options, and the other words of a command line, which Hydra reads."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    add_origin(parser)
    return parser.parse_known_args(arguments)
