"""The stage `evaluate`: every model greedily on the held-out problems, asked directly and for a chain of thought.

    scores/base.json                            Score records of one model
    scores/items/base-cot/{responses,verdicts}  what they were counted from

A chain of thought is asked for and read in the form of `evaluation.cot_style`, as in the MPO paper's protocol.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any

from mixpref.engines.choice import transformers_engine
from mixpref.engines.request import Engine, Request, Sampling
from mixpref.errors import MixprefError
from mixpref.evaluation.statistics import pass_at_k, wilson
from mixpref.progress import progress, say
from mixpref.records import Problem, Response, Score, Verdict
from mixpref.seeds import derive
from mixpref.store import Artifact, write_json
from mixpref.verifying.stage import fill, judged

if TYPE_CHECKING:
    from mixpref.rundir import Run

WINDOW = 16
"""Batches whose problems are sorted together, so that a batch's responses are of like length and end together."""


def evaluate(
    run: Run, roles: Sequence[str] = ("base", "mpo"), engine_factory: Callable[[str], Engine] | None = None
) -> None:
    """Write `scores/<role>.json` for each role: accuracy on all held-out problems, and on each of their families.

    engine_factory: makes an engine of a model's directory or hub name; None takes the transformers engine. A model is
    loaded only if a response of it is missing: what an interrupted evaluation has made stays.

    Open problems have no gold answer and are left out; the manifests in `scores/items` count them. A problem whose
    generation or judging failed is in `Score.errors` and not in `Score.n`.

    Raises MixprefError where a model is missing, where there are no held-out problems, or where all of them failed.
    """
    problems = run.problems("held_out")
    if not problems.finished:
        raise MixprefError(f"{problems.path} is not complete; run `mixpref run` from its start")
    for role in roles:
        if role != "base" and not (run.model_dir(role) / "config.json").exists():
            raise MixprefError(f"there is no model in {run.model_dir(role)}; run `mixpref train` first")
    # Judging and counting need no images: one pass over the problems serves all models and styles.
    slim = [replace(problem, images=()) for problem in problems]
    for role in roles:
        scores: list[Score] = []
        engine = _Lazy(str(run.model_dir(role)), engine_factory or _transformers(run))
        for style in run.recipe.evaluation.styles:
            _answer(run, role, style, engine)
            responses, verdicts = items(run, role, style)
            if not verdicts.finished:
                fill(run, slim, responses, verdicts, description=f"judge {role} {style}")
            scores += _scores(run, role, style, {problem.id: problem.family for problem in slim})
        write_json(run.scores_dir / f"{role}.json", [asdict(score) for score in scores])


def items(run: Run, role: str, style: str) -> tuple[Artifact[Response], Artifact[Verdict]]:
    """The responses of a role in a style (direct or cot) and their verdicts, one of each a problem, in one order."""
    path = run.scores_dir / "items" / f"{role}-{style}"
    return Artifact(path / "responses", Response), Artifact(path / "verdicts", Verdict)


def sampled_pass_at_k(run: Run, k: int) -> float | None:
    """Mean pass@k of the base model's samples on the training problems, in 0..1; None where no problem has k samples.

    Samples whose generation or judging failed are not counted.
    """
    shares = []
    pairs = judged(run.responses, run.verdicts)
    for _, group in groupby(pairs, key=lambda each: each[0].problem_id):
        outcomes = Counter(verdict.outcome for _, verdict in group)
        n = outcomes.total() - outcomes["error"]
        if n >= k:
            shares.append(pass_at_k(n, outcomes["correct"], k))
    return sum(shares) / len(shares) if shares else None


class _Lazy:
    """An engine that is made when it is first needed."""

    def __init__(self, model: str, factory: Callable[[str], Engine]) -> None:
        self.model = model
        self._factory = factory
        self._engine: Engine | None = None

    def __call__(self) -> Engine:
        if self._engine is None:
            self._engine = self._factory(self.model)
        return self._engine


def _transformers(run: Run) -> Callable[[str], Engine]:
    recipe = run.recipe

    def make(model: str) -> Engine:
        size = recipe.evaluation.batch_size
        return transformers_engine(model, model, batch_size=size, trust_remote_code=recipe.trust_remote_code)()

    return make


