"""MATH-Vision: problems of mathematics competitions with figures, of 16 subjects and five levels (arXiv 2402.14804).

A row has one picture, whatever the number of `<image1>`, `<image2>` .. in its question and options: where there are
several, the picture shows the parts one above the other, each under its own "<image1>:", and the marks refer to these.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from mixpref.evaluation import fields, folder, gold
from mixpref.evaluation.benchmark import Benchmark, Row, faulty, row
from mixpref.prompts import IMAGE
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_MARK = re.compile(r"<image\d+>")
_INSTRUCTION = "Answer the question using a single word or phrase."


def load(where: Path, split: str) -> Iterator[Row]:
    """The rows of a split: the hub's parquet files, or the project's JSON lines with `images/` in the folder."""
    paths = folder.files(where, f"data/{split}-*.parquet", f"{split}.jsonl", f"data/{split}.jsonl")
    for place, cells in folder.keyed(paths):
        yield _row(fields.key(cells, place, "id"), cells, where)


def _row(key: str, cells: dict[str, Any], where: Path) -> Row:
    subject = fields.kind(cells, "subject")
    groups = [f"subject: {subject}", f"level: {cells.get('level') or 'unknown'}"]
    try:
        choices = _choices(gold.choices(cells, "options"))
        question = _placed(fields.text(cells, "question"), choices)
        problem = Problem(
            question=question,
            answer=(gold.answer(cells).strip(),),
            choices=choices,
            rule="mathvision",
            images=(folder.row_image(where, cells, key),),
            source=f"mathvision:{key}",
            family=subject,
        )
        gold.judgeable(problem)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    return row(problem, key, groups, direct=_direct(question, choices))


def _choices(options: Sequence[str]) -> tuple[str, ...]:
    """The options; none where they are nothing but letters, because the real ones stand in the picture.

    The official prompts leave these out, too, where they are bare letters: "A. A" would tell nothing. Their answer is
    judged as the letter that it is.
    """
    letters = [option.strip().strip("().") for option in options]
    return () if letters == list(ascii_uppercase[: len(options)]) else tuple(options)


def _placed(question: str, choices: Sequence[str]) -> str:
    """The question with the picture's place. Several marks stay, as references; the picture is then before the text."""
    marks = _MARK.findall("\n".join((question, *choices)))
    return _MARK.sub(IMAGE, question) if len(marks) == 1 else question


def _direct(question: str, choices: Sequence[str]) -> str:
    options = (f"({letter}) {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
    return "\n".join((question, *options, "", _INSTRUCTION))


def _benchmark(name: str, split: str, count: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=f"MATH-Vision ({split}, {count} questions)",
        hub="MathLLMs/MathVision",
        get=(f'hf download MathLLMs/MathVision --repo-type dataset --include "data/{split}-*" --local-dir {{folder}}'),
        files=(
            f"data/{split}-*.parquet with the columns id, question, options, decoded_image, answer, level and "
            f"subject; or {split}.jsonl of github.com/mathllm/MATH-V (also in data/), whose rows name their image, "
            "with images/ in the folder"
        ),
        licence="MIT",
        metric="accuracy",
        version=(
            "evaluation/evaluate.py with utils.py of mathllm/MATH-V; direct answers are asked for as in its "
            "models/GPT4V.py (geninput), with the picture in place of a question's only mark, and without options "
            'that read "(A)" or "A)", too, and not only those that read "A". The script calls numbers equal that agree '
            "to two decimals; here they are equal exactly."
        ),
        load=partial(load, split=split),
    )


BENCHMARKS = (
    _benchmark("mathvision", "test", "3,040"),
    _benchmark("mathvision-testmini", "testmini", "304"),
)
