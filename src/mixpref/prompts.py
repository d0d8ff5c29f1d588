"""How a question is put to a model: prompt styles, choices, the places of images.

The chain-of-thought styles are those of the MPO paper's data pipeline (arXiv 2411.10442, section 3 and appendix): `en`
and `zh` end in "Final answer: ..", `boxed` and `zh_boxed` (there `en_v2`, `zh_v2`) in a box, `r1` and `zh_r1` think
within tags first. `knowledge`, `visual` and `grounded` are its multimodal chains of thought, for questions of science,
for charts and documents, and for what can be pointed at; the wording of these, of `r1` and of the Chinese is our own.
"""

from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Any

from mixpref.records import Problem

IMAGE = "<image>"

_FINAL = 'when you\'re ready to answer, please use the format "Final answer: .."\n\nQuestion:\n\n{question}'
_TEMPLATES = {
    "en": (f"Your task is to answer the question below. Give step by step reasoning before you answer, and {_FINAL}"),
    "zh": (
        "你的任务是回答以下问题。在回答之前，请一步步给出推理过程；当你准备好回答时，请使用格式“答案: ..”"
        "\n\n问题:\n\n{question}"
    ),
    "boxed": (
        "Your task is to answer the question below. Give step by step reasoning before you answer, and when you're "
        'ready to answer, please use the format "Answer: \\boxed{{..}}"\n\nQuestion:\n\n{question}'
    ),
    "zh_boxed": (
        "你的任务是回答以下问题。在回答之前，请一步步给出推理过程；当你准备好回答时，请使用格式“答案: \\boxed{{..}}”"
        "\n\n问题:\n\n{question}"
    ),
    "r1": (
        "Answer the question below. First think it through between <think> and </think>: look at what is given, reason "
        "step by step, and check your result. Then write the solution in short, with the final answer in \\boxed{{}}."
        "\n\nQuestion:\n\n{question}"
    ),
    "zh_r1": (
        "请回答以下问题。首先在 <think> 和 </think> 之间思考：查看已知条件，一步步推理，并检查结果。"
        "然后简要写出解答，并把最终答案写在 \\boxed{{}} 中。\n\n问题:\n\n{question}"
    ),
    "knowledge": (
        "Your task is to answer the question below. First recall the background knowledge that it needs, such as "
        f"definitions, laws and formulas; then apply it step by step to what is shown and asked, and {_FINAL}"
    ),
    "visual": (
        "Your task is to answer the question below. First describe the content of the image that matters to it, such "
        "as titles, labels, legends, values and text; then reason step by step from what you have read, and "
        f"{_FINAL}"
    ),
    "grounded": (
        "Your task is to answer the question below. Give step by step reasoning before you answer. Point at each "
        "object that you speak of as <ref>object</ref><box>[[x1, y1, x2, y2]]</box>, with coordinates from 0 to 1000, "
        f"and {_FINAL}"
    ),
    "direct": "{question}\n{instruction}",
    "plain": "{question}",
}
STYLES = tuple(_TEMPLATES)
VERBATIM = "verbatim"
"""For benchmarks that put their questions in words of their own: nothing is added and nothing removed."""

_SHORT = "Answer the question using a single word or phrase."
_LETTER = "Answer with the option's letter from the given choices directly."
# Data sets end their questions with these; before a chain of thought they contradict the template, so they go.
_SHORT_ANSWERS = (
    _SHORT,
    _LETTER,
    "Please answer Yes or No.",
    "Answer the question with Yes or No.",
    "Please answer the question using a single word or phrase.",
    "Please answer directly with a single word or number.",
    "请用一个单词或短语回答问题。",
    "请直接回答选项字母。",
    "请直接用给定选项的字母回答。",
    "请回答是或否。",
)
_SUFFIX = re.compile(r"(?:\s*(?:" + "|".join(map(re.escape, _SHORT_ANSWERS)) + r"))+\s*$", re.IGNORECASE)


def ask(problem: Problem, style: str) -> str:
    """The text of the user's turn: the problem's question and choices in the given style.

    Raises ValueError for a style that is not in STYLES, nor VERBATIM.
    """
    if style == VERBATIM:
        return problem.question
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
