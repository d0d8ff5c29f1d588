"""How an answer is judged: a rule is a function of the problem and the stated answer.

A clear answer that differs from the gold one is wrong. An answer that states several things at once, or none that the
rule can read, is unparsed. A rule raises ValueError where the problem itself cannot be judged by it; that is recorded
as an error, never as a wrong answer.

To add a rule, write the function and list it in `RULES`; a problem asks for it by its `rule`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from string import ascii_uppercase

from mixpref.records import Problem
from mixpref.verifying import choices as options
from mixpref.verifying import numbers
from mixpref.verifying.judgement import Algebra, Judgement, Rule
from mixpref.verifying.maths import is_math, math
from mixpref.verifying.metrics import anls, exact, relaxed, vqa
from mixpref.verifying.official import mathvision, mathvista
from mixpref.verifying.plain import plain
from mixpref.verifying.words import against, golds, is_list, listed, said_yes_or_no, split, text, yes_no


def number(problem: Problem, answer: str) -> Judgement:
    """A quantity equal to a gold one: units converted, tolerance only by the gold's own precision or the question's.

    3.14 stands for what rounds to it, 3 for 3 alone (`numbers.gold`, `numbers.asked_decimals`).
    """
    truths = []
    for gold in golds(problem):
        truth = numbers.gold(gold)
        if truth is None:
            raise ValueError(f"the gold answer {gold!r} is not a number")
        truths.append(numbers.rounded(truth, problem.question))
    stated = numbers.read(answer)
    if stated is None:
        if numbers.has_digits(answer):
            return Judgement("unparsed", "not a single number")
        return Judgement("wrong", "not a number")
    right = any(numbers.agree(truth, stated, problem.question) for truth in truths)
    return Judgement("correct" if right else "wrong", against(str(stated), map(str, truths)), str(stated))


def choice(problem: Problem, answer: str) -> Judgement:
    """The right option and no other, named by its letter, its text, both, or its number where no option is a number.

    A gold answer that names several options ("A, C") wants all of them.
    """
    if not problem.choices:
        raise ValueError("the rule choice needs choices")
    if len(problem.choices) > len(ascii_uppercase):
        raise ValueError(f"{len(problem.choices)} options are more than there are letters")
    choices = options.bare(problem.choices)
    truths: list[frozenset[int]] = []
    for gold in golds(problem):
        meant = _meant(gold, choices)
        if not meant:
            raise ValueError(f"the gold answer {gold!r} names none of the {len(choices)} options, or is undecided")
        truths.append(meant)
    several = any(len(truth) > 1 for truth in truths)
    stated = _several(answer, choices) if several else options.named(answer, choices)
    if stated is None:
        return Judgement("unparsed", "contradicts itself, or only excludes options")
    if not stated:
        # "A or C": letters without a mark of their own, side by side.
        stated = _several(answer, choices) or set()
    if len(stated) > 1 and not several:
        return Judgement("unparsed", f"names {len(stated)} options: {_letters(stated)}")
    if not stated:
        return Judgement("wrong", "names none of the options")
    shown = _letters(stated)
    return Judgement("correct" if stated in truths else "wrong", against(shown, map(_letters, truths)), shown)


RULES: dict[str, Rule] = {
    "number": number,
    "choice": choice,
    "math": math,
    "yes_no": yes_no,
    "list": listed,
    "text": text,
    "exact": exact,
    "relaxed": relaxed,
    "anls": anls,
    "vqa": vqa,
    "mathvista": mathvista,
    "mathvision": mathvision,
}
JUDGED = "judge"
"""The rule of answers that a judge reads (`judge.Judge`)."""
SENTENCES = frozenset({"number", "choice", "math", "yes_no", "mathvista", "mathvision"})
"""Rules that find the statement within a sentence; to the others a sentence is no answer, and so none that is wrong."""


def judge_by(rule: str, problem: Problem, answer: str, sentence: bool = False) -> Judgement | Algebra:
    """The judgement of a rule of RULES. sentence: the answer is a whole sentence that may not be meant as an answer."""
    if not sentence:
        return RULES[rule](problem, answer)
    # The choice that is nearest to a sentence is chance.
    by_option = rule == "mathvista" and bool(problem.choices)
    judgement = choice(problem, answer) if by_option else RULES[rule](problem, answer)
    if isinstance(judgement, Algebra) or judgement.outcome != "wrong" or (rule in SENTENCES and judgement.normalised):
        return judgement
    # A sentence in which the rule finds nothing to compare is no answer, and so none that is wrong.
    return replace(judgement, outcome="unparsed", detail=f"a sentence without an answer: {judgement.detail}")


def rule_of(problem: Problem) -> str:
    """The name of the rule that judges a problem: its own, else by its choices, else by its gold answers' form."""
    if problem.rule is not None:
        return problem.rule
    if problem.choices:
        return "choice"
    return _by_form(problem.answer or ())


@lru_cache(maxsize=4096)
def _by_form(answers: Sequence[str]) -> str:
    if not answers:
        return "text"
    if all(numbers.gold(gold) is not None for gold in answers):
        return "number"
    if all(said_yes_or_no(gold) and len(plain(gold).split()) == 1 for gold in answers):
        return "yes_no"
    if all(is_math(gold) or numbers.gold(gold) is not None for gold in answers):
        return "math"
    if all(is_list(gold) for gold in answers):
        return "list"
    return "text"


@lru_cache(maxsize=4096)
def _meant(gold: str, choices: tuple[str, ...]) -> frozenset[int]:
    """The options that a gold answer names: one, or several where it lists them; none where it is undecided."""
    if gold in choices and len(gold) > 1:
        # Options such as "(b)" that are not the second ones.
        return frozenset({options.first(choices.index(gold), choices)})
    one = options.named(gold, choices)
    if one and len(one) == 1:
        return frozenset(one)
    several = _several(gold, choices) or set()
    return frozenset(several if len(several) > 1 else ())


def _several(answer: str, choices: tuple[str, ...]) -> set[int] | None:
    """All options of a list of them: "A, C", "A and C", "AC"."""
    said = plain(answer)
    letters = ascii_uppercase[: len(choices)]
    if said.isalpha() and said.isupper() and len(said) > 1 and set(said) <= set(letters):
        return {options.first(letters.index(letter), choices) for letter in said}
    found: set[int] = set()
    for item in (part for each in split(answer) for part in re.split(r"\s+or\s+|\s*/\s*|或", each)):
        named = options.named(item, choices)
        if not named or len(named) > 1:
            return None
        found |= named
    return found


def _letters(indices: set[int] | frozenset[int]) -> str:
    return ", ".join(ascii_uppercase[index] for index in sorted(indices))
