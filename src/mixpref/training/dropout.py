"""Dropout off: policy and reference have to be the same function before the first step."""

from __future__ import annotations

from typing import Any

from torch import nn

_NAMES = ("dropout", "layerdrop", "drop_path", "drop_prob")


def disable_dropout(model: nn.Module) -> int:
    """Set every dropout rate of the model to 0, in place, and return how many were not 0.

    Besides `nn.Dropout` there are rates that modules hold as plain numbers (attention, drop path) and rates that they
    read from their configuration at every forward pass.
    """
    changed = 0
    seen: set[int] = set()
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p:
            module.p = 0.0
            changed += 1
        changed += _zero(module)
        config = getattr(module, "config", None)
        if config is not None and id(config) not in seen:
            seen.add(id(config))
            changed += _zero(config)
    return changed


def _zero(holder: Any) -> int:
    rates = [
        name
        for name, value in vars(holder).items()
        if isinstance(value, float) and value > 0 and any(part in name for part in _NAMES)
    ]
    for name in rates:
        setattr(holder, name, 0.0)
    return len(rates)
