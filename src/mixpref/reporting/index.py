"""Filters and search over all cases of one list, pairs or held-out items, of which there may be millions.

What is filtered by is kept in memory as small numbers, some 35 bytes a pair. The texts stay where they are: a search
reads them through once (about 1 GB a second), finds any part of a text, be it half a word or one Chinese character,
and its result is kept, so that turning pages and further filters cost nothing. An index of all parts of all texts
would be several times as large as the texts and take minutes at every start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from mixpref.reporting.cases import Case
from mixpref.reporting.questions import Questions

if TYPE_CHECKING:
    import pyarrow

PAGE_SIZE = 20
MOST_VALUES = 1000
"""Values of a facet that are listed at most, the most frequent ones: families may be as many as problems."""
UNKNOWN_GAP = -32768
_GAP_UNIT = 10_000
_KEPT_SEARCHES = 16


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a reader asks for; everything that is not given lets all pass."""

    values: Mapping[str, str] = field(default_factory=dict)
    """By the facet's name, the value that a case must have."""
    gap_min: float | None = None
    gap_max: float | None = None
    text: str = ""
    page: int = 0


@dataclass(frozen=True, kw_only=True)
class Facet:
    """A property of all cases with few values: that of case i is names[codes[i]]."""

    names: Sequence[str]
    codes: np.ndarray

    @classmethod
    def of(cls, values: pyarrow.Array, first: Sequence[str] = ()) -> Facet:
        """The facet of an array of strings. first: values that are listed before others."""
        encoded = values.dictionary_encode()
        there = encoded.dictionary.to_pylist()
        names = list(dict.fromkeys((*first, *there)))
        places = {name: place for place, name in enumerate(names)}
        translated = np.array([places[name] for name in there], dtype=np.int32)
        return cls(names=names, codes=translated[np.asarray(encoded.indices)] if there else np.zeros(0, np.int32))

    def at(self, numbers: np.ndarray) -> Facet:
        """The facet of other cases, each of which has the value of one of these; of -1 it is empty."""
        names = list(dict.fromkeys((*self.names, "")))
        return Facet(names=names, codes=np.append(self.codes, names.index(""))[numbers])

    def counts(self) -> dict[str, int]:
        """How many cases have each value; at most `MOST_VALUES`, and none that no case has."""
        counts = np.bincount(self.codes, minlength=len(self.names))
        kept = sorted(np.argsort(-counts, kind="stable")[:MOST_VALUES])
        return {self.names[place]: int(counts[place]) for place in kept if counts[place]}

    def having(self, value: str) -> np.ndarray:
        """Which cases have a value."""
        code = self.names.index(value) if value in self.names else -1
        return self.codes == code


class Listing:
    """All cases of one list, by number from 0. Several threads may ask at once.

    gaps: the cases' gaps in the form of `packed_gaps`. matching: says of a text which cases have it in them.
    cases: makes the cases with some numbers, in their order.
    """

    def __init__(
        self,
        facets: Mapping[str, Facet],
        gaps: np.ndarray,
        matching: Callable[[str], np.ndarray],
        cases: Callable[[Sequence[int]], list[Case]],
    ) -> None:
        self._facets = dict(facets)
        self._gaps = gaps
        self._matching = lru_cache(_KEPT_SEARCHES)(matching)
        self._cases = cases

    def __len__(self) -> int:
        return len(self._gaps)

    def facets(self) -> dict[str, Any]:
        """Of each facet its values with their counts, and the number of all cases as `total`."""
        return {**{name: facet.counts() for name, facet in self._facets.items()}, "total": len(self)}

    def find(self, query: Query) -> tuple[int, list[Case]]:
        """How many cases there are of what is asked for, and those on the page asked for.

        Raises KeyError for a facet that the list does not have.
        """
        kept = np.ones(len(self), bool)
        for name, value in query.values.items():
            kept &= self._facets[name].having(value)
        if query.gap_min is not None or query.gap_max is not None:
            kept &= self._gaps != UNKNOWN_GAP
        # A hair's breadth aside, so that a bound includes the gap that is shown like it.
        if query.gap_min is not None:
            kept &= self._gaps >= math.ceil(_bound(query.gap_min) - 1e-6)
        if query.gap_max is not None:
            kept &= self._gaps <= math.floor(_bound(query.gap_max) + 1e-6)
        if query.text and kept.any():
            kept &= self._matching(query.text)
        numbers = np.flatnonzero(kept)
        shown = numbers[query.page * PAGE_SIZE : (query.page + 1) * PAGE_SIZE]
        return len(numbers), self._cases(shown.tolist()) if len(shown) else []


@dataclass(frozen=True, kw_only=True)
class Indexed:
    """A list of cases with the problems that they are about, by the name of their set in the pictures' addresses."""

    listing: Listing
    questions: Mapping[str, Questions]


def packed_gaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`cases.length_gap` of many tokens, in ten-thousandths; tokens that are not known are -1, gaps `UNKNOWN_GAP`."""
    longer = np.maximum(np.maximum(one, other), 1)
    gaps = np.rint((one - other) / longer * _GAP_UNIT)
    return np.where((one < 0) | (other < 0), UNKNOWN_GAP, gaps).astype(np.int16)


def _bound(share: float) -> float:
    """A bound in the gaps' unit; gaps lie between -1 and 1, a bound may lie anywhere."""
    return max(-2.0, min(2.0, share)) * _GAP_UNIT
