"""Where runs are shown on Weights & Biases: project, owner, key, server."""

import argparse
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path

# Seconds to see whether a server answers at all.
ANSWER = 3.0


@dataclass(frozen=True)
class Target:
    """Where runs are shown.

    Attributes:
        project: Of Weights & Biases.
        entity: Who owns it; None: the key's.
        mode: ``online`` or ``offline``.
    """

    project: str
    entity: str | None = None
    mode: str = "online"


def default_mode() -> str:
    """What WANDB_MODE says; otherwise ``online`` if there is a key and ``offline`` if not."""
    said = {"dryrun": "offline"}.get(mode := os.environ.get("WANDB_MODE", ""), mode)
    return said or ("online" if has_key() else "offline")


def has_key() -> bool:
    """Whether the environment or the user's netrc file holds a key."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    own = urllib.parse.urlparse(os.environ.get("WANDB_BASE_URL", "")).hostname
    try:
        return any("wandb" in host or host == own for host in netrc(os.environ.get("NETRC")).hosts)
    except (OSError, NetrcParseError):
        return False


def server() -> str:
    """Address of the server."""
    import wandb

    return str(wandb.setup().settings.base_url)


def answers(url: str, seconds: float = ANSWER) -> bool:
    """Whether there is a server that says anything at all within the time."""
    try:
        urllib.request.urlopen(url, timeout=seconds).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def first_line(error: Exception) -> str:
    """What an error of W&B's package says, which may be a page long or nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those that say which study, and where it is shown."""
    parser.add_argument("study")
    parser.add_argument("runs", nargs="?", default="runs", type=Path)
    parser.add_argument("--project", default="poserep")
    parser.add_argument("--entity")
