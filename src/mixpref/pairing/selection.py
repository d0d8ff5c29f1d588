"""Takes some of a problem's candidate pairs so that many different responses are in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from mixpref.pairing.grouping import Judged
from mixpref.records import Why

Candidate = tuple[Judged, Judged, Why]
"""Chosen, rejected, and why."""


def select(candidates: Sequence[Candidate], limit: int, seed: int) -> list[Candidate]:
    """At most `limit` of the candidates, in the order taken: always one whose responses were used least so far.

    Ties are broken by a shuffle that depends on `seed` alone.
    """
    left = list(candidates)
    Random(seed).shuffle(left)
    uses: Counter[int] = Counter()
    taken: list[Candidate] = []

    def used(place: int) -> tuple[int, int]:
        both = [uses[_sample(judged)] for judged in left[place][:2]]
        return max(both), sum(both)

    while left and len(taken) < limit:
        pair = left.pop(min(range(len(left)), key=used))
        uses.update((_sample(pair[0]), _sample(pair[1])))
        taken.append(pair)
    return taken


def _sample(judged: Judged) -> int:
    return judged.response.sample
