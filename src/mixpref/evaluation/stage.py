"""The stage `evaluate`: every model greedily on the held-out problems and on benchmarks, directly and by reasoning.

    scores/base.json                                 Score records of one model
    scores/items/base-cot/{responses,verdicts}       what they were counted from, of the held-out problems
    scores/items/base-cot-pope/{responses,verdicts}  the same of a benchmark
    scores/sampled/base.json                         pass@k, majority votes and best of n, where samples are asked for

A chain of thought is asked for and read in the form of `evaluation.cot_style`, as in the MPO paper's protocol; direct
answers in a benchmark's own words where it has any.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from mixpref.engines.choice import server_engine, transformers_engine
from mixpref.engines.request import Engine, Sampling
from mixpref.errors import MixprefError
from mixpref.evaluation.answering import Lazy, answer
from mixpref.evaluation.sampled import measure_samples
from mixpref.evaluation.scoring import scores
from mixpref.evaluation.sets import QuestionSet, check, sets
from mixpref.evaluation.statistics import pass_at_k
from mixpref.progress import say
from mixpref.records import Problem, Response, Score, Verdict
from mixpref.store import Artifact, write_json
from mixpref.verifying.lookup import without_images
from mixpref.verifying.stage import fill, judge_of, judged

if TYPE_CHECKING:
    from mixpref.rundir import Run


def evaluate(
    run: Run, roles: Sequence[str] = ("base", "mpo"), engine_factory: Callable[[str], Engine] | None = None
) -> None:
    """Write `scores/<role>.json` for each role: figures of all that the recipe asks for, and of their groups.

    engine_factory: makes an engine of a model's directory or hub name; None takes the recipe's engine. A model is
    loaded only if a response of it is missing: what an interrupted evaluation has made stays. Scores of benchmarks
    that were measured before and are not asked for now stay, too.

    Open problems among the held-out ones have no gold answer and are left out; the manifests in `scores/items` count
    them. An item whose generation or judging failed is in `Score.errors` and not in `Score.n`.

    Raises MixprefError where a model, a benchmark's data or its judge is missing, where there is nothing to ask, or
    where all items of a set failed.
    """
    settings = run.recipe.evaluation
    if settings.engine == "transformers":
        for role in roles:
            if role in ("mpo", "sft", "dpo") and not (run.model_dir(role) / "config.json").exists():
                raise MixprefError(f"there is no model in {run.model_dir(role)}; run `mixpref train` first")
    if not settings.held_out and not settings.benchmarks:
        raise MixprefError("there is nothing to evaluate: name benchmarks, or set evaluation.held_out")
    check(run)
    asked_sets = sets(run)
    # Judging and counting need no images: one pass over the problems serves all models and styles.
    slim = {asked.name: {problem.id: problem for problem in without_images(asked.problems)} for asked in asked_sets}
    for role in roles:
        found: list[Score] = []
        sampled: list[Score] = []
        engine = Lazy(_model(run, role), engine_factory or _engine(run))
        for asked in asked_sets:
            found += _measure(run, role, asked, slim[asked.name], engine)
            if settings.samples and "cot" in settings.styles:
                judge = partial(_judge, run, asked, slim[asked.name])
                sampled += measure_samples(run, role, asked, engine, judge)
        _write(run.scores_dir / f"{role}.json", found, asked_sets)
        if sampled:
            _write(run.scores_dir / "sampled" / f"{role}.json", sampled, asked_sets)


def items(run: Run, role: str, style: str, benchmark: str = "") -> tuple[Artifact[Response], Artifact[Verdict]]:
    """The responses of a role in a style (direct or cot) and their verdicts, one of each a problem, in one order.

    benchmark: its name; empty: the held-out problems.
    """
    path = run.scores_dir / "items" / (f"{role}-{style}-{benchmark}" if benchmark else f"{role}-{style}")
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


def _model(run: Run, role: str) -> str:
    # A server knows its models by names of its own; a directory here need not exist.
    return run.model_name(role) if run.recipe.evaluation.engine == "server" else str(run.model_dir(role))


def _engine(run: Run) -> Callable[[str], Engine]:
    recipe = run.recipe
    settings = recipe.evaluation

    def make(model: str) -> Engine:
        if settings.engine == "server":
            return server_engine(recipe, model, model, settings.servers)()
        size = settings.batch_size
        return transformers_engine(model, model, batch_size=size, trust_remote_code=recipe.trust_remote_code)()

    return make


def _measure(run: Run, role: str, asked: QuestionSet, problems: dict[str, Problem], engine: Lazy) -> list[Score]:
    """The scores of a model on a set in every style that is asked for and that the set has."""
    settings = run.recipe.evaluation
    benchmark = asked.benchmark
    found: list[Score] = []
    for style in settings.styles:
        prompt_style = asked.prompt_style(style, settings.cot_style)
        if prompt_style is None:
            form = "chains of thought" if style == "cot" else "direct answers"
            say(f"evaluate: {asked.name} is not asked for {form}")
            continue
        label = f"{style} {asked.name}" if benchmark else style
        longest = benchmark.max_new_tokens if benchmark and style == "direct" else None
        sampling = Sampling(temperature=0, max_new_tokens=max(longest or 0, settings.max_new_tokens))
        responses, verdicts = items(run, role, style, benchmark.name if benchmark else "")
        answer(run, asked, responses, engine, sampling, role=role, style=prompt_style, label=label)
        judge = _judge(run, asked, problems, responses, verdicts, f"judge {role} {label}")
        found += scores(role, style, asked, problems, judged(responses, verdicts), judge=judge)
    return found


def _judge(
    run: Run,
    asked: QuestionSet,
    problems: dict[str, Problem],
    responses: Artifact[Response],
    verdicts: Artifact[Verdict],
    description: str,
) -> str:
    """Put down the verdicts that are missing. Returns the judge and the version of its rubric, if one judges."""
    benchmark = asked.benchmark
    rubric = benchmark.rubric if benchmark else ""
    name = run.recipe.evaluation.judge or run.recipe.verifying.judge
    if rubric and verdicts.finished:
        failed = verdicts.manifest["counts"]["error"]
        before = verdicts.manifest["settings"]["judge"]
        # A judge may have been down. Its replies were kept, so that only what failed is asked for again.
        if failed or before != name:
            say(f"{description}: " + (f"{failed} items have no verdict" if failed else f"{before} judged") + "; again")
            verdicts.discard()
    if not verdicts.finished:
        fill(
            run,
            problems.values(),
            responses,
            verdicts,
            description=description,
            judge=partial(judge_of, run, name=name, url=run.recipe.evaluation.judge_url, rubric=rubric)
            if rubric
            else None,
            read=benchmark.read if benchmark else None,
        )
    settings = verdicts.manifest["settings"]
    return f"{settings['judge']}, rubric {settings['rubric']}" if rubric else ""


def _write(file: Path, found: Sequence[Score], asked_sets: Sequence[QuestionSet]) -> None:
    """Write scores, and keep those of sets that were measured earlier and are not asked for now."""
    names = {asked.name for asked in asked_sets}
    try:
        rows = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []
        others = [row for row in rows if row["benchmark"].partition("/")[0] not in names]
    except (ValueError, TypeError, KeyError) as mistake:
        raise MixprefError(
            f"{file} holds no scores ({mistake!r}); delete it and run `mixpref evaluate` again"
        ) from None
    write_json(file, [asdict(score) for score in found] + others)
