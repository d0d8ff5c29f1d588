"""The official rules of MathVista and MATH-Vision."""

import json
import os
from pathlib import Path

import pytest

from mixpref.records import Problem
from mixpref.verifying.judgement import Algebra
from mixpref.verifying.official import mathvision, mathvista

COLOURS = ("red", "light purple", "purple")


def judge(rule, gold, answer, choices=(), question="What is it?"):
    return rule(Problem(question=question, answer=gold, choices=choices), answer)


@pytest.mark.parametrize("rule", [mathvista, mathvision])
def test_a_problem_that_cannot_be_judged_is_refused(rule):
    with pytest.raises(ValueError, match="no gold answer"):
        judge(rule, None, "12")
    with pytest.raises(ValueError, match="names 0 of the 3"):
        judge(rule, "pink", "A", COLOURS)


@pytest.mark.parametrize("rule", [mathvista, mathvision])
@pytest.mark.parametrize(
    "answer", ["C", "(C)", "c", "C.", "**C**", "\\text{C}", "(C) purple", "purple", "Purple", "**purple**", "purple."]
)
def test_a_choice_is_named_by_letter_or_text(rule, answer):
    assert judge(rule, "purple", answer, COLOURS).outcome == "correct"
    assert judge(rule, "red", answer, COLOURS).outcome == "wrong"
    assert judge(rule, "light purple", answer, COLOURS).outcome == "wrong"


def test_mathvista_takes_the_nearest_choice_whatever_was_said():
    assert judge(mathvista, "purple", "purpel", COLOURS).outcome == "correct"
    # As in the official code the first of equal distances, also for an answer that names none.
    assert judge(mathvista, "No", "N/A", ("Yes", "No")).outcome == "correct"
    assert judge(mathvista, "5", "9", ("5", "6")).outcome == "correct"
    assert judge(mathvista, "6", "9", ("5", "6")).outcome == "wrong"
    # A choice is its text as it is written, and no other notation of it.
    assert judge(mathvista, "7", "10/3", ("\\frac{20}{3}", "\\frac{10}{3}", "7")).outcome == "correct"
    # A gold text that is another choice's letter.
    assert judge(mathvista, "B", "A", ("B", "A")).outcome == "correct"


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("5", "5", "correct"),
        ("5", "5.0", "correct"),
        ("5", "$5$", "correct"),
        ("1000", "1,000", "correct"),
        ("-5", "-5", "correct"),
        ("5", "-5", "wrong"),
        ("5", "6", "wrong"),
        ("3", "3.5", "wrong"),
        ("1.2", "1.2", "correct"),
        ("1.2", "1.24", "correct"),
        ("1.2", "1.26", "wrong"),
        ("0.0", "0", "correct"),
        ("2.50", "2.5", "correct"),
        ("[2014, 2016]", "[2014,2016]", "correct"),
        ("[2014, 2016]", "[2016, 2014]", "wrong"),
        ("[2014, 2016]", "2014", "unparsed"),
        ("5", "five apples", "correct"),
        ("5", "six apples", "wrong"),
        ("5", "apples", "unparsed"),
        ("5", "N/A", "unparsed"),
        ("5", "inf", "unparsed"),
        ("5", "nan", "unparsed"),
        ("1.2", "1e999", "unparsed"),
    ],
)
def test_mathvista_reads_answers_in_the_gold_answers_form(gold, answer, expected):
    assert judge(mathvista, gold, answer).outcome == expected


def test_mathvista_has_no_other_forms():
    with pytest.raises(ValueError, match="no integer"):
        judge(mathvista, "blue", "blue")


def test_mathvision_undecided_answers_are_unparsed():
    for answer in ("red or purple", "not purple", "B. purple"):
        assert judge(mathvision, "C", answer, COLOURS).outcome == "unparsed"
    assert judge(mathvision, "C", "pink", COLOURS).outcome == "wrong"
    assert judge(mathvision, "C", "E", COLOURS).outcome == "wrong"


@pytest.mark.parametrize("answer", ["-3", "3/4", "3\\sqrt{2}", "2^3", "3+6", "$3x$", "The answer is -3", "3!"])
def test_mathvision_an_option_within_an_expression_is_not_stated(answer):
    for gold in ("A", "B"):
        found = judge(mathvision, gold, answer, ("$3$", "$6$"))
        assert isinstance(found, Algebra) or found.outcome in ("wrong", "unparsed")
    found = judge(mathvision, "A", f"-{answer}", ("$2\\sqrt{2}$", "$6$"))
    assert isinstance(found, Algebra) or found.outcome in ("wrong", "unparsed")


def test_mathvision_options_that_are_quantities():
    lengths = ("$6 \\mathrm{~m}$", "$8 \\mathrm{~m}$")
    for answer in ("6 m", "6", "600 cm", "The length is 6 m", "A. 6 m"):
        assert judge(mathvision, "A", answer, lengths).outcome == "correct"
        assert judge(mathvision, "B", answer, lengths).outcome == "wrong"
    assert judge(mathvision, "A", "6 cm", lengths).outcome == "wrong"