def _answer(run: Run, role: str, style: str, engine: _Lazy) -> None:
    """Generate the responses that are not there yet."""
    settings = run.recipe.evaluation
    responses, _ = items(run, role, style)
    if responses.finished:
        return
    done = responses.done()
    asked = settings.cot_style if style == "cot" else style
    open_problems = 0

    def closed() -> Iterator[Problem]:
        nonlocal open_problems
        for problem in run.problems("held_out"):
            open_problems += problem.answer is None
            if problem.answer is not None:
                yield problem

    missing: list[tuple[str, int]] = []
    """Of the requests: each one's shard, and the size of that."""

    def requests(advance: Callable[..., None]) -> Iterator[Request]:
        for index, batch in enumerate(_batches(closed(), settings.batch_size)):
            if (key := f"{index:05d}") in done:
                advance(len(batch))
                continue
            for problem in batch:
                missing.append((key, len(batch)))
                yield Request(problem=problem, style=asked, seed=derive(run.recipe.seed, style))

    greedy = Sampling(temperature=0, max_new_tokens=settings.max_new_tokens)
    with progress(f"evaluate {role} {style}", len(run.problems("held_out"))) as advance:
        stream = requests(advance)
        # A model that has nothing to answer is not loaded.
        first = next(stream, None)
        shards: dict[str, dict[int, Response]] = {}
        for place, (response,) in engine().answer(chain((first,), stream), greedy) if first else ():
            key, size = missing[place]
            shards.setdefault(key, {})[place] = response
            advance()
            if len(shards[key]) == size:
                responses.append(key, [each for _, each in sorted(shards.pop(key).items())])
    finishes = Counter(response.finish for response in responses)
    counts = {
        "problems": finishes.total() + open_problems,
        "open questions": open_problems,
        "responses": finishes.total(),
        **{kind: finishes[kind] for kind in ("stop", "length", "error")},
    }
    responses.finish({"role": role, "style": asked, "max_new_tokens": settings.max_new_tokens}, counts, engine.model)


def _batches(problems: Iterator[Problem], size: int) -> Iterator[list[Problem]]:
    """The problems in batches of one size, each of like problems; the same in every run."""
    while window := list(islice(problems, WINDOW * size)):
        window.sort(key=lambda problem: (problem.family, len(problem.images), len(problem.question)))
        for start in range(0, len(window), size):
            yield window[start : start + size]


def _scores(run: Run, role: str, style: str, families: Mapping[str, str]) -> list[Score]:
    """The score on everything, then that of each family."""
    benchmark = "world" if run.recipe.problems.source == "world" else "held-out"
    responses, verdicts = items(run, role, style)
    groups: dict[str, list[tuple[Response, Verdict]]] = {}
    for response, verdict in judged(responses, verdicts):
        groups.setdefault(families[response.problem_id], []).append((response, verdict))
    everything = [each for group in groups.values() for each in group]
    if not everything:
        say(f"evaluate: no held-out problem has an answer: there is nothing to score {role} {style} by")
        return []
    overall = _score(role, benchmark, style, everything)
    if overall is None:
        reason = everything[0][1].detail
        raise MixprefError(
            f"none of the {len(everything)} held-out problems could be evaluated ({role} {style}); the first failed "
            f"with: {reason}"
        )
    left_out = f", {overall.errors} failed and left out" if overall.errors else ""
    say(f"evaluate: {role} {style}: {100 * overall.accuracy:.1f} % of {overall.n} problems{left_out}")
    named = sorted(family for family in groups if family)
    parts = (_score(role, f"{benchmark}/{family}", style, groups[family]) for family in named)
    return [overall, *(part for part in parts if part)]


def _score(role: str, benchmark: str, style: Any, answered: Sequence[tuple[Response, Verdict]]) -> Score | None:
    """None where every problem failed: then nothing is known."""
    outcomes = Counter(verdict.outcome for _, verdict in answered)
    n = outcomes.total() - outcomes["error"]
    if not n:
        return None
    low, high = wilson(outcomes["correct"], n)
    return Score(
        model=role,
        benchmark=benchmark,
        style=style,
        n=n,
        accuracy=outcomes["correct"] / n,
        low=low,
        high=high,
        unparsed=outcomes["unparsed"] / n,
        errors=outcomes["error"],
        tokens=sum(response.tokens for response, verdict in answered if verdict.outcome != "error") / n,
    )
