"""How an answer is judged: a rule is a function of the problem and the stated answer.

A clear answer that differs from the gold one is wrong. An answer that states several things at once, or none that the
rule can read, is unparsed. A rule raises ValueError where the problem itself cannot be judged by it; that is recorded
as an error, never as a wrong answer.

To add a rule, write the function and list it in `RULES`; a problem asks for it by its `rule`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_uppercase

from mixpref.records import Problem
from mixpref.verifying import choices as options
from mixpref.verifying import numbers
from mixpref.verifying.judgement import Judgement, Rule
from mixpref.verifying.plain import plain


def number(problem: Problem, answer: str) -> Judgement:
    """A quantity equal to a gold one: exact, units converted, no tolerance but the gold's own (3.14 ± 0.01)."""
    truths = []
    for text in _golds(problem):
        truth = numbers.gold(text)
        if truth is None:
            raise ValueError(f"the gold answer {text!r} is not a number")
        truths.append(truth)
    stated = numbers.read(answer)
    if stated is None:
        if numbers.has_digits(answer):
            return Judgement("unparsed", "not a single number")
        return Judgement("wrong", "not a number")
    right = any(numbers.agree(truth, stated, problem.question) for truth in truths)
    return Judgement("correct" if right else "wrong", _against(str(stated), map(str, truths)))


def choice(problem: Problem, answer: str) -> Judgement:
    """The right option and no other, named by its letter, its text or both."""
    if not problem.choices:
        raise ValueError("the rule choice needs choices")
    if len(problem.choices) > len(ascii_uppercase):
        raise ValueError(f"{len(problem.choices)} options are more than there are letters")
    truths = set()
    for text in _golds(problem):
        meant = options.named(text, problem.choices)
        if not meant or len(meant) > 1:
            raise ValueError(f"the gold answer {text!r} names {len(meant or ())} of the {len(problem.choices)} options")
        truths |= meant
    stated = options.named(answer, problem.choices)
    if stated is None:
        return Judgement("unparsed", "contradicts itself, or only excludes options")
    if len(stated) > 1:
        return Judgement("unparsed", f"names {len(stated)} options: {_letters(stated)}")
    if not stated:
        return Judgement("wrong", "names none of the options")
    return Judgement("correct" if stated <= truths else "wrong", _against(_letters(stated), [_letters(truths)]))


def text(problem: Problem, answer: str) -> Judgement:
    """The same words, signs and brackets as a gold answer, whatever the case, blanks and a leading article."""
    golds = _golds(problem)
    said = normal(answer)
    right = any(said == normal(gold) or _same_letter(gold, answer) or _same_yes_no(gold, answer) for gold in golds)
    return Judgement("correct" if right else "wrong", _against(said, map(normal, golds)))


RULES: dict[str, Rule] = {"number": number, "choice": choice, "text": text}


def rule_of(problem: Problem) -> str:
    """The name of the rule that judges a problem: its own, else by its choices, else by its gold answer."""
    if problem.rule is not None:
        return problem.rule
    if problem.choices:
        return "choice"
    golds = problem.answer or ()
    return "number" if golds and all(numbers.gold(gold) is not None for gold in golds) else "text"


_ARTICLE = re.compile(r"(?:a|an|the)\s+(?=\S)")
_LEAD_IN = re.compile(r"(?:(?:the|my)\s+)?(?:(?:final|correct)\s+)?answer\s*(?:is\b\s*:?|:)\s*|it\s+is\s+|it['’]s\s+")
_TIGHT = re.compile(r"\s*([,;:()\[\]{}<>≤≥=≠+\-*/^×·|])\s*")


def normal(answer: str) -> str:
    """An answer as the rule `text` compares it: plain characters, small letters, no blanks around signs."""
    words = plain(answer).casefold()
    words = _LEAD_IN.sub("", words, count=1) if _LEAD_IN.match(words) else words
    words = _ARTICLE.sub("", words, count=1) if _ARTICLE.match(words) else words
    return _TIGHT.sub(r"\1", words).rstrip("!") or words


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


def _same_yes_no(gold: str, answer: str) -> bool:
    """Yes and No may be followed by a clause that says why."""
    truth = normal(gold)
    return truth in ("yes", "no") and bool(re.match(rf"{truth}\s*[,.;:]", plain(answer), re.IGNORECASE))


def _golds(problem: Problem) -> tuple[str, ...]:
    if not problem.answer:
        raise ValueError("there is no gold answer to judge by")
    return problem.answer


def _letters(indices: set[int]) -> str:
    return ", ".join(ascii_uppercase[index] for index in sorted(indices))


def _against(stated: str, truths: Iterable[str]) -> str:
    return f"{stated} against {' or '.join(truths)}"
