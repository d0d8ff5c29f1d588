"""Rules for answers in words: the same text, yes or no, the same list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mixpref.records import Problem
from mixpref.verifying import choices as options
from mixpref.verifying import numbers
from mixpref.verifying.judgement import Judgement
from mixpref.verifying.plain import plain, trimmed

_ARTICLE = re.compile(r"(?:a|an|the)\s+(?=\S)")
_LEAD_IN = re.compile(
    r"(?:so|thus|therefore|hence)?,?\s*(?:(?:the|my)\s+)?(?:(?:final|correct)\s+)?answer\s*(?:is\b\s*:?|:)\s*"
    r"|it\s+is\s+|it['’]s\s+|答案[是为]?\s*:?\s*",
)
# Not of a factorial: 5!, n!
_CALLED_OUT = re.compile(r"(?<=[^\W\d_]{2})!+$")
_TIGHT = re.compile(r"\s*([,;:()\[\]{}<>≤≥=≠+\-*/^×·|])\s*")


def text(problem: Problem, answer: str) -> Judgement:
    """The same words, signs and brackets as a gold answer, whatever the case, blanks and a leading article."""
    truths = golds(problem)
    said = normal(answer)
    right = any(said == normal(gold) or _same_letter(gold, answer) or _same_yes_no(gold, answer) for gold in truths)
    return Judgement("correct" if right else "wrong", against(said, map(normal, truths)), said)


@lru_cache(maxsize=4096)
def normal(answer: str) -> str:
    """An answer as the rule `text` compares it: plain characters, small letters, no blanks around signs."""
    words = plain(answer).casefold()
    words = _LEAD_IN.sub("", words, count=1) if _LEAD_IN.match(words) else words
    words = _ARTICLE.sub("", words, count=1) if _ARTICLE.match(words) else words
    return _CALLED_OUT.sub("", _TIGHT.sub(r"\1", words))


def _same_letter(gold: str, answer: str) -> bool:
    """For options that stand in the question itself: a gold answer "B" or "B. foo" against "(B)", "B: foo" or "foo"."""
    truth = options.marked(gold)
    # A small letter is a variable, not an option.
    if truth is None or not re.match(r"\W*[A-Z](?![a-z])", plain(gold)):
        return False
    letter, words = truth
    stated = options.marked(answer)
    if stated is None:
        return bool(words) and normal(words) == normal(answer)
    return stated[0] == letter and (not words or not stated[1] or normal(words) == normal(stated[1]))


# Yes and No ---------------------------------------------------------------------------------------------------------

_YES = "yes|true|是的|是|对|正确"
_NO = "no|false|不是|不对|不正确|不|否|错误|错"
_STATED = re.compile(rf"(?:(?P<yes>{_YES})|(?P<no>{_NO}))(?P<rest>\W.*)?", re.IGNORECASE)
# What may follow yes or no without being a reason for it.
_REASON = re.compile(r"\s*[,.;:!(—-]|\s+(?:because|since|as|it|there|the|they|he|she)\b", re.IGNORECASE)


def yes_no(problem: Problem, answer: str) -> Judgement:
    """Yes or No, True or False, 是 or 否; a clause that says why may follow. "Yes and no" is unparsed."""
    truths = []
    for gold in golds(problem):
        truth = said_yes_or_no(gold)
        if truth is None:
            raise ValueError(f"the gold answer {gold!r} is neither yes nor no")
        truths.append(truth)
    stated = said_yes_or_no(answer)
    if stated is None:
        return Judgement("unparsed", "neither yes nor no")
    return Judgement("correct" if stated in truths else "wrong", against(stated, truths), stated)


def said_yes_or_no(answer: str) -> str | None:
    """`yes` or `no`, where an answer says the one and not the other; else None."""
    words = plain(answer)
    lead_in = _LEAD_IN.match(words.casefold())
    words = trimmed(words[lead_in.end() :]) if lead_in else words
    match = _STATED.fullmatch(words)
    if match is None:
        return None
    said, rest = ("yes" if match["yes"] else "no"), match["rest"] or ""
    if rest and not _REASON.match(rest):
        return None
    first_clause = re.split(r"[,.;:]", rest.lstrip(" ,.;:"), maxsplit=1)[0]
    return None if first_clause and _other_alone(said, first_clause) else said


def _other_alone(said: str, clause: str) -> bool:
    """Whether a clause after yes is no more than another no ("Yes, no"), or the other way round."""
    match = _STATED.fullmatch(clause.strip())
    return match is not None and (match["yes"] is not None) != (said == "yes") and not match["rest"]


def _same_yes_no(gold: str, answer: str) -> bool:
    truth = normal(gold)
    return truth in ("yes", "no") and said_yes_or_no(answer) == truth


# Lists --------------------------------------------------------------------------------------------------------------

_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_SEPARATOR = re.compile(r"[,;、，；]\s+(?:and|or|&)\s+|[,;、，；]|\s+(?:and|&)\s+", re.IGNORECASE)
_ORDERED = re.compile(
    r"\b(?:order(?:ed|ing)?|sort(?:ed|ing)?|arrange[ds]?|arrangement|sequence|rank(?:ed|ing)?|ascending|descending|respectively"
    r"|from (?:the )?\w+ to (?:the )?\w+|first to last|coordinates?)\b|顺序|排列|排序|从.{1,4}到|依次|分别",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")
_LIST_LEAD_IN = re.compile(r"(?:[^,;]*\s(?:are|is|were|include|includes)|[^,;:]*:)\s*", re.IGNORECASE)
_LONGEST_ITEM = 4
"""Words; more of them between commas are a sentence, not an item of a list."""


def listed(problem: Problem, answer: str) -> Judgement:
    """The same items as a gold list, as numbers or as words; in any order unless the question asks for one."""
    ordered = bool(_ORDERED.search(problem.question))
    truths = []
    for gold in golds(problem):
        items = split(gold)
        if len(items) < 2:
            raise ValueError(f"the gold answer {gold!r} is no list")
        truths.append(items)
    stated = split(answer)
    lead_in = _LIST_LEAD_IN.match(plain(answer))
    right = any(_same_items(items, stated, problem.question, ordered) for items in truths)
    if not right and lead_in:
        stated = split(plain(answer)[lead_in.end() :])
        right = any(_same_items(items, stated, problem.question, ordered) for items in truths)
    if not right and re.search(r"\b(?:or|not|neither|nor|maybe|perhaps)\b", plain(answer), re.IGNORECASE):
        return Judgement("unparsed", "no plain list")
    shown = ", ".join(map(normal, stated))
    return Judgement(
        "correct" if right else "wrong", against(shown, (", ".join(map(normal, items)) for items in truths)), shown
    )


def is_list(gold: str) -> bool:
    """Whether a gold answer is a list: two short items or more with commas between them."""
    items = split(gold)
    return (
        len(items) > 1
        and bool(re.search(r"[,;、，；]", gold))
        and all(len(item.split()) <= _LONGEST_ITEM for item in items)
        and not re.search(r"[.!?]\s+\w", gold)
    )


@lru_cache(maxsize=4096)
def split(answer: str) -> tuple[str, ...]:
    """The items of a list: "a, b and c", "[a; b; c]", '["a", "b", "c"]'. A thousands separator parts nothing."""
    words = plain(answer)
    closing = _BRACKETS.get(words[:1])
    # Not the brackets of "(1, 2), (3, 4)".
    if closing and words.endswith(closing) and words.find(closing) == len(words) - 1:
        words = words[1:-1]
    parts, depth, start = [], 0, 0
    separators = {match.start(): match.end() for match in _SEPARATOR.finditer(words)}
    for place, character in enumerate(words):
        depth += (character in "([{") - (character in ")]}")
        end = separators.get(place)
        if end is None or depth or place < start:
            continue
        if _THOUSANDS.match(words, max(place - 1, 0)) and end == place + 1:
            continue
        parts.append(words[start:place])
        start = end
    parts.append(words[start:])
    return tuple(trimmed(part.strip()) for part in parts if trimmed(part.strip()))


def _same_items(truth: Sequence[str], stated: Sequence[str], question: str, ordered: bool) -> bool:
    if len(truth) != len(stated):
        return False
    if ordered:
        return all(_same_item(one, other, question) for one, other in zip(truth, stated, strict=True))
    rest = list(stated)
    for item in truth:
        match = next((other for other in rest if _same_item(item, other, question)), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def _same_item(truth: str, stated: str, question: str) -> bool:
    if normal(truth) == normal(stated):
        return True
    one = numbers.gold(truth)
    other = numbers.quantity(plain(stated))
    return one is not None and other is not None and numbers.agree(one, other, question)


# Both ---------------------------------------------------------------------------------------------------------------


def golds(problem: Problem) -> tuple[str, ...]:
    """The accepted answers. Raises ValueError where there is none."""
    if not problem.answer:
        raise ValueError("there is no gold answer to judge by")
    return problem.answer


def against(stated: str, truths: Iterable[str]) -> str:
    """What was compared, in words."""
    return f"{stated} against {' or '.join(truths)}"
