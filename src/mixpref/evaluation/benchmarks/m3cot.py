"""M3CoT: choices that take several steps of looking and reasoning, in science, mathematics and common sense (arXiv
2405.16473).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from mixpref.evaluation import fields, folder, gold
from mixpref.evaluation.benchmark import Benchmark, Row, faulty, row
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_COLUMNS = ("id", "question", "choices", "context", "answer", "image", "domain", "topic")


def load(where: Path) -> Iterator[Row]:
    """The rows of the hub's parquet files, or of the project's `test.jsonl` with `images/` beside it."""
    paths = folder.files(where, "data/test-*.parquet", "test.jsonl", "data/test.jsonl")
    for place, cells in folder.keyed(paths, _COLUMNS):
        yield _row(fields.key(cells, place, "id"), cells, paths[0].parent)


def _row(key: str, cells: Mapping[str, Any], root: Path) -> Row:
    domain, topic = fields.kind(cells, "domain"), fields.kind(cells, "topic")
    groups = [f"domain: {domain}", f"topic: {topic}"]
    try:
        question = fields.text(cells, "question")
        context = cells.get("context")
        if isinstance(context, str) and context.strip():
            question = f"Context: {context.strip()}\n{question}"
        choices = gold.choices(cells)
        problem = Problem(
            question=question,
            answer=(gold.letter(cells, choices),),
            choices=choices,
            rule="choice",
            images=_images(key, cells, root),
            source=f"m3cot:{key}",
            family=topic,
        )
        gold.judgeable(problem)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    return row(problem, key, groups)


def _images(key: str, cells: Mapping[str, Any], root: Path) -> tuple[bytes, ...]:
    """The row's image; some rows have none, and are asked without. Raises Unusable for one that is named but broken."""
    image = cells.get("image") or cells.get("image_path")
    if isinstance(image, str):
        # The project's rows name their images from wherever it was run.
        return (folder.image(root, f"images/{PurePosixPath(image).name}"),)
    if image is None or (isinstance(image, Mapping) and not any(image.values())):
        return ()
    return (folder.embedded(image, key),)


BENCHMARKS = (
    Benchmark(
        name="m3cot",
        title="M3CoT (test)",
        hub="LightChen2333/M3CoT",
        get='hf download LightChen2333/M3CoT --repo-type dataset --include "data/test-*" --local-dir {folder}',
        files=(
            "data/test-*.parquet with the columns id, question, choices, context, answer (a letter), image, domain and "
            "topic; or test.jsonl of the project's archive (rows of the same fields, image or image_path a name; also "
            "in data/) with images/ beside it"
        ),
        licence="CC BY-SA 4.0",
        metric="accuracy",
        version=(
            "evaluate.py with utils/metric.py of LightChen233/M3CoT, by domain and topic: the letter's exact match. "
            "The script searches the response for the last letter in parentheses, else for texts of choices; here the "
            "rule `choice` reads the stated answer."
        ),
        load=load,
    ),
)
