"""POPE: is there an object in the image? 3 x 3000 yes-or-no questions on 500 images of COCO (arXiv 2305.10355).

The objects that are not there were drawn at random, among the most frequent ones, or among those that mostly come
with what is there. The three sets share their images and most of what is asked of objects that are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpref.evaluation import fields, folder
from mixpref.evaluation.benchmark import Answer, Benchmark, Figure, Row, faulty, row
from mixpref.evaluation.statistics import bootstrap, strata_means
from mixpref.records import Problem, Verdict
from mixpref.sources.unusable import Unusable
from mixpref.verifying.extract import extract, form
from mixpref.verifying.plain import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

CATEGORIES = ("random", "popular", "adversarial")
_NO = {"No", "no", "not"}
_COLUMNS = ("id", "question_id", "question", "answer", "image_source", "image", "category")
_ASPECT = "category: "
# For chains of thought that say more than a line: the last statement of an answer counts.
_FINAL = re.compile(r"\bfinal[ \t]answer(?:[ \t]is)?[*_ \t]*[:：]\s*(\S.*)", re.IGNORECASE)


def load(where: Path) -> Iterator[Row]:
    """The rows of the hub's parquet files, or of the project's JSON lines with COCO's images beside them."""
    if any((*where.glob("coco_pope_*.json"), *where.glob("coco/coco_pope_*.json"))):
        yield from _official(where)
    else:
        yield from _hub(where)


def _hub(where: Path) -> Iterator[Row]:
    paths = folder.files(where, "Full/*.parquet", "data/test-*.parquet")
    if paths[0].parent.name == "Full":
        paths = [path for category in CATEGORIES for path in folder.files(where, f"Full/{category}-*.parquet")]
    for place, cells in enumerate(folder.parquet(paths, _COLUMNS)):
        category = fields.kind(cells, "category")
        yield _row(f"{category}-{fields.key(cells, str(place), 'question_id', 'id')}", category, cells, where)


def _official(where: Path) -> Iterator[Row]:
    names = {category: f"coco_pope_{category}.json" for category in CATEGORIES}
    paths = {category: folder.files(where, name, f"coco/{name}")[0] for category, name in names.items()}
    for category, path in paths.items():
        for place, cells in folder.json_rows(path):
            yield _row(f"{category}-{fields.key(cells, place, 'question_id')}", category, cells, where)


def _row(key: str, category: str, cells: dict[str, Any], where: Path) -> Row:
    groups = [f"{_ASPECT}{category}"] if category in CATEGORIES else []
    try:
        if not groups:
            raise Unusable("field", f"its category is {category}, none of {', '.join(CATEGORIES)}")
        question = fields.text(cells, "question", "text")
        answer = fields.text(cells, "answer", "label").lower()
        if answer not in ("yes", "no"):
            raise Unusable("answer", f"its answer is {answer!r}, neither yes nor no")
        if isinstance(cells.get("image"), str):
            image = folder.image(where / "val2014", cells["image"])
        else:
            image = folder.embedded(cells.get("image"), key)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    return row(Problem(question=question, answer=(answer,), images=(image,), source=f"pope:{key}"), key, groups)


def read(problem: Problem, text: str, style: str) -> Verdict:
    """The official reading, by which everything is a yes or a no, an empty response too.

    Of a chain of thought only the answer that it states is read, or all of it where it states none.
    """
    said = text if form(style) in ("direct", "plain") else _stated(text, style)
    answer = "no" if says_no(said) else "yes"
    right = problem.answer is not None and answer in problem.answer
    detail = f"{answer} against {' or '.join(problem.answer or ('nothing',))}"
    return Verdict(
        outcome="correct" if right else "wrong",
        answer=answer,
        normalised=answer,
        rule="pope",
        detail=detail,
        score=float(right),
    )