def test_mathvision_options_that_are_letters():
    assert judge(mathvision, "D", "D", tuple("ABCDE")).outcome == "correct"
    assert judge(mathvision, "D", "(D)", ("(A)", "(B)", "(C)", "(D)")).outcome == "correct"
    assert judge(mathvision, "A", "A", ("C", "B", "A")).outcome == "correct"
    assert judge(mathvision, "A", "C", ("C", "B", "A")).outcome == "wrong"


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("6", "6", "correct"),
        ("6", "6.0", "correct"),
        ("6", "$6$", "correct"),
        ("4.8", "4.8", "correct"),
        ("-2", "2", "wrong"),
        ("6", "7", "wrong"),
        ("45", "45^\\circ", "correct"),
        ("2.5", "\\frac{5}{2}", "correct"),
        ("C", "(C)", "correct"),
        ("C", "D", "wrong"),
    ],
)
def test_mathvision_without_options(gold, answer, expected):
    assert judge(mathvision, gold, answer).outcome == expected


def test_mathvision_leaves_expressions_to_algebra():
    assert isinstance(judge(mathvision, "2\\sqrt{2}", "\\sqrt{8}"), Algebra)
    assert judge(mathvision, "(3,-4)", "(3, -4)").outcome == "correct"
    asked = judge(mathvision, "B", "\\sqrt{8}", ("$3$", "$2\\sqrt{2}$"))
    assert isinstance(asked, Algebra)
    assert [gold.strip("$") for gold in asked.golds] == ["2\\sqrt{2}"]


@pytest.mark.parametrize("rule", [mathvista, mathvision])
@pytest.mark.parametrize("piece", ["(", "9", "1,000", "(A", "a ", "\\frac", "{", "\u202eאב", "\x00", "½", "- "])
def test_no_text_raises_or_takes_long(rule, piece):
    text = piece * (20_000 // len(piece))
    for gold, choices in (("purple", COLOURS), ("12", ()), ("[1, 2]" if rule is mathvista else "blue", ())):
        found = judge(rule, gold, text, choices)
        assert isinstance(found, Algebra) or found.outcome in ("wrong", "unparsed", "correct")


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("MIXPREF_TEST_DATA")
    if not folder:
        pytest.skip("MIXPREF_TEST_DATA names no folder of real data sets")
    return Path(folder)


def read(file: Path) -> str:
    if not file.exists():
        pytest.skip(f"{file} is missing")
    return file.read_text(encoding="utf-8")


def mathvista_problem(row) -> Problem:
    return Problem(question=row["question"], answer=row["answer"], choices=tuple(row["choices"] or ()))


def test_the_form_of_mathvistas_gold_answers_tells_their_type(data):
    """An answer with one more decimal is rounded as the type says; of another type it would be judged otherwise."""
    for row in json.loads(read(data / "mathvista" / "testmini.json")).values():
        problem = mathvista_problem(row)
        # The text of a choice "(c)" is read as the third choice's letter, whatever that is.
        right = not problem.choices or not row["answer"].startswith("(")
        assert not right or mathvista(problem, row["answer"]).outcome == "correct", row
        assert (row["question_type"] == "multi_choice") == bool(problem.choices)
        if row["answer_type"] == "float":
            assert mathvista(problem, f"{row['answer']}1").outcome == "correct"
            assert len(row["answer"].partition(".")[2]) == row["precision"]
        if row["answer_type"] == "integer":
            assert mathvista(problem, f"{row['answer']}.1").outcome == "wrong"
        assert (row["answer_type"] == "list") == (not problem.choices and row["answer"].startswith("["))


@pytest.mark.parametrize("model", ["output_bard", "output_gpt4_2shot_solution"])
def test_mathvistas_judgements_are_reproduced(data, model):
    questions = json.loads(read(data / "mathvista" / "testmini.json"))
    outputs = json.loads(read(data / "mathvista" / "outputs" / f"{model}.json"))
    for key, output in outputs.items():
        found = mathvista(mathvista_problem(questions[key]), output["extraction"])
        assert (found.outcome == "correct") == output["true_false"], (questions[key]["answer"], output)
        if questions[key]["choices"]:
            assert found.normalised == output["prediction"]
    assert len(outputs) == 1000


def test_mathvisions_gold_answers_pass(data):
    lines = read(data / "mathvision" / "testmini.jsonl").splitlines()
    for row in map(json.loads, lines):
        problem = Problem(question=row["question"], answer=row["answer"], choices=tuple(row["options"]))
        stated = [row["answer"], f"({row['answer']})"] if row["options"] else [row["answer"]]
        for answer in stated:
            found = mathvision(problem, answer)
            assert not isinstance(found, Algebra), row
            assert found.outcome == "correct", row
    assert len(lines) == 304
