"""A user's own data: JSON lines (`rows.py` has their keys) and image files.

The files are read twice. First every row is checked, its images decoded, and only a hash and a place kept of it; then
the rows that were chosen are read again, as they are asked for. So a data set need not fit into memory.

Held out are the rows whose hash of (seed, problem id) is lowest: which ones does not depend on the order of the rows,
nor does it change for the others when a row is added.
"""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mixpref.errors import MixprefError
from mixpref.progress import progress
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import Problem, content_hash
from mixpref.seeds import derive
from mixpref.sources import images, rows
from mixpref.sources.loaded import Loaded, Rejected
from mixpref.sources.unusable import Unusable


@dataclass(frozen=True, slots=True)
class _Row:
    """A good row: where it is, and its turn when rows are chosen."""

    turn: int
    id: str
    file: Path
    line: int
    offset: int
    """Bytes before the line."""


def load(recipe: Recipe) -> Loaded:
    """The problems of the JSON-lines files of the recipe; rows that are none are rejected, each with its reason.

    Raises MixprefError where a file or the image folder is missing, where no row is usable, or where so few are that
    none would be left to train on.
    """
    settings = recipe.problems
    good: list[_Row] = []
    rejected: list[Rejected] = []
    others = 0
    first: dict[str, tuple[Path, int]] = {}
    files = _files(settings)
    total = sum(1 for file in files for _ in _lines(file))
    with progress("check", total) as advance:
        for file in files:
            for line, offset, text in _lines(file):
                advance()
                try:
                    found = _problem(settings, file, line, text, check=True)
                    _refuse_duplicate(found, file, line, first)
                except Unusable as reason:
                    rejected.append(Rejected(source_file=str(file), line=line, kind=reason.kind, reason=reason.reason))
                    continue
                if settings.families and found.family not in settings.families:
                    others += 1
                    continue
                turn = derive("held out", recipe.seed, found.id)
                good.append(_Row(turn=turn, id=found.id, file=file, line=line, offset=offset))
    _refuse_too_few(settings, good, rejected, others)
    good.sort(key=lambda row: (row.turn, row.id))
    held_out = good[: settings.held_out]
    train = good[settings.held_out :][: settings.train]
    return Loaded(
        train=_again(settings, train),
        held_out=_again(settings, held_out),
        rejected=tuple(rejected),
        rows=total,
        unused=others + len(good) - len(held_out) - len(train),
    )


def _files(settings: ProblemsRecipe) -> list[Path]:
    assert settings.path is not None, "recipes of JSON lines have a path"
    pattern = str(Path(settings.path).expanduser())
    # A file's own name may hold brackets.
    files = [Path(pattern)] if Path(pattern).is_file() else sorted(map(Path, glob.glob(pattern, recursive=True)))
    files = [file for file in files if file.is_file()]
    if not files:
        what = "is a folder; name a file or a pattern" if Path(pattern).is_dir() else "does not exist; name a file"
        raise MixprefError(f"problems.path: {settings.path} {what} such as {Path(pattern).parent / '*.jsonl'}")
    if settings.images is not None and not Path(settings.images).expanduser().is_dir():
        raise MixprefError(f"problems.images: {settings.images} is no folder; name the one that image paths start from")
    return files


def _lines(file: Path) -> Iterator[tuple[int, int, bytes]]:
    """(number from 1, bytes before it, text) of every line that is not blank."""
    offset = 0
    try:
        with open(file, "rb") as stream:
            for line, text in enumerate(stream, start=1):
                bare = text.removeprefix(b"\xef\xbb\xbf") if line == 1 else text
                if bare.strip():
                    yield line, offset, bare
                offset += len(text)
    except OSError as reason:
        raise MixprefError(f"{file} cannot be read ({reason.strerror}); see to its permissions") from None


def _problem(settings: ProblemsRecipe, file: Path, line: int, text: bytes, *, check: bool) -> Problem:
    root = Path(settings.images).expanduser() if settings.images is not None else file.parent
    return rows.problem(rows.parse(text), f"{file.name}:{line}", lambda name: images.read(root, name, check=check))


def _refuse_duplicate(found: Problem, file: Path, line: int, first: dict[str, tuple[Path, int]]) -> None:
    """Raises Unusable where the model has been asked the same before, whatever the answer there: otherwise one of the
    two could be trained on and the other one held out."""
    key = content_hash(found.question, "\0", *found.choices, "\0", *found.images)
    if key in first:
        before, at = first[key]
        where = f"line {at}" if before == file else f"{before}, line {at}"
        raise Unusable("duplicate", f"the same question, choices and images as {where}")
    first[key] = (file, line)


def _refuse_too_few(settings: ProblemsRecipe, good: list[_Row], rejected: list[Rejected], others: int) -> None:
    if len(good) > settings.held_out:
        return
    if good:
        raise MixprefError(
            f"problems.held_out: {settings.held_out} problems are to be held out, but {settings.path} has only "
            f"{len(good)} usable ones, so that none is left to train on; lower problems.held_out"
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


def _again(settings: ProblemsRecipe, chosen: Iterable[_Row]) -> Iterator[Problem]:
    """The problems of the chosen rows, read in the order of files and lines."""
    ordered = sorted(chosen, key=lambda row: (str(row.file), row.line))
    for file, in_file in itertools.groupby(ordered, key=lambda row: row.file):
        with open(file, "rb") as stream:
            for row in in_file:
                stream.seek(row.offset)
                text = stream.readline()
                try:
                    again = _problem(settings, file, row.line, text.removeprefix(b"\xef\xbb\xbf"), check=False)
                except Unusable as reason:
                    raise MixprefError(
                        f"{file}, line {row.line}, changed while it was read: {reason}; run again"
                    ) from None
                if again.id != row.id:
                    raise MixprefError(f"{file}, line {row.line}, or its images changed while it was read; run again")
                yield again
