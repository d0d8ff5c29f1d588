"""The objective of Mixed Preference Optimization (arXiv 2411.10442) as a pure function of log-probabilities.

    L   = w_p Lp + w_q Lq + w_g Lg                         (1)
    Lp  = -log sigmoid(r_c - r_r)                          (2)  preference: DPO, arXiv 2305.18290
    Lq  = Lq+ + Lq-                                        (3)  quality: BCO, arXiv 2404.04656
    Lq+ = -log sigmoid(r_c - delta)                        (4)
    Lq- = -log sigmoid(-(r_r - delta))                     (5)
    Lg  = -log pi(y_c|x) / |y_c|                           (6)  generation: SFT on the chosen response
    r(y) = beta (log pi(y|x) - log pi_0(y|x))              (7)  pi the policy, pi_0 the frozen initial model

Two things differ from the authors' released code, both so that a step does not depend on how it is cut into
micro-batches: Lg is averaged over the responses as the paper writes it, where their code averages over the tokens of
a micro-batch; and delta is updated once an optimizer step, where their code updates it at every micro-batch. With one
pair a micro-batch and no gradient accumulation, all of them are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the loss is made of, for every pair: each a tensor [B]."""

    loss: Tensor
    """The weighted sum of the three."""
    dpo: Tensor
    """Lp, preference: is the chosen response better than the rejected one?"""
    bco: Tensor
    """Lq, quality: is the chosen one good, is the rejected one bad?"""
    sft: Tensor
    """Lg, generation: mean NLL of the chosen response's tokens, in nats."""
    chosen_rewards: Tensor
    rejected_rewards: Tensor

    def means(self) -> dict[str, Tensor]:
        """The mean of each over the pairs, by its name."""
        return {each.name: getattr(self, each.name).mean() for each in fields(self)}


def mpo_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    chosen_lengths: Tensor,
    *,
    delta: Tensor | float = 0.0,
    beta: float = 0.1,
    dpo_weight: float = 0.8,
    bco_weight: float = 0.2,
    sft_weight: float = 1.0,
) -> tuple[Tensor, Parts]:
    """The MPO loss of B pairs: its mean over them, a scalar, and its parts for each of them.

    The four log-probabilities [B], in nats, are sums over the tokens of a response, its end of turn included;
    `chosen_lengths` [B] counts these tokens of the chosen ones. `delta` is the reward shift, a constant to the
    gradient (`RunningDelta`). Gradients flow into the policy's log-probabilities alone.
    """
    chosen_rewards = beta * (policy_chosen_logps - reference_chosen_logps.detach())  # (7)
    rejected_rewards = beta * (policy_rejected_logps - reference_rejected_logps.detach())
    delta = delta.detach() if isinstance(delta, Tensor) else delta

    dpo = -logsigmoid(chosen_rewards - rejected_rewards)  # (2)
    chosen_quality = -logsigmoid(chosen_rewards - delta)  # (4)
    rejected_quality = -logsigmoid(-(rejected_rewards - delta))  # (5)
    bco = chosen_quality + rejected_quality  # (3)
    sft = -policy_chosen_logps / chosen_lengths  # (6)

    loss = torch.zeros_like(sft)
    # A weight of 0 leaves its part out: 0 times the infinity of an impossible token would be no number.
    for weight, part in ((dpo_weight, dpo), (bco_weight, bco), (sft_weight, sft)):
        if weight:
            loss = loss + weight * part  # (1)
    parts = Parts(
        loss=loss, dpo=dpo, bco=bco, sft=sft, chosen_rewards=chosen_rewards, rejected_rewards=rejected_rewards
    )
    return loss.mean(), parts


def first_loss(*, dpo_weight: float = 0.8, bco_weight: float = 0.2) -> float:
    """What DPO and BCO add to the loss where policy and reference are equal and delta is 0: 0.83178 by default.

    All rewards are 0 there: Lp = ln 2, Lq = 2 ln 2. The whole loss is this and `sft_weight` times the NLL.
    """
    return math.log(2) * (dpo_weight + 2 * bco_weight)


class RunningDelta:
    """The reward shift delta of BCO (arXiv 2404.04656): the mean of all rewards so far, chosen and rejected together.

    A cumulative average as in the authors' code, not a moving one. Sums are kept in float64, so the order of the
    updates does not matter. Across processes, every update is of all their rewards, and all have the same delta.
    """

    def __init__(self) -> None:
        self.total = 0.0
        """Sum of all rewards so far."""
        self.count = 0
        """Their number."""

    @property
    def value(self) -> float:
        return self.total / self.count if self.count else 0.0

    def update(self, rewards: Tensor) -> float:
        """Take in rewards, a tensor [N] with N >= 0 of this process, and return the new delta.

        Every process must call it, those without a reward of their own, too.
        """
        sums = torch.stack((rewards.detach().double().sum(), rewards.new_tensor(rewards.numel()).double()))
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(sums)
        total, count = sums.tolist()
        self.total += total
        self.count += round(count)
        return self.value

    def state_dict(self) -> dict[str, float]:
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.total, self.count = float(state["total"]), int(state["count"])
