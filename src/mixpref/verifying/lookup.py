"""Finds the problem that a response answers, while both are read once, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, replace

from mixpref.errors import MixprefError
from mixpref.records import Problem
from mixpref.store import Artifact


def without_images(problems: Artifact[Problem]) -> Iterator[Problem]:
    """The problems with no images in them, which are most of an artifact's bytes and are not read."""
    names = [field.name for field in fields(Problem) if field.name != "images"]
    for row in problems.columns(*names):
        yield Problem(**dict(zip(names, row, strict=True)))


class Lookup:
    """Problems by id, read only as far as they are asked for, and kept without their images.

    Responses come in their problems' order, so that few problems are in memory at a time. In any other order the
    answers are the same and only the memory grows.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._rest: Iterator[Problem] = iter(problems)
        self._waiting: dict[str, Problem] = {}
        self._last: Problem | None = None

    def __getitem__(self, problem_id: str) -> Problem:
        """The problem of that id; raises MixprefError where there is none, or where it was passed already."""
        if self._last is None or self._last.id != problem_id:
            self._last = self._waiting.pop(problem_id, None) or self._read_on(problem_id)
        return self._last

    def _read_on(self, problem_id: str) -> Problem:
        for problem in self._rest:
            slim = replace(problem, images=())
            if problem.id == problem_id:
                return slim
            self._waiting[problem.id] = slim
        raise MixprefError(
            f"a response answers the problem {problem_id}, which is not among the problems of this run, or whose "
            "responses are not side by side; delete the responses and sample again"
        )

    def remaining(self) -> Iterator[Problem]:
        """The problems that were never asked for, in their order."""
        yield from self._waiting.values()
        yield from (replace(problem, images=()) for problem in self._rest)
