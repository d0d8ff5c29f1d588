"""Asking without the images."""

from __future__ import annotations

import dataclasses
import re

from mixpref.prompts import IMAGE
from mixpref.records import Problem

# At a line's beginning with the blanks after it, and the line itself where nothing else stands in it.
_MARKS = re.compile(rf"^(?:[^\S\n]*{IMAGE})+[^\S\n]*\n?|[^\S\n]*{IMAGE}", re.MULTILINE)


def without_images(problem: Problem) -> Problem:
    """The problem, under its own id, without its images and without their marks in the question and the choices."""
    return dataclasses.replace(
        problem,
        images=(),
        question=_MARKS.sub("", problem.question),
        choices=tuple(_MARKS.sub("", choice) for choice in problem.choices),
    )
