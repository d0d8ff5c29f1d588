import math

import pytest
import torch

from mixpref.engines.request import Sampling
from mixpref.engines.sampling import SeededSampling


def seeded(seeds, *, forbidden=(), ends=(0,), **how):
    return SeededSampling(seeds, Sampling(**{"top_k": 0, **how}), forbidden=forbidden, ends=ends)


def draw(logits, seeds, **settings):
    return seeded(seeds, **settings).choose(logits.expand(len(seeds), -1))


def test_draws_follow_the_distribution():
    probabilities = torch.tensor([0.1, 0.2, 0.3, 0.4])
    tokens = draw(probabilities.log(), range(8000))
    assert torch.allclose(torch.bincount(tokens, minlength=4) / 8000, probabilities, atol=0.02)


def test_temperature_sharpens():
    probabilities = torch.tensor([0.2, 0.3, 0.5])
    tokens = draw(probabilities.log(), range(8000), temperature=0.5)
    expected = probabilities**2 / (probabilities**2).sum()
    assert torch.allclose(torch.bincount(tokens, minlength=3) / 8000, expected, atol=0.02)


def test_top_k_and_top_p_cut_the_tail():
    logits = torch.tensor([0.05, 0.15, 0.35, 0.45]).log()
    assert set(draw(logits, range(500), top_k=2).tolist()) == {2, 3}
    assert set(draw(logits, range(500), top_p=0.4).tolist()) == {3}
    assert set(draw(logits, range(500), top_p=0.5).tolist()) == {2, 3}


def test_a_row_does_not_depend_on_its_neighbours():
    torch.manual_seed(0)
    logits = torch.randn(4, 50)
    alone = [seeded([seed]) for seed in (7, 8, 9, 10)]
    together = seeded([7, 8, 9, 10])
    for _ in range(5):
        each = torch.cat([one.choose(logits[row : row + 1]) for row, one in enumerate(alone)])
        assert torch.equal(each, together.choose(logits))


def test_rows_go_on_alike_when_others_are_let_go():
    torch.manual_seed(0)
    logits = torch.randn(6, 4, 50)
    everyone, fewer = seeded([7, 8, 9, 10], ends=[]), seeded([7, 8, 9, 10], ends=[])
    for step in range(2):
        assert torch.equal(everyone.choose(logits[step]), fewer.choose(logits[step]))
    fewer.keep(torch.tensor([0, 2, 3]))
    assert torch.equal(everyone.choose(logits[2])[[0, 2, 3]], fewer.choose(logits[2][[0, 2, 3]]))
    fewer.keep(torch.tensor([1, 2]))
    for step in (3, 4, 5):
        assert torch.equal(everyone.choose(logits[step])[2:], fewer.choose(logits[step][2:]))
    assert fewer.rows.tolist() == [2, 3]
    assert torch.equal(everyone.logprobs[2:], fewer.logprobs[2:])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_forbidden_tokens_are_never_chosen(temperature):
    logits = torch.tensor([0.0, 9.0, 1.0, 1.0])
    assert 1 not in draw(logits, range(300), forbidden=[1], temperature=temperature)


def test_logprob_is_at_temperature_one_and_ends_with_the_end_of_turn():
    logits = torch.tensor([[0.2, 0.3, 0.5]]).log()
    sampling = seeded([0], ends=[2], temperature=0)
    sampling.choose(logits)
    assert sampling.logprobs.item() == pytest.approx(math.log(0.5))
    sampling.choose(logits)
    assert sampling.logprobs.item() == pytest.approx(math.log(0.5)), "counts no token after the end of turn"
    sharp = seeded([0], ends=[], temperature=0.01)
    sharp.choose(logits)
    assert sharp.logprobs.item() == pytest.approx(math.log(0.5))


def test_as_a_logits_processor_it_leaves_only_the_chosen_tokens():
    torch.manual_seed(0)
    logits = torch.randn(3, 20)
    scores = seeded([1, 2, 3])(torch.zeros(3, 1), logits)
    assert (scores > -torch.inf).sum(-1).eq(1).all()
    assert torch.equal(scores.argmax(-1), seeded([1, 2, 3]).choose(logits))
