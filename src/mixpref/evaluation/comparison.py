"""Two models on the same items: what the second one fixed and what it broke, and how much of that may be chance.

Both have answered the same questions, so that it cancels out how hard each is: a paired comparison finds differences
that are lost between the overlapping intervals of two scores. Pure functions of scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

import numpy as np

from mixpref.evaluation.statistics import bootstrap
from mixpref.seeds import derive

_CHUNK = 2**22
"""Random numbers at a time: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models, before and after, on the n items that both have a score of.

    n = fixed + broken + both_right + both_wrong. Where n is 0 nothing is known: the difference is 0, its interval all
    of -1..1, p is 1.
    """

    n: int
    left_out: int
    """Items that only one of the two has a score of; where the other one failed, say."""
    before: float
    """Mean score on the n items, in 0..1."""
    after: float
    fixed: int
    """Items with a better score after than before: wrong, then right."""
    broken: int
    """Items with a worse score after than before."""
    both_right: int
    """Items with the full score, 1, both times."""
    both_wrong: int
    """Items with the same score both times, less than 1: where scores have degrees, not always 0."""
    difference: float
    """Mean score after minus before, in -1..1."""
    low: float
    """Lower end of the difference's interval: a percentile bootstrap over the items. Where no item changed it is 0 to
    0; that is no proof that none would."""
    high: float
    p: float
    """How probable a difference of this size or more is, either way, if each change was as likely the other way."""
    test: Literal["mcnemar", "sign flips"]
    """What p is from: `mcnemar` where scores are 0 or 1, `sign_flips` where they have degrees."""
    fixed_items: tuple[str, ...]
    """Keys, sorted."""
    broken_items: tuple[str, ...]
    both_wrong_items: tuple[str, ...]


def compare(
    before: Mapping[str, float | bool],
    after: Mapping[str, float | bool],
    *,
    seed: int = 0,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Comparison:
    """Compare two models by their scores on the same items: by an item's key, a score in 0..1, or right or wrong.

    Items without an outcome - generation or judge failed - are to be absent. The result depends neither on the order
    of the items nor on those that are left out, except for their number.

    Raises ValueError for scores outside 0..1, and as `bootstrap` does.
    """
    for key, score in (*before.items(), *after.items()):
        if not 0 <= score <= 1:
            raise ValueError(f"the score of {key} is {score}; scores lie between 0 and 1")
    common = sorted(before.keys() & after.keys())
    pairs = {key: (float(before[key]), float(after[key])) for key in common}
    fixed = tuple(key for key, (old, new) in pairs.items() if new > old)
    broken = tuple(key for key, (old, new) in pairs.items() if new < old)
    both_right = sum(old == new == 1 for old, new in pairs.values())
    both_wrong = tuple(key for key, (old, new) in pairs.items() if old == new < 1)

    differences = [new - old for old, new in pairs.values()]
    low, high = bootstrap(differences or [0.0], seed=seed, resamples=resamples, confidence=confidence)
    if not differences:
        # Of no items nothing is known.
        low, high = -1.0, 1.0
    binary = all(score in (0, 1) for both in pairs.values() for score in both)
    return Comparison(
        n=len(common),
        left_out=len(before.keys() ^ after.keys()),
        before=_mean([old for old, _ in pairs.values()]),
        after=_mean([new for _, new in pairs.values()]),
        fixed=len(fixed),
        broken=len(broken),
        both_right=both_right,
        both_wrong=len(both_wrong),
        difference=_mean(differences),
        low=max(low, -1.0),
        high=min(high, 1.0),
        p=mcnemar(len(fixed), len(broken)) if binary else sign_flips(differences, seed=seed, resamples=resamples),
        test="mcnemar" if binary else "sign flips",
        fixed_items=fixed,
        broken_items=broken,
        both_wrong_items=both_wrong,
    )


def mcnemar(fixed: int, broken: int) -> float:
    """Two-sided p of McNemar's test in its exact form: twice the smaller tail of Bin(fixed + broken, 1/2), at most 1.

    McNemar 1947 (Psychometrika 12:153): only the items on which two models differ tell of a difference between them.
    Computed in whole numbers, so it is exact for any counts. Raises ValueError for negative ones.
    """
    if min(fixed, broken) < 0:
        raise ValueError(f"{fixed} fixed and {broken} broken items are impossible")
    changed = fixed + broken
    ways, tail = 1, 1
    for k in range(min(fixed, broken)):
        ways = ways * (changed - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**changed)


def sign_flips(differences: Sequence[float], *, seed: int = 0, resamples: int = 10_000) -> float:
    """Two-sided p of paired differences by permutation: of equal models, each may as well be minus itself.

    The share of sign patterns whose sum is as far from 0 as the observed one (Efron & Tibshirani 1993, An Introduction
    to the Bootstrap, chapter 15). Over all patterns where they are no more than `resamples`: of differences of one
    size it is McNemar's exact p. Otherwise over so many random ones and the observed one, so p is never 0.
    """
    sizes, counts = np.unique(np.abs([each for each in differences if each]), return_counts=True)
    changed = int(counts.sum())
    observed = abs(fsum(differences))
    # Sums that are equal but for rounding are equal.
    least = observed - 1e-9 * max(1.0, observed)
    if 2**changed <= resamples:
        patterns = np.arange(2**changed)[:, None] >> np.arange(changed) & 1
        sums = (2 * patterns - 1) @ np.repeat(sizes, counts)
        return float(np.mean(np.abs(sums) >= least))
    # Only how many of each size are positive matters.
    generator = np.random.default_rng(derive("sign flips", seed))
    reached = 0
    for some in _chunks(resamples, len(sizes)):
        positive = generator.binomial(counts, 0.5, size=(some, len(sizes)))
        reached += int((np.abs((2 * positive - counts) @ sizes) >= least).sum())
    return (reached + 1) / (resamples + 1)


def _mean(values: Sequence[float]) -> float:
    return fsum(values) / len(values) if values else 0.0


def _chunks(resamples: int, width: int) -> list[int]:
    """How many resamples are worked at a time, so that `_CHUNK` numbers of them are in memory."""
    most = max(1, _CHUNK // max(1, width))
    return [min(most, resamples - done) for done in range(0, resamples, most)]
