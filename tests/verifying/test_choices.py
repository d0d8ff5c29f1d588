import pytest

from mixpref.verifying.choices import marked, named

COLOURS = ("red", "light purple", "purple", "dark green")


@pytest.mark.parametrize(
    "answer",
    ["C", "c", "(C)", "[C]", "C)", "C.", "C:", "**C**", "\\text{C}", "$\\boxed{C}$", "option C", "Option (C)",
     "choice C", "C. purple", "C: purple", "(C) purple", "C) purple, as it is purple", "C - purple", "The answer is C",
     "The correct answer is (C).",
     "purple", "Purple.", '"purple"', "the purple", "It is purple.", "The colour must be purple", "purple (C)",
     "The missing colour is (C)", "purple, since the others are bright", "C. because of the rule"],
)  # fmt: skip
def test_an_option_is_named_by_letter_text_or_both(answer):
    assert named(answer, COLOURS) == {2}


@pytest.mark.parametrize(
    "answer", ["red or purple", "A and C", "(A) or (C)", "A. red or C. purple", "red, or purple", "A, C"]
)
def test_several_options_are_no_answer(answer):
    found = named(answer, COLOURS)
    assert found is None or len(found) != 1


@pytest.mark.parametrize(
    "answer", ["not purple", "It is not C, nor is it (A)", "It isn't purple", "B. purple", "neither red"]
)
def test_excluded_and_contradictory_options_are_no_answer(answer):
    assert named(answer, COLOURS) is None


@pytest.mark.parametrize("answer", ["E", "pink", "purplish", "yellow", "12", "I don't know"])
def test_what_is_no_option_names_none(answer):
    assert named(answer, COLOURS) == set()


def test_options_are_whole_tokens():
    assert named("light purple", COLOURS) == {1}
    assert named("It is the light purple one", COLOURS) == {1}
    assert named("3.5", ("3", "4", "5")) == set()
    assert named("3.14", ("3", "4", "5")) == set()
    assert named("3.0", ("3", "4", "5")) == {0}
    assert named("13", ("3", "4", "5")) == set()


def test_an_article_is_no_letter():
    assert named("A dog", ("cat", "dog")) == {1}
    assert named("a dog", ("cat", "dog")) == {1}
    assert marked("A dog") is None
    assert marked("A. dog") == ("A", "dog")


def test_numbers_and_units_tell_options_apart():
    lengths = ("6cm", "7 cm", "6 m")
    assert named("6 cm", lengths) == {0}
    assert named("60 mm", lengths) == {0}
    assert named("7", lengths) == {1}
    assert named("6", lengths) == {0, 2}
    assert named("\\dfrac{3}{4}", ("0.5", "\\frac { 3 } { 4 }")) == {1}


def test_yes_and_no_negate_nothing_as_options():
    assert named("No, it is not", ("Yes", "No")) == {1}
    assert named("No", ("Yes", "No")) == {1}
    assert named("Yes, not no", ("Yes", "No")) != {0}


def test_options_that_are_letters_may_be_undecided():
    assert named("B", ("A", "B", "C")) == {1}
    assert named("A", ("C", "B", "A")) == {0, 2}
    assert named("A. C", ("C", "B", "A")) == {0}


def test_options_of_one_text_are_one():
    assert named("50", ("15", "50", "50")) == {1}
    assert named("C", ("15", "50", "50")) == {1}
