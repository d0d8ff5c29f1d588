import pytest
import sympy
from sympy import Function, Integer, Rational, Symbol, cos, log, pi, sin, sqrt

from mixpref.verifying.structures import Scalar
from mixpref.verifying.values import Undecided, equal, same_values

x, y, n = Symbol("x"), Symbol("y"), Symbol("n")
f = Function("f")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (sqrt(2) * sqrt(3) - sqrt(6), Integer(0)),
        (sqrt(3 + 2 * sqrt(2)), 1 + sqrt(2)),
        (sin(2 * x), 2 * sin(x) * cos(x)),
        ((x**2 - 1) / (x - 1), x + 1),
        (f(x + x), f(2 * x)),
        # At x = -4, which is one of the points, one is 0 and the other what rounding leaves of it.
        (sin((pi + 9) * (x + 4)), sin(pi * x + 9 * x + 36)),
        (sympy.Sum(n, (n, 1, 4)), Integer(10)),
        # Assumptions are the reader's business.
        (Symbol("x", real=True) + 1, x + 1),
    ],
)
def test_formulas_of_the_same_value_are_the_same(one, other):
    assert same_values(one, other)
    assert not same_values(one, other + Rational(1, 10**20))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1 / sympy.factorial(2004), 1 / sympy.factorial(2006)),
        (pi, Rational(355, 113)),
        (sqrt(x**2), x),
        (x, y),
        (f(x), f(y)),
        (f(x), x),
        (sympy.oo, -sympy.oo),
        (sympy.oo, Integer(10) ** 100),
    ],
)
def test_others_are_not(one, other):
    assert not same_values(one, other)
    assert not same_values(other, one)


def test_what_holds_only_on_the_real_line_is_undecided():
    with pytest.raises(Undecided):
        same_values(log(x**2), 2 * log(x))


def test_a_rounded_gold_answer_is_met_by_what_rounds_to_it():
    assert equal(Scalar(Rational("3.14"), 2), Scalar(pi), None)
    assert not equal(Scalar(Rational("3.15"), 2), Scalar(pi), None)
    assert not equal(Scalar(pi), Scalar(Rational("3.14"), 2), None)
    assert equal(Scalar(pi), Scalar(Rational("3.14"), 2), 2)
    assert not equal(Scalar(pi), Scalar(Rational("3.15"), 2), 2)
    assert equal(Scalar(100 * pi), Scalar(Integer(300)), -2)
