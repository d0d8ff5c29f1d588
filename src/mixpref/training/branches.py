"""Attention branch by branch, as one operation that keeps nothing twice.

Left to autograd, every branch would keep a copy of its prompt's keys and values and of its own output, and every slice
would cost a gradient of the row's full size. Here a layer keeps queries, keys and values of the row as they came, and
its output, which the layer behind it keeps anyway; copies are made again in the backward pass. This is for the CPU,
whose kernel torch lets one call by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Span = tuple[int, int]
"""Start and end in the row."""


@dataclass(frozen=True)
class Branch:
    """Rows that attend to the same columns."""

    rows: Span
    columns: tuple[Span, ...]
    """The prompt's, and for a response its own."""
    mask: Tensor | None
    """[rows, columns], bool; None: causal."""


def attend_by_branches(query: Tensor, key: Tensor, value: Tensor, branches: Sequence[Branch], scale: float) -> Tensor:
    """query [1, heads, S, D], key and value [1, key-value heads, S, D] to [1, S, heads, D]. On the CPU, no dropout."""
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (each.to(torch.get_autocast_dtype("cpu")) for each in (query, key, value))
    return _ByBranches.apply(query, key, value, branches, scale)


def _of(tensor: Tensor, spans: tuple[Span, ...]) -> Tensor:
    pieces = [tensor[:, :, start:end] for start, end in spans]
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, 2)


def _additive(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return None if mask is None else torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, -torch.inf)


class _ByBranches(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, branches: Sequence[Branch], scale: float
    ) -> Tensor:
        _, heads, size, _ = query.shape
        out = query.new_empty(1, size, heads, value.shape[-1])
        totals = []
        for branch in branches:
            start, end = branch.rows
            piece, total = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query[:, :, start:end],
                _of(key, branch.columns),
                _of(value, branch.columns),
                is_causal=branch.mask is None,
                attn_mask=_additive(branch.mask, query.dtype),
                scale=scale,
            )
            out[:, start:end] = piece.transpose(1, 2)
            totals.append(total)
        ctx.save_for_backward(query, key, value, out, *totals)
        ctx.branches, ctx.scale = branches, scale
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, *totals = ctx.saved_tensors
        (gradient,) = gradients
        of_query, of_key, of_value = torch.empty_like(query), torch.zeros_like(key), torch.zeros_like(value)
        for branch, total in zip(ctx.branches, totals, strict=True):
            start, end = branch.rows
            found = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                gradient[:, start:end].transpose(1, 2),
                query[:, :, start:end],
                _of(key, branch.columns),
                _of(value, branch.columns),
                out[:, start:end].transpose(1, 2),
                total,
                0.0,
                branch.mask is None,
                attn_mask=_additive(branch.mask, query.dtype),
                scale=ctx.scale,
            )
            of_query[:, :, start:end] = found[0]
            place = 0
            for start, end in branch.columns:
                for whole, part in ((of_key, found[1]), (of_value, found[2])):
                    whole[:, :, start:end] += part[:, :, place : place + end - start]
                place += end - start
        return of_query, of_key, of_value, None, None
