r"""Finds the answer that a response states, in the form that its prompt style asks for.

    en      "Final answer: .." once or twice, reasoning before it, the answer one line (arXiv 2411.10442, section 3)
    zh      "答案：.." in the same way
    boxed   "\boxed{..}" once or twice, reasoning before it; what follows the box counts for nothing; also en_v2, zh_v2
    r1      "<think>reasoning</think>", then the answer in "\boxed{..}"; also en_r1, zh_r1
    direct  the whole response, which is one line; `plain` is the same
    any     of foreign models, asked in some other way: the last statement of an answer (`statements.py`)

Of two answers the last one counts. A response that does not keep the form has no readable answer, whatever it says
on the way: searching it for the right answer would reward rambling. In every style thoughts are reasoning only: an
answer in them counts for nothing, and thoughts without an end have no answer after them.
"""

from __future__ import annotations

import re

from mixpref.verifying.statements import BOX, LONGEST, Extraction, braced, one_line, stated

__all__ = ["LONGEST", "STYLES", "Extraction", "extract", "form"]

# Other ways of asking for the same form of answer, and the names that the paper's scripts give to some.
_ALIASES = {"knowledge": "en", "visual": "en", "grounded": "en", "zh_boxed": "boxed", "zh_r1": "r1"}
_ALIASES |= {"verbatim": "direct"}
_ALIASES |= {"en_v2": "boxed", "zh_v2": "boxed", "en_r1": "r1"}
STYLES = ("en", "zh", "boxed", "r1", "direct", "plain", "any", *_ALIASES)
"""Forms that can be read; `prompts.STYLES` are those that can be asked for."""

_AROUND = r"[*_]{0,3}"
# Models set the trigger in bold, with a full-width colon, or put "The" before it; "The" is no reasoning.
_TRIGGERS = {
    "en": re.compile(
        rf"(?:\b(?:the|my)[ \t])?{_AROUND}\bfinal[ \t]answer(?:[ \t]is)?{_AROUND}[ \t]?[:：]{_AROUND}", re.IGNORECASE
    ),
    "zh": re.compile(rf"(?:最终|最后|正确)?的?{_AROUND}答案(?:应该|应)?[是为]?{_AROUND}[ \t]?[:：]{_AROUND}"),
}
_NAMES = {"en": '"Final answer:"', "zh": '"答案："'}
_BEFORE_BOX = re.compile(r"(?:final\s)?answer(?:\sis)?\s?[:：]|(?:最终)?答案[是为]?\s?[:：]", re.IGNORECASE)
_START, _LONGEST_LEAD = 120, 40
_MOST_TRIGGERS = 2
_OPEN, _CLOSE = "<think>", "</think>"
# Lines that set the answer and say nothing: the fence of a code block, display math, a rule.
_FRAME = re.compile(r"`{3}\w{0,20}|\${2}|\\[\[\]]|-{3,}|\*{2,}")


def extract(text: str, style: str | None = None, *, lines: bool = False) -> Extraction:
    """The answer that `text` states in the form of prompt style `style`; None is `any`.

    lines: after a trigger or in a box, an answer may have many lines: open ones do, and what reads them is no pattern.
    Time is linear in the text's length. Raises ValueError for a style that is not in STYLES.
    """
    style = form(style)
    thoughts, closed, said = text.rpartition(_CLOSE)
    if _OPEN in said:
        return Extraction(None, f"{_OPEN} is never closed")
    if style == "r1":
        if not closed:
            return Extraction(None, f"no {_CLOSE}")
        if not _has_words(thoughts.replace(_OPEN, "")):
            return Extraction(None, "no reasoning within the thoughts")
    if style in _TRIGGERS:
        return _after_trigger(thoughts, said, style, lines)
    if style in ("boxed", "r1"):
        return _in_box(thoughts, said, lines)
    if style == "any":
        return stated(said)
    return one_line(said.strip().removesuffix("."), "the response")


def form(style: str | None) -> str:
    """The form of answer that a prompt style asks for: en, zh, boxed, r1, direct, plain or any.

    Raises ValueError for a style that is not in STYLES.
    """
    style = "any" if style is None else _ALIASES.get(style, style)
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; the styles are {', '.join(STYLES)}")
    return style


def _after_trigger(thoughts: str, said: str, style: str, many: bool) -> Extraction:
    name = _NAMES[style]
    triggers = list(_TRIGGERS[style].finditer(said))
    if not triggers:
        return Extraction(None, f"no {name}")
    if len(triggers) > _MOST_TRIGGERS:
        return Extraction(None, f"{name} {len(triggers)} times")
    if not _has_words(thoughts.replace(_OPEN, "") + said[: triggers[0].start()]):
        return Extraction(None, f"no reasoning before {name}")
    lines = said[triggers[-1].end() :].strip().splitlines()
    while lines and _FRAME.fullmatch(lines[-1].strip()):
        lines.pop()
    while lines and _FRAME.fullmatch(lines[0].strip()):
        lines.pop(0)
    return _answer("\n".join(lines), "the answer", many)


def _in_box(thoughts: str, said: str, many: bool) -> Extraction:
    boxes = list(BOX.finditer(said))
    if not boxes:
        return Extraction(None, "no \\boxed{}")
    if len(boxes) > _MOST_TRIGGERS:
        return Extraction(None, f"\\boxed{{}} {len(boxes)} times")
    if not _has_words(thoughts.replace(_OPEN, "")) and not _reasons(said[: boxes[0].start()]):
        return Extraction(None, "no reasoning before \\boxed{}")
    content = braced(said, boxes[-1].end())
    if content is None:
        return Extraction(None, "\\boxed{ is never closed")
    return _answer(content, "the boxed answer", many)


def _answer(answer: str, what: str, many: bool) -> Extraction:
    if many and answer.strip():
        return Extraction(answer.strip())
    return one_line(answer, what)


def _reasons(before: str) -> bool:
    """Whether more stands before a box than the words that announce it."""
    # The start of a chain tells nearly always; its last characters may be half of such words.
    if len(before) > _START and _has_words(_BEFORE_BOX.sub("", before[:_START])[:-_LONGEST_LEAD]):
        return True
    return _has_words(_BEFORE_BOX.sub("", before))


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)
