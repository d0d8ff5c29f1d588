"""A benchmark made for tests: additions, some rows of which cannot be asked or ask what another one asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mixpref.engines.request import Request, Sampling
from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Benchmark, Row, faulty, row
from mixpref.records import Problem, Response

ROWS = 10


def load(folder: Path) -> Iterator[Row]:
    if not folder.is_dir():
        raise MixprefError(f"there is no folder {folder}")
    for number in range(ROWS):
        # The last one repeats the first in another group.
        asked = number % (ROWS - 1)
        if number == 4:
            yield faulty("row-4", "its picture is broken", ["half: first"])
            continue
        half = "first" if number < ROWS // 2 else "second"
        problem = Problem(question=f"How much is {asked} + 1?", answer=str(asked + 1), family=half)
        direct = f"Say {asked} + 1 at once." if number == 2 else ""
        yield row(problem, f"row-{number}", [f"half: {half}", f"even: {number % 2 == 0}"], direct)


def made(**changes: object) -> Benchmark:
    settings: dict[str, object] = {
        "name": "sums",
        "title": "Sums (made)",
        "hub": "made/sums",
        "get": "hf download made/sums --local-dir {folder}",
        "files": "none",
        "licence": "none",
        "metric": "accuracy",
        "version": "1",
        "load": load,
    }
    return Benchmark(**(settings | changes))  # type: ignore[arg-type]


class Counting:
    """An engine that is right on even sums; tells what it was asked, and stops after `most` answers."""

    def __init__(self, most: int | None = None) -> None:
        self.asked: list[Request] = []
        self.sampling: list[Sampling] = []
        self.models: list[str] = []
        self.most = most

    def __call__(self, model: str) -> Counting:
        self.models.append(model)
        return self

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        self.sampling.append(sampling)
        for place, request in enumerate(requests):
            if self.most is not None and len(self.asked) >= self.most:
                raise KeyboardInterrupt
            self.asked.append(request)
            yield place, tuple(self._say(request, number) for number in request.numbers)

    def _say(self, request: Request, number: int) -> Response:
        gold = int((request.problem.answer or "0")[0])
        said = gold if (gold + number) % 2 == 0 else gold + 1000
        text = str(said) if request.style in ("direct", "verbatim") else f"I count.\nFinal answer: {said}"
        return Response(
            problem_id=request.problem.id, sample=number, text=text, tokens=5, finish="stop", seed=0,
            style=request.style, sampler="counting", logprob=-1.0,
        )  # fmt: skip
