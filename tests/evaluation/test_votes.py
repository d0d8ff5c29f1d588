from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpref.evaluation.statistics import pass_at_k
from mixpref.evaluation.votes import Sample, best_of, best_of_k, majority, majority_at_k, sample, summarise
from mixpref.records import Problem, Response, Verdict
from mixpref.verifying.verdicts import verify


def right(answer="12", **more):
    return Sample(answer, "correct", **more)


def wrong(answer="7", **more):
    return Sample(answer, "wrong", **more)


UNPARSED, ERROR = Sample("", "unparsed"), Sample("", "error")


def response(text, **more):
    told = {"tokens": 1, "finish": "stop", "seed": 0, "style": "en", "sampler": "", "logprob": -1.0}
    return Response(problem_id="p", sample=0, text=text, **(told | more))


def test_the_answer_that_most_state_wins():
    assert majority([right(), wrong(), right()], 0) == "correct"
    assert majority([right(), wrong(), wrong()], 0) == "wrong"
    # Three wrong answers, but no two of them the same.
    assert majority([right(), right(), wrong("1"), wrong("2"), wrong("3")], 0) == "correct"


def test_who_states_nothing_has_no_vote():
    assert majority([right(), UNPARSED, UNPARSED, ERROR, ERROR], 0) == "correct"
    # An unparsed sample may well have a text as its answer.
    assert majority([right(), Sample("7 or 8", "unparsed"), Sample("7 or 8", "unparsed")], 0) == "correct"
    assert majority([UNPARSED, ERROR], 0) == "unparsed"
    assert majority([ERROR], 0) == "error"
    with pytest.raises(ValueError, match="no sample"):
        majority([], 0)


def test_plain_tuples_vote_too():
    assert majority([("12", "correct", -3.0), ("7", "wrong", -1.0), ("12", "correct", None)], 0) == "correct"


def test_ties_go_to_the_likelier_answer():
    tie = [right(logprob=-4.0), wrong(logprob=-1.0), right(logprob=-4.0), wrong(logprob=-6.5)]
    for order in itertools.permutations(tie):
        assert majority(order, 0) == "wrong"
    assert majority([right(logprob=-4.0), wrong(logprob=-4.5)], 0) == "correct"


def test_where_likelihoods_do_not_decide_the_seed_does():
    ties = (
        [right(), wrong()],
        [right(logprob=-2.0), wrong(logprob=-2.0)],
        # Not known of one of them: then of none.
        [right(logprob=-9.0), wrong(logprob=None)],
        # The same sum, added in another order.
        [right(logprob=each) for each in (-0.1, -0.2, -0.3)] + [wrong(logprob=each) for each in (-0.3, -0.2, -0.1)],
    )
    for tie in ties:
        won = [majority(tie, seed) for seed in range(200)]
        assert 60 < won.count("correct") < 140
        assert [majority(tie[::-1], seed) for seed in range(200)] == won


def test_a_judge_of_two_minds_needs_more_than_half():
    assert majority([right("a cat"), wrong("a cat")], 0) == "wrong"
    assert majority([right("a cat"), right("a cat"), wrong("a cat")], 0) == "correct"


def test_answers_are_alike_when_their_rule_compares_them_as_the_same():
    def said(problem, *texts):
        return {sample(verify(problem, text), response(text)).answer for text in texts}

    choices = Problem(question="Which?", answer="B", choices=("red", "blue"))
    assert said(choices, "Final answer: B", "Final answer: (b)", "Final answer: blue") == {"B"}
    assert len(said(Problem(question="How many?", answer="12"), "Final answer: 7", "Final answer: 7.0")) == 1
    words = Problem(question="Who?", answer="the cat", rule="text")
    assert said(words, "Final answer: The dog", "Final answer: dog.") == {"dog"}


def test_without_a_stated_answer_the_whole_text_is_one():
    found = sample(Verdict(outcome="wrong"), response("No,  there is not."), 0.5)
    assert found == Sample("no,there is not", "wrong", -1.0, 0.5)
    assert sample(Verdict(outcome="wrong", answer="The dog"), response("x")).answer == "dog"


ANSWERS = st.sampled_from([right(), wrong("7"), wrong("8"), UNPARSED])
SAMPLES = st.lists(
    st.builds(
        lambda answer, logprob, reward: answer._replace(logprob=logprob, reward=reward),
        ANSWERS,
        st.sampled_from([-1.0, -2.0, -3.5]),
        st.sampled_from([None, -0.5, 0.0, 0.25, 1.0]),
    ),
    min_size=1,
    max_size=6,
)


def chance_of_majority(some):
    """Of the answers with most votes and among these the greatest sum of log-probabilities: how many are right."""
    votes = {}
    for each in some:
        if each.outcome in ("correct", "wrong"):
            votes.setdefault(each.answer, []).append(each)
    if not votes:
        return 0.0
    standing = {answer: (len(them), sum(each.logprob for each in them)) for answer, them in votes.items()}
    winners = [answer for answer in votes if standing[answer] == max(standing.values())]
    return sum(votes[answer][0].outcome == "correct" for answer in winners) / len(winners)


def chance_of_best(some):
    rewards = [float("-inf") if each.reward is None else each.reward for each in some]
    best = [each for each, reward in zip(some, rewards, strict=True) if reward == max(rewards)]
    return sum(each.outcome == "correct" for each in best) / len(best)


