"""Units and an engine for Ray's workers, which import them from here: they take notes in a file, and die on demand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mixpref.engines.request import Request, Sampling
from mixpref.errors import MixprefError
from mixpref.records import Problem, Response


@dataclass(frozen=True)
class RoteUnits:
    """Units of two requests, as keys name them; each reading is a line of `folder/notes`."""

    folder: Path
    size: int = 0
    """Bytes of the image of each problem."""
    damaged: str = ""

    def __getitem__(self, key: str) -> list[Request]:
        note(self.folder, "read", key)
        if key == self.damaged:
            raise MixprefError(f"the shard of {key} is damaged; make it again")
        image = int(key).to_bytes(8, "big") * (self.size // 8)
        images = (image,) if image else ()
        problems = [Problem(question=f"{key} + {n}?", answer=str(int(key) + n), images=images) for n in range(2)]
        return [Request(problem=problem, style="en", samples=1 + n, seed=7) for n, problem in enumerate(problems)]


@dataclass(frozen=True)
class RoteEngine:
    """Answers from problem and seed, the last request first."""

    folder: Path
    seconds: float = 0.0
    killed_at: str = ""
    """Key of the unit at which the process is killed."""
    always: bool = False
    """Killed each time, not only the first."""
    broken_at: str = ""
    """Key of the unit at which the engine raises."""
    silent_at: str = ""
    """Key of the unit whose last request is not answered."""

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        asked = list(requests)
        key = asked[0].problem.question.split()[0]
        note(self.folder, "begun", key, os.getpid())
        time.sleep(self.seconds)
        if key == self.killed_at and (self.always or not (self.folder / "killed").exists()):
            (self.folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if key == self.broken_at:
            raise ZeroDivisionError("a defect")
        for place in reversed(range(len(asked) - (key == self.silent_at))):
            yield place, tuple(self._response(asked[place], sample, sampling) for sample in asked[place].numbers)
        note(self.folder, "answered", key)

    def _response(self, request: Request, sample: int, sampling: Sampling) -> Response:
        return Response(
            problem_id=request.problem.id,
            sample=sample,
            text=f"{request.problem.question}\0{request.seed_of(sample)}\0",
            tokens=2,
            finish="stop",
            seed=request.seed_of(sample),
            style=request.style,
            sampler=sampling.describe("rote"),
            logprob=-1.5,
        )


def note(folder: Path, *words: object) -> None:
    """Add a line to the notes, whole, whoever else does so."""
    with open(folder / "notes", "ab", buffering=0) as lines:
        lines.write((" ".join(map(str, words)) + "\n").encode())


def noted(folder: Path, what: str = "") -> list[list[str]]:
    """The notes that begin with a word, in the order in which they were made, as their other words."""
    file = folder / "notes"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [line[1:] for line in lines if line[0] == what] if what else lines


def refusing() -> RoteEngine:
    raise MixprefError("the model tiny cannot be read; give another one")


def breaking() -> RoteEngine:
    raise OSError("cannot load\nthe weights")


def dying() -> RoteEngine:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
