"""The two ways to compute a step's log-probabilities: shared, where nothing is computed twice, and plain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from mixpref.errors import MixprefError
from mixpref.training import plain, shared
from mixpref.training.packing import Batch, PackedCollator
from mixpref.training.plain import PlainCollator

Logps = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""A model's log-probabilities [U] of a micro-batch's responses, in nats, and their tokens [U]."""


def choose(step: str, models: Sequence[nn.Module]) -> tuple[Logps, Callable[[Any], Any]]:
    """How the log-probabilities of `models` are computed, and what makes a collator of a processor.

    Raises MixprefError for a model that cannot take the shared step.
    """
    if step == "plain":
        return plain.response_logps, PlainCollator
    for model in models:
        try:
            shared.share_prefixes(model)
        except shared.NotIsolated as reason:
            raise MixprefError(
                f"{type(shared.core(model)).__name__} cannot compute several responses behind one prompt: {reason}; "
                "set step='plain', which computes each as a sequence of its own"
            ) from reason
    return shared.response_logps, PackedCollator
