import math
from itertools import combinations

import pytest

from mixpref.evaluation.statistics import pass_at_k, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe 1998 (Statistics in Medicine 17:857), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # By symmetry.
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def test_wilson_narrows_with_trials_and_widens_with_confidence():
    low, high = wilson(60, 100)
    assert 0 < low < 0.6 < high < 1
    assert wilson(600, 1000)[0] > low
    assert wilson(60, 100, confidence=0.99)[0] < low
    # It solves |p - share| = z sqrt(p (1 - p) / n) exactly.
    for end in (low, high):
        assert abs(end - 0.6) == pytest.approx(1.959963985 * math.sqrt(end * (1 - end) / 100))


@pytest.mark.parametrize(("successes", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (1, 5, 0.0)])
def test_wilson_refuses_impossible_counts(successes, n, confidence):
    with pytest.raises(ValueError, match=r"impossible|confidence"):
        wilson(successes, n, confidence)


def test_pass_at_k_is_the_share_of_draws_with_a_right_one():
    for n in range(1, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                draws = list(combinations(range(n), k))
                share = sum(min(draw) < c for draw in draws) / len(draws)
                assert pass_at_k(n, c, k) == pytest.approx(share, abs=1e-12)


def test_pass_at_1_is_accuracy_and_more_draws_than_wrong_ones_always_pass():
    assert pass_at_k(8, 2, 1) == pytest.approx(0.25)
    assert pass_at_k(8, 2, 7) == 1.0
    assert pass_at_k(8, 0, 8) == 0.0


@pytest.mark.parametrize(("n", "c", "k"), [(8, 9, 1), (8, -1, 1), (8, 2, 9), (8, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses_impossible_draws(n, c, k):
    with pytest.raises(ValueError, match=r"impossible|at least"):
        pass_at_k(n, c, k)
