"""Statistics of answers: of counts of right and wrong ones, and of figures that are functions of mean scores. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from mixpref.seeds import derive

if TYPE_CHECKING:
    from numpy.typing import NDArray

Values = Sequence[float] | Sequence[Sequence[float]]
"""What each of n items counts: a number, or a row of k numbers."""
Statistic = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""A figure as a function of means: (.., strata, k) -> (..), so that one call serves thousands of resamples."""

_CHUNK = 2**22
"""Random numbers at a time: 32 MB."""


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Interval (low, high) of a share in 0..1, given that `successes` of `n` independent trials succeeded.

    Wilson's score interval (Wilson 1927, JASA 22:209; without continuity correction): unlike the normal
    approximation it stays within 0..1 and keeps its width at 0 and at n successes. Of no trials at all nothing is
    known: (0, 1).

    Raises ValueError for counts that are no counts or a confidence outside (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials are impossible")
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence must lie between 0 and 1, not {confidence}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    reach = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends rounding would leave a remainder of 1e-17 where the bound is exactly 0 or 1.
    low = 0.0 if successes == 0 else (centre - reach) / scale
    high = 1.0 if successes == n else (centre + reach) / scale
    return low, high


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability in 0..1 that at least one of k samples is right, of a problem of whose n samples c were right.

    The unbiased estimate 1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374, equation 1).

    Raises ValueError where k samples cannot be drawn from n without putting any back.
    """
    if not 0 <= c <= n:
        raise ValueError(f"{c} right samples of {n} are impossible")
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {max(k, 1)} samples a problem; there are {n}")
    return 1 - comb(n - c, k) / comb(n, k)


def mean_of_strata(means: NDArray[Any]) -> NDArray[Any]:
    """The plain mean over the strata, of the first number of each row: without strata the mean of the items."""
    return means[..., 0].mean(axis=-1)


def strata_means(values: Values, strata: Sequence[str] | None = None) -> NDArray[Any]:
    """The means of n items' values, stratum by stratum: (strata, k), the strata in the order of their names.

    strata: each item's; None: all are of one. k is 1 where an item's value is a single number. The same for the
    items in any order. Raises ValueError where there are no items, or not as many strata as items.
    """
    import numpy as np

    rows = [counts @ distinct / counts.sum() for distinct, counts in _tallies(values, strata)]
    return np.stack(rows)


def bootstrap(
    values: Values,
    statistic: Statistic = mean_of_strata,
    *,
    strata: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Interval (low, high) of a figure by the percentile bootstrap over the items, each stratum drawn for itself.

    Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13; its figure is `statistic(strata_means(..))`.
    What n draws with replacement hold of each distinct value is multinomial, so these counts are drawn instead of the
    items. The same for the same items in any order, and in every run. Of a single item, or of equal ones, the
    resamples are all alike and both ends are the figure: that is no proof that other items would give it, too.

    Raises ValueError where there are no items, for a confidence outside (0, 1), or without resamples.
    """
    import numpy as np

    if not 0 < confidence < 1:
        raise ValueError(f"the confidence must lie between 0 and 1, not {confidence}")
    if resamples < 1:
        raise ValueError(f"an interval needs resamples, not {resamples}")
    tallies = _tallies(values, strata)
    generator = np.random.default_rng(derive("bootstrap", seed))
    most = max(1, _CHUNK // max(len(counts) for _, counts in tallies))
    figures = []
    for start in range(0, resamples, most):
        some = min(most, resamples - start)
        means = [
            generator.multinomial(counts.sum(), counts / counts.sum(), size=some) @ distinct / counts.sum()
            for distinct, counts in tallies
        ]
        figures.append(statistic(np.stack(means, axis=1)))
    low, high = np.quantile(np.concatenate(figures), ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


def _tallies(values: Values, strata: Sequence[str] | None) -> list[tuple[NDArray[Any], NDArray[Any]]]:
    """Of each stratum, in the order of their names, the distinct rows (distinct, k) and how many items have each."""
    import numpy as np

    names = np.asarray([""] * len(values) if strata is None else list(strata))
    if not len(values) or len(names) != len(values):
        raise ValueError(f"{len(values)} items in {len(names)} places: there must be as many strata, and one at least")
    rows = np.asarray(values, dtype=float).reshape(len(values), -1)
    return [np.unique(rows[names == name], axis=0, return_counts=True) for name in np.unique(names)]
