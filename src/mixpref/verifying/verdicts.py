"""Verdicts on responses, one at a time or by the hundred thousand.

What a rule can say at once is said at once; what needs computer algebra goes to killable processes, what needs a
judge's reading to the judge. In bulk those comparisons are made side by side, each different one once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from mixpref.errors import MixprefError
from mixpref.records import Problem, Verdict
from mixpref.verifying.extract import extract, form
from mixpref.verifying.judgement import Algebra, Judgement
from mixpref.verifying.plain import plain
from mixpref.verifying.rules import JUDGED, RULES, judge_by, rule_of

if TYPE_CHECKING:
    from mixpref.verifying.judge import Judge
    from mixpref.verifying.pool import Pool

Item = tuple[Problem, str, str | None]
"""A problem, the text of a response to it, and the prompt style that it was asked in."""

WINDOW = 4096
"""Responses that are worked on together in bulk: what is in memory at a time."""


def verify(
    problem: Problem,
    text: str,
    style: str | None = None,
    *,
    judge: Judge | None = None,
    pool: Pool | None = None,
) -> Verdict:
    """Judge a response to a problem that was asked in the given prompt style.

    style: None or `any` for the output of a model that was asked in some other way; `extract` says what each style
        takes for a clear answer.
    judge: who reads the answers to open questions (the rule `judge`); without one they are errors.
    pool: the processes for computer algebra; None takes those that all of this process share.

    correct   the stated answer is a gold answer
    wrong     it is clearly stated, and another one
    unparsed  there is no answer in the form that the style asks for, or it states several things
    error     the problem cannot be judged (no gold answer, an unknown rule, a gold answer that the rule cannot read),
              or the judgement itself failed, hung or crashed; nothing is known of the response

    Safe in threads. Raises no exception for any text; ValueError for a style that is not in `extract.STYLES`;
    MixprefError where judge or pool cannot work at all (a wrong key, no math-verify).
    """
    return next(verify_all([(problem, text, style)], judge=judge, pool=pool))


def verify_all(items: Iterable[Item], *, judge: Judge | None = None, pool: Pool | None = None) -> Iterator[Verdict]:
    """Verdicts on many responses, as `verify` gives them, in the items' order.

    Reads WINDOW items at a time. Of equal answers to one problem within them only the first is judged, so that the
    responses to a problem should stand together.
    """
    reader = iter(items)
    while window := list(islice(reader, WINDOW)):
        yield from _window(window, judge, pool)


@dataclass(frozen=True)
class _Open:
    """An answer that a judge has to read."""

    problem: Problem
    answer: str


OPEN_DETAIL = "open question: there is no gold answer to judge by, and no judge"

_Pending = Algebra | _Open


def _window(items: Sequence[Item], judge: Judge | None, pool: Pool | None) -> list[Verdict]:
    verdicts: list[Verdict] = []
    # Of each different (problem, answer): its verdict, or what is needed for it.
    known: dict[tuple[str, str, bool], Verdict | _Pending] = {}
    waiting: dict[_Pending, Verdict | None] = {}
    places: list[tuple[int, _Pending]] = []
    for problem, text, style in items:
        rule = _rule(problem, judge)
        found = extract(text, style, lines=rule == JUDGED)
        if rule == JUDGED and form(style) not in ("en", "zh", "boxed", "r1"):
            # An open answer may be longer than a line; what reads it is no pattern.
            found = replace(found, answer=text.strip() or None, reason="the response is empty")
        if problem.answer is None and rule != JUDGED:
            verdict = Verdict(outcome="error", rule=rule, detail=OPEN_DETAIL)
        elif rule not in RULES and rule != JUDGED:
            verdict = Verdict(
                outcome="error", rule=rule, detail=f"unknown rule; the rules are {', '.join((*RULES, JUDGED))}"
            )
        elif found.answer is None:
            verdict = Verdict(outcome="unparsed", rule=rule, detail=found.reason or "the answer is empty")
        else:
            key = (problem.id, found.answer, found.sentence)
            if key not in known:
                known[key] = _first(problem, rule, found.answer, found.sentence, judge)
            outcome = known[key]
            if not isinstance(outcome, Verdict):
                waiting[outcome] = None
                places.append((len(verdicts), outcome))
                outcome = Verdict(outcome="error", answer=found.answer, rule=rule)
            verdict = outcome
        verdicts.append(verdict)
    if waiting:
        settled = _settle(list(waiting), judge, pool)
        for place, pending in places:
            judgement = settled[pending]
            if isinstance(judgement, Judgement):
                verdicts[place] = _verdict(verdicts[place].answer, verdicts[place].rule, judgement)
            else:
                verdicts[place] = replace(verdicts[place], detail=judgement)
    return verdicts


def _rule(problem: Problem, judge: Judge | None) -> str:
    if problem.rule is None and problem.answer is None and judge is not None:
        return JUDGED
    return rule_of(problem)


def _first(problem: Problem, rule: str, answer: str, sentence: bool, judge: Judge | None) -> Verdict | _Pending:
    """The verdict that needs no help, or the help that it needs."""
    if not plain(answer):
        return Verdict(outcome="unparsed", rule=rule, detail="the answer is empty")
    if rule == JUDGED:
        if judge is None:
            return Verdict(outcome="error", answer=answer, rule=rule, detail="the rule judge needs a judge")
        return _Open(problem, answer)
    try:
        judgement = judge_by(rule, problem, answer, sentence)
    except Exception as failure:
        # A rule that fails knows nothing of the response: calling it wrong would teach the model to avoid it.
        return Verdict(outcome="error", answer=answer, rule=rule, detail=f"{type(failure).__name__}: {failure}")
    if isinstance(judgement, Algebra):
        return judgement
    return _verdict(answer, rule, judgement)


def _settle(pending: Sequence[_Pending], judge: Judge | None, pool: Pool | None) -> dict[_Pending, Judgement | str]:
    """A judgement of each, or the reason why there is none."""
    settled: dict[_Pending, Judgement | str] = {}
    algebra = [each for each in pending if isinstance(each, Algebra)]
    if algebra:
        from mixpref.verifying import pool as pools

        replies = (pool or pools.shared()).map(
            [{"golds": list(each.golds), "answer": each.answer, "decimals": each.decimals} for each in algebra]
        )
        for each, reply in zip(algebra, replies, strict=True):
            settled[each] = Judgement(**reply.value) if not reply.failure else reply.failure
    opened = [each for each in pending if isinstance(each, _Open)]
    if opened:
        assert judge is not None
        readings = judge.judge_all([(each.problem, each.answer) for each in opened])
        for question, reading in zip(opened, readings, strict=True):
            if isinstance(reading, MixprefError):
                raise reading
            settled[question] = reading if isinstance(reading, Judgement) else f"{type(reading).__name__}: {reading}"
    return settled


def _verdict(answer: str, rule: str, judgement: Judgement) -> Verdict:
    score = judgement.score if judgement.score is not None else float(judgement.outcome == "correct")
    return Verdict(
        outcome=judgement.outcome,
        answer=answer,
        normalised=judgement.normalised,
        rule=rule,
        detail=judgement.detail,
        score=score,
        scores=judgement.scores,
    )
