"""Takes some of a problem's candidate pairs so that many responses and answers are in them, and no habit of length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

import numpy as np

from mixpref.pairing.grouping import Judged
from mixpref.records import Why

Candidate = tuple[Judged, Judged, Why]
"""Chosen, rejected, and why."""


def alike(candidates: Iterable[Candidate], max_length_gap: float | None) -> tuple[list[Candidate], int]:
    """The candidates whose lengths differ by at most that share of the longer one's tokens, and how many do not."""
    candidates = list(candidates)
    kept = [each for each in candidates if not too_far_apart(*_lengths(each), max_length_gap)]
    return kept, len(candidates) - len(kept)


def too_far_apart(chosen: int, rejected: int, max_length_gap: float | None) -> bool:
    """Whether two texts of so many tokens differ by more than that share of the longer one; None: never."""
    return max_length_gap is not None and abs(chosen - rejected) > max_length_gap * max(chosen, rejected)


def select(candidates: Iterable[Candidate], limit: int, seed: int, *, level: bool = False) -> list[Candidate]:
    """At most `limit` of the candidates, in the order taken; always the first by, in this order,

    - how often its responses were taken: so no response comes again before all others came;
    - how often its rejected answer was taken: so a common mistake does not crowd out the rare ones;
    - its length gap, chosen minus rejected tokens: one of each share of the candidates in the order of their gaps, so
      that all of them are represented; or, to `level`, how near 0 it brings the sum of the gaps, so length decides
      nothing;
    - a shuffle, which depends on `seed` and the candidates, not on their order.

    Where long reasoning is better than short, length is a part of what is to be learned, and levelling takes it away.
    """
    left = sorted(candidates, key=_identity)
    if not left or limit < 1:
        return []
    Random(seed).shuffle(left)
    chosen, rejected = _responses(left)
    answers = _numbered([(why, each.verdict.normalised) for _, each, why in left])
    gaps = np.array([_gap(each) for each in left])
    shares = _shares(gaps, limit)
    # The most used of the two responses counts first, then both.
    uses, answered, total = np.zeros(2 * len(left), int), np.zeros(len(left), int), 0
    shown = np.zeros(limit, int)
    open_ = np.arange(len(left))
    taken: list[Candidate] = []
    while len(open_) and len(taken) < limit:
        first, second = uses[chosen[open_]], uses[rejected[open_]]
        best = _least(open_, np.maximum(first, second) * (2 * limit + 1) + first + second)
        best = _least(best, answered[answers[best]])
        place = _least(best, np.abs(total + gaps[best]) if level else shown[shares[best]])[0]
        taken.append(left[place])
        uses[[chosen[place], rejected[place]]] += 1
        answered[answers[place]] += 1
        shown[shares[place]] += 1
        total += gaps[place]
        open_ = open_[open_ != place]
    return taken


def _shares(gaps: np.ndarray, limit: int) -> np.ndarray:
    """Which of `limit` equal shares of the candidates, sorted by their gaps, each one lies in."""
    ranks = np.empty(len(gaps), int)
    ranks[np.argsort(gaps, kind="stable")] = np.arange(len(gaps))
    return ranks * limit // len(gaps)


def _least(places: np.ndarray, measure: np.ndarray) -> np.ndarray:
    return places[measure == measure.min()]


def _responses(candidates: Sequence[Candidate]) -> tuple[np.ndarray, np.ndarray]:
    """Each candidate's chosen and rejected response by a number; a response has one number on both sides."""
    numbers = _numbered([one.response.id for pair in candidates for one in pair[:2]])
    return numbers[::2], numbers[1::2]


def _numbered(names: Sequence[object]) -> np.ndarray:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names])


def _identity(candidate: Candidate) -> tuple[int, int, str, str, str]:
    chosen, rejected, why = candidate
    return chosen.response.sample, rejected.response.sample, why, chosen.response.id, rejected.response.id


def _lengths(candidate: Candidate) -> tuple[int, int]:
    return candidate[0].response.tokens, candidate[1].response.tokens


def _gap(candidate: Candidate) -> int:
    chosen, rejected = _lengths(candidate)
    return chosen - rejected
