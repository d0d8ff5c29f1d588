"""A judged benchmark from made data to its scores: a scripted engine answers, a scripted server on 127.0.0.1 judges."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge_server import JudgeServer, Reply, fails, says, scores

from mixpref.engines.request import Request, Sampling
from mixpref.evaluation.benchmark import Answer, Item
from mixpref.evaluation.benchmarks import folder_name
from mixpref.evaluation.stage import evaluate, items
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.records import Problem, Response, Verdict
from mixpref.rundir import Run, further_roles
from mixpref.verifying import judge

Script = Callable[[str], Reply]
"""The judge's reply to the text that it is asked."""

FAULTS = {
    "fails": fails(500, "the judge is ill"),
    "rambles": says("I would give this one a 10 of 10, because score: 10."),
    "encloses": says('Here you are: {"reason": "fine", "score": 1} - a good one.'),
    "exceeds": scores(11, reference_score=11),
    "halves": scores(0.25),
    "waits": Reply(200, {}, wait=1.0),
}
"""Replies that are no judgement by any of the rubrics; the last one comes too late."""


def answered(*verdicts: Verdict) -> list[Answer]:
    """Answers to different items that got these verdicts."""
    return [
        Answer(
            item=Item(problem_id=str(number), key=str(number)),
            problem=Problem(question=f"Question {number}?"),
            response=response(str(number), "An answer.", "plain"),
            verdict=verdict,
        )
        for number, verdict in enumerate(verdicts)
    ]


def response(problem_id: str, text: str, style: str) -> Response:
    return Response(
        problem_id=problem_id, sample=0, text=text, tokens=5, finish="stop", seed=0, style=style, sampler="scripted",
        logprob=-1.0,
    )  # fmt: skip


def table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a parquet file of rows."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)


@dataclass
class Measured:
    """A run whose only benchmark is a judged one."""

    run: Run
    server: JudgeServer
    script: Script
    """May be changed between two evaluations."""
    asked: list[Request] = field(default_factory=list)
    """What the engine was asked."""

    def evaluate(self, answers: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
        """The scores by benchmark and style, where the model says `answers[question]`."""
        role = further_roles(self.run)[0]
        evaluate(self.run, (role,), lambda model: _Says(answers, self.asked))
        rows = json.loads((self.run.scores_dir / f"{role}.json").read_text())
        return {(row["benchmark"], row["style"]): row for row in rows}

    def verdicts(self, style: str, name: str) -> dict[str, Verdict]:
        """By question; of the last evaluation."""
        responses, verdicts = items(self.run, further_roles(self.run)[0], style, name)
        questions = {request.problem.id: request.problem.question for request in self.asked}
        return {questions[a.problem_id]: b for a, b in zip(responses, verdicts, strict=True)}

    def judged(self) -> list[str]:
        """The texts that the judge was asked, once for each different one."""
        return list(dict.fromkeys(user_text(request) for request in self.server.requests))


@contextmanager
def measuring(tmp_path: Path, monkeypatch: Any, name: str, script: Script, **evaluation: Any) -> Iterator[Measured]:
    """A run on the benchmark in `tmp_path/data`; the judge has no patience: no retries, and half a second."""
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setattr(judge, "Judge", functools.partial(judge.Judge, retries=0, seconds=0.5))
    model = tmp_path / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text("{}")
    with JudgeServer(lambda request: measured.script(user_text(request))) as server:
        settings: dict[str, Any] = {"held_out": False, "benchmarks": (name,), "data": str(tmp_path / "data")}
        settings |= {"models": (str(model),), "judge": "scripted", "judge_url": server.url, **evaluation}
        with Run.open(tmp_path / "run", Recipe(name="test", evaluation=EvaluationRecipe(**settings))) as run:
            measured = Measured(run, server, script)
            yield measured


def data(tmp_path: Path, name: str) -> Path:
    """The folder of a benchmark's data."""
    path = tmp_path / "data" / folder_name(name)
    path.mkdir(parents=True, exist_ok=True)
    return path


def user_text(request: dict[str, Any]) -> str:
    """What the judge was asked, without what is added where a reply was of no use."""
    text: str = request["messages"][-1]["content"]
    return text.partition("\n\nThe last reply was of no use")[0]


class _Says:
    """An engine that says what it is told; for a chain of thought, after a line of reasoning."""

    def __init__(self, answers: dict[str, str], asked: list[Request]) -> None:
        self.answers, self.asked = answers, asked

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        for place, request in enumerate(requests):
            self.asked.append(request)
            text = self.answers[request.problem.question]
            text = text if request.style in ("direct", "plain") else f"I look.\nFinal answer: {text}"
            yield place, (response(request.problem.id, text, request.style),)
