"""One row of JSON: what it may hold, and what is said of a row that is no problem."""

from __future__ import annotations

from typing import Any

import pytest

from mixpref.records import Problem
from mixpref.sources import rows
from mixpref.sources.unusable import Unusable
from mixpref.verifying import verify


def read(line: str | bytes) -> Problem:
    data = line.encode() if isinstance(line, str) else line
    return rows.problem(rows.parse(data), "f:1", lambda name: name.encode())


def kind_of(line: str | bytes) -> str:
    with pytest.raises(Unusable) as raised:
        read(line)
    assert raised.value.reason
    return raised.value.kind


def test_all_keys() -> None:
    problem = read(
        '{"question": "q <image> <image>", "answer": ["4", 5], "images": ["a", "b"], "rule": "number",'
        ' "family": "sums", "caption": {"any": "thing"}}'
    )
    assert problem == Problem(
        question="q <image> <image>",
        answer=("4", "5"),
        images=(b"a", b"b"),
        rule="number",
        source="f:1",
        family="sums",
    )


def test_the_other_names_of_the_keys() -> None:
    one = read('{"question": "q", "answer": "x", "options": ["x", "y"], "image": "a", "kind": "k"}')
    other = read('{"question": "q", "answer": "x", "choices": ["x", "y"], "images": ["a"], "family": "k"}')
    assert one == other
    assert read('{"question": "q", "answer": 1, "image": null, "images": null, "options": []}').images == ()


@pytest.mark.parametrize("number", ["4", "-3", "2.50", "0.1", "12345678901234567890", "1e-7"])
def test_numbers_keep_their_digits(number: str) -> None:
    assert read(f'{{"question": "q", "answer": {number}}}').answer == (number,)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('"yes"', "B"),
        ('"YES"', "B"),
        ('" yes "', "B"),
        ('"B"', "B"),
        ('"b"', "B"),
        ('"(B)"', "B"),
        ('"B."', "B"),
        ('"B. yes"', "B"),
        ('"(c) 4"', "C"),
        ('"4"', "C"),
        ("4", "C"),
    ],
)
def test_an_answer_is_a_choices_text_or_letter(answer: str, expected: str) -> None:
    problem = read(f'{{"question": "q", "options": ["no", "yes", 4], "answer": {answer}}}')
    assert problem.choices == ("no", "yes", "4")
    assert problem.answer == (expected,)


@pytest.mark.parametrize("answer", ['"D"', '"maybe"', "3", '"A. yes"', '"no yes"', '"1"'])
def test_an_answer_outside_the_choices(answer: str) -> None:
    line = f'{{"question": "q", "options": ["no", "yes", 4], "answer": {answer}}}'
    assert kind_of(line) == "answer outside the choices"


def test_an_answer_that_may_be_two_choices() -> None:
    assert kind_of('{"question": "q", "options": ["B", "A", "C"], "answer": "A"}') == "ambiguous answer"
    assert read('{"question": "q", "options": ["B", "A", "C"], "answer": "C"}').answer == ("C",)
    assert read('{"question": "q", "options": ["A", "B", "C"], "answer": "B"}').answer == ("B",)
    assert read('{"question": "q", "options": ["x", "x", "y"], "answer": "x"}').answer == ("A",)


@pytest.mark.parametrize(
    ("choices", "answer", "place"),
    [(["B", "x", "y"], "x", 1), (["red", "blue"], "blue", 1), (["4", "1/2", "0.5"], "0.5", 2), (["c", "b"], "C", 0)],
)
def test_the_verifier_reads_the_answer_as_the_choice_that_was_meant(
    choices: list[str], answer: str, place: int
) -> None:
    problem = rows.problem({"question": "q", "choices": choices, "answer": answer}, "f:1", str.encode)
    assert verify(problem, choices[place], "direct").outcome == "correct"
    others = [each for each in range(len(choices)) if each != place]
    assert all(verify(problem, f"{'ABC'[each]}. {choices[each]}", "direct").outcome == "wrong" for each in others)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("{", "bad JSON"),
        ('{"question": "q", "answer": "a"', "bad JSON"),
        ("[1]", "bad JSON"),
        ('"text"', "bad JSON"),
        ('{"question": "q", "answer": NaN}', "bad JSON"),
        (b'{"question": "\xff", "answer": "a"}', "bad JSON"),
        ("[" * 100_000, "bad JSON"),
        ('{"answer": "a"}', "no question"),
        ('{"question": null, "answer": "a"}', "no question"),
        ('{"question": " \\n", "answer": "a"}', "no question"),
        ('{"question": 3, "answer": "a"}', "wrong type"),
        ('{"question": ["q"], "answer": "a"}', "wrong type"),
        ('{"question": "\\ud800", "answer": "a"}', "wrong type"),
        ('{"question": "q"}', "no answer"),
        ('{"question": "q", "answer": null}', "no answer"),
        ('{"question": "q", "answer": []}', "no answer"),
        ('{"question": "q", "answer": " "}', "no answer"),
        ('{"question": "q", "answer": true}', "wrong type"),
        ('{"question": "q", "answer": {"text": "a"}}', "wrong type"),
        ('{"question": "q", "answer": [["a"]]}', "wrong type"),
        ('{"question": "q", "answer": "a", "options": "abc"}', "wrong type"),
        ('{"question": "q", "answer": "a", "options": {"A": "a"}}', "wrong type"),
        ('{"question": "q", "answer": "a", "options": ["a", null]}', "wrong type"),
        ('{"question": "q", "answer": "a", "options": ["a", ""]}', "wrong type"),
        ('{"question": "q", "answer": "a", "image": 3}', "wrong type"),
        ('{"question": "q", "answer": "a", "images": ["a", null]}', "wrong type"),
        ('{"question": "q", "answer": "a", "rule": ["number"]}', "wrong type"),
        ('{"question": "q <image> <image>", "answer": "a", "image": "x"}', "more marks than images"),
    ],
)
def test_what_is_no_problem(line: str | bytes, kind: str) -> None:
    assert kind_of(line) == kind


def test_more_choices_than_letters() -> None:
    row: dict[str, Any] = {"question": "q", "answer": "1", "choices": [str(each) for each in range(27)]}
    with pytest.raises(Unusable, match="more than letters"):
        rows.problem(row, "f:1", str.encode)


def test_numbered_marks_become_places_of_images() -> None:
    line = '{"question": "<image1> or <image 2>?", "answer": "a", "images": ["x", "y"]}'
    assert read(line).question == "<image> or <image>?"
    assert kind_of('{"question": "<image1> or <image2>?", "answer": "a", "image": "x"}') == "more marks than images"
    assert read('{"question": "<image2> or <image1>?", "answer": "a"}').question == "<image2> or <image1>?"
    within = read('{"question": "which?", "answer": "A", "options": ["<image1>", "<image2>"], "images": ["x", "y"]}')
    assert within.choices == ("<image>", "<image>")


def test_an_open_question_is_a_problem_where_something_can_be_made_of_it():
    row = {"question": "Describe the picture.", "image": "a.png"}
    open_ = rows.problem(row, "f:1", str.encode, open_questions=True)
    assert (open_.answer, open_.images) == (None, (b"a.png",))
    with pytest.raises(Unusable, match=r"dropout-ntp among pairing.kinds"):
        rows.problem(row, "f:1", str.encode)
