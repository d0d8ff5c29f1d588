"""How a question is put to a model: prompt styles, choices, the places of images.

The chain-of-thought templates are those of the MPO paper's data pipeline (arXiv 2411.10442, `en`, `en_v2` = `boxed`).
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Any

from mixpref.records import Problem

IMAGE = "<image>"

_TEMPLATES = {
    "en": (
        "Your task is to answer the question below. Give step by step reasoning before you answer, and when you're "
        'ready to answer, please use the format "Final answer: .."\n\nQuestion:\n\n{question}'
    ),
    "boxed": (
        "Your task is to answer the question below. Give step by step reasoning before you answer, and when you're "
        'ready to answer, please use the format "Answer: \\boxed{{..}}"\n\nQuestion:\n\n{question}'
    ),
    "direct": "{question}\n{instruction}",
    "plain": "{question}",
}
STYLES = tuple(_TEMPLATES)

_SHORT = "Answer the question using a single word or phrase."
_LETTER = "Answer with the option's letter from the given choices directly."
_YES_NO = "Please answer Yes or No."
# Data sets end their questions with these; before a chain of thought they contradict the template, so they go.
_SUFFIX = re.compile(r"\s*(?:" + "|".join(map(re.escape, (_SHORT, _LETTER, _YES_NO))) + r")\s*$", re.IGNORECASE)


def ask(problem: Problem, style: str) -> str:
    """The text of the user's turn: the problem's question and choices in the given style.

    Raises ValueError for a style that is not in STYLES.
    """
    if style not in _TEMPLATES:
        raise ValueError(f"unknown prompt style {style!r}; the styles are {', '.join(STYLES)}")
    question = _SUFFIX.sub("", problem.question).strip()
    if problem.choices:
        options = (f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, problem.choices, strict=False))
        question = "\n".join((question, *options))
    return _TEMPLATES[style].format(question=question, instruction=_LETTER if problem.choices else _SHORT)


def messages(problem: Problem, style: str) -> list[dict[str, Any]]:
    """The conversation so far, as processors' chat templates take it: one user turn of image and text parts.

    `<image>` marks in the question become the images' places. Images without a mark stand before the text.
    Raises ValueError where the question has more marks than there are images.
    """
    text = ask(problem, style)
    marks = text.count(IMAGE)
    if marks > len(problem.images):
        raise ValueError(f"the question has {marks} {IMAGE} marks but {len(problem.images)} images")
    content: list[dict[str, Any]] = [{"type": "image"}] * (len(problem.images) - marks)
    for place, piece in enumerate(text.split(IMAGE)):
        if place:
            content.append({"type": "image"})
        if piece.strip():
            content.append({"type": "text", "text": piece.strip("\n") if marks else piece})
    return [{"role": "user", "content": content}]
