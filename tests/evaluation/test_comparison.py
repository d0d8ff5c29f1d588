from __future__ import annotations

import itertools
import random
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixpref.evaluation.comparison import compare, mcnemar, sign_flips


def outcomes(fixed, broken, both_right, both_wrong):
    """Two mappings with so many items of each kind."""
    kinds = [(0, 1)] * fixed + [(1, 0)] * broken + [(1, 1)] * both_right + [(0, 0)] * both_wrong
    before = {f"q{place:04d}": bool(old) for place, (old, _) in enumerate(kinds)}
    return before, {f"q{place:04d}": bool(new) for place, (_, new) in enumerate(kinds)}


@pytest.mark.parametrize(
    ("fixed", "broken", "p"),
    [
        # 2 (1 + 10) / 2^10
        (9, 1, 0.021484375),
        (1, 9, 0.021484375),
        # 2 (1 + 6 + 15) / 2^6
        (2, 4, 0.6875),
        (0, 6, 0.03125),
        (0, 1, 1.0),
        (4, 4, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_by_hand(fixed, broken, p):
    assert mcnemar(fixed, broken) == p


def test_mcnemar_is_exact_for_many_items():
    fixed, broken = 1100, 900
    tail = sum(comb(2000, k) for k in range(broken + 1))
    assert mcnemar(fixed, broken) == float(Fraction(2 * tail, 2**2000))
    # Neither 2^10001 nor its parts are doubles.
    assert mcnemar(5000, 5001) == 1.0
    assert mcnemar(5200, 4800) == pytest.approx(6.6e-5, rel=0.02)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_probability_that_falls_with_the_imbalance(fixed, broken):
    p = mcnemar(fixed, broken)
    assert 0 < p <= 1
    assert p == mcnemar(broken, fixed)
    if fixed >= broken:
        assert mcnemar(fixed + 2, broken) <= mcnemar(fixed + 1, broken + 1)


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(ValueError, match="impossible"):
        mcnemar(-1, 3)


def test_a_comparison_counts_every_item_once():
    before, after = outcomes(9, 1, 5, 5)
    before |= {"gone": True}
    after |= {"new": False, "newer": True}
    found = compare(before, after)
    assert (found.n, found.fixed, found.broken, found.both_right, found.both_wrong) == (20, 9, 1, 5, 5)
    assert found.left_out == 3
    assert (found.before, found.after, found.difference) == (0.3, 0.7, 0.4)
    assert (found.p, found.test) == (0.021484375, "mcnemar")
    assert found.fixed_items == tuple(f"q{place:04d}" for place in range(9))
    assert found.broken_items == ("q0009",)
    assert found.both_wrong_items == tuple(f"q{place:04d}" for place in range(15, 20))
    assert 0 < found.low < 0.4 < found.high < 1


def test_the_interval_of_right_and_wrong_is_that_of_resampled_items():
    before, after = outcomes(30, 12, 40, 18)
    found = compare(before, after, resamples=20_000)
    differences = np.array([after[key] - float(before[key]) for key in sorted(before)])
    means = differences[np.random.default_rng(7).integers(100, size=(20_000, 100))].mean(1)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, (0.025, 0.975))), abs=0.011)
    # And that of the normal approximation: 0.18 +- 1.96 sqrt((0.42 - 0.18^2) / 100).
    assert (found.low, found.high) == pytest.approx((0.058, 0.302), abs=0.011)


def test_the_interval_covers_the_true_difference_about_as_often_as_it_says():
    draw, covered = random.Random(5), 0
    for trial in range(300):
        kinds = draw.choices([(0, 1), (1, 0), (1, 1), (0, 0)], (0.25, 0.15, 0.3, 0.3), k=120)
        before, after = ({str(i): kind[side] for i, kind in enumerate(kinds)} for side in (0, 1))
        found = compare(before, after, seed=trial, resamples=1000)
        covered += found.low <= 0.10 <= found.high
    assert 0.90 <= covered / 300 <= 0.98


