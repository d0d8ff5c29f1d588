"""Sampling that depends on a row's own seed alone, as a logits processor for `generate`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor


class SeededSampling(LogitsProcessor):
    """Chooses every row's next token with the row's own random generator; `generate` must run greedily.

    torch's own sampling draws for the whole batch from one generator, so that a response would depend on its
    neighbours. Here token t of row i is argmax(log p + Gumbel noise), which is a draw from p (the Gumbel-max trick),
    with noise from a generator seeded by `seeds[i]`. After a run, `logprobs` [N] holds each row's sum of
    log pi(token) at temperature 1 over its tokens up to and including its end of turn, in nats, float32.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        forbidden: Sequence[int],
        ends: Sequence[int],
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        greedy: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.forbidden = torch.tensor(sorted(forbidden), dtype=torch.long, device=device)
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=device)
        self.temperature, self.top_k, self.top_p, self.greedy = temperature, top_k, top_p, greedy
        self.logprobs = torch.zeros(len(seeds), device=device)
        self.running = torch.ones(len(seeds), dtype=torch.bool, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [N, V] in; scores out in which only each row's chosen token is possible."""
        scores = scores.float()
        logprobs = scores.log_softmax(-1)
        allowed = scores.index_fill(-1, self.forbidden, -torch.inf)
        chosen = allowed.argmax(-1, keepdim=True) if self.greedy else self._draw(allowed)
        self.logprobs += torch.where(self.running, logprobs.gather(-1, chosen).squeeze(-1), 0.0)
        self.running &= ~torch.isin(chosen.squeeze(-1), self.ends)
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen, 0.0)

    def _draw(self, scores: Tensor) -> Tensor:
        scores = scores / self.temperature
        kept = min(self.top_k or scores.shape[-1], scores.shape[-1])
        if kept < scores.shape[-1] or self.top_p < 1:
            scores, tokens = scores.topk(kept, dim=-1)
            if self.top_p < 1:
                before = scores.softmax(-1).cumsum(-1) - scores.softmax(-1)
                scores = scores.masked_fill(before >= self.top_p, -torch.inf)
        else:
            tokens = None
        uniform = torch.stack([torch.rand(scores.shape[-1], generator=generator) for generator in self.generators])
        # rand() may give 0: its Gumbel value would be -inf for a token that is possible.
        gumbel = -torch.log(-torch.log(uniform.clamp_min(torch.finfo(torch.float32).tiny)))
        best = (scores + gumbel.to(scores.device)).argmax(-1, keepdim=True)
        return best if tokens is None else tokens.gather(-1, best)
