"""The stage `sample`: chains of thought for the training problems, a fixed number each or in adaptive rounds.

sampling/plan       what is asked; with a fixed number of samples the answers go to responses/ at once
sampling/round-00   adaptive: plan, responses and verdicts of each round, merged into responses/ in the end
"""

from __future__ import annotations

import dataclasses
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mixpref.engines.choice import sampling_engine, sampling_settings
from mixpref.engines.request import Engine
from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.rundir import Run
from mixpref.sampling import rounds
from mixpref.sampling.passes import Answering, fill, here, on_ray
from mixpref.sampling.plan import Plan, first_asks

SERVER_UNIT = 64
"""Requests to a server that make a shard."""


def sample(run: Run, engine_factory: Callable[[], Engine] | None = None) -> None:
    """Fill `responses/` from `problems/train`. What an interrupted run has left stays.

    engine_factory: makes the engine in place of the recipe's.

    Raises MixprefError where there are no problems, or where no response at all could be made.
    """
    if run.responses.finished:
        return
    problems = run.problems("train")
    if not len(problems):
        raise MixprefError(f"{problems.path} is empty: run `mixpref run` from its start")
    answering = answers_of(run, engine_factory)
    folder = run.path / "sampling"
    counts: dict[str, Any] = {}
    if run.recipe.sampling.adaptive:
        counts = rounds.fill_in_rounds(run, folder, unit_size(run), answering)
    else:
        plan = plan_of(run, folder / "plan", run.recipe.seed)
        if not plan.finished:
            plan.write(first_asks(run, run.recipe.sampling.samples))
        fill(plan, run.responses, answering, folder / "journal", "sample")
    _finish(run, len(problems), counts)
    shutil.rmtree(folder, ignore_errors=True)


def answers_of(run: Run, engine_factory: Callable[[], Engine] | None = None) -> Answering:
    """How requests are answered: by an engine in this process, or by several on Ray."""
    settings = run.recipe.sampling
    make = engine_factory or sampling_engine(run.recipe)
    sampling = sampling_settings(run.recipe)
    if settings.workers is None:
        return here(make, sampling, journaled=settings.engine == "server")
    return on_ray(make, sampling, settings.workers, settings.worker_gpus, settings.ray)


def plan_of(run: Run, path: Path, seed: int) -> Plan:
    """A plan for the training problems, at a path. seed: goes into the requests."""
    return Plan(path, run.problems("train"), unit_size(run), seed)


def unit_size(run: Run) -> int:
    """Requests of a unit: the engine's own batches here, more where a server takes them one by one."""
    settings = run.recipe.sampling
    return settings.batch_size if settings.engine == "transformers" else SERVER_UNIT


def _finish(run: Run, problems: int, counts: dict[str, Any]) -> None:
    finishes: Counter[str] = Counter()
    tokens = 0
    for finish, generated in run.responses.columns("finish", "tokens"):
        finishes[finish] += 1
        tokens += generated
    total = finishes.total()
    if finishes["error"] == total:
        first = next(iter(run.responses)).error
        # They would be taken for answers by the next run.
        run.responses.discard()
        raise MixprefError(f"none of the {problems} problems could be put to the model; the first failed: {first}")
    ends = {kind: finishes[kind] for kind in ("stop", "length", "error")}
    settings = {"seed": run.recipe.seed, **dataclasses.asdict(run.recipe.sampling)}
    counts = {"problems": problems, "responses": total, **ends, "tokens": tokens, **counts}
    run.responses.finish(settings, counts, model=run.recipe.model)
    say(
        f"sample: {total} responses to {problems} problems, "
        f"{ends['length']} cut at the token limit, {ends['error']} failed"
    )
