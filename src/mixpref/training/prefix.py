"""Attention for rows in which several responses share one prompt.

A row is `[prompt | response 1 | response 2 | ... | next prompt | ...]`. A response attends to its own prompt and to
itself, as if it stood alone behind the prompt. The model's code stays as it is: one name is registered with
transformers both for attention and for masks. The mask function is handed what the model wants of its mask (causal,
sliding window, blocks of image tokens, a prefix that sees itself whole) and evaluates it for each branch of the row;
the attention function works branch by branch, so that no [S, S] mask and no attention between strangers is computed.

The layout of the row reaches the attention layers as an attribute of the mask, a tensor of one byte that models hand
on as it is; so it is there, too, when gradient checkpointing computes a layer again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

from mixpref.training.branches import Branch, Span, attend_by_branches

NAME = "mixpref_shared_prefix"
"""The attention implementation's name in transformers."""


@dataclass(frozen=True)
class Branches:
    """A prompt and its responses in the row; the first response follows the prompt, and each the one before."""

    prompt: Span
    responses: tuple[Span, ...]
    images: int = 0
    """Images of the prompt."""


@dataclass(frozen=True)
class Layout:
    """The groups of a row, which fill it without a gap."""

    groups: tuple[Branches, ...]

    @property
    def size(self) -> int:
        """Tokens of the row."""
        last = self.groups[-1]
        return last.responses[-1][1] if last.responses else last.prompt[1]


_AS_ONE = ("cpu",)
"""Devices on which a layer's branches are one operation (`branches`)."""

_active: ContextVar[Layout | None] = ContextVar("mixpref_layout", default=None)


@contextmanager
def laid_out(layout: Layout) -> Iterator[None]:
    """Within, a model whose attention is `NAME` takes its input as a row of this layout."""
    token = _active.set(layout)
    try:
        yield
    finally:
        _active.reset(token)


def make_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    *,
    mask_function: Callable[..., Any] = causal_mask_function,
    device: torch.device | str = "cpu",
    **kwargs: Any,
) -> Tensor | None:
    """transformers' mask function for `NAME`: SDPA's where no layout is active, else a carrier of the layout.

    Raises ValueError where the row isn't what the layout says.
    """
    layout = _active.get()
    if layout is None:
        return sdpa_mask(batch_size, q_length, kv_length, mask_function=mask_function, device=device, **kwargs)
    if (batch_size, q_length, kv_length) != (1, layout.size, layout.size):
        raise ValueError(
            f"the layout is of one row of {layout.size} tokens, the model has {batch_size} rows of {q_length} tokens "
            f"over {kv_length}"
        )
    branches: list[Branch] = []
    for group in layout.groups:
        start, end = group.prompt
        causal = mask_function is causal_mask_function
        seen = None if causal else _evaluate(mask_function, (start, end), (start, end), device)
        branches.append(Branch(rows=group.prompt, columns=(group.prompt,), mask=seen))
        for begin, stop in group.responses:
            # A response's indices are those of the place right behind the prompt. Windows and causality depend on
            # distances alone; and what else a model may look up there, the kind of a token, is text in all responses.
            behind = (end, end + stop - begin)
            seen = _evaluate(mask_function, behind, (start, behind[1]), device)
            branches.append(Branch(rows=(begin, stop), columns=(group.prompt, (begin, stop)), mask=seen))
    mask = torch.zeros((), dtype=torch.bool, device=device).expand(1, 1, q_length, kv_length)
    mask.mixpref = tuple(branches)  # type: ignore[attr-defined]
    return mask


def _evaluate(function: Callable[..., Tensor], rows: Span, columns: Span, device: torch.device | str) -> Tensor:
    """Whether row i sees column j, [rows, columns]."""
    zero = torch.zeros(1, dtype=torch.long, device=device)[:, None, None, None]
    q = torch.arange(*rows, device=device)[None, None, :, None]
    kv = torch.arange(*columns, device=device)[None, None, None, :]
    seen = function(zero, zero, q, kv)
    return seen.expand(1, 1, rows[1] - rows[0], columns[1] - columns[0])[0, 0]


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention function for `NAME`: SDPA's for a usual mask, else branch by branch.

    query [1, heads, S, D], key and value [1, key-value heads, S, D]; the output is [1, S, heads, D].
    Raises ValueError where a layout is active but did not come through, or the model wants what is not here.
    """
    branches: tuple[Branch, ...] | None = getattr(attention_mask, "mixpref", None)
    if branches is None:
        if _active.get() is not None:
            raise ValueError(f"{type(module).__name__} was not handed the mask of a shared prefix")
        if softcap is None:
            return sdpa_attention_forward(
                module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
            )
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return _one(query, key, value, attention_mask, dropout, scale, softcap).transpose(1, 2).contiguous(), None
    for name in ("s_aux", "position_bias"):
        if kwargs.get(name) is not None:
            raise ValueError(f"{type(module).__name__} attends with {name}, which a shared prefix does not know")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if query.device.type in _AS_ONE and softcap is None and not dropout:
        return attend_by_branches(query, key, value, branches, scale), None
    pieces: list[Tensor] = []
    for branch in branches:
        keys, values = (
            torch.cat([whole[:, :, start:end] for start, end in branch.columns], 2) for whole in (key, value)
        )
        rows = query[:, :, slice(*branch.rows)]
        pieces.append(_one(rows, keys, values, branch.mask, dropout, scale, softcap).transpose(1, 2))
    return torch.cat(pieces, 1), None


def _repeated(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of grouped heads, once for every head of the queries."""
    times = query.shape[1] // key.shape[1]
    return key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)


def _one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    scale: float,
    softcap: float | None,
) -> Tensor:
    """Attention of one branch; without a mask, causal. Keys and values may have fewer heads than the queries."""
    grouped = query.shape[1] != key.shape[1]
    # The kernels of CUDA know grouped heads or a mask, not both; the copies cost memory.
    if grouped and (softcap is not None or (mask is not None and query.is_cuda)):
        key, value = _repeated(query, key, value)
        grouped = False
    if softcap is None:
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=dropout,
            is_causal=mask is None,
            scale=scale,
            enable_gqa=grouped,
        )
    # No SDPA kernel caps the scores; Gemma 2 does.
    scores = softcap * torch.tanh(query @ key.transpose(-1, -2) * scale / softcap)
    if mask is None:
        rows, columns = scores.shape[-2:]
        mask = torch.ones(rows, columns, dtype=torch.bool, device=scores.device).tril(columns - rows)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32).to(query.dtype)
    return nn.functional.dropout(weights, dropout) @ value


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, make_mask)
