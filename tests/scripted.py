"""An engine without a model: it answers by rote, so that whole runs take seconds and their outcome is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixpref.records import Problem, Response
from mixpref.seeds import derive


class ScriptedEngine:
    """Of a problem's samples, those with an even number are right if `knows`, and the others wrong or unreadable."""

    def __init__(self, model: str, *, knows: bool = True) -> None:
        self.name = model
        self.knows = knows

    def generate(
        self,
        problems: Sequence[Problem],
        style: str,
        samples: int = 1,
        *,
        seed: int = 0,
        greedy: bool = False,
        max_new_tokens: int = 256,
        **_: Any,
    ) -> list[list[Response]]:
        return [[self._answer(problem, style, seed, sample) for sample in range(samples)] for problem in problems]

    def _answer(self, problem: Problem, style: str, seed: int, sample: int) -> Response:
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
