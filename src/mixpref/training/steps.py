"""From responses to losses: the two ways to their log-probabilities, shared and plain, and what pairs make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mixpref.errors import MixprefError
from mixpref.training import plain, shared
from mixpref.training.config import MPOConfig
from mixpref.training.objective import Parts, mpo_loss
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


def rewards(policy: Tensor, reference: Tensor, batch: Batch, args: MPOConfig) -> Tensor:
    """Rewards of the pairs of a micro-batch that count, the chosen before the rejected, of log-probabilities [U]."""
    found = args.beta * (policy.detach() - reference)
    return torch.cat([found[batch[side]][batch["counts"]] for side in ("chosen", "rejected")])


def pair_losses(policy: Tensor, reference: Tensor, batch: Batch, args: MPOConfig, delta: float) -> Parts:
    """The losses of a micro-batch's pairs [B], of log-probabilities [U] of its responses."""
    chosen, rejected = batch["chosen"], batch["rejected"]
    _, parts = mpo_loss(
        policy[chosen],
        policy[rejected],
        reference[chosen],
        reference[rejected],
        batch["lengths"][chosen],
        delta=delta,
        beta=args.beta,
        dpo_weight=args.dpo_weight,
        bco_weight=args.bco_weight,
        sft_weight=args.sft_weight,
    )
    return parts
