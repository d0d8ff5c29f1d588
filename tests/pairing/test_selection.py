from collections import Counter
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.pairing.grouping import Judged
from mixpref.pairing.selection import alike, select
from mixpref.records import Problem, Response, Verdict


def every(judge, right, wrong):
    judged = judge(Problem(question="?", answer="1"), *(str(sample) for sample in range(right + wrong)))
    return [(*pair, "correctness") for pair in product(judged[:right], judged[right:])]


def one(sample, tokens=9, answer=""):
    response = Response(
        problem_id="p", sample=sample, text=str(sample), tokens=tokens, finish="stop", seed=0, style="en",
        sampler="tiny", logprob=None,
    )  # fmt: skip
    return Judged(response, Verdict(outcome="wrong", answer=answer, normalised=answer))


def pairs(right, wrong):
    """All pairs of right responses with these tokens and wrong ones with these (tokens, answer)."""
    rights = [one(sample, tokens) for sample, tokens in enumerate(right)]
    wrongs = [one(len(right) + sample, *each) for sample, each in enumerate(wrong)]
    return [(*pair, "correctness") for pair in product(rights, wrongs)]


def used(taken):
    return Counter(one.response.sample for chosen, rejected, _ in taken for one in (chosen, rejected))


def test_all_are_taken_where_the_limit_allows_it(judge):
    candidates = every(judge, 3, 4)
    taken = select(candidates, 15, seed=0)
    assert len(taken) == 12
    assert all(pair in candidates for pair in taken)
    assert len({(a.response.sample, b.response.sample) for a, b, _ in taken}) == 12


def test_no_response_is_used_again_before_all_were_used(judge):
    for seed in range(20):
        assert set(used(select(every(judge, 5, 5), 5, seed)).values()) == {1}
        assert max(used(select(every(judge, 4, 4), 8, seed)).values()) <= 3
        rejected = Counter(rejected.response.sample for _, rejected, _ in select(every(judge, 2, 8), 8, seed))
        assert set(rejected.values()) == {1}


def test_the_seed_and_nothing_else_decides(judge):
    candidates = every(judge, 6, 6)
    assert select(candidates, 7, seed=1) == select(list(candidates), 7, seed=1)
    assert len({str(select(candidates, 7, seed=seed)) for seed in range(5)}) > 1


def test_nothing_is_made_of_nothing():
    assert select([], 15, seed=0) == []


@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from("abc")), min_size=1, max_size=6),
    st.integers(1, 20),
    st.integers(0, 5),
)
def test_the_order_of_the_candidates_changes_nothing(right, wrong, limit, seed):
    candidates = pairs(right, wrong)
    taken = select(candidates, limit, seed)
    shuffled = Random(seed).sample(candidates, len(candidates))
    assert select(shuffled, limit, seed) == taken
    assert len(taken) == min(limit, len(candidates))
    assert all(pair in candidates for pair in taken)


@given(st.integers(1, 6), st.lists(st.sampled_from("abcd"), min_size=1, max_size=8), st.integers(0, 20))
def test_no_answer_comes_again_before_all_answers_came(right, answers, seed):
    taken = select(pairs([9] * right, [(9, answer) for answer in answers]), 8, seed)
    different = len(set(answers))
    first = [rejected.verdict.normalised for _, rejected, _ in taken[:different]]
    assert len(set(first)) == len(first)


def test_a_common_mistake_does_not_crowd_out_the_rare_ones():
    candidates = pairs([9] * 16, [(9, "7")] * 14 + [(9, "8"), (9, "9")])
    for seed in range(10):
        taken = select(candidates, 3, seed)
        assert {rejected.verdict.normalised for _, rejected, _ in taken} == {"7", "8", "9"}


def test_an_unread_answer_and_an_empty_one_are_not_the_same():
    right, wrong, unread = one(0), one(1), one(2)
    candidates = [(right, wrong, "correctness"), (right, one(3), "correctness"), (right, unread, "format")]
    for seed in range(10):
        assert {why for *_, why in select(candidates, 2, seed)} == {"correctness", "format"}


def test_gaps_of_all_sizes_are_represented():
    # Every pair of responses and answers is as good as any other; the gaps are -700 to 700.
    candidates = pairs([100 * number for number in range(8)], [(100 * number, "a") for number in range(8)])
    for seed in range(10):
        gaps = sorted(
            chosen.response.tokens - rejected.response.tokens for chosen, rejected, _ in select(candidates, 4, seed)
        )
        assert gaps[0] <= -200
        assert gaps[-1] >= 200
        assert abs(sum(gaps)) <= 800


def test_the_gaps_keep_their_mean_where_the_chosen_are_longer():
    # Three of four right responses are 200 tokens longer than all wrong ones: so are the chosen ones.
    candidates = pairs([100, 300, 300, 300] * 4, [(100, str(number)) for number in range(16)])
    for seed in range(10):
        taken = select(candidates, 8, seed)
        assert sum(chosen.response.tokens for chosen, _, _ in taken) / 8 == pytest.approx(250, abs=25)


def test_the_gaps_of_length_cancel_where_they_are_to_be_level():
    # Each right response is 100 tokens longer or shorter than each wrong one, and half of them are wanted.
    candidates = pairs([100, 300] * 8, [(200, str(number)) for number in range(8)])
    for seed in range(10):
        taken = select(candidates, 8, seed, level=True)
        assert sum(chosen.response.tokens - rejected.response.tokens for chosen, rejected, _ in taken) == 0


def test_use_counts_before_length():
    # Response 0 fits best to both wrong ones, but is not taken twice.
    taken = select(pairs([200, 900], [(200, "a"), (200, "a")]), 2, seed=0, level=True)
    assert {chosen.response.sample for chosen, _, _ in taken} == {0, 1}


def test_a_response_counts_on_either_side():
    first, second, third, fourth = map(one, range(4))
    # After the first pair, the one that has response 1 on its other side waits until the last.
    candidates = [(first, second, "vote"), (second, third, "vote"), (third, fourth, "vote")]
    for seed in range(10):
        taken = select(candidates, 3, seed)
        assert set(taken[:2]) == {candidates[0], candidates[2]} or taken[0] == candidates[1]


def test_at_limit_0_nothing_is_taken():
    assert select(pairs([9], [(9, "a")]), 0, seed=0) == []


@pytest.mark.parametrize(("cap", "kept"), [(None, 4), (1.0, 4), (0.5, 3), (0.49, 2), (0.0, 1)])
def test_pairs_that_differ_more_in_length_than_the_cap_are_left_out_and_counted(cap, kept):
    candidates = pairs([100], [(100, "a"), (90, "b"), (200, "c"), (1000, "d")])
    found, left_out = alike(candidates, cap)
    assert found == candidates[:kept]
    assert left_out == 4 - kept
    turned = [(rejected, chosen, why) for chosen, rejected, why in candidates]
    assert alike(turned, cap) == ([(b, a, why) for a, b, why in found], left_out)


def test_two_texts_without_tokens_are_alike():
    candidate = pairs([0], [(0, "a")])
    assert alike(candidate, 0.0) == (candidate, 0)


def test_candidates_of_one_pair_of_responses_are_all_taken():
    candidates = pairs([9], [(9, "a")])
    candidates.append((*candidates[0][:2], "vote"))
    assert len(select(candidates, 5, seed=0)) == 2
