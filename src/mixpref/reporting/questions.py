"""The problems behind a list of cases: searched without their images, found by id, and read with them by number."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mixpref.records import Problem
from mixpref.reporting.shards import Shards, in_parallel
from mixpref.store import Artifact, disk_full_is_told

if TYPE_CHECKING:
    import pyarrow

_BLOCK = 16_384
"""Rows that are searched at once."""


class Questions:
    """The problems of an artifact. Numbers are those of its records.

    Problems lie in shards of some dozens, for their images; to open ten thousands of files for one search would take
    half a minute. So all text of them is put once into one file beside, which is mapped into memory, and which has no
    name any more as soon as it is mapped: it goes with the process, however that ends. TMPDIR says where.
    """

    def __init__(self, artifact: Artifact[Problem]) -> None:
        self.problems = Shards(artifact)
        self._families: list[pyarrow.Array] = []
        with tempfile.TemporaryDirectory(prefix="mixpref-view-") as folder:
            self._text = self._mapped(Path(folder) / "text.arrow")

    @property
    def ids(self) -> pyarrow.ChunkedArray:
        """The problems' ids, in order."""
        return self._text.column("id")

    @property
    def families(self) -> pyarrow.Array:
        import pyarrow

        return pyarrow.chunked_array(self._families, pyarrow.string()).combine_chunks()

    def matching(self, text: str) -> np.ndarray:
        """Which problems have the text in question, choices, gold answers, family, source or id, in any case."""
        return joined(in_parallel(lambda texts: has(texts, text), self._text.column("text").chunks))

    def number(self, problem_id: str) -> int | None:
        """The number of a problem; None where there is none of this id."""
        from pyarrow import compute

        place = compute.index(self.ids, problem_id).as_py()
        return None if place < 0 else place

    def _mapped(self, file: Path) -> pyarrow.Table:
        import pyarrow
        from pyarrow import compute, ipc

        schema = pyarrow.schema([("id", pyarrow.string()), ("text", pyarrow.string())])
        names = ("id", "question", "choices", "answer", "family", "source")
        with disk_full_is_told(file), ipc.new_file(file, schema) as spool:
            for table in blocks(self.problems.tables(*names)):
                self._families += table.column("family").chunks
                said = (_as_text(table, name) if name in ("choices", "answer") else table[name] for name in names)
                text = compute.binary_join_element_wise(*said, "\n")
                spool.write_table(pyarrow.table([table["id"], text], schema=schema))
        with pyarrow.memory_map(str(file)) as mapped:
            return ipc.open_file(mapped).read_all()


def has(texts: Any, text: str) -> np.ndarray:
    """Whether each string of a pyarrow array has the text in it, in any case."""
    from pyarrow import compute

    return np.asarray(compute.match_substring(texts, text, ignore_case=True))


def joined(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Masks one after the other; none is an empty one."""
    return np.concatenate([np.zeros(0, bool), *masks])


def blocks(tables: Iterable[pyarrow.Table], rows: int = _BLOCK) -> Iterator[pyarrow.Table]:
    """The tables joined to some that have at least so many rows each, but for the last one, and one chunk a column."""
    import pyarrow

    waiting: list[pyarrow.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(each.num_rows for each in waiting) >= rows:
            yield pyarrow.concat_tables(waiting).combine_chunks()
            waiting = []
    if waiting:
        yield pyarrow.concat_tables(waiting).combine_chunks()


def _as_text(table: pyarrow.Table, name: str) -> pyarrow.ChunkedArray:
    """A column of lists as one text each; open questions have no list."""
    import pyarrow
    from pyarrow import compute

    # There is no joining of lists whose items cannot be null, as they are on the disk.
    lists = table.column(name).cast(pyarrow.list_(pyarrow.string()))
    return compute.fill_null(compute.binary_join(lists, "\n"), "")
