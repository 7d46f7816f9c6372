"""A node of the configuration to the object it describes."""

import inspect
from functools import partial
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig

from poserep.errors import InputError


def make(node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Call a node's ``_target_`` with its own arguments and the given ones, or bind them if it is ``_partial_``.

    Objects are passed past Hydra, which would copy them into its configuration.

    Raises:
        InputError: What the target raises, or, naming the node, that an argument is unknown or missing.
    """
    try:
        bound = instantiate(node, _partial_=True, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        # The first line names the target, the cause says what is wrong with it.
        reason = str(error).splitlines()[0]
        cause = f" {error.__cause__}" if error.__cause__ and reason.endswith(":") else ""
        raise InputError(f"{node._get_full_key(None)}: {reason}{cause}") from error
    if node.get("_partial_"):
        return partial(bound, *args, **kwargs)
    try:
        inspect.signature(bound).bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        # A partial object hides the reason in the cause.
        raise InputError(f"{node._get_full_key(None)} ({node._target_}): {error.__cause__ or error}") from error
    try:
        return bound(*args, **kwargs)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{node._get_full_key(None)} ({node._target_}): {error}") from error
