"""Judges responses: find the answer that a response states (`extract`), judge it by the problem's rule (`rules`)."""

from __future__ import annotations

from mixpref.records import Problem, Verdict
from mixpref.verifying.extract import extract
from mixpref.verifying.plain import plain
from mixpref.verifying.rules import RULES, rule_of

__all__ = ["verify"]


def verify(problem: Problem, text: str, style: str = "en") -> Verdict:
    """Judge a response to a problem that was asked in the given prompt style.

    correct   the stated answer is a gold answer
    wrong     it is clearly stated, and another one
    unparsed  there is no answer in the form that the style asks for, or it states several things
    error     the problem cannot be judged (no gold answer, an unknown rule, a gold answer that the rule cannot read),
              or the judge itself failed; nothing is known of the response

    Raises no exception for any text; ValueError for a style that is not in `prompts.STYLES`.
    """
    found = extract(text, style)
    rule = problem.rule or ""
    try:
        rule = rule_of(problem)
        if problem.answer is None:
            return Verdict(outcome="error", rule=rule, detail="open question: there is no gold answer to judge by")
        if rule not in RULES:
            return Verdict(outcome="error", rule=rule, detail=f"unknown rule; the rules are {', '.join(RULES)}")
        if found.answer is None or not plain(found.answer):
            return Verdict(outcome="unparsed", rule=rule, detail=found.reason or "the answer is empty")
        judgement = RULES[rule](problem, found.answer)
    except Exception as failure:
        # A judge that fails knows nothing of the response: calling it wrong would teach the model to avoid it.
        return Verdict(
            outcome="error", answer=found.answer or "", rule=rule, detail=f"{type(failure).__name__}: {failure}"
        )
    return Verdict(outcome=judgement.outcome, answer=found.answer, rule=rule, detail=judgement.detail)
