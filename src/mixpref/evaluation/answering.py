"""Asking a model the questions of a set: what is missing is generated, what is there stays.

scores/items/base-cot/{responses,verdicts}       the held-out problems
scores/items/base-cot-pope/{responses,verdicts}  a benchmark
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

from mixpref.engines.request import Engine, Request, Sampling
from mixpref.evaluation.sets import QuestionSet
from mixpref.progress import progress
from mixpref.prompts import VERBATIM
from mixpref.records import Problem, Response
from mixpref.seeds import derive
from mixpref.store import Artifact

if TYPE_CHECKING:
    from mixpref.rundir import Run

WINDOW = 16
"""Batches whose problems are sorted together, so that a batch's responses are of like length and end together."""


class Lazy:
    """An engine that is made when it is first needed: a model that has nothing to answer is not loaded."""

    def __init__(self, model: str, factory: Callable[[str], Engine]) -> None:
        self.model = model
        self._factory = factory
        self._engine: Engine | None = None

    def __call__(self) -> Engine:
        if self._engine is None:
            self._engine = self._factory(self.model)
        return self._engine


def answer(
    run: Run,
    asked: QuestionSet,
    responses: Artifact[Response],
    engine: Lazy,
    sampling: Sampling,
    *,
    role: str,
    style: str,
    label: str,
    samples: int = 1,
) -> None:
    """Generate the responses that are not there yet, in shards of a batch, and finish the artifact.

    style: the prompt style; `direct` takes a benchmark's own text where it has one. label: for the progress bar.
    samples: of each problem. Open questions of the held-out set are left out.
    """
    if responses.finished:
        return
    size = run.recipe.evaluation.batch_size
    done = responses.done()
    texts = {item.problem_id: item.direct for item in asked.rows() if item.direct} if style == "direct" else {}
    open_problems = 0

    def closed() -> Iterator[Problem]:
        nonlocal open_problems
        for problem in asked.problems:
            if problem.answer is None and asked.benchmark is None:
                open_problems += 1
            else:
                yield problem

    missing: list[tuple[str, int]] = []
    """Of the requests: each one's shard, and the size of that."""

    def requests(advance: Callable[..., None]) -> Iterator[Request]:
        for index, batch in enumerate(_batches(closed(), size)):
            if (key := f"{index:05d}") in done:
                advance(len(batch))
                continue
            for problem in batch:
                missing.append((key, len(batch)))
                yield _request(problem, style, texts.get(problem.id, ""), samples, derive(run.recipe.seed, label))

    with progress(f"evaluate {role} {label}", len(asked.problems)) as advance:
        stream = requests(advance)
        first = next(stream, None)
        shards: dict[str, dict[int, tuple[Response, ...]]] = {}
        for place, answers in engine().answer(chain((first,), stream), sampling) if first else ():
            key, wanted = missing[place]
            shards.setdefault(key, {})[place] = answers
            advance()
            if len(shards[key]) == wanted:
                responses.append(key, [each for _, some in sorted(shards.pop(key).items()) for each in some])
    finishes = Counter(finish for (finish,) in responses.columns("finish"))
    counts = {
        "problems": finishes.total() // samples + open_problems,
        "open questions": open_problems,
        "responses": finishes.total(),
        **{kind: finishes[kind] for kind in ("stop", "length", "error")},
    }
    settings = {"role": role, "style": style, "max_new_tokens": sampling.max_new_tokens}
    if not sampling.greedy:
        settings |= {"samples": samples, "temperature": sampling.temperature}
    responses.finish(settings, counts, engine.model)


def _request(problem: Problem, style: str, text: str, samples: int, seed: int) -> Request:
    if text:
        # The choices stand in the text already; the id is kept, for it is the same problem.
        return Request(problem=replace(problem, question=text, choices=()), style=VERBATIM, samples=samples, seed=seed)
    return Request(problem=problem, style=style, samples=samples, seed=seed)


def _batches(problems: Iterator[Problem], size: int) -> Iterator[list[Problem]]:
    """The problems in batches of one size, each of like problems; the same in every run."""
    while window := list(islice(problems, WINDOW * size)):
        window.sort(key=lambda problem: (problem.family, len(problem.images), len(problem.question)))
        for start in range(0, len(window), size):
            yield window[start : start + size]
