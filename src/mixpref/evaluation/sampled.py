"""Several sampled chains of thought an item: pass@k, majority votes and the best of n by the policy's own reward.

scores/sampled/mpo.json                                      Score records of pass@4, majority@4, best-of-4 ...
scores/items/mpo-sampled4-pope/{responses,verdicts,rewards}  what they were counted from
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from mixpref.engines.choice import sampling_settings
from mixpref.evaluation.answering import Lazy, answer
from mixpref.evaluation.reward import implicit_rewards
from mixpref.evaluation.sets import QuestionSet
from mixpref.evaluation.votes import Draw, Sample, Share, sample, summarise
from mixpref.progress import progress, say
from mixpref.records import Problem, Response, Score, Verdict
from mixpref.rundir import TRAINED
from mixpref.store import Artifact
from mixpref.verifying.stage import judged

if TYPE_CHECKING:
    from mixpref.rundir import Run

Judging = Callable[[Artifact[Response], Artifact[Verdict], str], str]
"""Puts down verdicts on responses; the text describes the work."""


@dataclass(frozen=True, kw_only=True)
class Reward:
    """The implicit reward of one response, beta (log pi - log pi_0), in nats; None where there is none."""

    response_id: str
    value: float | None


def measure_samples(run: Run, role: str, asked: QuestionSet, engine: Lazy, judge: Judging) -> list[Score]:
    """The figures of `evaluation.samples` chains of thought an item, drawn by the recipe's sampling settings."""
    settings = run.recipe.evaluation
    style = asked.prompt_style("cot", settings.cot_style)
    if style is None:
        return []
    name = asked.benchmark.name if asked.benchmark else ""
    # Another number of samples is another set of answers, also where an evaluation was cut off.
    path = run.scores_dir / "items" / "-".join(filter(None, (role, f"sampled{settings.samples}", name)))
    responses, verdicts = Artifact(path / "responses", Response), Artifact(path / "verdicts", Verdict)
    rewards = Artifact(path / "rewards", Reward)
    label = f"sampled {name}".strip()
    sampling = sampling_settings(run.recipe, settings.max_new_tokens)
    answer(run, asked, responses, engine, sampling, role=role, style=style, label=label, samples=settings.samples)
    judge(responses, verdicts, f"judge {role} {label}")
    # A model that was trained from the recipe's has a reward of its own.
    if role in TRAINED and settings.engine == "transformers" and not rewards.finished:
        _reward(run, role, asked, responses, rewards)
    known = {each.response_id: each.value for each in rewards} if rewards.finished else {}
    found = _samples(asked, judged(responses, verdicts), known)
    summary = summarise(found, seed=run.recipe.seed)
    if summary.errors:
        say(f"evaluate: {role} {label}: {summary.errors} samples failed and are in no figure")
    return [
        _score(role, asked.name, metric, share, draw, summary.left_out)
        for draw in summary.draws
        for metric, share in _measures(draw)
    ]


def _samples(
    asked: QuestionSet, answered: Iterator[tuple[Response, Verdict]], rewards: Mapping[str, float | None]
) -> dict[str, list[Sample]]:
    """The samples of each row; of rows that share a problem, the same ones."""
    by_problem: dict[str, list[Sample]] = {}
    for response, verdict in answered:
        by_problem.setdefault(response.problem_id, []).append(sample(verdict, response, rewards.get(response.id)))
    return {item.key: by_problem[item.problem_id] for item in asked.rows() if not item.fault}


def _reward(run: Run, role: str, asked: QuestionSet, responses: Artifact[Response], rewards: Artifact[Reward]) -> None:
    """Put down the rewards of the samples: by problem, so that a prompt is computed once."""
    places = {problem_id: place for place, (problem_id,) in enumerate(asked.problems.columns("id"))}
    # Without their images problems could all be in memory; with them, one after the other.
    ordered = sorted(responses, key=lambda response: (places[response.problem_id], response.sample))
    rewards.discard()

    def with_problems() -> Iterator[tuple[Problem, Response]]:
        for problem_id, group in groupby(ordered, key=lambda response: response.problem_id):
            (problem,) = asked.problems.at([places[problem_id]])
            for response in group:
                yield problem, response

    reward = partial(implicit_rewards, beta=run.recipe.training.beta, batch_size=run.recipe.evaluation.batch_size)
    trust = run.recipe.trust_remote_code
    found: list[Reward] = []
    with progress(f"reward {role}", len(ordered)) as advance:
        values = reward(with_problems(), str(run.model_dir(role)), str(run.model_dir("base")), trust_remote_code=trust)
        for response, value in zip(ordered, values, strict=True):
            found.append(Reward(response_id=response.id, value=value))
            advance()
    rewards.append("00000", found)
    none = sum(each.value is None for each in found)
    rewards.finish({"beta": run.recipe.training.beta}, {"responses": len(found), "without a reward": none})


def _measures(draw: Draw) -> Iterator[tuple[str, Share]]:
    yield f"pass@{draw.k}", draw.any_right
    yield f"majority@{draw.k}", draw.majority
    if draw.best is not None:
        yield f"best-of-{draw.k}", draw.best


def _score(role: str, name: str, metric: str, share: Share, draw: Draw, left_out: int) -> Score:
    return Score(
        model=role,
        benchmark=name,
        style="cot",
        n=draw.items,
        accuracy=share.value,
        low=share.low,
        high=share.high,
        unparsed=0.0,
        errors=left_out,
        metric=metric,
    )
