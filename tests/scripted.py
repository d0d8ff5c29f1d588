"""An engine without a model: it answers by rote, so that whole runs take seconds and their outcome is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mixpref.engines.request import Request, Sampling
from mixpref.records import Response
from mixpref.seeds import derive


class ScriptedEngine:
    """Of a problem's samples, those with an even number are right if `knows`, and the others wrong or unreadable."""

    def __init__(self, model: str = "scripted", *, knows: bool = True) -> None:
        self.name = model
        self.knows = knows

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        for place, request in enumerate(requests):
            yield place, tuple(self._answer(request, sample) for sample in request.numbers)

    def _answer(self, request: Request, sample: int) -> Response:
        problem, style, seed = request.problem, request.style, request.seed
        assert problem.answer
        right = self.knows and sample % 2 == 0
        answer = problem.answer[0] if right else str(derive(seed, problem.id, sample) % 10**6 + 10**6)
        text = answer if style == "direct" else f"Thought {sample} of it.\nFinal answer: {answer}"
        if sample % 4 == 3:
            text = f"Thought {sample} of it, without end"
        return Response(
            problem_id=problem.id,
            sample=sample,
            text=text,
            tokens=len(text.split()) + 1,
            finish="stop",
            seed=derive(seed, problem.id, sample),
            style=style,
            sampler=f"{self.name} by rote",
            logprob=-float(len(text)),
        )
