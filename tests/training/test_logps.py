import pytest
import torch
from torch import nn
from transformers import Gemma2Config, GraniteConfig, LlamaConfig

from mixpref.training import logps
from mixpref.training.logps import logit_scale, token_logps

HIDDEN, VOCABULARY, TOKENS = 8, 30, 25


@pytest.fixture
def parts():
    torch.manual_seed(0)
    head = nn.Linear(HIDDEN, VOCABULARY, bias=True).double()
    hidden = torch.randn(TOKENS, HIDDEN, dtype=torch.float64, requires_grad=True)
    return head, hidden, torch.randint(VOCABULARY, (TOKENS,))


def by_hand(head, hidden, tokens, scale=lambda logits: logits):
    return scale(head(hidden)).log_softmax(-1).gather(1, tokens[:, None])[:, 0]


def grads(head, hidden, values):
    (values * torch.arange(1, TOKENS + 1)).sum().backward()
    found = [hidden.grad.clone(), *(weight.grad.clone() for weight in head.parameters())]
    hidden.grad = None
    head.zero_grad()
    return found


@pytest.mark.parametrize("rows", [1, 4, 100])
@pytest.mark.parametrize("scale", [None, lambda logits: 3 * torch.tanh(logits / 3)])
def test_values_and_gradients_do_not_depend_on_the_pieces(parts, monkeypatch, rows, scale):
    monkeypatch.setattr(logps, "_LOGITS", rows * VOCABULARY)
    monkeypatch.setattr(logps, "_LEAST", 1)
    head, hidden, tokens = parts
    expected = by_hand(head, hidden, tokens, *(() if scale is None else (scale,)))
    wanted = grads(head, hidden, expected)
    found = token_logps(head, hidden, tokens, scale)
    torch.testing.assert_close(found, expected)
    for one, other in zip(grads(head, hidden, found), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_no_more_logits_at_a_time_than_a_piece_has(parts, monkeypatch):
    monkeypatch.setattr(logps, "_LOGITS", VOCABULARY)
    monkeypatch.setattr(logps, "_LEAST", 4)
    head, hidden, tokens = parts
    sizes = []
    head.register_forward_hook(lambda _, inputs, output: sizes.append(len(output)))
    values = token_logps(head, hidden, tokens)
    assert sizes == [4] * 6 + [1]
    # Nothing of them is kept: they are made again for the backward pass.
    values.sum().backward()
    assert sizes == [4] * 6 + [1] + sizes[7:]
    assert sorted(sizes[7:]) == [1] + [4] * 6


def test_sums_in_half_precision_are_taken_in_float32(parts):
    head, hidden, tokens = parts
    found = token_logps(head.bfloat16(), hidden.detach().bfloat16(), tokens)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found, by_hand(head.float(), hidden.detach().bfloat16().float(), tokens), rtol=0.05, atol=0.05
    )


def test_what_a_model_does_to_its_logits():
    logits = torch.tensor([-100.0, 1.0, 50.0])
    assert logit_scale(LlamaConfig()) is None
    cap = logit_scale(Gemma2Config(final_logit_softcapping=30.0))
    torch.testing.assert_close(cap(logits), 30 * torch.tanh(logits / 30))
    torch.testing.assert_close(logit_scale(GraniteConfig(logits_scaling=8.0))(logits), logits / 8)
