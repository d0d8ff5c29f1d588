"""Cases to look at, as JSON: a problem and two responses to it, side by side, with their differences marked.

The page `report.html` holds some of them, `mixpref view` serves all of them; one script shows both. A case is

    {"id", "kind", "style", "benchmark", "family", "outcome": text, "gap": number or null,
     "question": text, "pictures": [address, key or null], "choices": [[letter, text, right]], "answer": text,
     "caption": [text], "sides": [{"label": text, "good": bool, "parts": [[mark, text]], "notes": [text]}]}

where `gap` is by which share of the longer response the two differ in tokens (positive: the chosen one is longer, or
the one after training), and a mark is "" for text that is on both sides, "-" for text that is only on this one. A
picture of null cannot be decoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.reporting.differences import marked

Case = dict[str, Any]

FIXED, BROKEN, BOTH_WRONG, BOTH_RIGHT, NO_OUTCOME = "fixed", "broken", "both wrong", "both right", "no outcome"
KINDS = (FIXED, BROKEN, BOTH_WRONG, BOTH_RIGHT, NO_OUTCOME)
"""What training did to a held-out item, in the order in which a reader wants to see them."""
CUT, NOT_JUDGED = "cut", "not judged"
"""Outcomes beside those of a Verdict: the response reached the token limit; nobody judged the text."""
GONE = "The problem is no longer in this run directory."

# Characters that HTML forbids or that no UTF-8 file can hold; a model or a broken file may yield them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What one model made of a held-out item; response and verdict are None where it was not asked."""

    role: str
    response: Response | None
    verdict: Verdict | None


def pair_case(
    pair: PreferencePair,
    problem: Problem | None,
    chosen: Verdict | None,
    rejected: Verdict | None,
    tokens: tuple[int | None, int | None],
    pictures: Sequence[str | None],
) -> Case:
    """A preference pair. Verdicts and tokens (chosen, rejected) are None where the texts are no sampled responses.

    pictures: where each of the problem's images is to be had, None for one that cannot be decoded.
    """
    one, other = _marked(pair.chosen, pair.rejected)
    return _case(
        case_id=f"{pair.why} {pair.problem_id}",
        problem=problem,
        problem_id=pair.problem_id,
        pictures=pictures,
        kind=pair.why,
        style=pair.style,
        outcome=rejected_outcome(pair, rejected),
        gap=length_gap(*tokens),
        sides=[
            _side("chosen", True, one, _notes(chosen, tokens[0], pair.chosen_complete)),
            _side("rejected", False, other, _notes(rejected, tokens[1], pair.rejected_complete)),
        ],
    )


def item_case(
    problem: Problem | None,
    style: str,
    benchmark: str,
    before: Answered,
    after: Answered,
    pictures: Sequence[str | None],
) -> Case:
    """A held-out item, answered by two models. `outcome` is that of the second one, and a positive `gap` says that it
    wrote more. At least one of the two has a response."""
    answered = next(each.response for each in (before, after) if each.response)
    one, other = _marked(*(each.response.text if each.response else "" for each in (before, after)))
    tokens = [each.response.tokens if each.response else None for each in (before, after)]
    return _case(
        case_id=f"{benchmark} {style} {answered.problem_id}",
        problem=problem,
        problem_id=answered.problem_id,
        pictures=pictures,
        kind=item_kind(before.verdict, after.verdict),
        style=style,
        benchmark=benchmark,
        outcome=_outcome(after.verdict, not after.response or after.response.finish != "length"),
        gap=length_gap(tokens[1], tokens[0]),
        sides=[
            _answer_side("before", before, one),
            _answer_side("after", after, other),
        ],
    )


def item_kind(before: Verdict | None, after: Verdict | None) -> str:
    """One of `KINDS`: what became of an item from one verdict to the next."""
    if before is None or after is None or "error" in (before.outcome, after.outcome):
        return NO_OUTCOME
    right = before.outcome == "correct", after.outcome == "correct"
    return {
        (False, True): FIXED,
        (True, False): BROKEN,
        (False, False): BOTH_WRONG,
        (True, True): BOTH_RIGHT,
    }[right]


def rejected_outcome(pair: PreferencePair, verdict: Verdict | None) -> str:
    """Why the rejected response is the worse one: an Outcome, `CUT` or `NOT_JUDGED`."""
    return _outcome(verdict, pair.rejected_complete)


def length_gap(one: int | None, other: int | None) -> float | None:
    """(one - other) / the larger of the two, in -1..1; None where a length is not known."""
    if one is None or other is None:
        return None
    return round((one - other) / max(one, other, 1), 4)


def response_of(origin: str) -> str | None:
    """Id of the response that a pair's text is, by its origin; None for a text that no verdict is on.

    A blind continuation begins as a response of the run and goes on differently.
    """
    words = origin.split()
    return None if not words or words[-1] == "blind" else words[0]


def right_choices(problem: Problem) -> list[list[Any]]:
    """[letter, text, whether it is the right one] of each choice."""
    gold = {each.strip().casefold() for each in problem.answer or ()}
    return [
        [letter, printable(text), letter.casefold() in gold or text.strip().casefold() in gold]
        for letter, text in zip(ascii_uppercase, problem.choices, strict=False)
    ]


def printable(text: str) -> str:
    """The text with every character that a page cannot hold replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _case(
    *, case_id: str, problem: Problem | None, problem_id: str, pictures: Sequence[str | None], **more: Any
) -> Case:
    asked: Mapping[str, Any] = {"family": "", "question": GONE, "choices": [], "answer": "", "caption": [problem_id]}
    if problem is not None:
        caption = (problem.family, problem.source, problem_id)
        asked = {
            "family": printable(problem.family),
            "question": printable(problem.question),
            "choices": right_choices(problem),
            "answer": printable(" or ".join(problem.answer or ())),
            "caption": [printable(each) for each in caption if each],
        }
    cleaned = {key: printable(value) if isinstance(value, str) else value for key, value in more.items()}
    return {"id": printable(case_id), "benchmark": "", **asked, "pictures": list(pictures), **cleaned}


def _answer_side(label: str, answered: Answered, parts: list[list[str]]) -> dict[str, Any]:
    response, verdict = answered.response, answered.verdict
    notes = ["not evaluated"]
    if response:
        notes = _notes(verdict, response.tokens, response.finish != "length")
    return _side(f"{label} ({answered.role})", bool(verdict and verdict.outcome == "correct"), parts, notes)


def _side(label: str, good: bool, parts: list[list[str]], notes: list[str]) -> dict[str, Any]:
    return {"label": printable(label), "good": good, "parts": parts, "notes": [printable(note) for note in notes]}


def _marked(one: str, other: str) -> tuple[list[list[str]], list[list[str]]]:
    here, there = marked(printable(one), printable(other))
    return [list(part) for part in here], [list(part) for part in there]


def _outcome(verdict: Verdict | None, complete: bool) -> str:
    if not complete:
        return CUT
    return verdict.outcome if verdict else NOT_JUDGED


def _notes(verdict: Verdict | None, tokens: int | None, complete: bool) -> list[str]:
    notes = []
    if verdict:
        why = f"read as {verdict.answer}" if verdict.answer else verdict.detail
        notes.append(f"{verdict.outcome}: {why}" if why else verdict.outcome)
    if tokens is not None:
        notes.append("1 token" if tokens == 1 else f"{tokens:,} tokens")
    if not complete:
        notes.append("cut at the token limit")
    return notes
