"""An artifact: a directory of parquet shards and a manifest, where one stage leaves records for the next.

    responses/
        part-00000.parquet      one shard a unit of work (a batch), written whole or not at all
        part-00001.parquet
        manifest.json           written last: what made the records, how many, with which versions

A stage that was killed finds by `done()` the units that are already there and goes on with the others. Equal records
give equal bytes: shards and manifest hold no time, no host and no path of the machine beyond what a stage puts into
its settings.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import platform
import re
import types
import typing
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, Union

from mixpref.errors import MixprefError
from mixpref.progress import say

if TYPE_CHECKING:
    import pyarrow

Record = TypeVar("Record")

_SHARD = re.compile(r"part-(.+)\.parquet")
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_VERSIONS = ("mixpref", "torch", "transformers")
# Rows that are in memory at a time while reading: problems carry their images.
_READ_ROWS = 64
# No space, no quota left, file larger than is allowed here.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Artifact(Generic[Record]):
    """The records of one kind in one directory, in the order of their shards' names.

    `record` is a dataclass whose fields are str, int, float, bool, bytes, Literal of strings, tuples of one of these,
    or one of all those or None.
    """

    def __init__(self, path: Path, record: type[Record]) -> None:
        self.path = Path(path)
        self.record = record
        # For `at`: how many records there are up to the end of each shard, and the shard that was read last.
        self._ends: list[int] | None = None
        self._last: tuple[Path | None, list[Record]] = (None, [])

    def append(self, key: str, records: Sequence[Record]) -> None:
        """Write the records of one unit of work as one shard, replacing an earlier one with that key.

        Keys are letters, digits, - and _; shards are read in the order of their keys as strings, so numbers need
        leading zeros ("00042"). No records is a unit done, too. When this returns, the shard is on the disk; when
        it does not, no shard is there. Raises ValueError for any other key, MixprefError where the disk is full.
        """
        import pyarrow
        from pyarrow import parquet

        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a shard: letters, digits, - and _ only")
        schema = self._schema()
        columns = [
            pyarrow.array([getattr(record, field.name) for record in records], type=field.type) for field in schema
        ]
        table = pyarrow.Table.from_arrays(columns, schema=schema)
        with _whole(self.path / f"part-{key}.parquet") as unfinished, open(unfinished, "wb") as file:
            parquet.write_table(table, file, compression="zstd", write_page_checksum=True)
            _to_disk(file.fileno())
        self._ends = None

    def done(self) -> set[str]:
        """Keys of the shards that are there. What a killed run left torn is removed, so that it is made again."""
        from pyarrow import ArrowInvalid, parquet

        for unfinished in self.path.glob("*.tmp"):
            unfinished.unlink()
        keys = set()
        for shard in self._shards():
            try:
                found = parquet.read_schema(shard)
            except (ArrowInvalid, OSError) as reason:
                say(f"{shard} cannot be read and is made again ({_one_line(reason)})")
                shard.unlink()
                continue
            self._refuse_other(found, shard)
            keys.add(_key(shard))
        return keys

    def finish(self, settings: Mapping[str, Any], counts: Mapping[str, Any], model: str = "") -> None:
        """Write the manifest: from now on the artifact is complete. `settings` and `counts` are JSON-able."""
        manifest = {
            "record": self.record.__name__,
            "settings": dict(settings),
            "counts": dict(counts),
            "records": len(self),
            "versions": versions(),
            "model": model,
        }
        write_json(self.path / "manifest.json", manifest)

    @property
    def finished(self) -> bool:
        """Whether the stage that makes the artifact has come to its end."""
        return (self.path / "manifest.json").exists()

    @property
    def manifest(self) -> dict[str, Any]:
        """What `finish` wrote. Raises MixprefError where it is missing or unreadable."""
        file = self.path / "manifest.json"
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MixprefError(f"{self.path} is not finished; run the command that makes it to its end") from None
        except ValueError as reason:
            raise MixprefError(f"{file} cannot be read ({reason}); delete it and run again") from None

    def discard(self) -> None:
        """Remove the manifest, then the shards: the artifact is empty again."""
        (self.path / "manifest.json").unlink(missing_ok=True)
        for file in (*self._shards(), *self.path.glob("*.tmp")):
            file.unlink()

    def __iter__(self) -> Iterator[Record]:
        """The records, read as they are asked for. Raises MixprefError where a shard is damaged."""
        for shard in self._shards():
            yield from self._read(shard)

    def columns(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Some fields of the records, in their order: what is not asked for (images, mostly) is not read."""
        for shard in self._shards():
            for batch in self._batches(shard, list(names)):
                yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)

    def at(self, numbers: Sequence[int]) -> list[Record]:
        """The records with these numbers, counted from 0 in the artifact's order; quick where they lie together.

        The artifact must be finished: what is appended later is not seen. Raises IndexError beyond its end.
        """
        shards = self._shards()
        if self._ends is None:
            self._ends = list(itertools.accumulate(map(self._length, shards)))
        found = []
        for number in numbers:
            place = bisect_right(self._ends, number)
            shard = shards[place]
            if self._last[0] != shard:
                self._last = (shard, list(self._read(shard)))
            found.append(self._last[1][number - self._ends[place]])
        return found

    def _read(self, shard: Path) -> Iterator[Record]:
        names = [field.name for field in fields(typing.cast(Any, self.record))]
        tuples = {name for name, hint in self._hints().items() if _of_tuple(hint)}
        for batch in self._batches(shard, names):
            for row in batch.to_pylist():
                for name in tuples:
                    row[name] = None if row[name] is None else tuple(row[name])
                yield self.record(**row)

    def _batches(self, shard: Path, names: list[str]) -> Iterator[pyarrow.RecordBatch]:
        from pyarrow import ArrowInvalid, parquet

        try:
            with parquet.ParquetFile(shard, page_checksum_verification=True) as file:
                self._refuse_other(file.schema_arrow, shard)
                yield from file.iter_batches(batch_size=_READ_ROWS, columns=names)
        except (ArrowInvalid, OSError) as reason:
            raise MixprefError(f"{shard} is damaged ({_one_line(reason)}); {self._remedy()}") from None

    def __len__(self) -> int:
        """Number of records, from the ends of the shards alone."""
        return sum(map(self._length, self._shards()))

    def _length(self, shard: Path) -> int:
        from pyarrow import ArrowInvalid, parquet

        try:
            return parquet.read_metadata(shard).num_rows
        except (ArrowInvalid, OSError) as reason:
            raise MixprefError(f"{shard} is damaged ({_one_line(reason)}); {self._remedy()}") from None

    def __bool__(self) -> bool:
        # An artifact without records is still an artifact.
        return True

    def read(self) -> list[Record]:
        """All records at once."""
        return list(self)

    def _shards(self) -> list[Path]:
        return sorted(self.path.glob("part-*.parquet"), key=_key)

    def _hints(self) -> dict[str, Any]:
        hints = typing.get_type_hints(self.record)
        return {field.name: hints[field.name] for field in fields(typing.cast(Any, self.record))}

    def _schema(self) -> pyarrow.Schema:
        import pyarrow

        return pyarrow.schema([_column(name, hint) for name, hint in self._hints().items()])

    def _refuse_other(self, found: pyarrow.Schema, shard: Path) -> None:
        wanted = self._schema()
        if not found.equals(wanted):
            differing = sorted({field.name for field in {*found} ^ {*wanted}})
            raise MixprefError(
                f"{shard} holds no {self.record.__name__} records of this version of mixpref (columns that differ: "
                f"{', '.join(differing) or 'their order'}); give another --output"
            )

    def _remedy(self) -> str:
        return f"delete it and {self.path / 'manifest.json'}, and run the command that makes {self.path.name} again"


