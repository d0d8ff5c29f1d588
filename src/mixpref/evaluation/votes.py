"""What several samples of an item are worth: any right one, the majority's answer, the one of the highest reward.

With k samples an item, pass@k is what a perfect chooser would get, majority@k (self-consistency, Wang et al. 2022,
arXiv 2203.11171) and best-of-k what can be had without knowing the answer. Of n samples, each is the expectation over
all ways to draw k of them, not the result of one draw. Pure functions, which depend on no order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, groupby
from math import comb, fsum, inf
from typing import NamedTuple

import numpy as np

from mixpref.evaluation.statistics import bootstrap, pass_at_k
from mixpref.records import Outcome, Response, Verdict
from mixpref.seeds import derive
from mixpref.verifying.words import normal


class Sample(NamedTuple):
    """One sampled answer to an item."""

    answer: str
    """The stated answer in a form in which equal ones are equal texts."""
    outcome: Outcome
    logprob: float | None = None
    """Of the whole response, summed over its tokens, in nats."""
    reward: float | None = None
    """By which the best of several is chosen (`reward.implicit_rewards`); None: it could not be computed."""


def sample(verdict: Verdict, response: Response, reward: float | None = None) -> Sample:
    """The sample that a response is: its answer is what its rule compared, else what it states, else all that it says.

    Formulas are compared as they are written: 1/2 and 0.5 are two answers where the rule is `math`.
    """
    answer = verdict.normalised or normal(verdict.answer or response.text)
    return Sample(answer, verdict.outcome, response.logprob, reward)


def majority(samples: Sequence[tuple[str, Outcome, float | None] | Sample], seed: int) -> Outcome:
    """The outcome of the answer that most samples state.

    Samples without a readable answer (unparsed) or outcome (error) have no vote. Of answers with equally many votes the
    one whose votes' log-probabilities have the greater sum wins; where that is equal too, or one of all votes' is not
    known, the seed decides: derive it from the item's key, or the same answer would win on all items. Where a judge was
    not of one mind about the answer, it is correct if more than half of its votes are.

    Without a vote: unparsed if any sample is, else error. Raises ValueError where there is no sample.
    """
    if not samples:
        raise ValueError("there is no sample to vote")
    ballot = _Ballot([Sample(*each) for each in samples])
    if not ballot.answers:
        return "unparsed" if any(each[1] == "unparsed" for each in samples) else "error"
    winners, right = ballot.count(np.ones((1, ballot.n)))
    tied = [place for place, wins in enumerate(winners[0]) if wins]
    return "correct" if right[0, min(tied, key=lambda place: derive(seed, ballot.answers[place]))] else "wrong"


def majority_at_k(samples: Sequence[Sample], k: int, seed: int = 0, subsets: int = 1000) -> float:
    """Expected share in 0..1 of right majorities of k of the n samples; votes are counted as by `majority`.

    Over all subsets where they are no more than `subsets`, else over so many random ones, which the seed draws. Of
    answers that are still equal, the mean is taken. A subset without a vote is not right.

    Raises ValueError where k samples cannot be drawn from n without putting any back.
    """
    _check(len(samples), k)
    ballot = _Ballot(samples)
    if not ballot.answers:
        return 0.0
    winners, right = ballot.count(_subsets(ballot.n, k, seed, subsets))
    return float((winners & right).sum(1).astype(float) @ (1 / np.maximum(winners.sum(1), 1)) / len(winners))


class _Ballot:
    """The samples of an item in an order of their own, so that what is drawn of them depends on no other."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        ordered = sorted(samples, key=lambda each: (each.answer, each.outcome, _low(each.logprob)))
        self.n = len(ordered)
        votes = [each for each in ordered if each.outcome in ("correct", "wrong")]
        self.answers = sorted({each.answer for each in votes})
        places = {answer: place for place, answer in enumerate(self.answers)}
        self._votes, self._right, self._logprobs = np.zeros((3, self.n, len(self.answers)))
        weighed = all(each.logprob is not None for each in votes)
        for row, each in enumerate(ordered):
            if each.outcome in ("correct", "wrong"):
                column = places[each.answer]
                self._votes[row, column] = 1
                self._right[row, column] = each.outcome == "correct"
                self._logprobs[row, column] = each.logprob if weighed and each.logprob is not None else 0

    def count(self, subsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which answers win in each subset, and which are right there: two of bool [S, answers] of subsets [S, n].

        Several win where they cannot be told apart, none where nobody votes.
        """
        votes = subsets @ self._votes
        winners = (votes == votes.max(1, keepdims=True)) & (votes > 0)
        # Sums that differ in the last digits alone differ by the order of adding.
        sums = np.where(winners, np.round(subsets @ self._logprobs, 6), -inf)
        return winners & (sums == sums.max(1, keepdims=True)), 2 * (subsets @ self._right) > votes


def _subsets(n: int, k: int, seed: int, most: int) -> np.ndarray:
    """Subsets of k of n, each a row [n] of ones and zeros: all of them, or `most` random ones."""
    if comb(n, k) <= most:
        return _all_subsets(n, k)
    ranks = np.random.default_rng(derive("subsets", seed)).random((most, n)).argsort(1)
    return (ranks < k).astype(float)


@cache
def _all_subsets(n: int, k: int) -> np.ndarray:
    rows = np.zeros((comb(n, k), n))
    for row, members in enumerate(combinations(range(n), k)):
        rows[row, list(members)] = 1
    return rows


def best_of(samples: Sequence[Sample], seed: int) -> Sample:
    """The sample with the highest reward; of equal ones the seed takes one, whatever their order.

    A sample without a reward is taken only where none has one. Raises ValueError where there is no sample.
    """
    if not samples:
        raise ValueError("there is no sample to take the best of")
    highest = max(_low(each.reward) for each in samples)
    return min(
        (each for each in samples if _low(each.reward) == highest),
        key=lambda each: derive(seed, each.answer, each.outcome, str(each.logprob)),
    )


def best_of_k(samples: Sequence[Sample], k: int) -> float:
    """Expected share in 0..1 of right ones among the best of k of the n samples, over all subsets, in closed form.

    Sorted by reward, the best first, the one at place j from 0 is the best of C(n-1-j, k-1) of the C(n, k) subsets.
    Of samples with equal rewards each is taken equally often, and those without a reward come last.

    Raises ValueError where k samples cannot be drawn from n without putting any back.
    """
    n = len(samples)
    _check(n, k)
    expected, start = [], 0
    for _, group in groupby(sorted(samples, key=lambda each: -_low(each.reward)), key=lambda each: _low(each.reward)):
        equals = [each.outcome == "correct" for each in group]
        # Subsets with none of the better samples, less those with none of these either.
        taken = comb(n - start, k) - comb(n - start - len(equals), k)
        expected.append(taken / comb(n, k) * sum(equals) / len(equals))
        start += len(equals)
    return min(1.0, fsum(expected))


def _low(value: float | None) -> float:
    return -inf if value is None else value


def _check(n: int, k: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"{k} samples cannot be drawn from {n}")


@dataclass(frozen=True, kw_only=True)
class Share:
    """A mean over items, in 0..1, with its bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What k samples of an item give."""

    k: int
    items: int
    """Items with k samples or more: what the means are over."""
    any_right: Share
    """pass@k."""
    majority: Share
    """majority@k."""
    best: Share | None
    """Best-of-k by reward; None where no sample has one."""


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """What samples give for k = 1, 2, 4, ... and n. Items whose samples failed drop out where k is too large."""

    items: int
    """Items with a sample that has an outcome."""
    left_out: int
    """Items without one: all of their samples are errors."""
    samples: int
    """Samples with an outcome, of all items."""
    errors: int
    """Samples without one: generation or judge failed. They are in no figure."""
    draws: tuple[Draw, ...]
    """From k = 1 on."""


def summarise(
    samples: Mapping[str, Sequence[Sample]],
    *,
    seed: int = 0,
    subsets: int = 1000,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> Sampled:
    """pass@k, majority@k and best-of-k of the items' samples, by the items' keys, for k in powers of two and n.

    n is the most samples with an outcome that an item has. Items are resampled for the intervals, not samples: how
    much chance is in an item's own samples shows in how its figure varies from item to item. subsets: as of
    `majority_at_k`; resamples, confidence: as of `bootstrap`.
    """
    judged = {key: [each for each in some if each.outcome != "error"] for key, some in sorted(samples.items())}
    total, good = sum(map(len, samples.values())), sum(map(len, judged.values()))
    rewarded = any(each.reward is not None for some in judged.values() for each in some)

    def share(values: Sequence[float]) -> Share:
        low, high = bootstrap(values, seed=seed, resamples=resamples, confidence=confidence)
        return Share(value=fsum(values) / len(values), low=max(low, 0.0), high=min(high, 1.0))

    draws = []
    for k in _powers(max(map(len, judged.values()), default=0)):
        enough = {key: some for key, some in judged.items() if len(some) >= k}
        right = [(len(some), sum(each.outcome == "correct" for each in some)) for some in enough.values()]
        draws.append(
            Draw(
                k=k,
                items=len(enough),
                any_right=share([pass_at_k(n, c, k) for n, c in right]),
                majority=share([majority_at_k(some, k, derive(seed, key), subsets) for key, some in enough.items()]),
                best=share([best_of_k(some, k) for some in enough.values()]) if rewarded else None,
            )
        )
    items = sum(map(bool, judged.values()))
    return Sampled(items=items, left_out=len(judged) - items, samples=good, errors=total - good, draws=tuple(draws))


def _powers(n: int) -> list[int]:
    """1, 2, 4, ... below n, and n."""
    return [1 << power for power in range(n.bit_length()) if 1 << power < n] + [n] * (n > 0)
