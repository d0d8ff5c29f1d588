"""A small made-up run, once as findings in memory and once as a directory written by the stages' own store."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from mixpref.evaluation.comparison import compare
from mixpref.evaluation.stage import items
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import PreferencePair, Problem, Response, Score, Verdict
from mixpref.reporting.cases import Answered, item_case, pair_case
from mixpref.reporting.changes import Changes
from mixpref.reporting.gallery import Gallery
from mixpref.reporting.gather import Findings
from mixpref.reporting.pictures import Album
from mixpref.reporting.sampled import Paired, Sampled
from mixpref.rundir import Run
from mixpref.sources import Rejected


def picture(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (24, 16), (shade, 90, 120)).save(stream, "PNG")
    return stream.getvalue()


def make_problem(number: int, family: str = "chart", **more: object) -> Problem:
    values = {"question": f"How high is bar {number}?", "answer": str(number), "images": (picture(number % 256),)}
    return Problem(source="made", family=family, **{**values, **more})  # type: ignore[arg-type]


def make_response(problem: Problem, sample: int, text: str, finish: str = "stop", style: str = "en") -> Response:
    return Response(
        problem_id=problem.id,
        sample=sample,
        text=text,
        tokens=9,
        finish=finish,  # type: ignore[arg-type]
        seed=sample,
        style=style,
        sampler="made t=1",
        logprob=-4.0,
    )


def make_score(model: str, style: str, accuracy: float, benchmark: str = "world", n: int = 600) -> Score:
    return Score(
        model=model,
        benchmark=benchmark,
        style=style,  # type: ignore[arg-type]
        n=n,
        accuracy=accuracy,
        low=accuracy - 0.03,
        high=accuracy + 0.03,
        unparsed=0.01,
        tokens=31.0,
    )


def make_pair(problem: Problem, chosen: str, rejected: str, why: str = "correctness") -> PreferencePair:
    return PreferencePair(
        problem_id=problem.id,
        chosen=chosen,
        rejected=rejected,
        why=why,  # type: ignore[arg-type]
        style="en",
        chosen_origin=f"{problem.id}-0 made",
        rejected_origin=f"{problem.id}-1 made",
    )


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    return make_problem


@pytest.fixture(scope="session")
def response() -> Callable[..., Response]:
    return make_response


@pytest.fixture(scope="session")
def score() -> Callable[..., Score]:
    return make_score


@pytest.fixture(scope="session")
def pair() -> Callable[..., PreferencePair]:
    return make_pair


@pytest.fixture(scope="session")
def findings() -> Findings:
    """Every part of the page has something to show."""
    trained, asked = make_problem(4), make_problem(7, "table", choices=("6", "7"), answer="B")
    right, wrong = Verdict(outcome="correct", answer="4"), Verdict(outcome="wrong", answer="5")
    wrong_first = Answered(role="base", response=make_response(asked, 0, "Six.\nFinal answer: A"), verdict=wrong)
    right_then = Answered(role="mpo", response=make_response(asked, 0, "Seven.\nFinal answer: B"), verdict=right)
    album = Album()
    pictures = {each.id: album.keys(each.images) for each in (trained, asked)}
    texts = "The bar is 4.\nFinal answer: 4", "The bar is 5.\nFinal answer: 5"
    scores = [
        make_score(model, style, accuracy)
        for model, style, accuracy in (
            ("base", "direct", 0.40),
            ("base", "cot", 0.30),
            ("mpo", "direct", 0.45),
            ("mpo", "cot", 0.65),
        )
    ]
    scores += [make_score(each.model, each.style, each.accuracy, "world/chart", 300) for each in scores]
    log = tuple({"step": step, "loss": 2.0 / step, "rewards/chosen": step / 10, "delta": 0.1} for step in range(1, 9))
    return Findings(
        name="small",
        recipe="name: small\nseed: 3\n",
        seed=3,
        scores=tuple(scores),
        train=10,
        held_out=600,
        unused=3,
        rejected=(Rejected(source_file="rows.jsonl", line=12, kind="no question", reason="the row has no question"),),
        sampled=Sampled(
            finishes={"stop": 70, "length": 8, "error": 2},
            outcomes={"correct": 30, "wrong": 40, "unparsed": 8, "error": 2},
            families={"chart": {"correct": 20, "wrong": 10}, "table": {"correct": 10, "wrong": 30, "unparsed": 8}},
            tokens={"correct": {9: 20, 14: 10}, "wrong": {5: 40}},
            solved={(8, 0): 4, (8, 4): 4, (6, 6): 1, (0, 0): 1},
        ),
        paired=Paired(
            kinds={"correctness": 50, "format": 5},
            problems=8,
            tokens={"chosen": {9: 30, 14: 25}, "rejected": {5: 55}},
            gaps={-3: 5, 4: 50},
        ),
        gallery=Gallery(
            pairs=[pair_case(make_pair(trained, *texts), trained, right, wrong, (9, 7), pictures[trained.id])],
            items=[
                item_case(asked, "cot", "world", wrong_first, right_then, pictures[asked.id]),
                item_case(asked, "direct", "world", right_then, wrong_first, pictures[asked.id]),
            ],
            pictures=album.pictures,
        ),
        changes=(
            Changes(
                benchmark="world",
                style="cot",
                before="base",
                after="mpo",
                comparison=compare(
                    {str(n): n < 180 for n in range(590)}, {str(n): n < 170 or n >= 370 for n in range(600)}
                ),
                kinds={"fixed": 220, "broken": 10, "both right": 170, "both wrong": 190, "no outcome": 10},
            ),
        ),
        logs={"mpo": log, "sft": log[:4]},
        manifests={"pairs/manifest.json": '{\n  "records": 55\n}'},
    )


def write_run(run: Run) -> Run:
    """12 problems with 4 samples each, 28 pairs, 10 held-out problems, base and mpo evaluated, mpo trained."""
    train = [make_problem(number, ("chart", "table")[number % 2]) for number in range(12)]
    held_out = [make_problem(100 + number) for number in range(10)]
    for split, problems in (("train", train), ("held_out", held_out)):
        artifact = run.problems(split)  # type: ignore[arg-type]
        artifact.append("00000", problems)
        artifact.finish({"source": "made"}, {"rows": 29, "unused": 5})
    refused = [Rejected(source_file="a.jsonl", line=line, kind="bad JSON", reason="cut") for line in (7, 9)]
    run.rejects_file.write_text("".join(json.dumps(asdict(row)) + "\n" for row in refused))

    responses: list[Response] = []
    verdicts: list[Verdict] = []
    pairs: list[PreferencePair] = []
    for number, problem in enumerate(train):
        texts = [f"Final answer: {number}", "Final answer: 99", "I cannot say.", "Final answer: 98"]
        outcomes = ["correct", "wrong", "unparsed", "wrong"]
        if number in (0, 1, 2):
            outcomes[3] = "unparsed"
        if number == 3:
            outcomes[2] = "error"
        finishes = ["stop", "stop", "length" if number < 3 else "stop", "stop"]
        made = [make_response(problem, k, text, finishes[k]) for k, text in enumerate(texts)]
        responses += made
        verdicts += (
            Verdict(outcome=outcome, answer=text[-2:], response_id=response.id)  # type: ignore[arg-type]
            for outcome, text, response in zip(outcomes, texts, made, strict=True)
        )
        pairs += (make_pair(problem, texts[0], texts[1]), make_pair(problem, texts[0], "9" * 400))
        if number < 4:
            pairs.append(make_pair(problem, texts[0], texts[2], "format"))
    for artifact, records in ((run.responses, responses), (run.verdicts, verdicts), (run.pairs, pairs)):
        artifact.append("00000", records)  # type: ignore[arg-type]
        artifact.finish({}, {})

    log = [{"step": step, "loss": 1 / step, "rewards/margins": step / 10} for step in (1, 2, 3)]
    run.model_dir("mpo").mkdir()
    (run.model_dir("mpo") / "training_log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))

    right = {("base", "cot"): {0, 1, 6}, ("mpo", "cot"): {0, 1, 2, 3, 4, 5}}
    right |= {("base", "direct"): {0}, ("mpo", "direct"): {0, 1}}
    for (model, style), correct in right.items():
        write_items(run, model, style, held_out, correct)
    for model in ("base", "mpo"):
        scores = [make_score(model, style, len(right[model, style]) / 10) for style in ("direct", "cot")]
        (run.scores_dir / f"{model}.json").write_text(json.dumps([asdict(score) for score in scores]))
    return run


def write_items(run: Run, model: str, style: str, problems: list[Problem], correct: set[int]) -> None:
    """Outcomes of one evaluation; problem 8 of the trained model's chains of thought is an error."""
    responses, verdicts = [], []
    for number, problem in enumerate(problems):
        outcome = "correct" if number in correct else "wrong"
        outcome = "error" if (model, style, number) == ("mpo", "cot", 8) else outcome
        responses.append(make_response(problem, 0, f"{model} says {outcome}", style=style))
        verdicts.append(Verdict(outcome=outcome, answer="1", response_id=responses[-1].id))  # type: ignore[arg-type]
    for artifact, records in zip(items(run, model, style), (responses, verdicts), strict=True):
        artifact.append("00000", records)  # type: ignore[arg-type]


@pytest.fixture
def empty_run(tmp_path: Path) -> Run:
    return Run.open(tmp_path / "empty", Recipe(name="empty", problems=ProblemsRecipe(train=12)))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    def make(seed: int = 3) -> Run:
        return write_run(Run.open(tmp_path / f"run{seed}", Recipe(name="small", seed=seed)))

    return make


@pytest.fixture
def made_run(make_run: Callable[..., Run]) -> Run:
    return make_run()
