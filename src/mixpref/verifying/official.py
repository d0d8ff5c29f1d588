"""The official rules of MathVista and MATH-Vision, for answers that were found in a response already.

Sources: evaluation/calculate_score.py of lupantech/MathVista, and evaluation/evaluate.py with utils.py of
mathllm/MATH-V. Both rules raise ValueError where the gold answer is missing or not among the choices.
"""

from __future__ import annotations

import re
from dataclasses import replace
from string import ascii_uppercase

from mixpref.records import Problem
from mixpref.verifying import choices as options
from mixpref.verifying import numbers
from mixpref.verifying.judgement import Algebra, Judgement
from mixpref.verifying.maths import is_math, math
from mixpref.verifying.metrics import edit_distance
from mixpref.verifying.plain import plain
from mixpref.verifying.words import against, golds, text

_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?\d*\.(\d+)")
_LETTER_IN_PARENTHESES = re.compile(r"\(([a-zA-Z])\)")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")


def mathvista(problem: Problem, answer: str) -> Judgement:
    """MathVista: the nearest choice, or an integer, a decimal or a list in the form of the gold answer.

    With choices an answer stands for the choice of its letter, else for the choice with the least edit distance. So
    every answer names a choice: "N/A" is right as often as the nearest choice is. That is the metric, made for answers
    that a model has extracted; use the rule `choice` to choose responses to learn from. (`verify` gives a sentence that
    stands in for an answer in foreign outputs to the rule `choice`, since no extraction would give it.)

    Without choices the gold answer's form tells the type that MathVista gives to its questions: an integer, a decimal
    (the answer is rounded to as many places) or a list "[..]". An answer that has not that form is unparsed. The
    official code cuts 3.5 down to 3 for an integer; here it is another number, and wrong.
    """
    truths = golds(problem)
    if problem.choices:
        right = {_meant(gold, problem.choices) for gold in truths}
        said = _nearest(answer, problem.choices)
        return Judgement("correct" if said in right else "wrong", against(said, sorted(right)), said)
    judged = [_in_form(gold, plain(answer)) for gold in truths]
    best = next((each for name in ("correct", "wrong") for each in judged if each.outcome == name), judged[0])
    return best


def _meant(gold: str, choices: tuple[str, ...]) -> str:
    """The choice that a gold answer is: its text, else its letter."""
    if gold in choices:
        return gold
    meant = options.named(gold, choices)
    if not meant or len(meant) > 1:
        raise ValueError(f"the gold answer {gold!r} names {len(meant or ())} of the {len(choices)} choices")
    return choices[meant.pop()]


def _nearest(answer: str, choices: tuple[str, ...]) -> str:
    said = answer.strip()
    inside = _LETTER_IN_PARENTHESES.search(said)
    letter = inside[1].upper() if inside else said
    if len(letter) == 1 and letter in ascii_uppercase[: len(choices)]:
        return choices[ascii_uppercase.index(letter)]
    bare = plain(said)
    if said not in choices and bare in choices:
        return bare
    # "**B**", "B.", "b": a letter in typesetting, which the official extraction is free of.
    marked = options.marked(said)
    if said not in choices and marked and not marked[1] and (index := ascii_uppercase.index(marked[0])) < len(choices):
        return choices[index]
    # Of equal distances the first, as in the official code.
    return min(choices, key=lambda choice: edit_distance(letter, choice))


def _in_form(gold: str, answer: str) -> Judgement:
    truth = plain(gold)
    if truth.startswith("["):
        expected, stated = _blankless(truth), _blankless(answer)
        if not stated.startswith("["):
            return Judgement("unparsed", "not a list")
        return Judgement("correct" if stated == expected else "wrong", against(stated, [expected]), stated)
    if not (_INTEGER.fullmatch(truth) or _DECIMAL.fullmatch(truth)):
        raise ValueError(f"the gold answer {gold!r} is no integer, no decimal and no list")
    value = _float(answer)
    if value is None:
        said = numbers.read(answer)
        if said is None:
            return Judgement("unparsed", "not a number")
        value = float(said.value * said.scale)
    decimal = _DECIMAL.fullmatch(truth)
    places = len(decimal[1]) if decimal else None
    if places is None and not value.is_integer():
        return Judgement("wrong", against(answer, [truth]), answer)
    expected, stated = (
        (str(int(float(truth))), str(int(value)))
        if places is None
        else (str(round(float(truth), places)), str(round(value, places)))
    )
    return Judgement("correct" if stated == expected else "wrong", against(stated, [expected]), stated)


