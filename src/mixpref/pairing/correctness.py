"""Correctness pairs: a right response against one that clearly states a wrong answer (arXiv 2411.10442, section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product

from mixpref.pairing.grouping import Group, Judged
from mixpref.records import Verdict
from mixpref.verifying.plain import plain

# A number with its sign, a word, or a mark.
_TOKEN = re.compile(r"(?:(?<![\w)])[+-])?\d+(?:,\d{3}(?!\d))*(?:[.:]\d+)*|[^\W\d_]+|[^\w\s]")


def candidates(group: Group, golds: Iterable[str]) -> tuple[list[tuple[Judged, Judged]], int]:
    """All (right, wrong) of a problem, and the number of those left out since the wrong answer holds the right one."""
    golds = tuple(golds)
    every = list(product(group.right, group.wrong))
    kept = [
        (right, wrong)
        for right, wrong in every
        if not any(holds(wrong.verdict, answer) for answer in (right.verdict.answer, *golds))
    ]
    return kept, len(every) - len(kept)


def holds(wrong: Verdict, right: str) -> bool:
    """Whether a wrong answer holds the right one as a whole answer: "12 or 13" holds 12, but "12" does not hold 2.

    Such a response is not clearly worse. An answer to a choice problem was judged by the one option that it names: it
    holds no other, whatever words the options share.
    """
    if wrong.rule == "choice":
        return False
    inner, outer = _tokens(right), _tokens(wrong.answer)
    return bool(inner) and any(outer[start : start + len(inner)] == inner for start in range(len(outer)))


def _tokens(answer: str) -> list[str]:
    return [token.replace(",", "") or token for token in _TOKEN.findall(plain(answer).casefold())]
