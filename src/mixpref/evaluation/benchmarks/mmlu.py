"""MMLU: choices of four in 57 subjects from school to profession, without images (arXiv 2009.03300)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from mixpref.evaluation import fields, folder, gold
from mixpref.evaluation.benchmark import Benchmark, Row, faulty, row
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_COLUMNS = ("question", "subject", "choices", "answer")


def load(where: Path) -> Iterator[Row]:
    """The rows of the hub's parquet files or of JSON files; a row's key is its place from 0, after the file's name
    where there are several.

    The subject of rows that name none is that of their file: "law" for `law/test-00000.parquet` and for `law.jsonl`.
    """
    paths = folder.files(where, "all/test-*.parquet", "*/test-*.parquet", "test-*.parquet", "test.jsonl", "*.jsonl")
    for subject, files in groupby(paths, partial(_subject, where)):
        for place, cells in folder.keyed(list(files), _COLUMNS):
            yield _row(
                f"{subject}-{place}" if subject else place, {**cells, "subject": cells.get("subject") or subject}
            )


def _subject(where: Path, path: Path) -> str:
    """What the name of a file, or of its folder within `where`, says of the subject; "" where it says nothing."""
    if path.suffix == ".parquet" and path.parent == where:
        return ""
    name = path.parent.name if path.suffix == ".parquet" else path.stem
    return "" if name in ("all", "data", "test") else name


def _row(key: str, cells: Mapping[str, Any]) -> Row:
    subject = fields.kind(cells, "subject")
    groups = [f"subject: {subject}"]
    try:
        choices = gold.choices(cells)
        problem = Problem(
            question=fields.text(cells, "question"),
            answer=(gold.letter(cells, choices),),
            choices=choices,
            rule="choice",
            source=f"mmlu:{key}",
            family=subject,
        )
        gold.judgeable(problem)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    return row(problem, key, groups)


BENCHMARKS = (
    Benchmark(
        name="mmlu",
        title="MMLU (test)",
        hub="cais/mmlu",
        get='hf download cais/mmlu --repo-type dataset --include "all/test-*" --local-dir {folder}',
        files=(
            "all/test-*.parquet (or one folder a subject, */test-*.parquet) with the columns question, subject, "
            "choices and answer; or JSON lines of the same fields: test.jsonl, or one file a subject. An answer is a "
            "choice's place from 0 or its letter"
        ),
        licence="MIT",
        metric="accuracy",
        version=(
            "evaluate.py of hendrycks/test takes the most probable of four letters after five examples; here nothing "
            "is shown before the question and the rule `choice` reads the stated answer. The figure is the share of "
            "all questions, not the mean of the subjects."
        ),
        load=load,
    ),
)
