from collections.abc import Callable

import pytest

from mixpref.pairing.grouping import Group, Judged, group
from mixpref.records import Problem, Response
from mixpref.verifying.stage import verdicts_on


def judge_texts(problem: Problem, *texts: str | tuple[str, str]) -> list[Judged]:
    """The problem's samples in order; a text alone ended by itself, (text, finish) as it says."""
    made = []
    for sample, text in enumerate(texts):
        said, finish = (text, "stop") if isinstance(text, str) else text
        response = Response(
            problem_id=problem.id, sample=sample, text=said, tokens=9, finish=finish, seed=sample, style="en",
            sampler="tiny T=1", logprob=-1.0, error="broken" if finish == "error" else "",
        )  # fmt: skip
        made.append(Judged(response, verdicts_on([(problem, response)])[0]))
    return made


@pytest.fixture
def judge() -> Callable[..., list[Judged]]:
    return judge_texts


@pytest.fixture
def grouped() -> Callable[..., Group]:
    def make(problem: Problem, *texts: str | tuple[str, str]) -> Group:
        return group((each.response, each.verdict) for each in judge_texts(problem, *texts))

    return make


@pytest.fixture
def say() -> Callable[[str], str]:
    """A complete response with the given final answer."""
    return lambda answer: f"It takes thought.\nFinal answer: {answer}"
