"""Sampling that depends on a row's own seed alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from mixpref.engines.request import Sampling


class SeededSampling(LogitsProcessor):
    """Chooses every row's next token with the row's own random generator.

    torch's own sampling draws for the whole batch from one generator, so that a response would depend on its
    neighbours. Here token t of row i is argmax(log p + Gumbel noise), which is a draw from p (the Gumbel-max trick),
    with noise from a generator seeded by `seeds[i]`. `logprobs` [N] holds each row's sum of log pi(token) at
    temperature 1 over its tokens up to and including its end of turn, in nats, float32.

    As a logits processor it leaves only the chosen tokens possible; `generate` must run greedily.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        sampling: Sampling,
        *,
        forbidden: Sequence[int],
        ends: Sequence[int],
        device: torch.device | str = "cpu",
    ) -> None:
        self.sampling = sampling
        self.forbidden = torch.tensor(sorted(forbidden), dtype=torch.long, device=device)
        self.ends = torch.tensor(sorted(ends), dtype=torch.long, device=device)
        self.logprobs = torch.zeros(len(seeds), device=device)
        self.rows = torch.arange(len(seeds), device=device)
        """[M]: which of the N rows are still asked about, in their order."""
        self.running = torch.ones(len(seeds), dtype=torch.bool, device=device)
        """[M]: which of these have not ended."""
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def choose(self, scores: Tensor) -> Tensor:
        """The next tokens [M] of the rows from their scores [M, V]; what comes after a row's end is of no meaning."""
        scores = scores.float()
        allowed = scores.index_fill(-1, self.forbidden, -torch.inf)
        chosen = allowed.argmax(-1, keepdim=True) if self.sampling.greedy else self._draw(allowed)
        logprobs = scores.log_softmax(-1).gather(-1, chosen).squeeze(-1)
        self.logprobs[self.rows] += torch.where(self.running, logprobs, 0.0)
        chosen = chosen.squeeze(-1)
        self.running = self.running & ~torch.isin(chosen, self.ends)
        return chosen

    def keep(self, places: Tensor) -> None:
        """From now on only the rows at these places among `rows` are asked about."""
        self.rows, self.running = self.rows[places], self.running[places]
        self._generators = [self._generators[place] for place in places.tolist()]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [N, V] in; scores out in which only each row's chosen token is possible."""
        chosen = self.choose(scores)
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen[:, None], 0.0)

    def _draw(self, scores: Tensor) -> Tensor:
        top_k, top_p = self.sampling.top_k, self.sampling.top_p
        scores = scores / self.sampling.temperature
        kept = min(top_k or scores.shape[-1], scores.shape[-1])
        if kept < scores.shape[-1] or top_p < 1:
            scores, tokens = scores.topk(kept, dim=-1)
            if top_p < 1:
                before = scores.softmax(-1).cumsum(-1) - scores.softmax(-1)
                scores = scores.masked_fill(before >= top_p, -torch.inf)
        else:
            tokens = None
        uniform = torch.stack([torch.rand(scores.shape[-1], generator=generator) for generator in self._generators])
        # rand() may give 0: its Gumbel value would be -inf for a token that is possible.
        gumbel = -torch.log(-torch.log(uniform.clamp_min(torch.finfo(torch.float32).tiny)))
        best = (scores + gumbel.to(scores.device)).argmax(-1, keepdim=True)
        return best if tokens is None else tokens.gather(-1, best)
