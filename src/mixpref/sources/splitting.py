"""Which rows of a user's files are trained on and which are held out, and how they are read a second time.

A source reads its files twice: first every row is checked, and only a hash and a place kept of it; then the rows that
were chosen are read again, as they are asked for. So a data set need not fit into memory.

Held out are the rows whose hash of (seed, row) is lowest: which ones does not depend on the order of the rows, nor does
it change for the others when a row is added.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe
from mixpref.records import Problem
from mixpref.sources.loaded import Rejected
from mixpref.sources.unusable import Unusable

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Place:
    """A good row: where it is, and its turn when rows are chosen."""

    turn: int
    id: str
    file: Path
    line: int
    """Counted from 1."""
    offset: int
    """Bytes before the line."""
    part: str = ""
    """The part of the data that the row belongs to, where a source has parts."""


def lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, bytes before it, text) of every line that is not blank."""
    offset = 0
    try:
        with open(file, "rb") as stream:
            for line, text in enumerate(stream, start=1):
                bare = text.removeprefix(_BOM) if line == 1 else text
                if bare.strip():
                    yield line, offset, bare
                offset += len(text)
    except OSError as reason:
        raise MixprefError(f"{file} cannot be read ({reason.strerror}); see to its permissions") from None


def split(settings: ProblemsRecipe, good: Iterable[Place]) -> tuple[list[Place], list[Place]]:
    """Rows to train on, and rows held out, as many as the recipe asks for."""
    ordered = sorted(good, key=lambda row: (row.turn, row.id))
    return ordered[settings.held_out :][: settings.train], ordered[: settings.held_out]


def refuse_too_few(settings: ProblemsRecipe, good: int, rejected: Sequence[Rejected], others: int) -> None:
    """Raises MixprefError where none of the good rows would be left to train on. others: of another family."""
    if good > settings.held_out:
        return
    if good:
        raise MixprefError(
            f"problems.held_out: {settings.held_out} problems are to be held out, but {settings.path} has only "
            f"{good} usable ones, so that none is left to train on; lower problems.held_out"
        )
    if others:
        families = ", ".join(settings.families)
        raise MixprefError(
            f"problems.families: no usable row of {settings.path} is of the family {families}; see its rows"
        )
    if rejected:
        one = rejected[0]
        raise MixprefError(
            f"{settings.path} has no usable row: all {len(rejected)} are rejected, the first one ({one.source_file}, "
            f"line {one.line}) because {one.reason}"
        )
    raise MixprefError(f"{settings.path} is empty; one JSON object a line with question and answer is wanted")


def again(
    chosen: Iterable[Place], read: Callable[[Place, bytes], Problem], id_of: Callable[[Problem], str]
) -> Iterator[Problem]:
    """The problems of the chosen rows, read in the order of files and lines.

    Raises MixprefError where a row is not what it was when it was chosen.
    """
    ordered = sorted(chosen, key=lambda row: (str(row.file), row.line))
    for file, in_file in itertools.groupby(ordered, key=lambda row: row.file):
        with open(file, "rb") as stream:
            for row in in_file:
                stream.seek(row.offset)
                text = stream.readline()
                try:
                    problem = read(row, text.removeprefix(_BOM))
                except Unusable as reason:
                    raise MixprefError(
                        f"{file}, line {row.line}, changed while it was read: {reason}; run again"
                    ) from None
                if id_of(problem) != row.id:
                    raise MixprefError(f"{file}, line {row.line}, or its images changed while it was read; run again")
                yield problem
