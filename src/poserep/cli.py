"""The command ``poserep``: what it can do, and the one place where errors become a line and an exit code.

The module of a command is imported when it is called, so that ``poserep --help`` costs next to nothing. Its function
takes the arguments and returns an exit code, or None if all went well.

Exit codes: 0 done; 1 something that had begun has failed; 2 refused before anything began; 75 stopped, and the same
command goes on.
"""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import NamedTuple

from poserep.errors import Failed, InputError, message, nearest
from poserep.running.interrupt import Stopped

DONE, FAILED, REFUSED, STOPPED = 0, 1, 2, os.EX_TEMPFAIL


class Command(NamedTuple):
    """A command.

    Attributes:
        target: ``module:function``.
        about: What it does, in a line.
    """

    target: str
    about: str


COMMANDS = {
    "train": Command("poserep.train:main", "train and evaluate a run, or with -m all combinations of listed values"),
    "evaluate": Command("poserep.evaluate:main", "evaluate a run again, with other readouts, boxes, scores or data"),
    "calibrate": Command("poserep.calibrate:main", "fit a run's scores to OKS by a temperature"),
    "import": Command("poserep.import_checkpoint:main", "make a run of a published checkpoint"),
    "sweep run": Command("poserep.sweep.command:run", "run a table of sweeps/; finished runs are skipped"),
    "sweep status": Command("poserep.sweep.command:status", "show how the runs of a table stand, a line for each"),
    "sweep budget": Command("poserep.budget.command:main", "estimate what a table costs to run"),
    "report": Command("poserep.report.command:main", "print the table of a study, and write its page"),
    "diff": Command("poserep.report.diff_command:main", "show what differs between two runs"),
    "compare": Command("poserep.compare.command:main", "tell whether two runs differ by more than noise"),
    "wandb push": Command("poserep.publish:main", "send finished runs to Weights & Biases"),
    "wandb dashboard": Command("poserep.dashboards.command:main", "make the workspace and the report of a study there"),
    "data check": Command("poserep.data.command:check_command", "find what is wrong with a data set"),
    "data stats": Command("poserep.data.command:stats_command", "count the persons, joints and sizes of a data set"),
    "data overlap": Command("poserep.data.command:overlap_command", "find images that two splits or two sets share"),
    "data preview": Command("poserep.data.command:preview_command", "draw augmented crops with their keypoints"),
    "data convert": Command("poserep.data.command:convert_command", "write MPII's MATLAB release as JSON"),
    "export": Command("poserep.export:main", "write a run as one ONNX file, and check it"),
    "predict": Command("poserep.predict:main", "find the joints of people in images, and draw them"),
    "cost": Command("poserep.cost:main", "count a network's parameters and operations, and time it"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line, that of this process unless another is given."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return ended(lambda: _call(words))


def ended(command: Callable[[], int | None]) -> int:
    """The exit code with which a command ends; an error is printed as one line."""
    try:
        return command() or DONE
    except Failed as error:
        code, text = FAILED, f"error: {message(error)}"
    except OSError as error:
        code, text = FAILED, f"error: {error}"
    except InputError as error:
        code, text = REFUSED, f"error: {message(error)}"
    except SystemExit as end:
        # argparse has said what is wrong with the arguments, and a sweep how its runs have ended.
        return end.code if isinstance(end.code, int) else FAILED
    except Stopped as why:
        code, text = STOPPED, f"stopped ({why}); the same command goes on from the last checkpoint"
    print(text, file=sys.stderr, flush=True)
    return code


def _call(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview(COMMANDS))
        return DONE
    name = words[0]
    group = {known: command for known, command in COMMANDS.items() if known.startswith(f"{name} ")}
    if group:
        if len(words) == 1 or words[1] in ("-h", "--help"):
            print(_overview(group))
            return DONE
        name = f"{name} {words[1]}"
    if name not in COMMANDS:
        raise InputError(f"no command {name!r}{_near(name, group or COMMANDS)}")
    module, function = COMMANDS[name].target.split(":")
    return getattr(import_module(module), function)(words[len(name.split()) :]) or DONE


def _overview(commands: dict[str, Command]) -> str:
    width = max(map(len, commands))
    lines = [f"  {name:<{width}}  {command.about}" for name, command in commands.items()]
    return "\n".join(["usage: poserep COMMAND ...   (poserep COMMAND --help says what it takes)", "", *lines])


def _near(name: str, known: Iterable[str]) -> str:
    # As of keys, what counts is the last word: "status" stands for "sweep status".
    dotted = nearest(name.replace(" ", "."), [command.replace(" ", ".") for command in known])
    return dotted.replace(".", " ")


if __name__ == "__main__":
    sys.exit(main())
