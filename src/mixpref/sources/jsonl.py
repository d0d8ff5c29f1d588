"""A user's own data: JSON lines (`rows.py` has their keys) and image files.

Every row is checked first, its images decoded; what is trained on and what is held out is chosen by `splitting.py`.
"""

from __future__ import annotations

import glob
from pathlib import Path

from mixpref.errors import MixprefError
from mixpref.progress import progress
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import Problem, content_hash
from mixpref.seeds import derive
from mixpref.sources import images, rows
from mixpref.sources.loaded import Loaded, Rejected
from mixpref.sources.splitting import Place, again, lines, refuse_too_few, split
from mixpref.sources.unusable import Unusable


def load(recipe: Recipe) -> Loaded:
    """The problems of the JSON-lines files of the recipe; rows that are none are rejected, each with its reason.

    Raises MixprefError where a file or the image folder is missing, where no row is usable, or where so few are that
    none would be left to train on.
    """
    settings = recipe.problems
    good: list[Place] = []
    rejected: list[Rejected] = []
    others = 0
    first: dict[str, tuple[Path, int]] = {}
    files = _files(settings)
    total = sum(1 for file in files for _ in lines(file))
    with progress("check", total) as advance:
        for file in files:
            for line, offset, text in lines(file):
                advance()
                try:
                    found = _problem(recipe, file, line, text, check=True)
                    _refuse_duplicate(found, file, line, first)
                except Unusable as reason:
                    rejected.append(Rejected(source_file=str(file), line=line, kind=reason.kind, reason=reason.reason))
                    continue
                if settings.families and found.family not in settings.families:
                    others += 1
                    continue
                turn = derive("held out", recipe.seed, found.id)
                good.append(Place(turn=turn, id=found.id, file=file, line=line, offset=offset))
    refuse_too_few(settings, len(good), rejected, others)
    train, held_out = split(settings, good)

    def read(row: Place, text: bytes) -> Problem:
        return _problem(recipe, row.file, row.line, text, check=False)

    return Loaded(
        train=again(train, read, lambda problem: problem.id),
        held_out=again(held_out, read, lambda problem: problem.id),
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


def _problem(recipe: Recipe, file: Path, line: int, text: bytes, *, check: bool) -> Problem:
    settings = recipe.problems
    root = Path(settings.images).expanduser() if settings.images is not None else file.parent
    return rows.problem(
        rows.parse(text),
        f"{file.name}:{line}",
        lambda name: images.read(root, name, check=check),
        open_questions=recipe.verifying.judge is not None or "dropout-ntp" in recipe.pairing.kinds,
    )


def _refuse_duplicate(found: Problem, file: Path, line: int, first: dict[str, tuple[Path, int]]) -> None:
    """Raises Unusable where the model has been asked the same before, whatever the answer there: otherwise one of the
    two could be trained on and the other one held out."""
    key = content_hash(found.question, "\0", *found.choices, "\0", *found.images)
    if key in first:
        before, at = first[key]
        where = f"line {at}" if before == file else f"{before}, line {at}"
        raise Unusable("duplicate", f"the same question, choices and images as {where}")
    first[key] = (file, line)
