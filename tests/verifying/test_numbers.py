from fractions import Fraction

import pytest

from mixpref.verifying import numbers
from mixpref.verifying.numbers import agree, gold, quantity, read
from mixpref.verifying.units import named, unit


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("-5", -5),
        ("- 5", -5),
        ("+5", 5),
        ("1,234.5", Fraction("1234.5")),
        ("1,234,567", 1234567),
        (".5", Fraction(1, 2)),
        ("007", 7),
        ("1/2", Fraction(1, 2)),
        ("1 1/2", Fraction(3, 2)),
        ("2 and 3/4", Fraction(11, 4)),
        ("1.2e3", 1200),
        ("1.2 × 10^3", 1200),
        ("3 x 10^-2", Fraction(3, 100)),
        ("ten", 10),
        ("approximately 3.14", Fraction("3.14")),
        ("0.1", Fraction(1, 10)),
        ("9" * 40, 10**40 - 1),
    ],
)
def test_a_number_is_read_exactly(text, value):
    found = quantity(text)
    assert found is not None
    assert found.value == value
    assert found.unit.dimension == ""


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "blue", "12:30", "3rd", "3D", "2x", "1,5", "1,2345", "12345,678", "3.5.2", "5!", "3-5", "(2, 12)",
        "12 or 13", "12 and 13", "7/0", "1 5/4", "x > 3", ">3", "4πcm", "5 hours and 30 minutes", "--5", "-$-5",
        "1e999999999", "9" * 1000, "three of them and two",
    ],
)  # fmt: skip
def test_what_is_not_one_number_is_none(text):
    assert quantity(text) is None


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("The answer is 12.", 12),
        ("She makes $18 per day.", 18),
        ("There are 5 apples left", 5),
        ("The distance between A and B is 5 km", 5),
        ("x = 12", 12),
        ("x = 3 + 9 = 12", 12),
        ("$\\frac{1}{2}$", Fraction(1, 2)),
        ("it is -5", -5),
    ],
)
def test_a_sentence_states_its_number(answer, value):
    found = read(answer)
    assert found is not None
    assert found.value == value


@pytest.mark.parametrize(
    "answer",
    [
        "not 5", "it isn't 5", "more than 5", "at least 5", "x > 5", "5 or 6", "between 5 and 6", "P3", "x-3",
        "option 3", "10 = 12", "a = 3, b = 4", "a = 3 and b = 4", "from 3 to 5", "either 3", "[3, 5)", "two and 2",
    ],
)  # fmt: skip
def test_a_sentence_that_says_something_else_states_none(answer):
    assert read(answer) is None


def stated(text):
    found = read(text)
    assert found is not None, text
    return found


def same(truth, answer, question=""):
    found = gold(truth)
    assert found is not None
    return agree(found, stated(answer), question)


def test_there_is_no_tolerance_but_the_golds_own():
    assert same("0.5", "1/2")
    assert same("5", "5.0")
    assert not same("1/3", "0.333")
    assert not same("1998", "1999")
    assert not same("104", "100")
    assert not same("3", "3.0001")
    assert not same("-5", "5")
    assert same("3.14 ± 0.01", "3.15")
    assert same("3.14 +/- 0.01 cm", "3.13 cm")
    assert not same("3.14 ± 0.01", "3.16")


def test_units_of_one_dimension_compare_and_others_differ():
    assert same("12 cm", "12 centimeters")
    assert same("1.2 m", "120 cm")
    assert same("1.5 hours", "90 minutes")
    assert same("12 cm^2", "12 square centimetres")
    assert same("72 km/h", "20 m/s")
    assert same("$18", "18 dollars")
    assert same("$2", "200 cents")
    assert not same("12 m", "12 cm")
    assert not same("12 cm", "12 kg")
    assert not same("12 cm", "12 cm^2")
    assert not same("12 apples", "12 pears")


def test_a_bare_number_has_the_unit_that_the_question_names():
    assert same("12 cm", "12", "How many centimetres long is it?")
    assert not same("12 cm", "12", "How long is it?")
    assert not same("12 cm", "12", "How long is it in metres?")
    assert same("12 cm", "0.12", "How long is it in metres?")
    assert same("50%", "50", "What percentage is red?")
    assert not same("50%", "50", "Which share is red?")
    assert same("12 apples", "12", "How many apples are there?")
    assert not same("12 apples", "12", "What is there?")


def test_a_unit_beyond_a_bare_gold_number_is_accepted_unless_the_question_wants_another():
    assert same("18", "$18", "What does it cost?")
    assert same("145", "145°")
    assert same("12", "12 apples")
    assert same("300", "3 m", "How many cm are 3 m?")
    assert same("300", "300 cm", "How many cm are 3 m?")
    assert not same("300", "300 m", "How many cm are 3 m?")
    assert same("50", "50%", "Which share?")
    assert same("0.5", "50%", "Which share?")
    assert not same("0.5", "0.5%", "Which share?")


def test_number_words_scale():
    assert same("2000000", "2 million")
    assert not same("2", "2 million", "How much is it?")
    assert same("2", "2 million", "How many million people live there?")
    assert same("24", "2 dozen")
    assert same("$2 million", "$2,000,000")


def test_a_question_asks_for_some_of_the_units_that_it_names():
    assert named("If AB = 3 cm, how long is BC in metres?") == (unit("m"),)
    assert named("AB = 3 cm, BC = 2 mm. How long is AC?") == (unit("cm"), unit("mm"))
    # Words and letters that look like units.
    assert named("How many pens are there in total, and how many in all?") == ()
    assert named("What is in m?") == (unit("m"),)


def test_a_quantity_shows_as_people_write_it():
    assert str(stated("1,234.5 cm")) == "1234.5 cm"
    assert str(stated("1/3")) == "1/3"
    assert str(numbers.Quantity(Fraction(2), scale=10**6)) == "2000000"


@pytest.mark.parametrize("answer", ["4 π cm", "4√2 cm", "0,111", "x + 2 = 7", "2x = 10"])
def test_what_is_more_than_one_number_is_none(answer):
    assert read(answer) is None


@pytest.mark.parametrize(
    ("answer", "value"), [("x = 3 + 9 = 12", 12), ("3 + 9 = 12", 12), ("1,111", 1111), ("Area = 12 cm", 12)]
)
def test_the_last_side_of_an_equation_is_its_number(answer, value):
    found = read(answer)
    assert found is not None
    assert found.value == value
