"""One row of a user's JSON lines and the problem that it is.

    question          text; `<image>` or `<image1>` marks the images' places
    answer            text, number, or a list of accepted ones; with choices: the right one's letter or its text;
                      absent: an open question, for dropout-ntp pairs or a judge
    choices, options  list of texts or numbers, without letters
    image, images     a path or a list of paths, from the image folder; absent: a question without images
    rule              how an answer is judged; absent: chosen by the problem
    family, kind      what sort of problem it is; scores are broken down by it

All other keys are ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from string import ascii_uppercase
from typing import Any, NoReturn

from mixpref.prompts import IMAGE
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_NUMBERED = re.compile(r"<image\s*(\d+)>")
_LETTER = re.compile(r"[(\[]?\s*([A-Za-z])\s*[)\].:]?")


class _Digits(str):
    """A number as the file writes it: 2.50 stays 2.50, which as a float it would not."""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(parse_float=_Digits, parse_int=_Digits, parse_constant=_no_constant)


def parse(line: bytes) -> dict[str, Any]:
    """The object of one line. Raises Unusable where the line is no JSON object."""
    try:
        row = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, RecursionError) as reason:
        raise Unusable("bad JSON", f"the line is no valid JSON ({reason})") from None
    if not isinstance(row, dict):
        raise Unusable("bad JSON", "the line is no JSON object: one {...} with question and answer is wanted")
    return row


def problem(
    row: dict[str, Any], source: str, read_image: Callable[[str], bytes], *, open_questions: bool = False
) -> Problem:
    """The problem of a row. `read_image` gives the bytes of a named image or raises Unusable.

    open_questions: whether a row may have no answer. Where nothing can be made of such a row, it is a mistake.

    Raises Unusable, naming the first thing that is wrong with the row.
    """
    question = as_text(row.get("question"), "question") if row.get("question") is not None else ""
    if not question.strip():
        raise Unusable("no question", "the row has no question")
    choices = tuple(as_value(each, f"choice {place}") for place, each in enumerate(_list(row, "choices", "options"), 1))
    if len(choices) > len(ascii_uppercase):
        raise Unusable("wrong type", f"there are {len(choices)} choices, more than letters")
    answers = _answers(row.get("answer"))
    if not answers and not open_questions:
        raise Unusable(
            "no answer",
            "the row has no answer, so that no response to it could be judged; open questions make pairs only where "
            "the recipe names a judge, or has dropout-ntp among pairing.kinds",
        )
    if choices:
        answers = tuple(dict.fromkeys(_choice(answer, choices) for answer in answers))
    names = [as_text(name, "image") for name in _list(row, "images", "image")]
    question, choices = _marks(question, choices)
    marks = sum(text.count(IMAGE) for text in (question, *choices))
    if marks > len(names):
        raise Unusable("more marks than images", f"the question has {marks} {IMAGE} marks but {len(names)} images")
    rule = row.get("rule")
    return Problem(
        question=question,
        answer=answers or None,
        choices=choices,
        images=tuple(read_image(name) for name in names),
        rule=None if rule is None else as_text(rule, "rule"),
        source=source,
        family=as_value(_first(row, "family", "kind") or "", "family", empty=True),
    )


def _first(row: dict[str, Any], *keys: str) -> Any:
    return next((row[key] for key in keys if row.get(key) is not None), None)


def _list(row: dict[str, Any], *keys: str) -> list[Any]:
    """The list under the first of the keys that is there; a single text is a list of one, except of choices."""
    value = _first(row, *keys)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    if "image" in keys:
        return [value]
    raise Unusable("wrong type", f"{keys[0]} must be a list, not {_kind(value)}")


def _answers(value: Any) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [] if value is None else [value]
    answers = tuple(as_value(each, "answer", empty=True) for each in given)
    return tuple(answer for answer in answers if answer)


def as_value(value: Any, key: str, *, empty: bool = False) -> str:
    """A text or number as text, without blanks around it."""
    text = _checked(value, key) if isinstance(value, str) else None
    if text is None:
        raise Unusable("wrong type", f"the {key} must be a text or a number, not {_kind(value)}")
    if not text.strip() and not empty:
        raise Unusable("wrong type", f"the {key} is empty")
    return text.strip()


def as_text(value: Any, key: str) -> str:
    """A text as it stands. Raises Unusable for anything else."""
    if not isinstance(value, str) or isinstance(value, _Digits):
        raise Unusable("wrong type", f"the {key} must be a text, not {_kind(value)}")
    return _checked(value, key)


def _checked(text: str, key: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Unusable("wrong type", f"the {key} holds half a character (a lone surrogate)") from None
    return str(text)


def _kind(value: Any) -> str:
    if isinstance(value, _Digits):
        return f"the number {value}"
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false"}.get(type(value), "null")


def _choice(answer: str, choices: tuple[str, ...]) -> str:
    """The right choice as its letter. An answer is a letter, the text of a choice, or both ("B. foo").

    Raises Unusable where it is no choice, or may be two of them.
    """
    meant = _same_text(answer, choices)
    letter = _LETTER.fullmatch(answer)
    place = ascii_uppercase.index(letter[1].upper()) if letter else len(choices)
    if place < len(choices) and choices[place] not in {choices[each] for each in meant}:
        meant.add(place)
    if not meant:
        head, _, rest = answer.partition(" ")
        letter = _LETTER.fullmatch(head) if len(head) > 1 else None
        place = ascii_uppercase.index(letter[1].upper()) if letter else len(choices)
        meant = {place} if place in _same_text(rest.strip(), choices) else set()
    options = ", ".join(f"{letter}. {text}" for letter, text in zip(ascii_uppercase, choices, strict=False))
    if not meant:
        raise Unusable("answer outside the choices", f"the answer {answer!r} is none of the choices {options}")
    if len({choices[each] for each in meant}) > 1:
        raise Unusable("ambiguous answer", f"the answer {answer!r} may be more than one of the choices {options}")
    right = min(meant)
    # A choice that is itself a letter, and not its own: there the text is the clearer name.
    lettered = ascii_uppercase[right] in {text.upper() for text in choices[:right] + choices[right + 1 :]}
    return choices[right] if lettered else ascii_uppercase[right]


def _same_text(answer: str, choices: tuple[str, ...]) -> set[int]:
    exactly = {place for place, choice in enumerate(choices) if choice == answer}
    return exactly or {place for place, choice in enumerate(choices) if choice.casefold() == answer.casefold()}


def _marks(question: str, choices: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """<image1>, <image 2> ... as plain marks, where they stand for the images one after the other."""
    texts = (question, *choices)
    numbers = [int(number) for text in texts for number in _NUMBERED.findall(text)]
    if numbers != list(range(1, len(numbers) + 1)) or any(IMAGE in text for text in texts):
        return question, choices
    question, *others = (_NUMBERED.sub(IMAGE, text) for text in texts)
    return question, tuple(others)