def write_json(path: Path, value: Any) -> None:
    """Write JSON as a whole: a reader sees the old file or the new one, also after a crash."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) as a whole: a reader sees the old file or the new one, also after a crash.

    Raises MixprefError where the disk is full.
    """
    with _whole(path) as unfinished, open(unfinished, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        _to_disk(file.fileno())


@contextmanager
def disk_full_is_told(path: Path) -> Iterator[None]:
    """Turns the errors of a full disk into one that says what to do. What is on the disk already stays usable."""
    try:
        yield
    except OSError as reason:
        if reason.errno not in _FULL:
            raise
        why = "the disk is full" if reason.errno == errno.ENOSPC else os.strerror(reason.errno)
        raise MixprefError(
            f"{path} cannot be written: {why}; make room and give the same command again: it goes on from here"
        ) from None


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name to write a file under; in the end it takes its own, and where that fails nothing is left."""
    unfinished = path.with_name(path.name + ".tmp")
    with disk_full_is_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield unfinished
            os.replace(unfinished, path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        _directory_to_disk(path.parent)


def _column(name: str, hint: Any) -> pyarrow.Field:
    import pyarrow

    hint, nullable = _without_none(hint)
    if inner := _of_tuple(hint):
        return pyarrow.field(name, pyarrow.list_(pyarrow.field("item", _scalar(name, inner), nullable=False)), nullable)
    return pyarrow.field(name, _scalar(name, hint), nullable)


def _scalar(name: str, hint: Any) -> pyarrow.DataType:
    import pyarrow

    if typing.get_origin(hint) is Literal and all(isinstance(value, str) for value in typing.get_args(hint)):
        return pyarrow.string()
    kinds = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
        bytes: pyarrow.binary(),
    }
    if hint not in kinds:
        raise TypeError(f"field {name!r}: {hint!r} does not go into a parquet column")
    return kinds[hint]


def _of_tuple(hint: Any) -> Any:
    """X of `tuple[X, ...]` or `tuple[X, ...] | None`, else None."""
    hint, _ = _without_none(hint)
    arguments = typing.get_args(hint)
    is_tuple = typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
    return arguments[0] if is_tuple else None


def _without_none(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (Union, types.UnionType):
        others = [each for each in typing.get_args(hint) if each is not type(None)]
        if len(others) == 1:
            return others[0], True
    return hint, False


def _key(shard: Path) -> str:
    found = _SHARD.fullmatch(shard.name)
    assert found
    return found[1]


def versions() -> dict[str, str]:
    """Versions of what makes the records; a package that is not installed is left out."""
    found = {}
    for package in _VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found | {"python": platform.python_version()}


def _to_disk(descriptor: int) -> None:
    os.fsync(descriptor)


def _directory_to_disk(path: Path) -> None:
    """The renaming itself is on the disk only when the directory is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _one_line(reason: BaseException) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__
