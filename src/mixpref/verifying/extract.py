r"""Finds the answer that a response states, in the form that its prompt style asks for.

    en      "Final answer: .." once or twice, reasoning before it, the answer one line (arXiv 2411.10442, section 3)
    boxed   "\boxed{..}" once or twice, reasoning before it; what follows the box counts for nothing
    direct  the whole response, which is one line; `plain` is the same

Of two answers the last one counts. A response that does not keep the form has no readable answer, whatever it says
on the way: searching it for the right answer would reward rambling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mixpref.prompts import STYLES

LONGEST = 2000
"""Characters; a longer line is no answer to a question, and rules need not be quick on it."""

# Models set the trigger in bold, with a full-width colon, or put "The" before it; "The" is no reasoning.
_TRIGGER = re.compile(r"(?:\b(?:the|my)[ \t])?\bfinal[ \t]answer(?:[ \t]is)?[*_]*[ \t]?[:：][*_]*", re.IGNORECASE)
_BOX = "\\boxed"
_MOST_TRIGGERS = 2


@dataclass(frozen=True)
class Extraction:
    """What was found: an answer, or the reason why there is none."""

    answer: str | None
    reason: str = ""


def extract(text: str, style: str) -> Extraction:
    """The answer that `text` states in the form of prompt style `style`.

    Raises ValueError for a style that is not in `prompts.STYLES`.
    """
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; the styles are {', '.join(STYLES)}")
    if style == "en":
        return _after_trigger(text)
    if style == "boxed":
        return _in_box(text)
    return _one_line(text.strip().removesuffix("."), "the response")


def _after_trigger(text: str) -> Extraction:
    triggers = list(_TRIGGER.finditer(text))
    if not triggers:
        return Extraction(None, 'no "Final answer:"')
    if len(triggers) > _MOST_TRIGGERS:
        return Extraction(None, f'"Final answer:" {len(triggers)} times')
    if not _has_words(text[: triggers[0].start()]):
        return Extraction(None, 'no reasoning before "Final answer:"')
    return _one_line(text[triggers[-1].end() :], "the answer")


def _in_box(text: str) -> Extraction:
    boxes = text.count(_BOX)
    if not boxes:
        return Extraction(None, "no \\boxed{}")
    if boxes > _MOST_TRIGGERS:
        return Extraction(None, f"\\boxed{{}} {boxes} times")
    if not _has_words(re.sub(r"answer\s*[:：]", "", text[: text.index(_BOX)], flags=re.IGNORECASE)):
        return Extraction(None, "no reasoning before \\boxed{}")
    content = braced(text, text.rindex(_BOX) + len(_BOX))
    if content is None:
        return Extraction(None, "\\boxed{ is never closed")
    return _one_line(content, "the boxed answer")


def braced(text: str, start: int) -> str | None:
    """What stands between the brace that opens at `start` (after blanks) and the brace that closes it.

    None where no brace opens there or none closes it. Escaped braces are text.
    """
    while start < len(text) and text[start].isspace():
        start += 1
    if start == len(text) or text[start] != "{":
        return None
    depth, place = 0, start
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return text[start + 1 : place]
        place += 1
    return None


def _one_line(answer: str, what: str) -> Extraction:
    answer = answer.strip()
    if not answer:
        return Extraction(None, f"{what} is empty")
    if len(answer.splitlines()) > 1:
        return Extraction(None, f"{what} is longer than one line")
    if len(answer) > LONGEST:
        return Extraction(None, f"{what} is longer than {LONGEST} characters")
    return Extraction(answer)


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)
