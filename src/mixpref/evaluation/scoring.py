"""Scores of answers: the benchmark's official figure of all items, and of each of its groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Answer, Benchmark, Item, accuracy
from mixpref.evaluation.sets import QuestionSet
from mixpref.progress import say
from mixpref.records import Problem, Response, Score, Verdict


def scores(
    role: str,
    style: str,
    asked: QuestionSet,
    problems: Mapping[str, Problem],
    judged: Iterable[tuple[Response, Verdict]],
    *,
    judge: str = "",
) -> list[Score]:
    """The score on everything, then that of each group. Items without an outcome are in `Score.errors`, not in `n`.

    problems: without images, by their ids. judge: who read the answers, for the scores to name.
    Raises MixprefError where no item has an outcome.
    """
    answered = {response.problem_id: (response, verdict) for response, verdict in judged}
    everything: list[Answer | None] = []
    groups: dict[str, list[Answer | None]] = {}
    reason = ""
    for item in asked.rows():
        answer = _answer(item, problems, answered)
        if answer is None and not reason:
            reason = item.fault or answered[item.problem_id][1].detail
        everything.append(answer)
        for group in item.groups:
            groups.setdefault(group, []).append(answer)
    noun = f"items of {asked.benchmark.title}" if asked.benchmark else "held-out problems"
    if not everything:
        say(f"evaluate: none of the {noun} has an answer: there is nothing to score {role} {style} by")
        return []
    whole = _score(role, asked.name, style, everything, asked.benchmark, judge)
    if whole is None:
        raise MixprefError(
            f"none of the {len(everything)} {noun} could be evaluated ({role} {style}); the first failed with: {reason}"
        )
    left_out = f", {whole.errors} failed and left out" if whole.errors else ""
    say(f"evaluate: {role} {style}: {shown(whole)} on {whole.n} {noun}{left_out}")
    parts = (
        _score(role, f"{asked.name}/{group}", style, groups[group], asked.benchmark, judge) for group in sorted(groups)
    )
    return [whole, *(part for part in parts if part)]


def shown(score: Score) -> str:
    """The figure as people read it: 65.0 %, or 3.52 of 6."""
    if score.scale == 1:
        return f"{100 * score.accuracy:.1f} %"
    return f"{score.accuracy:.2f} of {score.scale:g}"


def _answer(
    item: Item, problems: Mapping[str, Problem], answered: Mapping[str, tuple[Response, Verdict]]
) -> Answer | None:
    if item.fault:
        return None
    response, verdict = answered[item.problem_id]
    if verdict.outcome == "error":
        return None
    return Answer(item=item, problem=problems[item.problem_id], response=response, verdict=verdict)


def _score(
    role: str, name: str, style: Any, found: Sequence[Answer | None], benchmark: Benchmark | None, judge: str
) -> Score | None:
    """None where every item failed: then nothing is known."""
    answers = [answer for answer in found if answer is not None]
    if not answers:
        return None
    figure = (benchmark.figure if benchmark else accuracy)(answers)
    n = len(answers)
    outcomes = Counter(answer.verdict.outcome for answer in answers)
    return Score(
        model=role,
        benchmark=name,
        style=style,
        n=n,
        accuracy=figure.value,
        low=figure.low,
        high=figure.high,
        unparsed=outcomes["unparsed"] / n,
        errors=len(found) - n,
        tokens=sum(answer.response.tokens for answer in answers) / n,
        metric=benchmark.metric if benchmark else "accuracy",
        scale=benchmark.scale if benchmark else 1.0,
        details=figure.details,
        judge=judge,
    )
