"""CRPE: which objects are there, and how do they relate? Choices of four on images of COCO and on some that are rare in
the real world (arXiv 2402.19474).

Every question is asked four times, its choices moved on by one place each time: it is answered only where all four
answers are right.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mixpref.evaluation import fields, folder
from mixpref.evaluation.benchmark import Answer, Benchmark, Figure, Row, faulty, row
from mixpref.evaluation.statistics import bootstrap, mean_of_strata, strata_means
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

TURNS = 4
"""Rows that ask the same; they follow one another within their category."""
_OPTION = re.compile(r"([A-Z])\.\s*(\S.*)")


def load(where: Path, name: str) -> Iterator[Row]:
    """The rows of the hub's `name`, JSON lines; an item's key is `category-circle/question`."""
    (path,) = folder.files(where, name)
    rows: Counter[str] = Counter()
    for place, cells in folder.json_rows(path):
        category = fields.kind(cells, "category")
        key = f"{category}-{rows[category] // TURNS}/{fields.key(cells, place, 'question_id')}"
        rows[category] += 1
        groups = [f"category: {category}"]
        try:
            text = fields.text(cells, "text")
            problem = _problem(text, cells, where, f"{name}:{key}")
        except Unusable as fault:
            yield faulty(key, fault.reason, groups)
        else:
            yield row(problem, key, groups, direct=text)


def _problem(text: str, cells: dict[str, Any], where: Path, source: str) -> Problem:
    question, options = _parted(text)
    answer = fields.text(cells, "correct_option")
    if answer not in options:
        raise Unusable("answer", f"its answer {answer!r} is none of its options {', '.join(options) or '(none)'}")
    return Problem(
        question=question,
        choices=tuple(options.values()),
        answer=(answer,),
        rule="choice",
        images=(folder.image(where, fields.text(cells, "image")),),
        source=source,
    )


def _parted(text: str) -> tuple[str, dict[str, str]]:
    """The question and its options by their letters, of "question / A. one / B. two / how to answer"."""
    question: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        option = _OPTION.fullmatch(line.strip())
        if option and option[1] == chr(ord("A") + len(options)):
            options[option[1]] = option[2].strip()
        elif not options:
            question.append(line)
    return "\n".join(question).strip(), options


def figure(answers: Sequence[Answer]) -> Figure:
    """The share of circles whose answers are all right, averaged over the categories; beside it that of single rows.

    A circle that lost a row to an error is judged by its others.
    """
    circles: dict[str, bool] = {}
    for answer in answers:
        circle = answer.item.key.partition("/")[0]
        circles[circle] = circles.get(circle, True) and answer.verdict.outcome == "correct"
    categories = [circle.rpartition("-")[0] for circle in circles]
    right = list(circles.values())
    low, high = bootstrap(right, strata=categories)
    single = sum(answer.verdict.outcome == "correct" for answer in answers) / len(answers)
    return Figure(
        value=float(mean_of_strata(strata_means(right, categories))),
        low=low,
        high=high,
        details=(("accuracy of single rows", single),),
    )


def _benchmark(name: str, title: str, file: str, categories: str) -> Benchmark:
    return Benchmark(
        name=name,
        title=title,
        hub="OpenGVLab/CRPE",
        get=(
            "hf download OpenGVLab/CRPE --repo-type dataset --local-dir {folder} && "
            "wget -P {folder}/coco http://images.cocodataset.org/zips/val2017.zip && "
            "unzip -d {folder}/coco {folder}/coco/val2017.zip"
        ),
        files=(
            f"{file} (JSON lines of question_id, image, text with the options, correct_option and category, which is "
            f"{categories}), with abnormal_images/ of the hub and COCO's images in coco/val2017/"
        ),
        licence="Apache-2.0; images of COCO: terms of COCO and Flickr",
        metric="circular accuracy",
        version=(
            "all-seeing-v2/llava/eval/eval_crpe.py of OpenGVLab/all-seeing: a question counts where its four circular "
            "rows are all right, and the categories are averaged as in the project's table. The script takes a letter "
            "alone; here the rule `choice` reads the answer. VLMEvalKit reports the accuracy of single rows."
        ),
        load=partial(load, name=file),
        figure=figure,
    )


BENCHMARKS = (
    _benchmark("crpe-existence", "CRPE (existence)", "crpe_exist.jsonl", "exist"),
    _benchmark("crpe-relation", "CRPE (relation)", "crpe_relation.jsonl", "subject, predicate or object"),
)
