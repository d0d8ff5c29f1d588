"""Losses that say that something is wrong stop the training before they reach the model."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.training.config import MPOConfig
from mixpref.training.metrics import MEANS
from mixpref.training.objective import first_loss

_TOLERANCE = 0.01


def check_finite(means: Mapping[str, float], step: int) -> None:
    """Raises MixprefError where the mean loss of a step is not a finite number."""
    if not math.isfinite(means["loss"]):
        found = ", ".join(f"{name} {means[name]:.4g}" for name in (*MEANS[1:4], *MEANS[-2:]))
        raise MixprefError(
            f"the loss of step {step} is {means['loss']} ({found}); stopped before it could reach the model. A lower "
            "learning_rate or max_grad_norm may help, or float32 in place of half precision"
        )


def check_first_loss(means: Mapping[str, float], args: MPOConfig) -> None:
    """Say what the first step's loss has to be, and what it is. Raises MixprefError where it is off by over 1 %."""
    constant = first_loss(dpo_weight=args.dpo_weight, bco_weight=args.bco_weight)
    loss, expected = means["loss"], constant + args.sft_weight * means["reference_nll"]
    weighted = "NLL" if args.sft_weight == 1 else f"{args.sft_weight:g} NLL"
    if args.process_index == 0:
        say(f"first loss: expected {constant:.5f} + {weighted} = {expected:.5f}, found {loss:.5f}")
    if args.check_first_loss and abs(loss - expected) > _TOLERANCE * abs(expected):
        raise MixprefError(
            f"the first loss is {loss:.5f}, but with the policy equal to the reference it is {expected:.5f} "
            f"({constant:.5f} + {weighted} of the chosen responses): the policy is not the reference. Look for dropout "
            "or drop path left on, weights that were not loaded, or a ref_model that is another model; where that is "
            "meant, set check_first_loss=False"
        )
