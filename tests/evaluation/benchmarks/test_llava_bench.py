"""LLaVA-Bench: its three files and their parquet form, and scores relative to the references'."""

import json

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks.llava_bench import figure, load
from mixpref.records import Verdict

from .judged import answered, table
from .pictures import png

PICTURE = png()
QUESTIONS = [
    {"question_id": 0, "image": "001.png", "text": "Who is there?", "category": "conv"},
    {"question_id": 1, "image": "001.png", "text": "Describe it.", "category": "detail"},
    {"question_id": 2, "image": "002.png", "text": "Why is it so?", "category": "complex"},
]
REFERENCES = {0: "A man on a mat.", 1: "A red room.\nNobody else.", 2: "Because of the rain."}
CAPTIONS = {"001.png": "A man and a mat in a red room.", "002.png": "Rain on a roof."}


def project(where, questions=QUESTIONS, references=REFERENCES, captions=CAPTIONS):
    (where / "images").mkdir(parents=True, exist_ok=True)
    for name in ("001.png", "002.png"):
        (where / "images" / name).write_bytes(PICTURE)
    lines(where / "questions.jsonl", questions)
    lines(where / "answers_gpt4.jsonl", [{"question_id": key, "text": text} for key, text in references.items()])
    lines(where / "context.jsonl", [{"image": name, "caption": text} for name, text in captions.items()])


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def judged(response, reference):
    """The verdict that a judge's two scores make."""
    outcome = "correct" if response >= reference else "wrong"
    return Verdict(outcome=outcome, score=min(1, response / reference), scores=(response, reference))


def test_rows_join_questions_references_and_captions(tmp_path):
    project(tmp_path)
    rows = list(load(tmp_path))
    assert [(item.key, item.groups) for _, item in rows] == [
        ("0", ("category: conv",)),
        ("1", ("category: detail",)),
        ("2", ("category: complex",)),
    ]
    for (problem, _), question in zip(rows, QUESTIONS, strict=True):
        assert problem.question == question["text"]
        assert problem.answer == (REFERENCES[question["question_id"]],)
        assert problem.facts == CAPTIONS[question["image"]]
        assert (problem.rule, problem.images) == ("judge", (PICTURE,))


def test_the_parquet_form_gives_the_same_rows(tmp_path):
    project(tmp_path / "project")
    cells = [
        {
            "question_id": question["question_id"],
            "question": question["text"],
            "image": {"bytes": PICTURE, "path": question["image"]},
            "category": question["category"],
            "gpt_answer": REFERENCES[question["question_id"]],
            "caption": CAPTIONS[question["image"]],
        }
        for question in QUESTIONS
    ]
    table(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet", cells)
    project_rows, hub_rows = list(load(tmp_path / "project")), list(load(tmp_path / "hub"))
    assert [(problem, item) for problem, item in hub_rows] == project_rows


def test_rows_that_cannot_be_asked_stay_with_their_reasons(tmp_path):
    strange = [
        {"question_id": 7, "image": "001.png", "text": "No reference?", "category": "conv"},
        {"question_id": 8, "image": "003.png", "text": "No picture?", "category": "conv"},
        {"question_id": 9, "image": "004.png", "text": "No caption?", "category": "conv"},
        {"question_id": 10, "image": "001.png", "text": "", "category": "conv"},
    ]
    references = REFERENCES | {8: "Yes.", 9: "Yes.", 10: "Yes."}
    project(tmp_path, [*QUESTIONS, *strange], references, CAPTIONS | {"003.png": "Lost."})
    (tmp_path / "images" / "004.png").write_bytes(PICTURE)
    found = {item.key: (problem, item) for problem, item in load(tmp_path)}
    assert list(found) == ["0", "1", "2", "7", "8", "9", "10"]
    faults = {key: item.fault for key, (problem, item) in found.items() if problem is None}
    assert list(faults) == ["7", "8", "9", "10"]
    assert "answer" in faults["7"]
    assert "003.png does not exist" in faults["8"]
    assert "caption" in faults["9"]
    assert "question" in faults["10"]
    assert found["8"][1].groups == ("category: conv",)


@pytest.mark.parametrize("name", ["questions.jsonl", "answers_gpt4.jsonl", "context.jsonl"])
def test_what_is_missing_is_named(tmp_path, name):
    project(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(MixprefError, match=f"holds no {name}"):
        list(load(tmp_path))


def test_the_figure_is_a_ratio_of_sums():
    found = figure(answered(judged(6, 8), judged(9, 9), judged(3, 10)))
    # Not the mean of the ratios, which is 0.68.
    assert found.value == pytest.approx(18 / 27)
    assert 0.3 <= found.low < found.value < found.high <= 1
    assert dict(found.details) == pytest.approx(
        {"mean score of the responses": 6.0, "mean score of the references": 9.0}
    )
    # Better answers than the references' are worth more than 1.
    better = figure(answered(judged(9, 6), judged(10, 6.5)))
    assert better.value == pytest.approx(19 / 12.5)
    assert better.low == pytest.approx(1.5)


def test_a_response_without_an_answer_counts_nothing_beside_a_mean_reference():
    half = figure(answered(judged(8, 8), judged(6, 6), Verdict(outcome="unparsed"), Verdict(outcome="unparsed")))
    assert half.value == pytest.approx(0.5)
    assert half.low < 0.5 < half.high
    nothing = figure(answered(Verdict(outcome="unparsed")))
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
