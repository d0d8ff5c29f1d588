import math
import random
from itertools import combinations

import pytest

from mixpref.evaluation import statistics
from mixpref.evaluation.statistics import bootstrap, mean_of_strata, pass_at_k, strata_means, wilson


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


def test_strata_means_are_those_of_each_stratum_by_name():
    values = [(1, 0), (0, 4), (1, 2), (1, 1)]
    assert strata_means(values).tolist() == [[0.75, 1.75]]
    assert strata_means(values, ["b", "a", "a", "b"]).tolist() == [[0.5, 3.0], [1.0, 0.5]]
    assert strata_means([True, False, True, True]).tolist() == [[0.75]]
    assert mean_of_strata(strata_means([1, 0, 1, 1, 0], ["a", "a", "b", "b", "b"])) == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )


def test_bootstrap_of_a_mean_agrees_with_the_exact_distribution():
    # Of 3 right in 4, the resampled mean is Bin(4, 3/4) / 4: P(0) = .0039, P(<= 1/4) = .0508, P(1) = .3164.
    assert bootstrap([1, 1, 1, 0]) == (0.25, 1.0)
    assert bootstrap([1, 1, 1, 0], confidence=0.8) == (0.5, 1.0)
    # Of many items it is the normal interval.
    low, high = bootstrap([1] * 600 + [0] * 400, resamples=20_000)
    reach = 1.959964 * math.sqrt(0.6 * 0.4 / 1000)
    assert (low, high) == pytest.approx((0.6 - reach, 0.6 + reach), abs=2e-3)


def test_bootstrap_draws_each_stratum_for_itself():
    # All that varies is between the strata: drawn within them, nothing does.
    assert bootstrap([1, 1, 1, 0, 0, 0], strata=["a"] * 3 + ["b"] * 3) == (0.5, 0.5)
    low, high = bootstrap([1, 1, 1, 0, 0, 0])
    assert low < 0.5 < high
    # Strata weigh the same whatever their size: here 1/2 (1 + 3/4), not 99.75/100 or the like.
    values, strata = [1] * 400 + [1, 1, 1, 0], ["many"] * 400 + ["few"] * 4
    assert bootstrap(values, strata=strata) == ((1 + 0.25) / 2, 1.0)


def test_bootstrap_of_a_quotient_of_means():
    values = [(2, 4), (5, 5), (1, 8), (6, 6)]
    low, high = bootstrap(values, lambda means: means[..., 0, 0] / means[..., 0, 1], resamples=5000)
    # The quotient of a resample lies between those of single items; one draw in 256 takes the third all four times.
    assert 1 / 8 <= low < 14 / 23 < high <= 1
    generator = random.Random(7)
    drawn = sorted(
        sum(one for one, _ in some) / sum(two for _, two in some)
        for some in ([generator.choice(values) for _ in values] for _ in range(20_000))
    )
    assert (low, high) == pytest.approx((drawn[500], drawn[19_500]), abs=0.02)


def test_bootstrap_is_the_same_in_every_run_and_in_any_order():
    values = [0.1 * (number % 7) for number in range(50)]
    assert bootstrap(values) == bootstrap(values) == bootstrap(values[::-1])
    assert bootstrap(values, seed=1) != bootstrap(values)
    # Drawn in pieces, where the values are many, or at once.
    many = [number / 5000 for number in range(5000)]
    low, high = bootstrap(many)
    assert (low, high) == pytest.approx((0.49, 0.51), abs=3e-3)


def test_bootstrap_of_one_item_or_of_equal_ones_is_a_point():
    assert bootstrap([0.3]) == (0.3, 0.3)
    assert bootstrap([0.3] * 5) == pytest.approx((0.3, 0.3))
    assert bootstrap([1, 1], strata=["a", "b"]) == (1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"values": []},
        {"values": [], "strata": []},
        {"values": [1, 0], "strata": ["a"]},
        {"values": [1], "confidence": 1},
        {"values": [1], "confidence": 0.0},
        {"values": [1], "resamples": 0},
    ],
)
def test_bootstrap_refuses_what_it_cannot_draw_from(arguments):
    with pytest.raises(ValueError, match=r"one at least|confidence|resamples"):
        bootstrap(**arguments)


def ratio(means):
    """The first number's mean over the second one's, in the only stratum."""
    return means[..., 0, 0] / means[..., 0, 1]


def pairs(n, seed=0):
    """Pairs of n items, the first number about half the second one."""
    generator = random.Random(seed)
    below = [generator.uniform(4, 10) for _ in range(n)]
    return [(each / 2 + generator.gauss(0, 1), each) for each in below]


def test_bootstrap_of_a_mean_is_that_of_its_values_in_any_order():
    values = [random.Random(place).random() for place in range(200)]
    low, high = bootstrap(values, resamples=10_000)
    # 1.96 / sqrt(12 * 200) = 0.040
    mean = sum(values) / 200
    assert (low, high) == pytest.approx((mean - 0.04, mean + 0.04), abs=0.006)
    assert bootstrap(values[::-1], resamples=10_000) == (low, high)
    assert bootstrap(values, resamples=10_000, seed=1) != (low, high)
    assert bootstrap([0.3] * 7) == (0.3, 0.3)


def test_bootstrap_draws_the_numbers_of_an_item_together():
    # A ratio that every item has is certain; of numbers drawn apart it would not be.
    assert bootstrap([(below / 2, below) for _, below in pairs(40)], ratio) == pytest.approx((0.5, 0.5))


def test_bootstrap_gives_the_statistic_all_resamples_and_strata_at_once():
    shapes = []

    def apart(means):
        shapes.append(means.shape)
        return means[..., 1, 0] - means[..., 0, 0]

    values = [(0, 7, 1), (0, 7, 1), (1, 9, 1), (1, 9, 1), (1, 9, 1)]
    assert bootstrap(values, apart, strata=["a", "a", "b", "b", "b"], resamples=300) == (1, 1)
    assert shapes == [(300, 2, 3)]


def test_bootstrap_in_parts_is_the_same(monkeypatch):
    whole = bootstrap(pairs(30), ratio)
    monkeypatch.setattr(statistics, "_CHUNK", 1000)
    assert bootstrap(pairs(30), ratio) == pytest.approx(whole)


def test_bootstrap_widens_with_confidence_and_narrows_with_items():
    low, high = bootstrap(pairs(25), ratio)
    wide, narrow = bootstrap(pairs(25), ratio, confidence=0.99), bootstrap(pairs(400), ratio)
    assert wide[0] < low < high < wide[1]
    assert narrow[1] - narrow[0] < (high - low) / 2
