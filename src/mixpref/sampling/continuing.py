"""The stage `continue`: the rejected sides of Dropout-NTP pairs (arXiv 2411.10442, section 3).

A response to a question without a gold answer is cut after a share of it, and the model goes on from there without the
images. What it then says, it makes up; so the whole response, given with the images, is the better one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

from mixpref.engines.request import Engine
from mixpref.progress import say
from mixpref.records import Response
from mixpref.rundir import Run
from mixpref.sampling.passes import fill
from mixpref.sampling.plan import Ask
from mixpref.sampling.stage import answers_of, plan_of
from mixpref.seeds import derive

GONE_ON = "gone on from"
NO_PREFIX = "too short to be cut"
UNFIT = "cut at the token limit, failed or empty"
BLIND_ALREADY = "of problems without images"


def continue_blindly(run: Run, engine_factory: Callable[[], Engine] | None = None) -> None:
    """Fill `continuations/`: one blind continuation of each fit response to an open problem, in their order.

    A continuation's `sample` is that of the response; its `prefix` is what was kept of it. The manifest says of every
    response to an open problem whether it was gone on from.

    Raises MixprefError as engines do.
    """
    artifact = run.continuations
    if artifact.finished:
        return
    folder = run.path / "sampling"
    seed = derive(run.recipe.seed, "continue")
    plan = plan_of(run, folder / "continue", seed)
    if not plan.finished:
        fates: Counter[str] = Counter()
        plan.write(_asks(run, fates), fates)
    fill(plan, artifact, answers_of(run, engine_factory), folder / "continue.journal", "continue")
    fates = Counter({name: number for name, number in plan.asks.manifest["counts"].items() if name != "requests"})
    finishes = Counter(finish for (finish,) in artifact.columns("finish"))
    counts = {
        "responses to open problems": {"all": fates.total(), **dict(sorted(fates.items()))},
        "continuations": {"all": finishes.total(), **dict(sorted(finishes.items()))},
    }
    settings = {"seed": run.recipe.seed, "dropout_ratio": run.recipe.pairing.dropout_ratio}
    artifact.finish(settings, counts, model=run.recipe.model)
    plan.asks.discard()
    say(f"continue: {finishes.total()} responses gone on from without their images, {finishes['error']} failed")


def _asks(run: Run, fates: Counter[str]) -> Iterator[Ask]:
    """Counts in `fates` the responses that are left out."""
    from mixpref.pairing.dropout import prefix

    ratio = run.recipe.pairing.dropout_ratio
    answers = groupby(run.responses, key=lambda response: response.problem_id)
    found: tuple[str, Iterator[Response]] | None = next(answers, None)
    rows = run.problems("train").columns("id", "answer", "images")
    for number, (problem_id, answer, images) in enumerate(rows):
        if found is None or found[0] != problem_id:
            continue
        for response in found[1] if answer is None else ():
            if response.finish != "stop" or not response.text.strip():
                fates[UNFIT] += 1
            elif not images:
                fates[BLIND_ALREADY] += 1
            elif ratio and not prefix(response.text, ratio):
                fates[NO_PREFIX] += 1
            else:
                fates[GONE_ON] += 1
                yield Ask(
                    number=number,
                    style=response.style,
                    first=response.sample,
                    prefix=prefix(response.text, ratio),
                    blind=True,
                )
        found = next(answers, None)
