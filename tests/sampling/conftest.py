from collections import Counter

import pytest

from mixpref.recipe import PairingRecipe, Recipe, SamplingRecipe, VerifyingRecipe
from mixpref.records import Problem, Response
from mixpref.rundir import Run


class Rote:
    """Answers by what the problem's family says, one request at a time, and counts what it is asked.

    mixed: right and wrong by turns; always, never: right or wrong each time; one: the right one comes as the ninth.
    """

    def __init__(self, stop_after=None, order=1):
        self.asked = Counter()
        self.requests = []
        self.made = 0
        self.stop_after = stop_after
        self.order = order

    def __call__(self):
        self.made += 1
        return self

    def answer(self, requests, sampling):
        taken = enumerate(requests)
        while window := [each for _, each in zip(range(5), taken, strict=False)]:
            for place, request in window[:: self.order]:
                if self.stop_after is not None and len(self.requests) >= self.stop_after:
                    raise KeyboardInterrupt
                self.requests.append(request)
                for sample in request.numbers:
                    self.asked[request.problem.id, sample, request.prefix] += 1
                yield place, tuple(self.say(request, sample, sampling) for sample in request.numbers)

    def say(self, request, sample, sampling):
        kind = request.problem.family
        right = {"mixed": sample % 2 == 0, "always": True, "never": False, "one": sample == 8}.get(kind, True)
        gold = request.problem.answer[0] if request.problem.answer else "open"
        answer = gold if right else f"{gold}{sample}"
        text = f"Thought {sample} of it.\nFinal answer: {answer}"
        if kind == "broken":
            return request.failed(sampling, "rote", "no picture")[0]
        if request.prefix:
            text = f" and so on, {sample}."
        return Response(
            problem_id=request.problem.id,
            sample=sample,
            text=text,
            tokens=7,
            finish="stop",
            seed=request.seed_of(sample),
            style=request.style,
            sampler=sampling.describe("rote"),
            logprob=-1.0,
            prefix=request.prefix,
        )


@pytest.fixture
def problems():
    """Twenty problems, of each kind in turn."""
    kinds = ("mixed", "always", "never", "one", "mixed")
    return [
        Problem(question=f"What is number {number}?", answer=str(number + 10), family=kinds[number % 5])
        for number in range(20)
    ]


@pytest.fixture
def make(tmp_path, problems):
    opened = []

    def build(name="run", given=None, seed=0, pairing=None, **sampling):
        sampling = {"batch_size": 3, "samples": 4, **sampling}
        recipe = Recipe(
            name="test",
            seed=seed,
            sampling=SamplingRecipe(**sampling),
            pairing=PairingRecipe(**(pairing or {})),
            verifying=VerifyingRecipe(workers=1),
        )
        run = Run.open(tmp_path / name, recipe)
        opened.append(run)
        if not run.problems("train").finished:
            given = problems if given is None else given
            for start in range(0, len(given), 8):
                run.problems("train").append(f"{start // 8:05d}", given[start : start + 8])
            run.problems("train").finish({}, {})
        return run

    yield build
    for run in opened:
        run.close()


def bytes_of(artifact):
    return {file.name: file.read_bytes() for file in sorted(artifact.path.iterdir())}
