"""Counts parameters: how many, in which part, and which of them are frozen or run in training alone."""

from typing import NamedTuple

from torch import nn

# The published code keeps its position tables among the parameters; here they are buffers of that name.
TABLE_BUFFER = "pos_embedding"


def parameters(module: nn.Module, training: bool = False, tables: bool = False) -> int:
    """Count the parameters, if asked with those of parts that only ``training`` runs.

    TransPose's paper counts fixed position ``tables`` too, TokenPose's does not.
    """
    count = sum(p.numel() for p in module.parameters())
    return count - (0 if training else training_only(module)) + (table_elements(module) if tables else 0)


def training_only(module: nn.Module) -> int:
    """Count the parameters of parts that only training runs (``training_only``)."""
    extra = (m for m in module.modules() if getattr(m, "training_only", False))
    return sum(p.numel() for m in extra for p in m.parameters())


def table_elements(module: nn.Module) -> int:
    """Count the elements of fixed position tables."""
    return sum(buffer.numel() for name, buffer in module.named_buffers() if TABLE_BUFFER in name)


class Part(NamedTuple):
    """A part of a network, such as ``head.final_layer``, and its numbers of parameters.

    ``params`` and ``frozen``, those that take no gradient, leave out what only training runs.
    """

    path: str
    params: int
    frozen: int
    training_only: int
    tables: int


def parts(net: nn.Module) -> list[Part]:
    """List backbone and head, each followed by its children where it has several.

    A wrapper around a single child counts as that child. Parameters that a part holds itself are under their own names.
    """
    rows = []
    for path, module in net.named_children():
        rows.append(_part(path, module))
        while len(children := list(module.named_children())) == 1 and not list(module.parameters(recurse=False)):
            path, module = f"{path}.{children[0][0]}", children[0][1]
        inner = [_part(f"{path}.{name}", child) for name, child in children]
        for name, p in module.named_parameters(recurse=False):
            inner.append(Part(f"{path}.{name}", p.numel(), 0 if p.requires_grad else p.numel(), 0, 0))
        for name, buffer in module.named_buffers(recurse=False):
            if TABLE_BUFFER in name:
                inner.append(Part(f"{path}.{name}", 0, 0, 0, buffer.numel()))
        inner = [part for part in inner if part.params or part.training_only or part.tables]
        rows += inner if len(inner) > 1 else []
    return rows


def _part(path: str, module: nn.Module) -> Part:
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    return Part(path, parameters(module), frozen, training_only(module), table_elements(module))
