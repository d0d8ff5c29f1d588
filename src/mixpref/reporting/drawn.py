"""Which records to look at where there are too many: a stratified draw, the same one in every run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import heappush, heappushpop

Stratum = tuple[str, ...]


def draw(records: Iterable[tuple[Stratum, int]], most: int) -> set[int]:
    """Numbers, from 0, of the records drawn. records: of each its stratum and a random number, of a seed and its id.

    Each stratum gets its quota of `most`, and within it those with the smallest random numbers are taken. At most
    `most` records of a stratum are in memory.
    """
    smallest: dict[Stratum, list[tuple[int, int]]] = {}
    sizes: Counter[Stratum] = Counter()
    for number, (stratum, random) in enumerate(records):
        sizes[stratum] += 1
        kept = smallest.setdefault(stratum, [])
        # heapq keeps the least on top: with the sign turned, the one that the next smaller number drives out.
        if len(kept) < most:
            heappush(kept, (-random, number))
        elif kept:
            heappushpop(kept, (-random, number))
    wanted = quotas(sizes, most)
    return {number for stratum, kept in smallest.items() for _, number in sorted(kept)[::-1][: wanted[stratum]]}


def quotas(available: Mapping[Stratum, int], most: int) -> dict[Stratum, int]:
    """How many to take of each stratum: half of `most` as evenly as the strata allow, so that rare ones are seen, the
    rest in proportion to what is left. The quotas add up to `most`, or to all there are."""
    if sum(available.values()) <= most:
        return dict(available)
    taken: dict[Stratum, int] = {}
    room = most // 2
    smallest_first = sorted(available, key=lambda stratum: (available[stratum], stratum))
    for place, stratum in enumerate(smallest_first):
        taken[stratum] = min(available[stratum], room // (len(available) - place))
        room -= taken[stratum]
    left = {stratum: available[stratum] - taken[stratum] for stratum in smallest_first}
    room, everything, before = most - sum(taken.values()), sum(left.values()), 0
    # Differences of a rounded running total: what one stratum loses by rounding, a later one gets.
    for stratum in smallest_first:
        upto = before + left[stratum]
        taken[stratum] += upto * room // everything - before * room // everything
        before = upto
    return taken
