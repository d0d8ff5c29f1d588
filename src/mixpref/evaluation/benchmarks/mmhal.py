"""MMHal-Bench: 96 questions of 8 types that tempt to hallucinate, rated 0 to 6 by a judge (arXiv 2309.14525)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from mixpref.evaluation import fields, folder
from mixpref.evaluation.benchmark import Answer, Benchmark, Figure, Row, faulty, row
from mixpref.evaluation.statistics import bootstrap, mean_of_strata, strata_means
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

_SCALE = 6.0


def load(where: Path) -> Iterator[Row]:
    """The rows of the hub's response_template.json with the images beside it, or of JSON lines that hold the images."""
    path = folder.files(
        where, "response_template.json", "test_data/response_template.json", "mmhal-bench_with_image.jsonl"
    )[0]
    pictures = [each for each in (path.parent / "images", where / "test_data" / "images") if each.is_dir()]
    for place, cells in folder.json_rows(path):
        yield _row(place, cells, pictures)


def _row(key: str, cells: dict[str, Any], pictures: Sequence[Path]) -> Row:
    groups = [f"type: {fields.kind(cells, 'question_type')}", f"topic: {fields.kind(cells, 'question_topic')}"]
    try:
        problem = Problem(
            question=fields.text(cells, "question"),
            answer=(fields.text(cells, "gt_answer"),),
            rule="judge",
            images=(_image(key, cells, pictures),),
            facts=", ".join(fields.texts(cells, "image_content")),
            source=f"mmhal:{key}",
        )
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    return row(problem, key, groups)


def _image(key: str, cells: dict[str, Any], pictures: Sequence[Path]) -> bytes:
    if "image" in cells:
        try:
            return folder.embedded(base64.b64decode(fields.text(cells, "image"), validate=True), key)
        except binascii.Error as reason:
            raise Unusable("broken image", f"the image of row {key} is no base64 ({reason})") from None
    # The address of the picture at Flickr, whose last part is the name of the file; people also save it by its id.
    names = [PurePosixPath(fields.text(cells, "image_src")).name]
    if isinstance(cells.get("image_id"), str):
        names += [f"{cells['image_id']}{kind}" for kind in (".jpg", ".jpeg", ".png")]
    for where, name in product(pictures, names):
        try:
            return folder.image(where, name)
        except Unusable as fault:
            if fault.kind != "missing image":
                raise
    raise Unusable("missing image", f"no folder images holds {' or '.join(names)}")


def figure(answers: Sequence[Answer]) -> Figure:
    """The mean rating, and the share of responses that hallucinate: those rated below 3.

    A response without a readable answer counts as one that was rated 0.
    """
    ratings = [_SCALE * answer.verdict.score for answer in answers]
    low, high = bootstrap(ratings)
    # The rubric calls a response correct from 3 on.
    hallucinates = sum(answer.verdict.outcome != "correct" for answer in answers) / len(answers)
    return Figure(
        value=float(mean_of_strata(strata_means(ratings))),
        low=low,
        high=high,
        details=(("hallucination rate", hallucinates),),
    )


BENCHMARKS = (
    Benchmark(
        name="mmhal",
        title="MMHal-Bench",
        hub="Shengcao1006/MMHal-Bench",
        get=(
            "hf download Shengcao1006/MMHal-Bench --repo-type dataset --include response_template.json "
            '--include "images/*" --local-dir {folder}'
        ),
        files=(
            "response_template.json (a list of question_type, question_topic, image_src, image_content, question and "
            "gt_answer) with images/ beside it, one or both in test_data/; the pictures are named by the last part of "
            "image_src, or by image_id; or mmhal-bench_with_image.jsonl of OpenGVLab/InternVL on the hub, with the "
            "images in the field image, as base64"
        ),
        licence="Apache-2.0; images of Open Images",
        metric="mean rating",
        version=(
            "MMHal-Bench-eval/eval_gpt4.py of llava-rlhf/LLaVA-RLHF: the mean rating of 0 to 6, of all and by question "
            "type, and the share below 3. The rubric `mmhal` has the criteria in words of its own and no worked "
            "examples, so ratings are near those published with GPT-4, not equal to them. What the judge gives no "
            "clear rating for is an error here and 0 there; of a chain of thought the stated answer is judged, and one "
            "that states none is rated 0."
        ),
        load=load,
        styles={"direct": "plain", "cot": "en"},
        rubric="mmhal",
        figure=figure,
        scale=_SCALE,
        max_new_tokens=1024,
    ),
)
