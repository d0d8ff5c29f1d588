"""Log-probabilities of tokens from hidden states, without keeping more than a few megabytes of logits.

The vocabulary is the widest dimension of a model: logits of a whole step are often larger than all else together. Here
the head works on a few tokens at a time and, where there are more, is computed again in the backward pass. It is called
as a module, so whatever stands in its place or shards its weights - LoRA, FSDP, ZeRO - does its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_LOGITS = 2**22
"""Logits at a time: 16 MB in float32."""
_LEAST = 64
"""Tokens at a time, however wide the vocabulary: fewer make slow products."""
_ROWS = 32
"""Tokens whose logits are worked at a time where they are there."""


def token_logps(
    head: nn.Module, hidden: Tensor, tokens: Tensor, scale: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Log-probabilities [T], in nats and at least float32, of `tokens` [T] after the hidden states [T, H] before them.

    head: hidden states to logits [T, V]. scale: what the model does to its logits (`logit_scale`), None for nothing.
    """
    width = getattr(head, "out_features", None) or head.get_parameter("weight").shape[0]
    size = max(_LEAST, _LOGITS // int(width))
    if len(tokens) <= size:
        return _logps(head, hidden, tokens, scale)
    pieces = zip(hidden.split(size), tokens.split(size), strict=True)
    if not torch.is_grad_enabled():
        return torch.cat([_logps(head, some, their, scale) for some, their in pieces])
    return torch.cat([checkpoint(_logps, head, some, their, scale, use_reentrant=False) for some, their in pieces])


def _logps(head: nn.Module, hidden: Tensor, tokens: Tensor, scale: Callable[[Tensor], Tensor] | None) -> Tensor:
    logits = head(hidden)
    if scale is not None:
        logits = scale(logits)
    return _Gathered.apply(logits, tokens)


class _Gathered(torch.autograd.Function):
    """Log-softmax at one token a row: logits [T, V] and tokens [T] to [T], in float32 or wider.

    Of the two or three tensors [T, V] that cross-entropy needs, this one needs none besides the logits: a few rows are
    worked at a time, and the backward pass turns the logits into their gradient in place.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        totals = torch.cat([some.to(dtype).logsumexp(-1) for some in logits.split(_ROWS)])
        ctx.save_for_backward(logits, tokens, totals)
        return logits.gather(1, tokens[:, None])[:, 0].to(dtype) - totals

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        logits, tokens, totals = ctx.saved_tensors
        (gradient,) = gradients
        pieces = zip(*(each.split(_ROWS) for each in (logits, tokens, totals, gradient)), strict=True)
        for some, their, total, weight in pieces:
            shares = (some.to(total.dtype) - total[:, None]).exp_().mul_(-weight[:, None])
            shares.scatter_add_(1, their[:, None], weight[:, None])
            some.copy_(shares)
        return logits, None


def logit_scale(config: Any) -> Callable[[Tensor], Tensor] | None:
    """What models of this configuration do to the head's logits: cap them (Gemma), multiply (Cohere) or divide them
    (Granite); None: nothing."""
    text = config.get_text_config()
    cap = getattr(text, "final_logit_softcapping", None)
    times = getattr(text, "logit_scale", None)
    over = getattr(text, "logits_scaling", None)
    if cap is None and times is None and over is None:
        return None

    def scale(logits: Tensor) -> Tensor:
        if times is not None:
            logits = logits * times
        if over is not None:
            logits = logits / over
        return logits if cap is None else torch.tanh(logits / cap) * cap

    return scale
