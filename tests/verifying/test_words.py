import pytest

from mixpref.records import Problem
from mixpref.verifying.words import is_list, listed, said_yes_or_no, split, text, yes_no


def outcome(rule, gold, answer, question="What is it?"):
    return rule(Problem(question=question, answer=gold), answer).outcome


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("**Yes**", "yes"),
        ("Yes, it is larger", "yes"),
        ("Yes because it is larger", "yes"),
        ("The answer is yes.", "yes"),
        ("True", "yes"),
        ("是的", "yes"),
        ("\\text{Yes}", "yes"),
        ("No", "no"),
        ("No, yes would be wrong", "no"),
        ("False", "no"),
        ("不是。", "no"),
        ("Yes and no", None),
        ("Yes or no", None),
        ("Yes, no", None),
        ("None", None),
        ("Not sure", None),
        ("Yesterday", None),
        ("North", None),
        ("是不是", None),
        ("no 5", None),
        ("", None),
    ],
)
def test_yes_and_no_are_read(answer, said):
    assert said_yes_or_no(answer) == said


def test_yes_or_no_is_judged():
    assert outcome(yes_no, "Yes", "yes, since it is red") == "correct"
    assert outcome(yes_no, "No", "False") == "correct"
    assert outcome(yes_no, "No", "Yes") == "wrong"
    assert outcome(yes_no, "No", "None") == "unparsed"
    assert outcome(yes_no, "No", "blue") == "unparsed"
    with pytest.raises(ValueError, match="'red' is neither yes nor no"):
        outcome(yes_no, "red", "no")


@pytest.mark.parametrize(
    ("answer", "items"),
    [
        ("red, green and blue", ("red", "green", "blue")),
        ("red, green, and blue.", ("red", "green", "blue")),
        ("[1, 2, 3]", ("1", "2", "3")),
        ('["red", "blue"]', ("red", "blue")),
        ("{a; b}", ("a", "b")),
        ("1,000, 2,000", ("1,000", "2,000")),
        ("1, 000", ("1", "000")),
        ("(1, 2), (3, 4)", ("(1, 2)", "(3, 4)")),
        ("红色、蓝色", ("红色", "蓝色")),
        ("Paris", ("Paris",)),
        ("salt and pepper", ("salt", "pepper")),
        ("", ()),
        (")(,", (")(",)),
    ],
)
def test_a_list_is_parted_into_items(answer, items):
    assert split(answer) == items


def test_a_list_has_short_items_with_commas_between_them():
    assert is_list("red, green, blue")
    assert is_list("[1, 2]")
    assert not is_list("salt and pepper")
    assert not is_list("1,000")
    assert not is_list("In 1998, the company that he had led for years was sold")


def test_lists_are_equal_in_any_order_unless_the_question_asks_for_one():
    assert outcome(listed, "red, green, blue", "blue, red and green") == "correct"
    assert outcome(listed, "2, 12", "12, 2.0") == "correct"
    assert outcome(listed, "red, green", "The colors are green and red.") == "correct"
    assert outcome(listed, "3, 1, 2", "1, 2, 3", question="Sort the numbers in descending order.") == "wrong"
    assert outcome(listed, "3, 2, 1", "3, 2, 1", question="Sort the numbers in descending order.") == "correct"
    assert outcome(listed, "3 cm, 2 cm", "3 cm, 20 mm") == "correct"


@pytest.mark.parametrize(
    "answer", ["red", "red, green", "red, green, blue, blue", "red, green, bluee", "red, red, blue", "red, green, -1"]
)
def test_other_items_are_wrong(answer):
    assert outcome(listed, "red, green, blue", answer) == "wrong"


def test_an_undecided_list_is_unparsed():
    assert outcome(listed, "red, blue", "red or blue") == "unparsed"
    assert outcome(listed, "red, blue", "red, not blue") == "unparsed"
    with pytest.raises(ValueError, match="'red' is no list"):
        outcome(listed, "red", "red")


def test_texts_are_equal_whatever_their_setting():
    for answer in ("Light Purple", "the light  purple", "**light purple**.", "It is light purple", "“light purple”"):
        assert outcome(text, "light purple", answer) == "correct"
    for answer in ("purple", "light", "light-purple", "light purples", "dark purple", "not light purple"):
        assert outcome(text, "light purple", answer) == "wrong"
