import pytest
import sympy
from sympy import Rational, Symbol, pi, sqrt

from mixpref.verifying.expressions import read
from mixpref.verifying.notation import Unreadable
from mixpref.verifying.structures import Chain, Combined, Grid, Many, Ratio, Region, Row, Scalar

x, y = Symbol("x"), Symbol("y")


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("2+3", 5),
        ("-2\\frac{1}{2}", Rational(-5, 2)),
        ("2(3)", 6),
        ("0.1", Rational(1, 10)),
        ("\\frac12", Rational(1, 2)),
        ("\\frac1{12}", Rational(1, 12)),
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("x^12", x**12),
        ("x^{12}y", x**12 * y),
        ("x^-1", 1 / x),
        ("2 × 10^{-3}", Rational(1, 500)),
        ("4/3πx^3", Rational(4, 3) * pi * x**3),
        ("√3/2", sqrt(3) / 2),
        ("\\sqrt[3]{-8}", -2),
        ("|x-1|", sympy.Abs(x - 1)),
        ("2|x|", 2 * sympy.Abs(x)),
        ("\\sin^2 x", sympy.sin(x) ** 2),
        ("\\sin 2x\\cos y", sympy.sin(2 * x) * sympy.cos(y)),
        ("\\sin^{-1} x", sympy.asin(x)),
        ("\\log_2 x", sympy.log(x, 2)),
        ("\\ln x", sympy.log(x)),
        ("e^x", sympy.exp(x)),
        ("3+4i", 3 + 4 * sympy.I),
        ("\\gamma", Symbol("gamma")),
        ("x'", Symbol("x'")),
        ("x_{10}", Symbol("x_10")),
        ("50\\%", Rational(1, 2)),
        ("\\lfloor 2.5 \\rfloor", 2),
    ],
)
def test_a_formula_is_read_as_it_is_meant(text, expr):
    found = read(text)
    assert isinstance(found, Scalar)
    assert sympy.simplify(found.expr - expr) == 0


def test_a_decimal_knows_its_places():
    assert read("-3.140").decimals == 3
    assert read("3").decimals is None
    assert read("3.14x").decimals is None


def test_structures_keep_their_brackets_and_order():
    one, two = Scalar(sympy.Integer(1)), Scalar(sympy.Integer(2))
    assert read("(1,2]") == Row((one, two), "(", "]")
    assert read("\\langle 1,2\\rangle") == Row((one, two), "(", ")")
    assert read("\\{1,2\\}") == Many((one, two), "set")
    assert read("1, 2") == Many((one, two), "list")
    assert read("1 \\text{ or } 2") == Many((one, two), "or")
    assert read("1.5 \\pm 0.5") == Many((two, one), "pm")
    assert read("\\{1.5 \\pm 0.5\\}") == Many((two, one), "set")
    assert read("1:2") == Ratio((one, two))
    assert read("1 < x \\le 2") == Chain((one, Scalar(x), two), ("<", "<="))
    assert read("\\{1\\}\\cup\\{2\\}") == Combined(Many((one,), "set"), Many((two,), "set"), "cup")
    assert read("\\mathbb{R}") == Region(sympy.S.Reals)
    assert read("\\begin{pmatrix}1&2\\\\2&1\\\\\\end{pmatrix}") == Grid(((one, two), (two, one)))
    assert read("x=1,y=2;x=2,y=1").items[0].kind == "list"


@pytest.mark.parametrize(
    "text",
    ["", "5 +", ")", "(1", "(1]", "2 3", "x2", "x/2y", "2^3^2", "1/0", "\\frac{1}{0}", "0^{-1}", "blue", "the x",
     "it is 5", "\\foo", "\\sin", "\\sec^{-1} x", "30^\\circ", "9^{9^{9}}", "99999999!", "{1", "\\{1", "a\\", "\x00",
     "蓝", "1...", "#"],
)  # fmt: skip
def test_what_is_ambiguous_or_no_formula_is_unreadable(text):
    with pytest.raises(Unreadable):
        read(text)
