"""MM-Vet: 218 questions that want several capabilities at once, graded from 0 to 1 by a judge (arXiv 2308.02490)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mixpref.evaluation import fields, folder
from mixpref.evaluation.benchmark import Answer, Benchmark, Figure, Row, faulty, row
from mixpref.evaluation.statistics import bootstrap, mean_of_strata, strata_means
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_JOINED = re.compile(r" *(<AND>|<OR>) *")


def load(where: Path) -> Iterator[Row]:
    """The rows of the project's mm-vet.json with the images beside it, or of the hub's parquet files."""
    if any(where.glob("data/*.parquet")):
        columns = ("question_id", "question", "answer", "image", "capability")
        for place, cells in enumerate(folder.parquet(folder.files(where, "data/test-*.parquet"), columns)):
            yield _row(fields.key(cells, str(place), "question_id"), cells, where)
        return
    path = folder.files(where, "mm-vet.json", "mm-vet/mm-vet.json")[0]
    for key, cells in folder.json_rows(path):
        yield _row(key, cells, path.parent)


def _row(key: str, cells: dict[str, Any], where: Path) -> Row:
    groups = _groups(fields.texts(cells, "capability"))
    try:
        question, answer = fields.text(cells, "question"), fields.text(cells, "answer")
        if "imagename" in cells:
            image = folder.image(where / "images", fields.text(cells, "imagename"))
        else:
            image = folder.embedded(cells.get("image"), key)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    # With blanks around, as the official prompt shows them to the judge.
    gold = _JOINED.sub(r" \1 ", answer)
    problem = Problem(question=question, answer=(gold,), rule="judge", images=(image,), source=f"mmvet:{key}")
    return row(problem, key, groups)


def _groups(capabilities: Sequence[str]) -> list[str]:
    """A group for each capability, and one for exactly these, as in the two official tables.

    They are rec (recognition), ocr, know (knowledge), gen (language generation), spat (spatial awareness) and math.
    """
    names = sorted(set(capabilities))
    return [*(f"capability: {name}" for name in names), f"capabilities: {', '.join(names)}"] if names else []


def figure(answers: Sequence[Answer]) -> Figure:
    """The mean of the judge's scores; a response without a readable answer counts 0."""
    scores = [answer.verdict.score for answer in answers]
    low, high = bootstrap(scores)
    return Figure(value=float(mean_of_strata(strata_means(scores))), low=low, high=high)


BENCHMARKS = (
    Benchmark(
        name="mmvet",
        title="MM-Vet",
        hub="https://github.com/yuweihao/MM-Vet",
        get=(
            "wget -P {folder} https://github.com/yuweihao/MM-Vet/releases/download/v1/mm-vet.zip && "
            "unzip -d {folder} {folder}/mm-vet.zip"
        ),
        files=(
            "mm-vet.json (an object of imagename, question, answer and capability by question) with images/ beside it, "
            "also in mm-vet/; or data/test-*.parquet of whyu/mm-vet or lmms-lab/MMVet on the hub, with the columns "
            "question, answer, image and, for the groups, capability"
        ),
        licence="non-commercial research (LICENSE_DATASET of the project; CC-BY-NC-4.0 on the hub)",
        metric="mean score",
        version=(
            "mm-vet_evaluator.py of yuweihao/MM-Vet: the mean score of all questions, of each capability and of each "
            "set of capabilities; one run of the judge. The rubric `mmvet` has the criteria in words of its own, so "
            "scores are near those published with GPT-4, not equal to them. What the judge gives no clear score for is "
            "an error here and 0 there; of a chain of thought the stated answer is judged, and one that states none "
            "scores 0."
        ),
        load=load,
        styles={"direct": "plain", "cot": "en"},
        rubric="mmvet",
        figure=figure,
        max_new_tokens=1000,
    ),
)
