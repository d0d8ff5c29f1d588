"""All pairs that a problem's judged responses could make, of the kinds that a recipe asks for."""

from __future__ import annotations

from collections.abc import Collection

from mixpref.pairing import correctness, formatting
from mixpref.pairing.grouping import Group
from mixpref.pairing.selection import Candidate
from mixpref.records import Problem


def candidates(group: Group, problem: Problem, kinds: Collection[str]) -> tuple[list[Candidate], int]:
    """The candidates, and the number of those left out since the wrong answer holds the right one."""
    found: list[Candidate] = []
    held = 0
    if "correctness" in kinds:
        pairs, held = correctness.candidates(group, problem.answer or ())
        found += [(chosen, rejected, "correctness") for chosen, rejected in pairs]
    if "format" in kinds:
        found += [(chosen, rejected, "format") for chosen, rejected in formatting.candidates(group)]
    return found, held
