import pytest

from mixpref.records import Problem
from mixpref.verifying.rules import choice, number, rule_of


def outcome(rule, gold, answer, **problem):
    return rule(Problem(**{"question": "How much is it?", "answer": gold, **problem}), answer).outcome


@pytest.mark.parametrize(
    ("gold", "name"),
    [
        ("12", "number"),
        ("1,000 m", "number"),
        ("3.14 ± 0.01", "number"),
        (("12", "twelve"), "number"),
        ("$\\frac{1}{2}$", "number"),
        ("2\\sqrt{3}", "math"),
        ("x^2 + 1", "math"),
        ("[1, 2)", "math"),
        (("4\\pi", "12.57"), "math"),
        ("Yes", "yes_no"),
        ("no", "yes_no"),
        ("red, green, blue", "list"),
        ("Paris", "text"),
        (("12", "dozen apples"), "text"),
        ("12:30", "text"),
        ("A", "text"),
        ("No entry", "text"),
    ],
)
def test_the_rule_is_picked_by_the_gold_answers_form(gold, name):
    assert rule_of(Problem(question="?", answer=gold)) == name


def test_choices_and_a_rule_of_its_own_come_first():
    assert rule_of(Problem(question="?", answer="12", choices=("12", "13"))) == "choice"
    assert rule_of(Problem(question="?", answer="12", rule="text")) == "text"


def test_a_decimal_stands_for_what_rounds_to_it():
    assert outcome(number, "3.14", "3.14159") == "correct"
    assert outcome(number, "3.14", "3.15") == "wrong"
    assert outcome(number, "3.14", "3.1") == "wrong"
    assert outcome(number, "0.33", "1/3") == "correct"
    assert outcome(number, "1.2e3", "1234") == "correct"
    assert outcome(number, "1.2e3", "1300") == "wrong"
    assert outcome(number, "3", "3.14") == "wrong"
    assert outcome(number, "1/3", "0.33") == "wrong"
    assert outcome(number, "1200", "1234") == "wrong"
    assert outcome(number, "12.5%", "12.54%") == "correct"
    assert outcome(number, "-3.14", "3.14159") == "wrong"


def test_the_question_may_ask_for_decimal_places():
    tenth = "How long is it, to the nearest tenth?"
    assert outcome(number, "3.14", "3.1", question=tenth) == "correct"
    assert outcome(number, "3.14", "3.2", question=tenth) == "wrong"
    assert outcome(number, "1/3", "0.33", question="Give two decimal places.") == "correct"
    assert outcome(number, "0.5", "0.54", question="Give two decimal places.") == "wrong"
    assert outcome(number, "3.14 ± 0.1", "3.2", question="Give two decimal places.") == "correct"


OPTIONS = ("red", "light purple", "purple")


@pytest.mark.parametrize(
    "answer",
    [
        "C",
        "c",
        "(C)",
        "[c]",
        "C.",
        "C) purple",
        "C: purple",
        "purple",
        "Purple.",
        "option C",
        "The answer is C",
        "\\text{C}",
        "**C**",
        "3",
        "(3)",
        "option 3",
        "选C",
        "故选C",
        "答案是C",
        "$\\boxed{C}$",
        "the purple",
        "C - purple",
    ],
)
def test_an_option_has_many_names(answer):
    assert outcome(choice, "C", answer, choices=OPTIONS) == "correct"
    assert outcome(choice, "B", answer, choices=OPTIONS) == "wrong"


def test_a_number_names_an_option_only_where_none_is_a_number():
    assert outcome(choice, "B", "2", choices=("red", "blue")) == "correct"
    assert outcome(choice, "B", "2", choices=("2", "3")) == "wrong"
    assert outcome(choice, "A", "2", choices=("2", "3")) == "correct"
    assert outcome(choice, "B", "2", choices=("7 m", "5 m")) == "wrong"
    # The second option, or the one that reads 2?
    assert outcome(choice, "B", "option 2", choices=("2", "3")) == "unparsed"
    assert outcome(choice, "B", "5", choices=("red", "blue")) == "wrong"


def test_options_may_bring_their_letters():
    choices = ("A. red", "B. blue")
    assert outcome(choice, "B", "blue", choices=choices) == "correct"
    assert outcome(choice, "B. blue", "B", choices=choices) == "correct"
    assert outcome(choice, "B", "B. red", choices=choices) == "unparsed"


def test_a_gold_answer_may_want_several_options():
    for gold in ("A, C", "AC", "A and C", "red, purple"):
        assert outcome(choice, gold, "A, C", choices=OPTIONS) == "correct"
        assert outcome(choice, gold, "C and A", choices=OPTIONS) == "correct"
        assert outcome(choice, gold, "AC", choices=OPTIONS) == "correct"
        assert outcome(choice, gold, "A", choices=OPTIONS) == "wrong"
        assert outcome(choice, gold, "A, B, C", choices=OPTIONS) == "wrong"
    # Two accepted answers are not one answer of two options.
    assert outcome(choice, ("A", "C"), "A", choices=OPTIONS) == "correct"
    assert outcome(choice, ("A", "C"), "A, C", choices=OPTIONS) == "unparsed"
