"""Made data in the forms that the hub and the projects publish, and what is asked of all benchmarks' rows."""

import json

import pyarrow as pa
from pyarrow import parquet as files

from mixpref.verifying import verify

# How Hugging Face stores pictures; without it a column of nothing but None has no type.
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def parquet(path, rows, **types):
    """A parquet file; types: of columns that the rows alone do not tell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: pa.array([row.get(name) for row in rows], types.get(name)) for name in rows[0]}
    files.write_table(pa.table(columns), path)


def lines(path, rows):
    """A file of JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def failing(rows):
    """The keys of the good rows whose gold answers do not pass their own rule, asked directly."""
    return [
        item.key
        for problem, item in rows
        if problem is not None and any(verify(problem, gold, "direct").outcome != "correct" for gold in problem.answer)
    ]


def faults(rows):
    """The reasons of the rows that cannot be asked, by their keys; such a row has no problem, any other has one."""
    assert all((problem is None) == bool(item.fault) for problem, item in rows)
    assert all(problem is None or problem.id == item.problem_id for problem, item in rows)
    return {item.key: item.fault for _, item in rows if item.fault}
