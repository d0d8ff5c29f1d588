import pytest

from mixpref.verifying.measures import converted, measured
from mixpref.verifying.units import NONE, unit


@pytest.mark.parametrize(
    ("stated", "value", "name"),
    [
        ("4\\pi\\text{cm}", "4\\pi", "cm"),
        ("4\\pi cm", "4\\pi", "cm"),
        ("4\\pi\\text{cm}^2", "4\\pi", "cm^2"),
        ("4\\pi m/s", "4\\pi", "m/s"),
        ("2\\sqrt{3}m", "2\\sqrt{3}m", ""),
        ("4\\pi r", "4\\pi r", ""),
        ("3 ab", "3 ab", ""),
        ("4\\pi square units", "4\\pi", ""),
        ("30^{\\circ}", "30", "°"),
        ("30°", "30", "°"),
        ("\\$5", "5", "$"),
        ("(1, 2\\text{cm})", "(1, 2\\text{cm})", ""),
    ],
)
def test_a_unit_is_told_from_a_variable(stated, value, name):
    assert measured(stated) == (value, unit(name) if name else NONE)


def test_gold_answers_are_taken_to_the_unit_of_the_answer():
    cm, none = unit("cm"), NONE
    assert converted("\\pi\\text{m}", "x", cm, "") == "(\\pi) * \\frac{100}{1}"
    assert converted("\\pi\\text{kg}", "x", cm, "") is None
    assert converted("\\pi\\text{m}", "x", none, "How many metres?") == "\\pi"
    assert converted("\\pi\\text{m}", "x", none, "How many cm?") == "(\\pi) * \\frac{100}{1}"
    assert converted("\\pi\\text{m}", "x", none, "How long?") is None
    assert converted("\\pi", "x", cm, "How long?") == "\\pi"
    assert converted("\\pi", "x", cm, "How many metres?") == "(\\pi) * \\frac{100}{1}"
    assert converted("30°", "\\pi/6", none, "") == "(30) * \\pi / 180"
