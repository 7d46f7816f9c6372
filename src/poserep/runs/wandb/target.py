"""Where runs are shown on Weights & Biases: project, owner, key, server."""

import argparse
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path

# Seconds within which a server must answer.
ANSWER = 3.0


@dataclass(frozen=True)
class Target:
    """Where runs are shown: a project of W&B, its owner (None: the key's), ``online`` or ``offline``."""

    project: str
    entity: str | None = None
    mode: str = "online"


def default_mode() -> str:
    """Return what WANDB_MODE says; otherwise ``online`` if there is a key and ``offline`` if not."""
    mode = os.environ.get("WANDB_MODE", "")
    return {"dryrun": "offline"}.get(mode, mode) or ("online" if has_key() else "offline")


def has_key() -> bool:
    """Return whether the environment or the user's netrc file holds a key."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    own = urllib.parse.urlparse(os.environ.get("WANDB_BASE_URL", "")).hostname
    try:
        return any("wandb" in host or host == own for host in netrc(os.environ.get("NETRC")).hosts)
    except (OSError, NetrcParseError):
        return False


def server() -> str:
    """Return the address of the server."""
    import wandb

    return str(wandb.setup().settings.base_url)


def answers(url: str, seconds: float = ANSWER) -> bool:
    """Return whether a server answers at all within the time."""
    try:
        urllib.request.urlopen(url, timeout=seconds).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which study is shown, and where."""
    parser.add_argument("study", help="folder of runs")
    parser.add_argument("runs", nargs="?", default="runs", type=Path, help="folder that holds it (runs)")
    parser.add_argument("--project", default="poserep", help="W&B's project (poserep)")
    parser.add_argument("--entity", help="its owner (the key's)")
