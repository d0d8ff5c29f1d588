"""CRPE: circles of four rows, of which all must be right."""

import json
import re

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Answer
from mixpref.evaluation.benchmarks import benchmark
from mixpref.records import Response
from mixpref.verifying.verdicts import verify

from .pictures import png

SUFFIX = "Answer with the option's letter from the given choices directly."
OPTIONS = ("kite", "boat", "lamp", "sock")


def circle(start, category, right, image="abnormal_images/made.png"):
    """Four rows: the options moved on by one place each time."""
    for turn in range(4):
        options = OPTIONS[turn:] + OPTIONS[:turn]
        lines = [f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=True)]
        yield {
            "question_id": start + turn,
            "image": image,
            "text": "\n".join((f"What does the {category} hold?", *lines, SUFFIX)),
            "correct_option": "ABCD"[options.index(right)],
            "category": category,
        }


@pytest.fixture
def where(tmp_path):
    for folder in ("abnormal_images", "coco/val2017"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "made.png").write_bytes(png())
    write(tmp_path, relation())
    return tmp_path


def relation():
    return [
        *circle(0, "subject", "boat"),
        *circle(4, "subject", "kite", "coco/val2017/made.png"),
        *circle(8, "predicate", "sock"),
        *circle(12, "object", "lamp"),
    ]


def write(folder, rows, name="crpe_relation.jsonl"):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def load(where):
    return list(benchmark("crpe-relation").load(where))


def answers(where, said):
    """What a model says to each row, by its number; None: it failed."""
    found = []
    for number, (problem, item) in enumerate(load(where)):
        text = said(number, problem)
        if text is not None:
            response = Response(
                problem_id=problem.id, sample=0, text=text, tokens=1, finish="stop", seed=0, style="direct",
                sampler="made", logprob=None,
            )  # fmt: skip
            verdict = verify(problem, text, "direct")
            found.append(Answer(item=item, problem=problem, response=response, verdict=verdict))
    return found


def test_rows_are_choices_asked_in_the_benchmarks_own_words(where):
    rows = load(where)
    assert [item.key for _, item in rows[:9]] == [
        *(f"subject-0/{number}" for number in range(4)),
        *(f"subject-1/{number}" for number in range(4, 8)),
        "predicate-0/8",
    ]
    assert [item.groups for _, item in rows[::4]] == [
        ("category: subject",), ("category: subject",), ("category: predicate",), ("category: object",)
    ]  # fmt: skip
    problem, item = rows[1]
    assert problem.question == "What does the subject hold?"
    assert problem.choices == ("boat", "lamp", "sock", "kite")
    assert (problem.answer, problem.rule, problem.images) == (("A",), "choice", (png(),))
    assert item.direct == relation()[1]["text"]
    # Two circles ask the same of the same picture, but for the right answer.
    assert len({problem.id for problem, _ in rows}) == 16


def test_gold_answers_are_right_by_letter_and_by_text(where):
    for problem, _ in load(where):
        right = problem.choices["ABCD".index(problem.answer[0])]
        for text in (problem.answer[0], right, f"{problem.answer[0]}. {right}"):
            assert verify(problem, text, "direct").outcome == "correct"
        assert verify(problem, f"I compare.\nFinal answer: {problem.answer[0]}", "en").outcome == "correct"


def test_a_circle_counts_where_all_its_rows_are_right(where):
    figure = benchmark("crpe-relation").figure
    gold = figure(answers(where, lambda _, problem: problem.answer[0]))
    assert (gold.value, gold.low, gold.high) == (1, 1, 1)
    # One row of the second circle of "subject" is wrong: subject 1/2, predicate 1, object 1.
    slip = figure(answers(where, lambda number, problem: "kite" if number == 1 else problem.answer[0]))
    assert slip.value == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert dict(slip.details) == {"accuracy of single rows": 15 / 16}
    assert slip.low <= slip.value <= slip.high
    assert slip.low == pytest.approx(2 / 3)
    # Always A is right once in each circle.
    always = figure(answers(where, lambda *_: "A"))
    assert (always.value, dict(always.details)["accuracy of single rows"]) == (0, 1 / 4)


def test_the_figure_of_one_category_and_of_rows_that_failed(where):
    figure = benchmark("crpe-relation").figure
    found = answers(where, lambda number, problem: "kite" if number == 1 else problem.answer[0])
    subject = [answer for answer in found if answer.item.groups == ("category: subject",)]
    assert figure(subject).value == 1 / 2
    # The only wrong row of its circle is not there: the circle is judged by the other three.
    failed = answers(where, lambda number, problem: None if number == 1 else problem.answer[0])
    assert figure(failed).value == 1
    assert figure(failed[:1]).value == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "coco/val2017/gone.png"}, "does not exist"),
        ({"image": "/etc/passwd"}, "does not lie in"),
        ({"image": 5}, "its image is 5"),
        ({"correct_option": "E"}, "'E' is none of its options A, B, C, D"),
        ({"correct_option": None}, "has no correct_option"),
        ({"text": "What does it hold?"}, "none of its options \\(none\\)"),
        ({"text": None}, "has no text"),
    ],
)
def test_a_row_that_cannot_be_asked_stays_in_its_circle(where, change, why):
    rows = relation()
    rows[5] |= change
    write(where, rows)
    found = load(where)
    assert len(found) == 16
    problem, item = found[5]
    assert problem is None
    assert (item.key, item.groups) == ("subject-1/5", ("category: subject",))
    assert re.search(why, item.fault)
    assert sum(bool(other.fault) for _, other in found) == 1


def test_existence_is_another_file_of_the_same_folder(where):
    existence = benchmark("crpe-existence")
    with pytest.raises(MixprefError, match=r"holds no crpe_exist\.jsonl"):
        list(existence.load(where))
    write(where, circle(0, "exist", "sock"), "crpe_exist.jsonl")
    rows = list(existence.load(where))
    assert [item.groups for _, item in rows] == [("category: exist",)] * 4
    with pytest.raises(MixprefError, match=r"there is no folder .*none with a crpe_exist\.jsonl"):
        list(existence.load(where / "none"))
    assert "val2017.zip" in existence.get.format(folder="F")
