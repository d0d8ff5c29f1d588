"""What a rule says of an answer: a judgement at once, or the comparison that a computer algebra system must make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mixpref.records import Outcome, Problem


@dataclass(frozen=True)
class Judgement:
    """An outcome and why."""

    outcome: Outcome
    detail: str = ""
    normalised: str = ""
    """The answer in the form in which it was compared; empty where the rule found nothing to compare."""
    score: float | None = None
    """Of a metric with degrees, in 0..1; None: 1 for a correct answer, 0 for any other."""
    scores: tuple[float, ...] = ()
    """Of a judge, on its rubric's own scale: the response's score, then the reference's where it compares."""


@dataclass(frozen=True)
class Algebra:
    """Is an answer one of the gold expressions? Symbolic work may hang, crash or take all memory: it is done in a
    killable process (`pool.py`) by `algebra.compare`."""

    golds: tuple[str, ...]
    answer: str
    decimals: int | None = None
    """Decimal places that the problem asks for; None: none are asked for."""


Rule = Callable[[Problem, str], Judgement | Algebra]