def _float(text: str) -> float | None:
    """A number as Python reads it, also with commas between thousands; None for anything else, infinite ones too."""
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def _blankless(text: str) -> str:
    return "".join(text.split())


def mathvision(problem: Problem, answer: str) -> Judgement | Algebra:
    """MATH-Vision: the gold option's letter or text, else equality as mathematics.

    Without options an answer is the gold answer as a text, as a number with its unit, or as an expression. The
    official code calls numbers equal that agree to two decimal places; here they are equal exactly.
    """
    truths = golds(problem)
    if not problem.choices:
        return _equal(problem, truths, answer)
    if len(problem.choices) > len(ascii_uppercase):
        raise ValueError(f"{len(problem.choices)} options are more than there are letters")
    choices = options.bare(problem.choices)
    right = {_option(gold, choices) for gold in truths}
    letter = options.marked(answer)
    stated: set[int] | None
    if letter and not letter[1] and ascii_uppercase.index(letter[0]) < len(choices):
        # A letter alone is an option's letter, also where another option reads so.
        stated = {options.first(ascii_uppercase.index(letter[0]), choices)}
    else:
        stated = options.named(answer, choices)
    if stated is None:
        return Judgement("unparsed", "contradicts itself, or only excludes options")
    names = ", ".join(ascii_uppercase[index] for index in sorted(stated))
    if len(stated) > 1:
        return Judgement("unparsed", f"names {len(stated)} options: {names}")
    texts = tuple(choices[index] for index in sorted(right))
    if not letter and any(_expression(choices[index]) and not _states(choices[index], answer) for index in stated):
        # An option that is part of an expression, as 3 is of -3 or of 3/4, is not what that states.
        return _equal(problem, texts, answer)
    if stated:
        detail = against(names, [ascii_uppercase[index] for index in sorted(right)])
        return Judgement("correct" if stated <= right else "wrong", detail, names)
    if not numbers.has_digits(answer) or not any(map(numbers.has_digits, texts)):
        return Judgement("wrong", "names none of the options")
    return _equal(problem, texts, answer)


def _option(gold: str, choices: tuple[str, ...]) -> int:
    """The option that a gold answer is: its letter, else its text."""
    letter = gold.strip()
    if len(letter) == 1 and letter in ascii_uppercase[: len(choices)]:
        return options.first(ascii_uppercase.index(letter), choices)
    meant = options.named(gold, choices)
    if not meant or len(meant) > 1:
        raise ValueError(f"the gold answer {gold!r} names {len(meant or ())} of the {len(choices)} options")
    return meant.pop()


def _expression(text: str) -> bool:
    return numbers.gold(text) is not None or is_math(text)


def _states(option: str, answer: str) -> bool:
    """Whether an answer is an option's text or quantity as a whole; a number without a unit is enough."""
    if _blankless(plain(option)).casefold() == _blankless(plain(answer)).casefold():
        return True
    truth, stated = numbers.gold(option), numbers.read(answer)
    if truth is None or stated is None:
        return False
    return numbers.agree(truth, stated, "") or (not stated.unit.dimension and truth.value == stated.value)


def _equal(problem: Problem, truths: tuple[str, ...], answer: str) -> Judgement | Algebra:
    """Whether an answer is one of the gold expressions; where they are none, one of the gold texts."""
    free = replace(problem, answer=truths, choices=())
    if all(numbers.gold(gold) is not None for gold in truths):
        return math(free, answer)
    as_text = text(free, answer)
    if as_text.outcome == "correct" or not all(map(_expression, truths)):
        return as_text
    return math(free, answer)
