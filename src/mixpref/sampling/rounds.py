"""Sampling in rounds (`adaptive.py` says who gets another), and their merging into one artifact.

A round is a whole pass over the problems that go on, so that the engine always has plenty to do; its plan follows from
the verdicts of the rounds before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from mixpref.progress import say
from mixpref.records import Problem, Response, Verdict
from mixpref.rundir import Run
from mixpref.sampling.adaptive import fate
from mixpref.sampling.passes import Answering, fill
from mixpref.sampling.plan import Ask, Plan, first_asks, is_open
from mixpref.store import Artifact
from mixpref.verifying.lookup import Lookup, without_images
from mixpref.verifying.stage import fill as judge
from mixpref.verifying.stage import judged

MERGED = 4096
"""Responses a shard of the merged artifact."""

OPEN = "open questions"

Answers = list[tuple[Response, Verdict]]


@dataclass(frozen=True)
class _Round:
    plan: Plan
    responses: Artifact[Response]
    verdicts: Artifact[Verdict]


def fill_in_rounds(run: Run, folder: Path, unit: int, answering: Answering) -> dict[str, Any]:
    """Sample until no problem goes on, then fill `responses/`. Returns counts for the manifest: the problems of each
    round, and what became of them."""
    settings = run.recipe.sampling
    rounds: list[_Round] = []
    while True:
        path = folder / f"round-{len(rounds):02d}"
        plan = Plan(path / "plan", run.problems("train"), unit, run.recipe.seed)
        responses, verdicts = Artifact(path / "responses", Response), Artifact(path / "verdicts", Verdict)
        if not plan.finished:
            plan.write(
                _next_asks(run, rounds) if rounds else first_asks(run, min(settings.round_samples, settings.samples))
            )
        if not len(plan.asks):
            break
        number = len(rounds) + 1
        if not responses.finished:
            fill(plan, responses, answering, path / "journal", f"sample, round {number}")
            responses.finish({}, {})
        if not verdicts.finished:
            judge(
                run,
                without_images(run.problems("train")),
                responses,
                verdicts,
                description=f"judge, round {number}",
            )
        say(f"sample: round {number}: {len(plan.asks)} problems asked")
        rounds.append(_Round(plan, responses, verdicts))
    _merge(run, rounds)
    fates = Counter(fate for _, _, fate in _by_problem(run, rounds))
    return {
        "rounds": [len(each.plan.asks) for each in rounds],
        "fates": {"all": fates.total(), **dict(sorted(fates.items()))},
    }


def _next_asks(run: Run, rounds: list[_Round]) -> Iterator[Ask]:
    """The problems that go on, in their order."""
    settings = run.recipe.sampling
    for ask, (_, answers, what) in zip(rounds[0].plan.asks, _by_problem(run, rounds), strict=True):
        if what == "goes on":
            samples = min(settings.round_samples, settings.samples - len(answers))
            yield Ask(number=ask.number, style=ask.style, first=len(answers), samples=samples)


def _merge(run: Run, rounds: list[_Round]) -> None:
    done = run.responses.done()
    responses = (response for _, answers, _ in _by_problem(run, rounds) for response, _ in answers)
    index = 0
    while shard := list(islice(responses, MERGED)):
        if (key := f"{index:05d}") not in done:
            run.responses.append(key, shard)
        index += 1


def _by_problem(run: Run, rounds: list[_Round]) -> Iterator[tuple[Problem, Answers, str]]:
    """Each problem with its responses of all rounds and what becomes of it, in the problems' order.

    Every round has some of the problems, all in one order, so the rounds are read side by side.
    """
    settings, pairing = run.recipe.sampling, run.recipe.pairing
    find = Lookup(without_images(run.problems("train")))
    streams = [judged(each.responses, each.verdicts) for each in rounds]
    heads = [next(stream, None) for stream in streams]
    while heads[0] is not None:
        problem = find[heads[0][0].problem_id]
        answers: Answers = []
        for place, stream in enumerate(streams):
            while (head := heads[place]) is not None and head[0].problem_id == problem.id:
                answers.append(head)
                heads[place] = next(stream, None)
        open_question = is_open(problem.answer, run.recipe)
        yield problem, answers, OPEN if open_question else fate(problem, answers, settings, pairing)
    assert not any(heads), "a round holds a problem that the first one does not"
