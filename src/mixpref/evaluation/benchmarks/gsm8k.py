"""GSM8K: word problems of grade-school arithmetic, without images (arXiv 2110.14168)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mixpref.evaluation import fields, folder, gold
from mixpref.evaluation.benchmark import Benchmark, Row, faulty, row
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_BEFORE_ANSWER = "####"


def load(where: Path) -> Iterator[Row]:
    """The rows of the hub's parquet file, or of the project's `test.jsonl`; a row's key is its place from 0."""
    paths = folder.files(where, "main/test-*.parquet", "test.jsonl", "grade_school_math/data/test.jsonl")
    for key, cells in folder.keyed(paths, ("question", "answer")):
        yield _row(key, cells)


def _row(key: str, cells: Mapping[str, Any]) -> Row:
    try:
        _, mark, answer = fields.text(cells, "answer").rpartition(_BEFORE_ANSWER)
        if not mark:
            raise Unusable("answer", f"its answer has no {_BEFORE_ANSWER}")
        problem = Problem(
            question=fields.text(cells, "question"), answer=(answer.strip(),), rule="number", source=f"gsm8k:{key}"
        )
        gold.judgeable(problem)
    except Unusable as fault:
        return faulty(key, fault.reason)
    return row(problem, key)


BENCHMARKS = (
    Benchmark(
        name="gsm8k",
        title="GSM8K (test)",
        hub="openai/gsm8k",
        get='hf download openai/gsm8k --repo-type dataset --include "main/test-*" --local-dir {folder}',
        files=(
            "main/test-*.parquet with the columns question and answer, or test.jsonl of "
            "github.com/openai/grade-school-math (lines of question and answer; also in grade_school_math/data/); an "
            "answer ends in #### and the number"
        ),
        licence="MIT",
        metric="accuracy",
        version=(
            "grade_school_math/dataset.py of openai/grade-school-math compares what follows ####, commas left out, as "
            "texts; here the rule `number` compares the stated answer as a number, so that 18.00 is 18. Nothing is "
            "shown before the question: figures with examples in the prompt are others."
        ),
        load=load,
    ),
)
