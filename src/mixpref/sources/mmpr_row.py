"""One row of an MMPR annotation file (arXiv 2411.10442): a question, a better and a worse answer to it.

question   text; `<image>` marks the images' places, and images without a mark come first
chosen     the better answer
rejected   the worse answer
image      a path or a list of paths, from the data set's root; absent or null: text only
answer_gt  the right answer, where there is one: text, number, or a list of accepted ones

All other keys are extra.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mixpref.prompts import IMAGE, STYLES, ask
from mixpref.records import Problem
from mixpref.sources.rows import as_text, as_value, parse
from mixpref.sources.unusable import Unusable

# Marks and breaks that MMPR puts before the prompt.
_LEADING = re.compile(rf"(?:\s|{IMAGE})*")
_KEYS = ("question", "chosen", "rejected", "image")


@dataclass(frozen=True, kw_only=True)
class MMPRRow:
    """A preference pair as MMPR has it."""

    question: str
    images: tuple[str, ...]
    """Paths or URLs, as the row names them."""
    chosen: str
    rejected: str
    extra: Mapping[str, Any]
    """The row's other keys. Numbers in them are texts, with the digits that the file has."""

    @property
    def answer(self) -> tuple[str, ...] | None:
        """The accepted answers, None where the row has none. Raises Unusable for what is neither text nor number."""
        value = self.extra.get("answer_gt")
        given = value if isinstance(value, list) else [] if value is None else [value]
        return tuple(filter(None, (as_value(each, "answer_gt", empty=True) for each in given))) or None


def read(line: bytes) -> MMPRRow:
    """The row of one line. Raises Unusable, naming the first thing that is wrong with it."""
    row = parse(line)
    texts = {}
    for key in ("question", "chosen", "rejected"):
        texts[key] = "" if row.get(key) is None else as_text(row[key], key)
        if not texts[key].strip():
            raise Unusable(f"no {key}", f"the row has no text under {key!r}")
    if texts["chosen"] == texts["rejected"]:
        raise Unusable("equal responses", "chosen and rejected are the same text")
    value = row.get("image")
    names = value if isinstance(value, list) else [] if value is None else [value]
    images = tuple(as_text(name, "image") for name in names)
    marks = texts["question"].count(IMAGE)
    if marks > len(images):
        raise Unusable("more marks than images", f"the question has {marks} {IMAGE} marks but {len(images)} images")
    extra = {key: each for key, each in row.items() if key not in _KEYS}
    return MMPRRow(**texts, images=images, extra=extra)


def content(question: str, images: int) -> list[dict[str, Any]]:
    """The user's turn as image and text parts, in the order of the marks. Images without a mark stand first.

    As `prompts.messages` makes them of a problem, but of a question that is a whole prompt already.
    """
    pieces = question.split(IMAGE)
    marks = len(pieces) - 1
    parts: list[dict[str, Any]] = [{"type": "image"}] * (images - marks)
    for place, piece in enumerate(pieces):
        if place:
            parts.append({"type": "image"})
        if piece.strip():
            parts.append({"type": "text", "text": piece.strip("\n") if marks else piece})
    return parts


def bare_question(question: str) -> str:
    """The question without the prompt of a style that MMPR has put it in, so that it can be asked in any style."""
    start = _LEADING.match(question)
    assert start
    rest = question[start.end() :]
    for before in _prompts():
        if rest.startswith(before) and rest != before:
            return f"{IMAGE}\n" * start[0].count(IMAGE) + rest.removeprefix(before)
    return question


@cache
def _prompts() -> tuple[str, ...]:
    """What the styles put before a question."""
    asked = (ask(Problem(question="\0"), style) for style in STYLES)
    return tuple(text.removesuffix("\0") for text in asked if text.endswith("\0") and text != "\0")
