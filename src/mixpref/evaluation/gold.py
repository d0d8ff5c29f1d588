"""The gold answer of a benchmark's row and the choices that it is one of. Where they are no use, Unusable is raised,
which makes the row an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from mixpref.records import Problem
from mixpref.sources.unusable import Unusable
from mixpref.verifying.rules import RULES, rule_of


def answer(row: Mapping[str, Any]) -> str:
    """The row's `answer`, a text or a number, as it stands. Raises Unusable."""
    value = row.get("answer")
    if isinstance(value, str | int | float) and str(value).strip():
        return str(value)
    raise Unusable("answer", "it has no answer" if value in (None, "") else f"its answer is {value!r:.80}")


def choices(row: Mapping[str, Any], name: str = "choices") -> tuple[str, ...]:
    """The texts of the row's choices, as they stand; none where it has none. Raises Unusable."""
    value = row.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str | int | float) for each in value):
        raise Unusable("field", f"its {name} are {value!r:.80}, and no list of texts")
    return tuple(map(str, value))


def letter(row: Mapping[str, Any], options: Sequence[str]) -> str:
    """The letter of the right one of the options: `answer` is a letter, or a place from 0. Raises Unusable."""
    letters = ascii_uppercase[: len(options)]
    value = row.get("answer")
    said = value.strip().upper() if isinstance(value, str) else value
    place = letters.find(said) if isinstance(said, str) and len(said) == 1 else said
    # bool is an int, and -1 would be the last choice.
    if isinstance(place, int) and not isinstance(place, bool) and 0 <= place < len(letters):
        return letters[place]
    raise Unusable("answer", f"its answer {value!r:.80} is none of its choices {', '.join(letters) or '(none)'}")


def judgeable(problem: Problem) -> Problem:
    """The problem itself. Raises Unusable where its rule cannot judge by its gold answer."""
    try:
        for each in problem.answer or ("",):
            RULES[rule_of(problem)](problem, each)
    except ValueError as reason:
        raise Unusable("answer", f"it cannot be judged: {reason}") from None
    return problem