def test_p_is_seldom_small_where_there_is_no_difference():
    draw, small = random.Random(6), 0
    for _ in range(500):
        fixed = sum(draw.random() < 0.5 for _ in range(40))
        small += mcnemar(fixed, 40 - fixed) <= 0.05
    # The exact test stays below its level.
    assert small / 500 <= 0.05


def test_degrees_are_compared_by_sign_flips():
    before = {"a": 0.2, "b": 0.5, "c": 1.0, "d": 0.5, "e": 0.0}
    after = {"a": 0.6, "b": 0.75, "c": 1.0, "d": 0.5, "e": 0.0}
    found = compare(before, after)
    assert (found.fixed_items, found.broken_items) == (("a", "b"), ())
    assert (found.both_right, found.both_wrong_items) == (1, ("d", "e"))
    # Only + + and - - of the four sign patterns are as far from 0.
    assert (found.p, found.test) == (0.5, "sign flips")
    assert found.difference == pytest.approx(0.13)


def test_sign_flips_over_all_patterns_by_brute_force():
    draw = random.Random(1)
    for size in (1, 3, 6, 9):
        differences = [draw.choice([-0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0]) for _ in range(size)]
        sums = [
            abs(sum(map(float.__mul__, differences, signs))) for signs in itertools.product((-1.0, 1.0), repeat=size)
        ]
        share = sum(each >= abs(sum(differences)) for each in sums) / len(sums)
        assert sign_flips(differences) == pytest.approx(share)


@given(st.integers(0, 6), st.integers(0, 6))
def test_sign_flips_of_right_and_wrong_are_mcnemar(fixed, broken):
    assert sign_flips([1.0] * fixed + [-1.0] * broken) == pytest.approx(mcnemar(fixed, broken))


def test_random_sign_flips_are_near_the_exact_p_and_never_0():
    assert sign_flips([1.0] * 30 + [-1.0] * 15, resamples=50_000) == pytest.approx(mcnemar(30, 15), abs=0.004)
    assert sign_flips([0.1 * (1 + place % 3) for place in range(200)], resamples=999) == 0.001
    assert sign_flips([]) == 1.0


SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@settings(max_examples=40, deadline=None)
@given(SCORES, SCORES, st.randoms())
def test_a_comparison_depends_on_no_order_and_turns_around(before, after, shuffle):
    found = compare(before, after, resamples=200)
    assert found.n == found.fixed + found.broken + found.both_right + found.both_wrong
    assert found.n + found.left_out == len({*before, *after})
    assert -1 <= found.low <= found.high <= 1
    assert found.difference == pytest.approx(found.after - found.before)

    mixed = [list(each.items()) for each in (before, after)]
    for each in mixed:
        shuffle.shuffle(each)
    assert compare(*map(dict, mixed), resamples=200) == found

    back = compare(after, before, resamples=200)
    assert (back.fixed_items, back.broken_items) == (found.broken_items, found.fixed_items)
    assert (back.difference, back.p) == pytest.approx((-found.difference, found.p))


def test_nothing_in_common_is_nothing_known():
    found = compare({"a": True}, {"b": True, "c": False})
    assert (found.n, found.left_out, found.difference, found.low, found.high, found.p) == (0, 3, 0.0, -1.0, 1.0, 1.0)


def test_more_items_and_less_confidence_narrow_the_interval():
    few, many = compare(*outcomes(10, 5, 10, 10)), compare(*outcomes(100, 50, 100, 100))
    assert many.high - many.low < (few.high - few.low) / 2.5
    less = compare(*outcomes(10, 5, 10, 10), confidence=0.5)
    assert few.low < less.low < less.high < few.high


@pytest.mark.parametrize("score", [-0.1, 1.5, float("nan")])
def test_scores_outside_0_and_1_are_refused(score):
    with pytest.raises(ValueError, match=r"score of b"):
        compare({"a": 1, "b": score}, {"a": 0})


@pytest.mark.parametrize("settings", [{"confidence": 1.0}, {"confidence": 0.0}, {"resamples": 0}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"confidence|resamples"):
        compare({"a": 1}, {"a": 0}, **settings)
