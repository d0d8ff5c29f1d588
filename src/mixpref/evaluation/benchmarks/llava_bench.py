"""LLaVA-Bench (In-the-Wild): 60 questions on 24 images; a judge compares with answers of GPT-4 (arXiv 2304.08485)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpref.evaluation import fields, folder
from mixpref.evaluation.benchmark import Answer, Benchmark, Figure, Row, faulty, row
from mixpref.evaluation.statistics import bootstrap, strata_means
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load(where: Path) -> Iterator[Row]:
    """The rows of the project's JSON lines with the images beside them, or of lmms-lab's parquet file."""
    if any(where.glob("data/*.parquet")):
        columns = ("question_id", "question", "gpt_answer", "caption", "category", "image")
        for number, cells in enumerate(folder.parquet(folder.files(where, "data/train-*.parquet"), columns)):
            yield _row(fields.key(cells, str(number), "question_id"), cells, where)
        return
    questions, references, contexts = (
        folder.files(where, name)[0] for name in ("questions.jsonl", "answers_gpt4.jsonl", "context.jsonl")
    )
    answers = {fields.key(cells, place, "question_id"): cells for place, cells in folder.json_rows(references)}
    captions = {fields.key(cells, place, "image"): cells.get("caption") for place, cells in folder.json_rows(contexts)}
    for place, cells in folder.json_rows(questions):
        key = fields.key(cells, place, "question_id")
        known = {
            "question": cells.get("text"),
            "gpt_answer": answers.get(key, {}).get("text"),
            "caption": captions.get(str(cells.get("image"))),
        }
        yield _row(key, cells | known, where)


def _row(key: str, cells: dict[str, Any], where: Path) -> Row:
    groups = [f"category: {fields.kind(cells, 'category')}"]
    try:
        question, reference = fields.text(cells, "question"), fields.text(cells, "gpt_answer")
        caption = cells.get("caption")
        facts = "\n".join(map(str, caption)) if isinstance(caption, list) else fields.text(cells, "caption")
        if isinstance(cells.get("image"), str):
            image = folder.image(where / "images", cells["image"])
        else:
            image = folder.embedded(cells.get("image"), key)
    except Unusable as fault:
        return faulty(key, fault.reason, groups)
    problem = Problem(
        question=question, answer=(reference,), rule="judge", images=(image,), facts=facts, source=f"llava-bench:{key}"
    )
    return row(problem, key, groups)


def figure(answers: Sequence[Answer]) -> Figure:
    """The sum of the responses' scores over the sum of the references'; beside it the two mean scores, of 10.

    A response without a readable answer is not shown to the judge: it counts 0 beside a reference of the mean score.
    """
    scores = [
        (*answer.verdict.scores, 1.0) if len(answer.verdict.scores) == 2 else (0.0, 0.0, 0.0) for answer in answers
    ]
    means = strata_means(scores)
    low, high = bootstrap(scores, _relative)
    response, reference, read = means[0]
    return Figure(
        value=float(_relative(means)),
        low=low,
        high=high,
        details=(
            ("mean score of the responses", float(response)),
            ("mean score of the references", float(reference / read) if read else 0.0),
        ),
    )


def _relative(means: NDArray[Any]) -> NDArray[Any]:
    """Of means (.., 1, 3) of the responses' scores, the references', and of what was read: (..)."""
    import numpy as np

    response, reference, read = (means[..., 0, place] for place in range(3))
    # Nothing was read where the references' mean is 0; scores begin at 1.
    return np.divide(response * read, reference, out=np.zeros_like(reference), where=reference > 0)


BENCHMARKS = (
    Benchmark(
        name="llava-bench",
        title="LLaVA-Bench (In-the-Wild)",
        hub="liuhaotian/llava-bench-in-the-wild",
        get="hf download liuhaotian/llava-bench-in-the-wild --repo-type dataset --local-dir {folder}",
        files=(
            "questions.jsonl (question_id, image, text, category), answers_gpt4.jsonl (question_id, text), "
            "context.jsonl (image, caption) and images/; or data/train-*.parquet of lmms-lab/llava-bench-in-the-wild "
            "with the columns question_id, question, gpt_answer, caption, category and image"
        ),
        licence="Apache-2.0",
        metric="relative score",
        version=(
            "llava/eval/eval_gpt_review_bench.py and summarize_gpt_review.py of haotian-liu/LLaVA: the mean score of "
            "the responses over that of the references, of all and by category. The rubric `llava` has the criteria in "
            "words of its own, so scores are near those published with GPT-4, not equal to them; what the judge gives "
            "no clear score for is an error. Asked directly, the question is put as it is; of a chain of "
            "thought the stated answer is judged, and one that states none counts 0 beside a reference of the mean "
            "score."
        ),
        load=load,
        styles={"direct": "plain", "cot": "en"},
        rubric="llava",
        figure=figure,
        max_new_tokens=1000,
    ),
)
