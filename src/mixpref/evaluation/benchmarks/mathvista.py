"""MathVista testmini: mathematics seen in charts, figures, geometry, tables and photographs (arXiv 2310.02255).

Of the 1,000 questions 540 have choices; the answers of the others are integers, decimals or lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mixpref.evaluation import fields, folder, gold
from mixpref.evaluation.benchmark import Benchmark, Row, faulty, row
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

ASPECTS = (
    "question_type",
    "answer_type",
    "language",
    "source",
    "category",
    "task",
    "context",
    "grade",
    "skills",
)
"""What the official script breaks the accuracy down by: the first two are fields of the row, the others of its
metadata. A row may have several skills."""

_LETTER = re.compile(r"\([a-zA-Z]\)")


def load(where: Path) -> Iterator[Row]:
    """The rows of the hub's parquet files, or of the project's `testmini.json` with its images beside it."""
    paths = folder.files(where, "data/testmini-*.parquet", "testmini.json", "data/testmini.json")
    root = paths[0].parent
    queries = _queries(root / "query.json")
    for place, cells in folder.keyed(paths):
        key = fields.key(cells, place, "pid")
        yield _row(key, cells, cells.get("query") or queries.get(key), root)


def _queries(path: Path) -> dict[str, Any]:
    """The official queries by the rows' keys; the file need not be there."""
    return next((queries for _, queries in folder.json_rows(path)), {}) if path.exists() else {}


def _row(key: str, cells: dict[str, Any], query: Any, root: Path) -> Row:
    """A row. query: the official text, where there is one. root: the folder that its image's name starts from."""
    aspects = _aspects(cells)
    groups = [f"{aspect}: {value}" for aspect, values in aspects.items() for value in values]
    try:
        question = fields.text(cells, "question")
        if cells.get("unit"):
            # As in the official queries: the answer is a bare number.
            question += f" (Unit: {cells['unit']})"
        choices = gold.choices(cells)
        problem = Problem(
            question=question,
            answer=(_answer(gold.answer(cells), choices),),
            choices=choices,
            rule="mathvista",
            images=(folder.row_image(root, cells, key),),
            source=f"mathvista:{key}",
            family=next(iter(aspects.get("task", ())), ""),
        )
        gold.judgeable(problem)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    return row(problem, key, groups, direct=query.strip() if isinstance(query, str) else "")


def _answer(answer: str, choices: tuple[str, ...]) -> str:
    """The gold answer. A choice that reads "(b)" and is the fifth goes by its letter E: as an answer, the official rule
    takes "(b)" for the second one.
    """
    return ascii_uppercase[choices.index(answer)] if answer in choices and _LETTER.fullmatch(answer) else answer


def _aspects(cells: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The values of each aspect that the row has."""
    metadata = cells.get("metadata")
    said = {**cells, **(metadata if isinstance(metadata, Mapping) else {})}
    found = {aspect: said.get(aspect) for aspect in ASPECTS}
    listed = {aspect: value if isinstance(value, list) else [value] for aspect, value in found.items()}
    return {
        aspect: tuple(value for value in values if isinstance(value, str) and value)
        for aspect, values in listed.items()
    }


BENCHMARKS = (
    Benchmark(
        name="mathvista",
        title="MathVista (testmini)",
        hub="AI4Math/MathVista",
        get='hf download AI4Math/MathVista --repo-type dataset --include "data/testmini-*" --local-dir {folder}',
        files=(
            "data/testmini-*.parquet with the columns pid, question, decoded_image, choices, unit, answer, "
            "question_type, answer_type, metadata and query; or testmini.json of github.com/lupantech/MathVista (rows "
            "of the same fields by their pid), with images/ beside it and, for the official queries, query.json; both "
            "files also in data/"
        ),
        licence="CC BY-SA 4.0",
        metric="accuracy",
        version=(
            "evaluation/calculate_score.py of lupantech/MathVista, with its breakdown; direct answers are asked for by "
            "the official query with its hint. There a GPT model extracts the answers from the responses; here they "
            "are read from their form. An answer of 3.5 to a question for an integer is wrong; the script cuts it to 3."
        ),
        load=load,
    ),
)
