"""MM-Vet: the forms of its data, its two tables of groups, and the mean score."""

import json

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark
from mixpref.evaluation.benchmarks.mmvet import figure
from mixpref.records import Verdict

from .judged import answered
from .pictures import png

QUESTIONS = [
    ("How much do both cost?", "4<AND>5 <OR> 9", ["math", "ocr"]),
    ("What is left of the jar?", "a spoon", ["spat"]),
    ("What does the sign say?", "closed", ["ocr"]),
]
MMVET = benchmark("mmvet")


def entries():
    return {
        f"v1_{number}": {
            "imagename": f"v1_{number}.png",
            "imagesource": "made",
            "question": question,
            "answer": answer,
            "capability": capability,
        }
        for number, (question, answer, capability) in enumerate(QUESTIONS)
    }


def project(where, below="", rows=None):
    (where / below / "images").mkdir(parents=True)
    for number in range(len(QUESTIONS)):
        (where / below / "images" / f"v1_{number}.png").write_bytes(png((number, 0, 0)))
    (where / below / "mm-vet.json").write_text(json.dumps(rows or entries()))
    return where


def hub(where, listed=True):
    import pyarrow
    from pyarrow import parquet

    rows = [
        {
            "question_id": key,
            "image": {"bytes": png((number, 0, 0)), "path": row["imagename"]},
            "question": row["question"],
            "answer": row["answer"],
            "capability": row["capability"] if listed else ",".join(row["capability"]),
        }
        for number, (key, row) in enumerate(entries().items())
    ]
    (where / "data").mkdir(parents=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), where / "data" / "test-00000-of-00001.parquet")
    return where


FORMS = [project, lambda where: project(where, "mm-vet"), hub, lambda where: hub(where, listed=False)]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_same_rows(tmp_path, form):
    rows = list(MMVET.load(form(tmp_path / "mmvet")))
    assert [item.key for _, item in rows] == ["v1_0", "v1_1", "v1_2"]
    assert [item.groups for _, item in rows] == [
        ("capability: math", "capability: ocr", "capabilities: math, ocr"),
        ("capability: spat", "capabilities: spat"),
        ("capability: ocr", "capabilities: ocr"),
    ]
    problem = rows[0][0]
    assert (problem.question, problem.answer) == ("How much do both cost?", ("4 <AND> 5 <OR> 9",))
    assert (problem.images, problem.rule) == ((png((0, 0, 0)),), "judge")


def test_rows_without_capabilities_are_asked_all_the_same(tmp_path):
    rows = entries()
    del rows["v1_1"]["capability"]
    found = list(MMVET.load(project(tmp_path, rows=rows)))
    assert [item.groups for _, item in found if not item.fault][1] == ()


@pytest.mark.parametrize(
    ("change", "why"),
    [({"imagename": "gone.png"}, "does not exist"), ({"answer": ""}, "answer"), ({"question": 3}, "question is 3")],
)
def test_a_row_that_cannot_be_asked_stays_with_its_reason(tmp_path, change, why):
    rows = entries()
    rows["v1_1"] |= change
    found = list(MMVET.load(project(tmp_path, rows=rows)))
    assert [problem is None for problem, _ in found] == [False, True, False]
    assert why in found[1][1].fault
    assert found[1][1].groups == ("capability: spat", "capabilities: spat")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MixprefError, match=r"there is no folder .*none with a mm-vet.json or mm-vet/mm-vet.json"):
        list(MMVET.load(tmp_path / "none"))
    with pytest.raises(MixprefError, match=r"holds no mm-vet.json"):
        list(MMVET.load(tmp_path))


def test_the_figure_is_the_mean_of_the_judges_scores():
    scores = [0.5, 0.0, 1.0, 0.7]
    verdicts = [Verdict(outcome="correct" if score == 1 else "wrong", score=score) for score in scores]
    found = figure(answered(*verdicts))
    # What is partly right counts its part, though it is not correct.
    assert found.value == pytest.approx(2.2 / 4)
    assert 0 <= found.low < found.value < found.high <= 1
    assert figure(answered(*verdicts, Verdict(outcome="unparsed"))).value == pytest.approx(2.2 / 5)


def test_only_two_styles_are_asked_for_and_the_direct_one_is_the_question_alone():
    assert dict(MMVET.styles) == {"direct": "plain", "cot": "en"}
    assert (MMVET.rubric, MMVET.scale) == ("mmvet", 1)
