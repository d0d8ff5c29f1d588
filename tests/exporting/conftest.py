"""Runs with pairs of every kind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mixpref.recipe import Recipe
from mixpref.records import PreferencePair, Problem
from mixpref.rundir import Run


def picture(shade: int, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 12), (shade, 40, 90)).save(stream, kind)
    return stream.getvalue()


PROBLEMS = (
    Problem(question="How many?", answer="3", images=(picture(1),), family="count", source="a:1"),
    Problem(question="<image>\nor <image>?", answer=("left", "the left"), images=(picture(2), picture(3, "JPEG"))),
    Problem(question="1 + 1?", answer="B", choices=("1", "2")),
    Problem(question="Describe it.", images=(picture(1),), source="b:4"),
)


def pair(problem: Problem, **more: Any) -> PreferencePair:
    made = PreferencePair(
        problem_id=problem.id,
        chosen="I see it.\nFinal answer: 3",
        rejected="I guess.\nFinal answer: 4",
        why="correctness",
        style="en",
        chosen_origin=f"{problem.id}-0 tiny T=1",
        rejected_origin=f"{problem.id}-1 tiny T=1",
    )
    return replace(made, **more)


PAIRS = (
    pair(PROBLEMS[0]),
    pair(PROBLEMS[0], rejected="Well.", why="format", rejected_complete=False),
    pair(PROBLEMS[1], style="boxed", chosen="\\boxed{left}\u2028\x85", rejected='"\\boxed{right}"'),
    pair(PROBLEMS[2], style="direct", chosen="B", rejected="A"),
    pair(PROBLEMS[3], style="plain", why="dropout-ntp", rejected_origin="x-0 tiny T=1 dropout-ntp sr0.25 blind"),
    pair(PROBLEMS[3], style="plain", why="dropout-ntp", rejected="No.", rejected_origin="of old"),
    pair(PROBLEMS[1], why="vote"),
)

MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[MakeRun]:
    opened: list[Run] = []

    def make(
        pairs: Sequence[PreferencePair] = PAIRS, problems: Sequence[Problem] = PROBLEMS, finished: bool = True
    ) -> Run:
        run = Run.open(tmp_path / f"run{len(opened)}", Recipe(name="shapes"))
        opened.append(run)
        run.problems("train").append("00000", problems)
        run.problems("train").finish({}, {})
        run.pairs.append("00000", pairs)
        if finished:
            run.pairs.finish({}, {})
        return run

    yield make
    for run in opened:
        run.close()
