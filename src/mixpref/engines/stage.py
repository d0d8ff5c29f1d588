"""The stage `sample`: n chains of thought for every training problem."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

from mixpref.errors import MixprefError
from mixpref.progress import progress, say
from mixpref.rundir import Run, resolve_model


def sample(run: Run, engine_factory: Callable[[str], Any] | None = None) -> None:
    """Fill `responses/` from `problems/train`, a shard a batch; batches that are there already stay.

    Raises MixprefError where there are no problems, or where no response at all could be made.
    """
    recipe = run.recipe.sampling
    artifact = run.responses
    problems = run.problems("train").read()
    if not problems:
        raise MixprefError(f"{run.path}/problems/train is empty: run `mixpref run` from its start")
    batches = [problems[start : start + recipe.batch_size] for start in range(0, len(problems), recipe.batch_size)]
    done = artifact.done()
    engine: Any = None
    before = sum(len(batch) for index, batch in enumerate(batches) if f"{index:05d}" in done)
    with progress("sample", len(problems), done=before) as advance:
        for index, batch in enumerate(batches):
            key = f"{index:05d}"
            if key in done:
                continue
            if engine is None:
                model = resolve_model(run.recipe.model)
                engine = engine_factory(model) if engine_factory else _engine(model, run.recipe.model)
            answers = engine.generate(
                batch,
                recipe.style,
                recipe.samples,
                seed=run.recipe.seed,
                temperature=recipe.temperature,
                top_k=recipe.top_k,
                top_p=recipe.top_p,
                max_new_tokens=recipe.max_new_tokens,
            )
            artifact.append(key, [response for responses in answers for response in responses])
            advance(len(batch))
    finishes = Counter(response.finish for response in artifact)
    total = finishes.total()
    if finishes["error"] == total:
        first = next(iter(artifact)).error
        raise MixprefError(f"none of the {len(problems)} problems could be put to the model; the first failed: {first}")
    ends = {kind: finishes[kind] for kind in ("stop", "length", "error")}
    counts = {"problems": len(problems), "responses": total, **ends}
    artifact.finish({"seed": run.recipe.seed, **dataclasses.asdict(recipe)}, counts, model=run.recipe.model)
    say(
        f"sample: {total} responses to {len(problems)} problems, "
        f"{ends['length']} cut at the token limit, {ends['error']} failed"
    )


def _engine(model: str, name: str) -> Any:
    from mixpref.engines.transformers import TransformersEngine

    return TransformersEngine(model, name=name)