def says_no(text: str) -> bool:
    """Whether the first sentence, up to a full stop, has one of the words No, no and not; commas are left out.

    Words are what blanks separate: "No!" and a "No" before a line break are none of these.
    """
    return not _NO.isdisjoint(text.split(".")[0].replace(",", "").split(" "))


def _stated(text: str, style: str) -> str:
    found = extract(text, style).answer
    if found is None:
        said = text.rpartition("</think>")[2]
        statements = _FINAL.findall(said)
        if not statements:
            return said
        found = statements[-1]
    return plain(found)


def figure(answers: Sequence[Answer]) -> Figure:
    """The mean over the categories of F1 for yes; beside it what the official script prints."""
    cells = [_cell(answer) for answer in answers]
    categories = [_category(answer) for answer in answers]
    means = strata_means(cells, categories)
    low, high = bootstrap(cells, _mean_f1, strata=categories)
    measures = {"accuracy": _accuracy, "precision": _precision, "recall": _recall, "yes share": _yes}
    details = [(name, float(measure(means).mean())) for name, measure in measures.items()]
    details += [(f"F1, {name}", float(f1)) for name, f1 in zip(sorted(set(categories)), _f1(means), strict=True)]
    return Figure(value=float(_mean_f1(means)), low=low, high=high, details=tuple(details))


def _category(answer: Answer) -> str:
    return next(group.removeprefix(_ASPECT) for group in answer.item.groups if group.startswith(_ASPECT))


def _cell(answer: Answer) -> tuple[bool, bool, bool, bool]:
    """True positive, false positive, true negative, false negative: one of the four."""
    yes, right = answer.verdict.answer == "yes", answer.verdict.outcome == "correct"
    return yes and right, yes and not right, not yes and right, not yes and not right


# Of shares of the four cells, (.., 4), to (..). The official script fails where nothing is divided by nothing: here 0.


def _accuracy(means: NDArray[Any]) -> NDArray[Any]:
    return means[..., 0] + means[..., 2]


def _precision(means: NDArray[Any]) -> NDArray[Any]:
    return _share(means[..., 0], means[..., 0] + means[..., 1])


def _recall(means: NDArray[Any]) -> NDArray[Any]:
    return _share(means[..., 0], means[..., 0] + means[..., 3])


def _yes(means: NDArray[Any]) -> NDArray[Any]:
    return means[..., 0] + means[..., 1]


def _f1(means: NDArray[Any]) -> NDArray[Any]:
    # 2 P R / (P + R), with P and R written out.
    return _share(2 * means[..., 0], 2 * means[..., 0] + means[..., 1] + means[..., 3])


def _mean_f1(means: NDArray[Any]) -> NDArray[Any]:
    return _f1(means).mean(axis=-1)


def _share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    return np.divide(part, whole, out=np.zeros_like(whole), where=whole > 0)


BENCHMARKS = (
    Benchmark(
        name="pope",
        title="POPE (COCO: random, popular, adversarial)",
        hub="lmms-lab/POPE",
        get='hf download lmms-lab/POPE --repo-type dataset --include "Full/*" --local-dir {folder}',
        files=(
            "Full/random-*.parquet, Full/popular-*.parquet and Full/adversarial-*.parquet, or data/test-*.parquet, "
            "with the columns question_id, question, answer, image and category; or coco_pope_random.json, "
            "coco_pope_popular.json and coco_pope_adversarial.json of github.com/AoiDragon/POPE (JSON lines of "
            "question_id, image, text and label; also in coco/) with COCO's images in val2014/"
        ),
        licence="MIT (questions); images: terms of COCO and Flickr",
        metric="mean F1 of three categories",
        version=(
            "evaluate.py of AoiDragon/POPE, averaged over the categories as in internvl_chat/eval/pope/eval_pope.py of "
            "OpenGVLab/InternVL. Of a chain of thought the stated answer is read, and all of it where there is none. "
            "Where the script divides by zero, precision, recall and F1 are 0."
        ),
        load=load,
        read=read,
        figure=figure,
    ),
)
