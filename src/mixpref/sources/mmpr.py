"""MMPR (arXiv 2411.10442): millions of preference pairs as rows to train on, and their questions as problems.

A data set is a meta.json, the annotation files that it lists, and folders of images. Nothing of it is run or unpickled,
and no row leads out of its folder.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, get_args, overload

import numpy as np

from mixpref.errors import MixprefError
from mixpref.progress import progress, say
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import Problem, Why, content_hash
from mixpref.seeds import derive
from mixpref.sources import images, mmpr_index, mmpr_row, remote
from mixpref.sources.loaded import Loaded, Rejected
from mixpref.sources.mmpr_index import DataSet, read_meta
from mixpref.sources.splitting import Place, again, lines, refuse_too_few, split
from mixpref.sources.unusable import Unusable

_WHYS = get_args(Why)
MAX_ROW = 64 * 2**20
"""Bytes; longer rows are refused unread."""


class MMPRRows(Sequence[Mapping[str, Any]]):
    """The pairs that a meta.json asks for, as rows in TRL's format; each is read from its file when it is asked for.

    A row has `prompt`, `chosen`, `rejected` (conversations), `images` (paths; of remote images the bytes), the
    `name` of its data set in `sets`, `row` (its line from 1), `why`, `chosen_complete` and `rejected_complete`.
    Images are looked at but not decoded. In memory are 16 bytes a row. Files are opened once in each process.
    """

    streamed = True
    """For `read_pairs`: there may be too many to read at the start."""
    sets: dict[str, DataSet]

    def __init__(self, meta: Path | str, *, seed: int = 0, remote_images: bool = False) -> None:
        """seed: moves which rows a fractional repeat_time takes. remote_images: fetch images that rows name by URL.

        Raises MixprefError as `read_meta` does, or where a file cannot be read.
        """
        self.sets = read_meta(Path(meta).expanduser())
        self._order = list(self.sets.values())
        self._remote = remote_images
        self._files: dict[Path, IO[bytes]] = {}
        self._starts: dict[Path, np.ndarray] = {}
        self._stamps: dict[Path, tuple[int, int]] = {}
        rows = self._index()
        # Lines are numbered through all data sets, one after the other.
        counts = [len(self._starts[each.annotation]) - 1 for each in self._order]
        self._bases = [0, *np.cumsum(counts).tolist()]
        self._taken = np.concatenate(
            [
                rows[each.annotation][mmpr_index.taken(len(rows[each.annotation]), each.repeat_time, seed, each.name)]
                + base
                for each, base in zip(self._order, self._bases, strict=False)
            ]
        )

    def __len__(self) -> int:
        return len(self._taken)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The row, made anew at each call. Raises Unusable, naming file and line, where it cannot be trained on."""
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        number = int(self._taken[index])
        which = bisect_right(self._bases, number) - 1
        found, line = self._order[which], number - self._bases[which]
        try:
            row = mmpr_row.read(self._text(found.annotation, line))
            pictures = [self._image(found, name) for name in row.images]
        except Unusable as reason:
            raise Unusable(reason.kind, f"{found.annotation}, line {line + 1}: {reason.reason}") from None
        return {
            "prompt": [{"role": "user", "content": mmpr_row.content(row.question, len(pictures))}],
            "chosen": [{"role": "assistant", "content": row.chosen}],
            "rejected": [{"role": "assistant", "content": row.rejected}],
            "images": pictures,
            "chosen_complete": row.extra.get("chosen_complete") is not False,
            "rejected_complete": row.extra.get("rejected_complete") is not False,
            "why": row.extra["why"] if row.extra.get("why") in _WHYS else found.why,
            "name": found.name,
            "row": line + 1,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}

    def _index(self) -> dict[Path, np.ndarray]:
        """Fills `_starts` and `_stamps`; gives the lines of each file that are rows."""
        files = list(dict.fromkeys(each.annotation for each in self._order))
        rows = {}
        with progress("index", sum(file.stat().st_size // mmpr_index.CHUNK + 1 for file in files)) as advance:
            for file in files:
                try:
                    self._stamps[file] = _stamp(os.stat(file))
                    self._starts[file] = mmpr_index.line_starts(file, advance)
                    rows[file] = mmpr_index.not_blank(file, self._starts[file])
                except OSError as reason:
                    raise MixprefError(f"{file} cannot be read ({reason.strerror}); see to its permissions") from None
        for each in self._order:
            _tell(each, len(rows[each.annotation]))
        return rows

    def _text(self, file: Path, line: int) -> bytes:
        if file not in self._files:
            try:
                opened = open(file, "rb", buffering=0)  # noqa: SIM115 - it stays open as long as the rows
            except OSError as reason:
                raise MixprefError(f"{file} cannot be read any more ({reason.strerror}); start again") from None
            if _stamp(os.stat(opened.fileno())) != self._stamps[file]:
                raise MixprefError(f"{file} has changed since it was indexed; start again")
            self._files[file] = opened
        start, end = self._starts[file][line : line + 2].tolist()
        if end - start > MAX_ROW:
            raise Unusable("row too large", f"the row has {end - start:,} bytes; {MAX_ROW:,} are allowed")
        # Not seek and read: processes that were forked share a file's place.
        text = os.pread(self._files[file].fileno(), end - start, start)
        return text.removeprefix(b"\xef\xbb\xbf") if line == 0 else text

    def _image(self, found: DataSet, name: str) -> str | bytes:
        if remote.is_url(name):
            return _fetched(name, self._remote)
        path, refusal = _looked_at(found.root, name)
        if refusal:
            raise Unusable(*refusal)
        return path


def load(recipe: Recipe) -> Loaded:
    """The different questions of an MMPR data set as problems, each with its answer where any of its pairs has one.

    Pairs of one question with the same images are merged; where their answers differ, the later one is rejected. The
    prompts of known styles are taken off. The family is the data set's name; how often meta.json repeats it is
    for training on its pairs and does not count here.

    Raises MixprefError as `read_meta` does, where no row is usable, or where none would be left to train on.
    """
    settings = recipe.problems
    assert settings.path is not None, "recipes of MMPR have a path"
    sets = read_meta(Path(settings.path).expanduser())
    reader = _Questions(settings)
    good: dict[str, Place] = {}
    answers: dict[str, tuple[str, ...] | None] = {}
    rejected: list[Rejected] = []
    total, others, merged = 0, 0, 0
    with progress("check", sum(1 for each in sets.values() for _ in lines(each.annotation))) as advance:
        for each in sets.values():
            before = total
            for line, offset, text in lines(each.annotation):
                advance()
                total += 1
                if settings.families and each.name not in settings.families:
                    others += 1
                    continue
                try:
                    key, answer = reader.key(each, text)
                    known = answers.setdefault(key, answer)
                    if known is not None and answer not in (None, known):
                        raise Unusable(
                            "other answer",
                            f"the same question has the answer {', '.join(known)} in {good[key].file}, line "
                            f"{good[key].line}, and here {', '.join(answer or ())}",
                        )
                except Unusable as reason:
                    file = str(each.annotation)
                    rejected.append(Rejected(source_file=file, line=line, kind=reason.kind, reason=reason.reason))
                    continue
                merged += key in good
                if key not in good or (known is None and answer is not None):
                    turn = derive("held out", recipe.seed, key)
                    good[key] = Place(turn, key, each.annotation, line, offset, part=each.name)
                    answers[key] = answer
            _tell(each, total - before)
    refuse_too_few(settings, len(good), rejected, others)
    train, held_out = split(settings, good.values())

    def read(row: Place, text: bytes) -> Problem:
        return reader.problem(sets[row.part], row.line, text)

    return Loaded(
        train=again(train, read, reader.id_of),
        held_out=again(held_out, read, reader.id_of),
        rejected=tuple(rejected),
        rows=total,
        unused=others + len(good) - len(train) - len(held_out),
        merged=merged,
    )


class _Questions:
    """Reads rows as questions; an image that many rows name is decoded once."""

    def __init__(self, settings: ProblemsRecipe) -> None:
        self._remote = settings.remote_images
        self._digests: dict[tuple[Path, str], str | Unusable] = {}

    def key(self, found: DataSet, text: bytes) -> tuple[str, tuple[str, ...] | None]:
        """A hash of question and images, and the answer. Raises Unusable."""
        row = mmpr_row.read(text)
        digests = [self._digest(found.root, name) for name in row.images]
        return _key(mmpr_row.bare_question(row.question), digests), row.answer

    def problem(self, found: DataSet, line: int, text: bytes) -> Problem:
        """The problem of a row that is known to be good."""
        row = mmpr_row.read(text)
        return Problem(
            question=mmpr_row.bare_question(row.question),
            answer=row.answer,
            images=tuple(self._bytes(found.root, name, check=False) for name in row.images),
            source=f"{found.annotation.name}:{line}",
            family=found.name,
        )

    @staticmethod
    def id_of(problem: Problem) -> str:
        """The key again."""
        return _key(problem.question, map(content_hash, problem.images))

    def _digest(self, root: Path, name: str) -> str:
        if (root, name) not in self._digests:
            try:
                self._digests[root, name] = content_hash(self._bytes(root, name, check=True))
            except Unusable as reason:
                self._digests[root, name] = reason
        digest = self._digests[root, name]
        if isinstance(digest, Unusable):
            raise Unusable(digest.kind, digest.reason)
        return digest

    def _bytes(self, root: Path, name: str, *, check: bool) -> bytes:
        return _fetched(name, self._remote) if remote.is_url(name) else images.read(root, name, check=check)


def _key(question: str, digests: Any) -> str:
    return content_hash(question, *digests)


def _fetched(url: str, allowed: bool) -> bytes:
    if not allowed:
        raise Unusable("remote image", f"the image {url[:200]!r} is on the web; allow such images by remote_images")
    data = remote.fetch(url)
    images.decode(data, url)
    return data


@lru_cache(maxsize=2**16)
def _looked_at(root: Path, name: str) -> tuple[str, tuple[str, str] | None]:
    """(path, None), or why the image is refused. Many rows name the same image."""
    try:
        path = images.locate(root, name)
        images.look(path)
    except Unusable as refusal:
        return "", (refusal.kind, refusal.reason)
    return str(path), None


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _tell(found: DataSet, rows: int) -> None:
    """Say what meta.json tells otherwise."""
    if found.length is not None and found.length != rows:
        say(f"mmpr: {found.annotation} has {rows:,} rows, not the {found.length:,} that meta.json tells; all are used")
    if not found.root.is_dir():
        say(f"mmpr: there is no folder {found.root}; rows of {found.name!r} with images cannot be used")