@settings(max_examples=60, deadline=None)
@given(SAMPLES)
def test_expectations_are_means_over_all_subsets(samples):
    for k in range(1, len(samples) + 1):
        subsets = list(itertools.combinations(samples, k))
        votes = sum(map(chance_of_majority, subsets)) / len(subsets)
        assert majority_at_k(samples, k) == pytest.approx(votes)
        best = sum(map(chance_of_best, subsets)) / len(subsets)
        assert best_of_k(samples, k) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, st.randoms())
def test_no_order_matters(samples, shuffle):
    mixed = list(samples)
    shuffle.shuffle(mixed)
    n = len(samples)
    assert majority(mixed, 3) == majority(samples, 3)
    assert best_of(mixed, 3)[:2] == best_of(samples, 3)[:2]
    assert best_of_k(mixed, (n + 1) // 2) == best_of_k(samples, (n + 1) // 2)
    # Fewer subsets than there are: they are drawn.
    assert majority_at_k(mixed, (n + 1) // 2, 5, subsets=3) == majority_at_k(samples, (n + 1) // 2, 5, subsets=3)


@settings(max_examples=60, deadline=None)
@given(SAMPLES)
def test_nobody_beats_the_perfect_chooser_and_one_sample_leaves_no_choice(samples):
    n, c = len(samples), sum(each.outcome == "correct" for each in samples)
    for k in range(1, n + 1):
        bound = pass_at_k(n, c, k) + 1e-9
        assert best_of_k(samples, k) <= bound
        assert majority_at_k(samples, k) <= bound
    assert best_of_k(samples, 1) == pytest.approx(c / n)
    assert majority_at_k(samples, 1) == pytest.approx(c / n)
    if majority(samples, 0) == majority(samples, 1) == majority(samples, 2) == majority(samples, 3) == "correct":
        assert majority_at_k(samples, n) > 0


def test_random_subsets_are_near_the_mean_over_all():
    draw = random.Random(0)
    samples = [right() if draw.random() < 0.45 else wrong(draw.choice("789")) for _ in range(14)]
    # C(14, 7) = 3432
    exact = majority_at_k(samples, 7, subsets=4000)
    assert majority_at_k(samples, 7, subsets=2000) == pytest.approx(exact, abs=0.04)
    assert majority_at_k(samples, 7, seed=1, subsets=100) != majority_at_k(samples, 7, seed=2, subsets=100)


def test_the_best_is_the_one_with_the_highest_reward():
    samples = [wrong(reward=0.1), right(reward=0.7), wrong(reward=-0.2), Sample("", "unparsed", reward=None)]
    assert best_of(samples, 0).outcome == "correct"
    # The right one is in 3 of 6 pairs, and the best of each.
    assert best_of_k(samples, 2) == pytest.approx(0.5)
    assert best_of_k(samples, 4) == 1.0
    assert {best_of([right(reward=1.0), wrong(reward=1.0)], seed).outcome for seed in range(20)} == {"correct", "wrong"}
    with pytest.raises(ValueError, match="no sample"):
        best_of([], 0)


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("of", [best_of_k, majority_at_k])
def test_more_samples_than_there_are_cannot_be_drawn(of, k):
    with pytest.raises(ValueError, match="drawn from 2"):
        of([right(), wrong()], k)


def test_a_summary_counts_items_and_samples_and_goes_in_powers_of_two():
    items = {
        "a": [right(reward=1.0), right(reward=0.5), wrong(reward=0.0)],
        "b": [wrong(reward=1.0), right(reward=0.5), ERROR],
        "c": [ERROR, ERROR],
        "d": [wrong("1", reward=0.0), wrong("1", reward=0.0), UNPARSED],
    }
    found = summarise(items, resamples=500)
    assert (found.items, found.left_out, found.samples, found.errors) == (3, 1, 8, 3)
    assert [(draw.k, draw.items) for draw in found.draws] == [(1, 3), (2, 3), (3, 2)]
    one, two, three = found.draws
    # 2/3, 1/2 and 0
    assert (one.any_right.value, one.majority.value, one.best.value) == pytest.approx((7 / 18,) * 3)
    assert two.any_right.value == pytest.approx((1 + 1 + 0) / 3)
    # Of a, one pair of three is all right, two are ties; of b the only pair is one.
    assert two.majority.value == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert two.best.value == pytest.approx((1 + 0 + 0) / 3)
    assert (three.any_right.value, three.majority.value, three.best.value) == (0.5, 0.5, 0.5)
    for draw in found.draws:
        for share in (draw.any_right, draw.majority, draw.best):
            assert 0 <= share.low <= share.value <= share.high <= 1


def test_a_summary_depends_on_no_order_and_needs_no_rewards():
    draw = random.Random(2)
    items = {
        f"q{place}": [right() if draw.random() < 0.6 else wrong(draw.choice("78")) for _ in range(8)]
        for place in range(40)
    }
    found = summarise(items, seed=4, subsets=20, resamples=300)
    assert [draw.k for draw in found.draws] == [1, 2, 4, 8]
    assert all(draw.best is None for draw in found.draws)
    values = [draw.majority.value for draw in found.draws]
    # Six of ten are right, the others differ: votes help.
    assert values[0] < values[2] < values[3]
    assert found.draws[0].majority.low < values[0] < found.draws[0].majority.high
    turned = {key: some[::-1] for key, some in reversed(items.items())}
    assert summarise(turned, seed=4, subsets=20, resamples=300) == found


def test_a_summary_of_nothing():
    assert summarise({}).draws == ()
    assert summarise({"a": [ERROR], "b": []}).left_out == 2
