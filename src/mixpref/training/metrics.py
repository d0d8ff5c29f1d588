"""What the trainer measures, as sums over pairs: these add up exactly over micro-batches, processes and steps."""

from __future__ import annotations

import torch
from torch import Tensor

from mixpref.training.objective import Parts
from mixpref.training.packing import Batch

MEANS = (
    "loss",
    "loss/dpo",
    "loss/bco",
    "loss/sft",
    "rewards/chosen",
    "rewards/rejected",
    "rewards/margins",
    "rewards/accuracies",
    "logps/chosen",
    "logps/rejected",
)
"""Logged as means over the pairs. The parts of the loss are without their weights."""
SUMS = (*MEANS, "reference_nll", "tokens", "pairs")
"""The order of a tensor of sums: beside the metrics, the reference's NLL of the chosen responses, tokens of prompts
and responses, and the number of pairs."""


def zeros() -> Tensor:
    """No pairs yet: [len(SUMS)], float64 on the CPU."""
    return torch.zeros(len(SUMS), dtype=torch.float64)


def summed(parts: Parts, policy: Tensor, reference: Tensor, batch: Batch) -> Tensor:
    """Sums [len(SUMS)] over the B pairs of a micro-batch that count.

    policy, reference: log-probabilities [U] of its responses.
    """
    chosen, rejected = parts.chosen_rewards, parts.rejected_rewards
    sides = batch["chosen"], batch["rejected"]
    columns = (
        parts.loss,
        parts.dpo,
        parts.bco,
        parts.sft,
        chosen,
        rejected,
        chosen - rejected,
        chosen > rejected,
        *(policy[side] for side in sides),
        -(reference / batch["lengths"])[sides[0]],
        batch["tokens"],
        torch.ones_like(batch["tokens"]),
    )
    return torch.stack([each.detach().double()[batch["counts"]].sum() for each in columns]).cpu()


def means(sums: Tensor) -> dict[str, float]:
    """The metrics' means over the pairs of the sums."""
    return dict(zip(MEANS, (sums[: len(MEANS)] / sums[-1]).tolist(), strict=True))
