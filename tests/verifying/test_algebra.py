import pytest

from mixpref.verifying.algebra import compare
from mixpref.verifying.maths import expression


def outcome(gold, answer, decimals=None):
    golds = [gold] if isinstance(gold, str) else gold
    return compare({"golds": [expression(each) for each in golds], "answer": expression(answer), "decimals": decimals})[
        "outcome"
    ]


def test_what_is_compared_is_told():
    found = compare({"golds": ["2 \\pi", "x"], "answer": "6", "decimals": None})
    assert found == {"outcome": "wrong", "detail": "6 against 2 \\pi or x", "normalised": "6"}
    found = compare({"golds": ["5"], "answer": "5 +", "decimals": None})
    assert found["outcome"] == "unparsed"
    assert "ends too early" in found["detail"]


# From the tests of math-verify 0.9.0 (Apache-2.0): gold, prediction, what math-verify says.
@pytest.mark.parametrize(
    ("gold", "answer", "accepted"),
    [
        ("10/9", "\\frac{10}{9}", True),
        ("$[0,1)$", "$[0,1)$", True),
        ("$[0,9)$", "$[0,1)$", False),
        ("$(0,9)$", "$[0,9)$", False),
        ("$1$", "$-[0,1)$", False),
        ("$10$", "\\( (9+1) \\)", True),
        ("$1/3$", "$\\frac13 $", True),
        ("$1$", "$\\frac3{3} $", True),
        ("$\\sqrt{3}$", "$\\sqrt3 $", True),
        ("$1/3$", "$\\cfrac{1}{3} $", True),
        ("$1/3$", "$\\left( \\frac{1}{3} \\right)$", True),
        ("$1/3$", "$k = \\frac{1}{3}$", True),
        ("$2-2p$", "$\\boxed{2-2p}$", True),
        ("$(3, \\frac{\\pi}{2})$", "$\\left( 3, \\frac{\\pi}{2} \\right)$", True),
        ("$3\\sqrt{13}$", "\\sqrt{117}", True),
        ("$204_5$", "$\\boxed{204_5}$", True),
        ("$1 \\pm \\sqrt{19}$", "$1 \\pm \\sqrt{19}$", True),
        ("$\\{1\\pm\\sqrt{5},-2\\}$", "$\\{-2, 1\\pm\\sqrt{5}\\}$", True),
        ("$f(2) < f(1) < f(4)$", "$f(2) < f(1) < f(4)$", True),
        ("$2 \\sin b \\cos a$", "$2 \\cos a \\sin b$", True),
        ("$\\frac{9}{4}\\pi$", "$\\frac94\\pi$", True),
        ("$\\sqrt{2}+\\sqrt{5}$", "$\\sqrt 2+\\sqrt 5$", True),
        ("$x >= 5$", "$x \\geq 5$", True),
        ("$x > 5$", "$x < 5$", False),
        ("$x \\leq 5$", "$5 \\geq x$", True),
        ("$7 = 11a+c$", "$11a+c$", False),
        ("$11$", "$x=11$", True),
        ("$11$", "$x\\approx11$", True),
        ("$1/3$", "$x=1/3\\approx1.3$", True),
        ("$x < 1$", "$-x > -1$", True),
        ("$x < 1$", "$x > -1$", False),
        ("$a +3z = 0$", "$0$", False),
        ("$2x+4y-3=0$", "$y=-\\frac{1}{2}x+\\frac{3}{4}$", True),
        ("$x^2/4 + y^2/3 = 1$", "$x^2/16 + y^2/12 = 1/4$", True),
        ("$\\begin{bmatrix}0 & 0 \\\\0 & 0\\end{bmatrix}$", "$ \\begin{pmatrix}0 & 0 \\\\0 & 0\\end{pmatrix} $", True),
        (
            "$\\begin{pmatrix}1 & 2 \\\\3 & 4\\end{pmatrix}$",
            "$ \\left[\\begin{array}{cc}1 & 2 \\\\3 & 4\\end{array}\\right] $",
            True,
        ),
        ("$\\begin{pmatrix}1 & 2 \\\\3 & 4\\end{pmatrix}$", "$\\begin{pmatrix}1 & 2 \\\\3 & 5\\end{pmatrix}$", False),
        ("$(1,\\frac{9}{2})$", "$(1,4.5)$", True),
        ("$\\frac{x+2}{7}$", "$\\frac{x}{7}+\\frac{2}{7}$", True),
        ("$\\tan^2(y)+1$", "$\\sec^2(y)$", True),
        ("$34x+45y-20z+100=0$", "$-34x-45y+20z-100=0$", True),
        ("$(a+5)(b+2)$", "$(+5)(b+2)$", False),
        ("$2$", "$\\frac{1+\\sqrt{5}}{2}$", False),
        ("$x+2n+1$", "$x+1$", False),
        ("$(2, 12) \\cup (12, 102)$", "$x \\in (2,12) \\cup (12,102)$", True),
        ("$-2 \\le x \\le 7$", "$x \\in [-2,7]$", True),
        ("$4$", "$4\\sqrt{2}$", False),
        ("$(37,3,3,13),(17,3,3,7),(3,3,2,3)$", "(3, 3, 2, 3), (17,3,3,7), (37,3,3,13)", True),
        ("$(37,3,3),(17,3,3,7)$", "(17,3,3,7), (37,3,3,13)", False),
        ("$(p,q)=(3,2)$", "$(3,2)$", True),
        ("$(0;0;0),(0;-2;0)$", "(0, -2, 0), (0, 0, 0)", True),
        ("$1\\leq|z|\\leq \\frac{3}{2}$", "$z \\in [-\\frac{3}{2}, -1] \\cup [1, \\frac{3}{2}]$", True),
        ("$-12;-11;-10$", "$\\{-12, -11, -10\\}$", True),
        ("$AB=4,CD=5$", "$4, 5$", True),
        ("$(11,7)or(7,11)$", "$(7,11),\\ (11,7)$", True),
        ("$\\frac{NO}{BO}=\\frac{1}{\\sqrt{6}}$", "$\\frac{1}{\\sqrt{6}}$", True),
        ("$p=5,q=2;p=7,q=2$", "$(5,2),(7,2)$", True),
        ("$V_{1}:V_{2}=11:21$", "$11:21$", True),
        ("$0<f(x)<1$", "$(0,1)$", True),
        ("$d$", "$\\text{E}$", False),
        ("$\\pm 2021$", "$2021$", False),
        ("$\\pm 2021$", "${-2021, 2021}$", True),
        ("$12:00$", "$1:00$", False),
        ("$n=2, 3, 4$", "$n=1, 2, 3$", False),
        ("$F_n = \\sum_{k=0}^{n-1} F_k F_{n-k-1}$", "$F_n = \\sum_{k=0}^{n-1} F_{n-k-1} F_k$", True),
        ("$F_n = \\sum_{k=0}^{n-1} F_k F_{n-k-1}$", "$F_n = \\sum_{k=0}^{n-2} F_k F_{n-k-2}$", False),
        ("$a_3 = 2, a_{37} = 19$", "$a_{37} = 19, \\quad a_3 = 2$", True),
        ("$x = \\frac{1}{2}, x = \\frac{-1 \\pm \\sqrt{13}}{4}$", "$x = \\frac{-1 \\pm \\sqrt{13}}{4}, x = 0.5$", True),
    ],
)
def test_cases_of_math_verify(gold, answer, accepted):
    assert (outcome(gold, answer) == "correct") == accepted


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        # math-verify takes each of these pairs for equal, or its reader does.
        ("1 - \\frac{1}{e}", "1 + \\frac{1}{e}"),
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
        ("\\frac{1}{2^{99}}", "\\frac{1}{2^{98}}"),
        ("204_5", "204_7"),
        ("204_5", "204"),
        ("y' = 2x", "y = 2x"),
        ("\\frac{dy}{dx} = 2x", "y = x^2"),
        ("2(3)", "5"),
        ("A", "a"),
        ("28/100", "28"),
        ("(3, 5)", "(5, 3)"),
        ("\\gamma", "0.5772156649"),
    ],
)
def test_what_others_take_for_equal_is_not(gold, answer):
    assert outcome(gold, answer) == "wrong"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("(1,2]", "[1,2]"),
        ("(1,2]", "[1,2)"),
        ("\\{1,2\\}", "(1,2)"),
        ("\\{1,2\\}", "[1,2]"),
        ("(1,2)", "(2,1)"),
        ("x>3", "x<3"),
        ("x>3", "x\\ge 3"),
        ("x>3", "y>3"),
        ("x>3", "3"),
        ("x=5", "y=5"),
        ("x=\\pm 5", "y=\\pm 5"),
        ("x=\\pm 5", "x=5"),
        ("5", "-5"),
        ("5", "\\pm 5"),
        ("5", "x+2=7"),
        ("3", "\\pi"),
        ("2x+1", "2x+1=7"),
        ("x<1 \\text{ or } x>3", "x<1 \\text{ and } x>3"),
        ("x=1, y=2", "x=2, y=1"),
        ("(x,y)=(1,2)", "y=1, x=2"),
        ("\\infty", "-\\infty"),
        ("3:2", "2:3"),
        ("x_1", "x_2"),
        ("a_{n+1}", "a_n+1"),
        ("f(x)=2x", "g(x)=2x"),
        ("\\sin(2x)", "2\\sin x"),
        ("\\sqrt{x^2}", "x"),
        ("\\frac{1}{2x}", "\\frac{1}{2}x"),
        ("2^{2004}", "2^{2005}"),
        ("x^2+y^2=1", "x^2+y^2=2"),
        ("AB=5", "AC=5"),
        ("\\log 2", "\\ln 2"),
        ("1,000", "1,001"),
    ],
)
def test_other_statements_are_wrong(gold, answer):
    assert outcome(gold, answer) == "wrong"
    # ... whichever of them is the gold one.
    assert outcome(answer, gold) == "wrong"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "2+3"),
        ("x=5", "5"),
        ("x=5", "5=x"),
        ("x=5", "2x=10"),
        ("x=y", "y=x"),
        ("x=12", "x=3+9=12"),
        ("x=\\pm 2", "x=2, -2"),
        ("\\{-2,2\\}", "x=2 or x=-2"),
        ("(x,y)=(1,2)", "y=2, x=1"),
        ("x^2-1", "(x-1)(x+1)"),
        ("\\sin^2 x+\\cos^2 x", "1"),
        ("\\log_2 8", "3"),
        ("\\ln e^2", "2"),
        ("\\binom{5}{2}", "10"),
        ("5!", "120"),
        ("100!", "100 \\cdot 99!"),
        ("1\\frac{1}{2}", "\\frac{3}{2}"),
        ("\\frac{5}{3}", "1 2/3"),
        ("\\sqrt[3]{-8}", "-2"),
        ("\\sqrt{3+2\\sqrt{2}}", "1+\\sqrt{2}"),
        ("1+2i", "2i+1"),
        ("e^{i\\pi}", "-1"),
        ("\\frac{x}{2}", "1/2 x"),
        ("(-\\infty,1)\\cup(2,\\infty)", "x<1 or x>2"),
        ("x>1 \\text{ and } x<3", "(1,3)"),
        ("\\mathbb{R}", "(-\\infty, \\infty)"),
        ("\\mathbb{R} \\setminus \\{3\\}", "x \\ne 3"),
        ("\\emptyset", "\\{\\}"),
        ("(0,\\infty)", "\\{x \\mid x > 0\\}"),
        ("x^2<4", "-2<x<2"),
        ("\\int_0^1 x dx", "\\frac{1}{2}"),
        ("\\sum_{k=1}^{n} k", "\\frac{n(n+1)}{2}"),
        ("\\lfloor \\pi \\rfloor", "3"),
        ("|AB|=1", "1"),
        ("3.14", "\\pi"),
        ("\\text{AB}", "\\text{AB}"),
    ],
)
def test_the_same_statement_in_another_form_is_correct(gold, answer):
    assert outcome(gold, answer) == "correct"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "5, 6"),
        ("5", "5 or 6"),
        ("x=5", "x=7=5"),
        ("2\\ln x", "\\ln x^2"),
        ("(1,2)", "\\begin{pmatrix}1\\\\2\\end{pmatrix}"),
        ("1, 2", "(2, 1)"),
        ("(1,2)", "y=1, x=2"),
        ("3:2", "6:4"),
        ("1, 2", "1, 1, 2"),
        ("5", "x2"),
        ("5", "x/2y"),
        ("5", "2 3"),
        ("5", "\\foo"),
        ("5", "1/0"),
        ("5", "9^{9^{9^9}}"),
        ("5", "10000000!"),
        ("5", "("),
        ("5", "((((" * 100),
        ("5", "{" * 500 + "5" + "}" * 500),
        ("5", "\\sqrt" * 300 + "5"),
        ("5", "\\begin{pmatrix}1&2"),
        ("5", "١"),
    ],
)
def test_undecided_answers_are_unparsed(gold, answer):
    assert outcome(gold, answer) == "unparsed"


