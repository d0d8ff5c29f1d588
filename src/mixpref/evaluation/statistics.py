"""Statistics of right and wrong answers. Pure functions of counts."""

from __future__ import annotations

from math import comb, sqrt
from statistics import NormalDist


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
