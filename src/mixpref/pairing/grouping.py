"""Sorts a problem's judged responses into those that pairs can be built of and those that they cannot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from mixpref.records import Response, Verdict


@dataclass(frozen=True)
class Judged:
    """A response with its verdict."""

    response: Response
    verdict: Verdict

    @property
    def origin(self) -> str:
        return f"{self.response.id} {self.response.sampler}"

    @property
    def complete(self) -> bool:
        return self.response.finish == "stop"


@dataclass(frozen=True)
class Group:
    """The responses to one problem, in the order of their samples; each text stands once."""

    right: tuple[Judged, ...] = ()
    """Complete, parsed and right: what may be chosen."""
    wrong: tuple[Judged, ...] = ()
    """Complete, parsed and wrong."""
    unparsed: tuple[Judged, ...] = ()
    """Without a clear final answer, cut ones included."""
    counts: Counter[str] = field(default_factory=Counter)
    """All the problem's responses, each counted once: right, wrong, unparsed, error, cut, duplicate, empty."""


def group(responses: Iterable[tuple[Response, Verdict]]) -> Group:
    """Sort the judged responses to one problem.

    A parsed answer at the token limit may be cut itself ("Final answer: 1" of 12): it is neither right nor wrong here.
    Of responses with the same text only the first is kept, but one that ended by itself before one that was cut.
    """
    counts: Counter[str] = Counter()
    kept: dict[str, list[Judged]] = {"right": [], "wrong": [], "unparsed": []}
    texts: set[str] = set()
    judged = sorted((Judged(*each) for each in responses), key=lambda each: (not each.complete, each.response.sample))
    for each in judged:
        kind = _kind(each, texts)
        counts[kind] += 1
        if kind in kept:
            texts.add(each.response.text)
            kept[kind].append(each)
    right, wrong, unparsed = (tuple(sorted(ones, key=lambda one: one.response.sample)) for ones in kept.values())
    return Group(right, wrong, unparsed, counts)


def _kind(each: Judged, texts: set[str]) -> str:
    outcome = each.verdict.outcome
    if outcome == "error" or each.response.finish == "error":
        return "error"
    if not each.response.text.strip():
        return "empty"
    if each.response.text in texts:
        return "duplicate"
    if outcome == "unparsed":
        return "unparsed"
    if not each.complete:
        return "cut"
    return "right" if outcome == "correct" else "wrong"
