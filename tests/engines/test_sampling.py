import math

import pytest
import torch

from mixpref.engines.sampling import SeededSampling


def chosen(scores):
    assert (scores > -torch.inf).sum(-1).eq(1).all()
    return scores.argmax(-1)


def draw(logits, seeds, **settings):
    settings = {"forbidden": [], "ends": [0], **settings}
    sampling = SeededSampling(seeds, **settings)
    return chosen(sampling(torch.zeros(len(seeds), 1), logits.expand(len(seeds), -1))), sampling


def test_draws_follow_the_distribution():
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4])
    tokens, _ = draw(probabilities.log(), range(8000))
    shares = torch.bincount(tokens, minlength=4) / 8000
    assert torch.allclose(shares, probabilities, atol=0.02)


def test_temperature_sharpens():
    probabilities = torch.tensor([0.2, 0.3, 0.5])
    tokens, _ = draw(probabilities.log(), range(8000), temperature=0.5)
    expected = probabilities**2 / (probabilities**2).sum()
    assert torch.allclose(torch.bincount(tokens, minlength=3) / 8000, expected, atol=0.02)


def test_top_k_and_top_p_cut_the_tail():
    logits = torch.tensor([0.05, 0.15, 0.35, 0.45]).log()
    assert set(draw(logits, range(500), top_k=2)[0].tolist()) == {2, 3}
    assert set(draw(logits, range(500), top_p=0.4)[0].tolist()) == {3}
    assert set(draw(logits, range(500), top_p=0.5)[0].tolist()) == {2, 3}


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    logits = torch.randn(4, 50)
    alone = [SeededSampling([seed], forbidden=[], ends=[0]) for seed in (7, 8, 9, 10)]
    together = SeededSampling([7, 8, 9, 10], forbidden=[], ends=[0])
    for _ in range(5):
        each = torch.cat([one(torch.zeros(1, 1), logits[row : row + 1]) for row, one in enumerate(alone)])
        assert torch.equal(chosen(each), chosen(together(torch.zeros(4, 1), logits)))


@pytest.mark.parametrize("greedy", [True, False])
def test_forbidden_tokens_are_never_chosen(greedy):
    logits = torch.tensor([0.0, 9.0, 1.0, 1.0])
    tokens, _ = draw(logits, range(300), forbidden=[1], greedy=greedy)
    assert 1 not in tokens


def test_logprob_is_at_temperature_one_and_ends_with_the_end_of_turn():
    logits = torch.tensor([[0.2, 0.3, 0.5]]).log()
    sampling = SeededSampling([0], forbidden=[], ends=[2], greedy=True, temperature=0.1)
    sampling(torch.zeros(1, 1), logits)
    assert sampling.logprobs.item() == pytest.approx(math.log(0.5))
    sampling(torch.zeros(1, 1), logits)
    assert sampling.logprobs.item() == pytest.approx(math.log(0.5)), "counts no token after the end of turn"
