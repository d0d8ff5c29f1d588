"""Dropout off: policy and reference have to be the same function before the first step."""

from __future__ import annotations

from typing import Any

from torch import nn

_DROPOUT = ("dropout",)
_DROP_PATH = ("layerdrop", "drop_path", "drop_prob")


def disable_dropout(model: nn.Module, *, dropout: bool = True, drop_path: bool = True) -> int:
    """Set every rate at which numbers (`dropout`) or whole layers (`drop_path`) are dropped to 0, in place.

    Returns how many were not 0.

    Besides `nn.Dropout` there are rates that modules hold as plain numbers (attention, drop path) and rates that they
    read from their configuration at every forward pass.
    """
    changed = 0
    seen: set[int] = set()
    names = _DROPOUT * dropout + _DROP_PATH * drop_path
    for module in model.modules():
        if dropout and isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
            module.p = 0.0
            changed += 1
        changed += _zero(module, names)
        config = getattr(module, "config", None)
        if config is not None and id(config) not in seen:
            seen.add(id(config))
            changed += _zero(config, names)
    return changed


def _zero(holder: Any, names: tuple[str, ...]) -> int:
    rates = [
        name
        for name, value in vars(holder).items()
        if isinstance(value, float) and value > 0 and any(part in name for part in names)
    ]
    for name in rates:
        setattr(holder, name, 0.0)
    return len(rates)
