"""Single records of a large artifact and whole columns of it, without a record made of every row.

An `Artifact` reads records in order; whoever looks at millions of pairs reads columns in parallel, and makes records of
the twenty that are shown. The shards are those that were there when this was made: later ones are not seen.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from mixpref.errors import MixprefError
from mixpref.store import Artifact

if TYPE_CHECKING:
    import pyarrow

Record = TypeVar("Record")
Given = TypeVar("Given")
Made = TypeVar("Made")

THREADS = min(8, os.cpu_count() or 1)
"""Shards that are read at a time; pyarrow decodes outside of Python's lock."""


class Shards(Generic[Record]):
    """The shards of an artifact, finished or not, by number of record. Several threads may read at once."""

    def __init__(self, artifact: Artifact[Record]) -> None:
        from pyarrow import parquet

        self.path = artifact.path
        self._record = artifact.record
        files = artifact.path.glob("part-*.parquet")
        # In the artifact's order: by the key alone, which the extension behind it could change.
        self.files = sorted(files, key=lambda file: file.name.removesuffix(".parquet"))
        lengths = in_parallel(
            lambda file: self._reading(file, lambda: parquet.read_metadata(file).num_rows), self.files
        )
        self.ends = list(accumulate(lengths))
        """How many records there are up to the end of each shard."""

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def tables(self, *columns: str) -> Iterator[pyarrow.Table]:
        """These columns of each shard, in order, read ahead in parallel."""
        return self.each(lambda table: table, *columns)

    def rows(self, *columns: str) -> Iterator[tuple[Any, ...]]:
        """These fields of each record, in order."""
        for table in self.tables(*columns):
            yield from zip(*(column.to_pylist() for column in table.columns), strict=True)

    def each(self, function: Callable[[pyarrow.Table], Made], *columns: str) -> Iterator[Made]:
        """What a function makes of these columns of each shard, in order; called in parallel."""
        return in_parallel(lambda file: function(self.table(file, columns)), self.files)

    def table(self, file: Path, columns: Sequence[str]) -> pyarrow.Table:
        """These columns of one shard. Raises MixprefError where it is damaged or gone, or lacks one of them."""
        return self._reading(file, lambda: self._there(file, columns).select(list(columns)))

    def at(self, numbers: Iterable[int]) -> dict[int, Record]:
        """The records with these numbers, counted from 0 in the artifact's order.

        A field that an earlier version of mixpref did not write has its default. Raises IndexError beyond the end, and
        MixprefError as `table` does.
        """
        names = [field.name for field in fields(cast(Any, self._record))]
        by_shard: dict[int, list[int]] = {}
        for number in sorted({*numbers}):
            by_shard.setdefault(bisect_right(self.ends, number), []).append(number)

        def records(shard: int) -> list[Record]:
            start = self.ends[shard - 1] if shard else 0
            places = [number - start for number in by_shard[shard]]
            rows = self._there(self.files[shard], names).take(places).to_pylist()
            return [self._record(**_with_tuples(row)) for row in rows]

        made = in_parallel(lambda shard: self._reading(self.files[shard], lambda: records(shard)), by_shard)
        return {
            number: record
            for wanted, some in zip(by_shard.values(), made, strict=True)
            for number, record in zip(wanted, some, strict=True)
        }

    def _there(self, file: Path, columns: Sequence[str]) -> pyarrow.Table:
        """Those of the columns that the shard has."""
        from pyarrow import parquet

        with parquet.ParquetFile(file, page_checksum_verification=True) as opened:
            return opened.read(columns=list(columns), use_threads=False)

    def _reading(self, file: Path, read: Callable[[], Made]) -> Made:
        from pyarrow import ArrowException

        try:
            return read()
        # A missing column is a KeyError, or a TypeError where a record cannot be made without it.
        except (ArrowException, OSError, KeyError, TypeError) as reason:
            raise MixprefError(
                f"{file} cannot be read ({' '.join(str(reason).split())}); where a stage is writing it, try again, "
                f"else delete {self.path} and run the command that makes it"
            ) from None


def in_parallel(function: Callable[[Given], Made], given: Iterable[Given]) -> Iterator[Made]:
    """The function's results in the order of what is given, a few of them made ahead: memory stays bounded."""
    remaining = iter(given)
    first = list(islice(remaining, 2))
    if len(first) < 2:
        yield from map(function, first)
        return
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(function, each) for each in (*first, *islice(remaining, 2 * THREADS))]
        while waiting:
            yield waiting.pop(0).result()
            waiting += (pool.submit(function, each) for each in islice(remaining, 1))


def _with_tuples(row: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
