import pytest
import torch
from torch import nn
from transformers.masking_utils import (
    blockwise_overlay,
    causal_mask_function,
    or_masks,
    sliding_window_causal_mask_function,
)

from mixpref.training import prefix
from mixpref.training.prefix import Branches, Layout, attend, laid_out, make_mask

LAYOUT = Layout(
    (
        Branches(prompt=(0, 4), responses=((4, 7), (7, 9))),
        Branches(prompt=(9, 12), responses=((12, 16),)),
    )
)
HEADS, SIZE = 4, 8


def branches():
    """Rows and columns, in the row, of every sequence that stands alone."""
    for group in LAYOUT.groups:
        for response in group.responses:
            yield [*range(*group.prompt), *range(*response)]


@pytest.fixture
def qkv():
    torch.manual_seed(0)
    query = torch.randn(1, HEADS, LAYOUT.size, SIZE, dtype=torch.float64)
    key, value = torch.randn(2, 1, HEADS // 2, LAYOUT.size, SIZE, dtype=torch.float64)
    return query, key, value


def reference(query, key, value, places, seen, softcap=None):
    key, value = key.repeat_interleave(2, 1)[:, :, places], value.repeat_interleave(2, 1)[:, :, places]
    scores = query[:, :, places] @ key.transpose(-1, -2) * SIZE**-0.5
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    return (scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("as_one", [True, False])
def test_every_branch_attends_as_if_it_stood_alone(qkv, window, softcap, as_one, monkeypatch):
    if not as_one:
        monkeypatch.setattr(prefix, "_AS_ONE", ())
    function = causal_mask_function if window is None else sliding_window_causal_mask_function(window)
    with laid_out(LAYOUT):
        mask = make_mask(1, LAYOUT.size, LAYOUT.size, mask_function=function)
    # Only the mask carries the layout: a layer may be computed again long after.
    found, _ = attend(nn.Identity(), *qkv, mask, softcap=softcap)
    for places in branches():
        size = len(places)
        seen = torch.ones(size, size, dtype=torch.bool).tril()
        if window:
            seen &= torch.ones(size, size, dtype=torch.bool).triu(1 - window)
        torch.testing.assert_close(found[:, places], reference(*qkv, places, seen, softcap))


@pytest.mark.parametrize("window", [None, 3])
def test_one_operation_has_the_gradients_of_many(qkv, window, monkeypatch):
    function = causal_mask_function if window is None else sliding_window_causal_mask_function(window)
    with laid_out(LAYOUT):
        mask = make_mask(1, LAYOUT.size, LAYOUT.size, mask_function=function)
    found = []
    for devices in (("cpu",), ()):
        monkeypatch.setattr(prefix, "_AS_ONE", devices)
        inputs = [each.clone().requires_grad_(True) for each in qkv]
        out, _ = attend(nn.Identity(), *inputs, mask)
        (out * torch.arange(out.numel()).view_as(out)).sum().backward()
        found.append([out, *(each.grad for each in inputs)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_blocks_are_looked_up_where_they_stand(qkv):
    """Tokens 1 and 2 of the first prompt and 9 and 10, of the second, are images, which see each other."""
    blocks = torch.full((1, LAYOUT.size), -1)
    blocks[0, 1:3], blocks[0, 9:11] = 0, 1
    with laid_out(LAYOUT):
        mask = make_mask(
            1, LAYOUT.size, LAYOUT.size, mask_function=or_masks(causal_mask_function, blockwise_overlay(blocks))
        )
    found, _ = attend(nn.Identity(), *qkv, mask)
    for places in branches():
        own = blocks[0, places]
        seen = torch.ones(len(places), len(places), dtype=torch.bool).tril()
        seen |= (own[:, None] == own[None]) & (own[:, None] >= 0)
        torch.testing.assert_close(found[:, places], reference(*qkv, places, seen))


def test_without_a_layout_masks_and_attention_are_usual(qkv):
    assert make_mask(1, 5, 5) is None
    found, _ = attend(_Grouped(), *qkv, None)
    size = LAYOUT.size
    seen = torch.ones(size, size, dtype=torch.bool).tril()
    torch.testing.assert_close(found, reference(*qkv, list(range(size)), seen))
    capped, _ = attend(_Grouped(), *qkv, None, softcap=2.0)
    torch.testing.assert_close(capped, reference(*qkv, list(range(size)), seen, softcap=2.0))


class _Grouped(nn.Module):
    num_key_value_groups = 2
    is_causal = True


def test_what_would_be_silently_wrong_is_an_error(qkv):
    with laid_out(LAYOUT), pytest.raises(ValueError, match="not handed the mask"):
        attend(nn.Identity(), *qkv, None)
    with laid_out(LAYOUT), pytest.raises(ValueError, match="one row of 16 tokens"):
        make_mask(2, 16, 16)
    with laid_out(LAYOUT):
        mask = make_mask(1, 16, 16)
        with pytest.raises(ValueError, match="s_aux"):
            attend(nn.Identity(), *qkv, mask, s_aux=torch.zeros(HEADS))