def test_any_of_several_gold_answers_is_right():
    assert outcome(["\\pi", "2\\pi"], "\\pi+\\pi") == "correct"
    assert outcome(["\\pi", "2\\pi"], "3\\pi") == "wrong"


def test_an_answer_is_rounded_only_as_far_as_is_asked_or_the_gold_answer_is():
    assert outcome("5\\sqrt{2}", "7.07", decimals=2) == "correct"
    assert outcome("5\\sqrt{2}", "7.08", decimals=2) == "wrong"
    assert outcome("5\\sqrt{2}", "7.1", decimals=2) == "wrong"
    assert outcome("(1.41, 2.25)", "(\\sqrt{2}, \\frac{9}{4})") == "correct"
    assert outcome("1.41", "\\sqrt{3}") == "wrong"
    # What is asked for counts, not how many digits the gold answer happens to have.
    assert outcome("(1.4142, 2)", "(1.41, 2)", decimals=2) == "correct"
    assert outcome("(1.41, 2)", "(1.414, 2)", decimals=3) == "wrong"
    assert outcome("\\pi", "3.14") == "wrong"
    assert outcome("\\frac{1}{3}", "0.333") == "wrong"
    # One digit says too little of what was rounded.
    assert outcome("0.5", "\\frac{\\pi}{6}") == "wrong"


@pytest.mark.parametrize("gold", ["\\foo", "5 +", "9^{9^{9^9}}", "10000000!", "2 3"])
def test_a_gold_answer_that_cannot_be_read_is_an_error(gold):
    with pytest.raises(ValueError, match="cannot be read"):
        compare({"golds": [gold], "answer": "5", "decimals": None})


def test_a_failure_of_sympy_is_no_verdict(monkeypatch):
    def fails(*_, **__):
        raise ArithmeticError("a defect")

    monkeypatch.setattr("sympy.Expr.evalf", fails)
    with pytest.raises(ArithmeticError):
        outcome("\\sqrt{5}+1", "\\pi")
