import pytest

from mixpref.evaluation import gold
from mixpref.records import Problem
from mixpref.sources.unusable import Unusable


def test_answers_are_texts_or_numbers():
    assert [gold.answer({"answer": value}) for value in ("6", 6, 0.5, " x ")] == ["6", "6", "0.5", " x "]
    for value, reason in ((None, "no answer"), ("", "no answer"), ("  ", "'  '"), (["6"], r"\['6'\]")):
        with pytest.raises(Unusable, match=reason):
            gold.answer({"answer": value})


def test_choices_are_lists_of_texts():
    assert gold.choices({"choices": ["a", 2]}) == ("a", "2")
    assert gold.choices({}) == ()
    for value in ("a", ["a", None], {"a": 1}):
        with pytest.raises(Unusable, match="no list of texts"):
            gold.choices({"choices": value})


@pytest.mark.parametrize(("value", "letter"), [("B", "B"), (" b ", "B"), (1, "B"), (0, "A")])
def test_the_right_choice_is_a_letter_or_a_place(value, letter):
    assert gold.letter({"answer": value}, ("x", "y")) == letter


@pytest.mark.parametrize("value", ["C", "", "AB", 2, -1, True, 0.0, None])
def test_what_is_none_of_the_choices(value):
    with pytest.raises(Unusable, match="is none of its choices A, B"):
        gold.letter({"answer": value}, ("x", "y"))


def test_gold_answers_that_their_rule_cannot_read():
    good = Problem(question="q", answer="12", rule="number")
    assert gold.judgeable(good) is good
    with pytest.raises(Unusable, match="it cannot be judged"):
        gold.judgeable(Problem(question="q", answer="a dozen", rule="number"))
