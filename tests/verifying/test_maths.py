import random

import pytest

from mixpref.records import Problem
from mixpref.verifying.algebra import compare
from mixpref.verifying.judgement import Algebra, Judgement
from mixpref.verifying.maths import expression, is_math, math, tidy


def judged(gold, answer, question="What is it?"):
    return math(Problem(question=question, answer=gold), answer)


def outcome(gold, answer, question="What is it?"):
    found = judged(gold, answer, question)
    if isinstance(found, Judgement):
        return found.outcome
    return compare({"golds": found.golds, "answer": found.answer, "decimals": found.decimals})["outcome"]


@pytest.mark.parametrize(
    ("gold", "answer", "expected"),
    [
        ("\\frac{\\pi}{2}", "$\\dfrac{\\pi}{2}$", "correct"),
        ("x^2 + 1", "The answer is x^2+1.", "correct"),
        ("12", "12.0", "correct"),
        ("12", "13", "wrong"),
        ("12", "She has 13 apples", "wrong"),
        ("50\\%", "0.5", "wrong"),
        ("4\\pi\\text{ m}", "4\\pi\\text{ kg}", "wrong"),
        ("\\text{Evelyn}", "Evelyn", "correct"),
        ("\\text{Evelyn}", "Debra", "wrong"),
        ("\\text{even}", "\\textbf{Even}", "correct"),
        ("\\frac{\\pi}{2}", "blue", "unparsed"),
        ("\\frac{\\pi}{2}", "I do not know", "unparsed"),
        ("\\frac{\\pi}{2}", "...", "unparsed"),
    ],
)
def test_what_is_clear_needs_no_algebra(gold, answer, expected):
    found = judged(gold, answer)
    assert isinstance(found, Judgement)
    assert found.outcome == expected


def test_the_rest_is_left_to_algebra():
    assert judged(("\\frac{\\pi}{2}", "x"), "The answer is $\\pi/3$") == Algebra(("\\frac{\\pi}{2}", "x"), "\\pi/3")
    question = "Round to the nearest tenth."
    assert judged("2\\pi", "6.3", question) == Algebra(("2\\pi",), "6.3", decimals=1)


@pytest.mark.parametrize(
    ("answer", "stated"),
    [
        ("$4\\pi$", "4\\pi"),
        ("\\(4\\pi\\).", "4\\pi"),
        ("$$4\\pi$$", "4\\pi"),
        ("**4π**", "4π"),
        ("\\boxed{4\\pi}", "4\\pi"),
        ("Therefore the area is $4\\pi$", "4\\pi"),
        ("The area of circle $O$ is $4\\pi$ square units.", "4\\pi\\text{square units}"),
        ("The area of $ABC$ is 4", "4"),
        ("Therefore $x \\geq 5$ is the solution.", "x \\geq 5"),
        ("答案是 $4\\pi$", "4\\pi"),
        ("x = 2\\sqrt{3}", "x = 2\\sqrt{3}"),
        ("The answer is (3, 5)", "(3, 5)"),
        ("Area = 4π", "4π"),
        ("$2$ and $3$", "2, 3"),
        ("$2$ or $3$", "2 \\text{or} 3"),
        ("all real numbers", "\\mathbb{R}"),
        ("not 5", None),
        ("It is not $5$", None),
        ("maybe \\frac12 or \\frac13", None),
        ("between \\frac12 and \\frac13", None),
        ("at least $5$", None),
        ("about \\frac12", None),
        ("I get 4 from $x$, then we see that this holds", None),
        ("", None),
        ("9" * 3000, None),
    ],
)
def test_an_answer_states_one_expression_or_none(answer, stated):
    assert expression(answer) == stated


@pytest.mark.parametrize(
    ("text", "tidied"),
    [
        ("\\left(\\dfrac{1}{2},\\,3\\right)", "(\\frac{1}{2}, 3)"),
        ("1{,}000", "1000"),
        ("11,\\! 111,\\! 100", "11111100"),
        ("1,000,000", "1000000"),
        ("(1,000)", "(1,000)"),
        ("1, 000", "1, 000"),
        ("1 000", "1000"),
        ("1 1/2", "1\\frac{1}{2}"),
        ("x**2", "x^2"),
        ("\\mathrm{e}", "e"),
        ("15\\mbox{ cm}^2", "15\\text{cm}^2"),
        ("\\\\frac{1}{2}", "\\frac{1}{2}"),
        ("1,\\quadx_{2}", "1, x_{2}"),
        ("\\begin{matrix}1\\\\ 2\\end{matrix}", "\\begin{matrix}1\\\\ 2\\end{matrix}"),
    ],
)
def test_typesetting_goes_and_structure_stays(text, tidied):
    assert tidy(text) == tidied


@pytest.mark.parametrize(
    ("gold", "answer", "question", "expected"),
    [
        ("4\\pi\\text{ m}", "4\\pi\\text{ cm}", "", "wrong"),
        ("4\\pi\\text{ m}", "400\\pi\\text{ cm}", "", "correct"),
        ("2\\sqrt{3}\\text{ cm}", "2\\sqrt{3}", "How many cm long is it?", "correct"),
        ("2\\sqrt{3}\\text{ cm}", "2\\sqrt{3}", "How long is it?", "wrong"),
        ("2\\sqrt{3}", "2\\sqrt{3} cm", "How long is it in cm?", "correct"),
        ("2\\sqrt{3}", "2\\sqrt{3} m", "How long is it in cm?", "wrong"),
        ("15\\pi\\mbox{ cm}^2", "$15\\pi$ square centimeters", "", "correct"),
        ("15\\pi\\mbox{ cm}^2", "15\\pi \\text{ cm}^3", "", "wrong"),
        ("4\\pi", "4\\pi square units", "", "correct"),
        ("4\\pi", "4\\pi r", "", "wrong"),
        ("5\\sqrt{2}\\text{ m/s}", "5\\sqrt{2} m/s", "", "correct"),
        ("5\\sqrt{2}\\text{ m/s}", "5\\sqrt{2} km/h", "", "wrong"),
        ("\\frac{\\pi}{6}", "30^\\circ", "", "correct"),
        ("30^\\circ", "\\frac{\\pi}{6}", "", "correct"),
        ("45\\sqrt{2}^\\circ", "45\\sqrt{3}^{\\circ}", "", "wrong"),
        ("\\$5\\pi", "5\\pi dollars", "", "correct"),
        ("3\\sqrt{2}\\text{ apples}", "3\\sqrt{2}\\text{ pears}", "", "wrong"),
    ],
)
def test_units_behind_expressions(gold, answer, question, expected):
    assert outcome(gold, answer, question) == expected


def test_thousands_are_no_list():
    assert outcome("1,000", "1000") == "correct"
    assert outcome("1,000", "1, 000") == "unparsed"
    assert outcome("(1,2)", "(1,200)") == "wrong"


def test_a_gold_answer_that_is_no_expression_is_an_error():
    with pytest.raises(ValueError, match="is not an expression"):
        judged("it depends on what you want", "5")
    with pytest.raises(ValueError, match="no gold answer"):
        judged((), "5")


@pytest.mark.parametrize(
    "gold",
    [
        "\\frac{\\pi}{2}", "\\frac{x}{2}", "4π", "\\sqrt{2}", "(3,-4)", "[1,2)", "\\{1,2\\}", "x>3", "x = 5", "y = 2x",
        "2x+1", "a+b", "2n", "x^2", "2^{10}", "5!", "E=mc^2", "∞", "(5, 3) and (1, 2)", "$x = 2$", "1 < x < 2",
    ],
)  # fmt: skip
def test_expressions_take_this_rule(gold):
    assert is_math(gold)


@pytest.mark.parametrize(
    "gold",
    [
        "5", "12 cm", "3/4", "\\frac{1}{2}", "50%", "$5", "60°", "1.2e3", "blue", "A", "(a)", "(A)", "B. foo", "Yes",
        "n", "3D", "12:30", "2020-05-01", "555-1234", "red, blue", "1, 2, 3", "[cat, dog]", "{'a': 1}", "the cat = dog",
        "mother-in-law", "and/or", "N/A", "no solution", "\\text{Evelyn}", "https://a.b/c=d", "", "x-y",
    ],
)  # fmt: skip
def test_plain_numbers_and_words_do_not(gold):
    assert not is_math(gold)


def test_no_text_raises_or_is_right_by_chance():
    pieces = [
        "\\boxed{", "}", "{", "$", "\\frac", "{1}", "12", "-", "cm", " ", "\n", "A", "(B)", ".", ",", "=", "**",
        "\\text{",
        "½", "e", "99", "/", "^", "not", "or", "\\", "'", "the answer is", "\u2028", "١", "\x00", "\u202e", "\\pi", "x",
        "(", ")", "[", "]", "\\pm", "\\le", "\\cup", "\\infty", "|", "!", "%", "\\sin", "_", "\\{", "\\}", "\\circ",
    ]  # fmt: skip
    golds = ["\\frac{\\pi}{7}", "(1,2]", "x=5", "\\{1,2\\}", "x^2+1", "1<x<2", "x=1,y=2", "3:2", "4\\pi\\text{ cm}"]
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 14)))
        assert outcome(rng.choice(golds), text) in ("unparsed", "wrong"), text


@pytest.mark.parametrize(
    "piece",
    [
        "{",
        "1/",
        "$",
        "the ",
        "is ",
        "\\boxed{",
        "\\text{",
        "**",
        "((",
        "1,",
        "- ",
        "a ",
        "=",
        "cm/",
        "ab ",
        "\\(",
        "$a$ is ",
    ],
)
def test_no_text_takes_long(piece):
    """A pattern that tries all ways of a long text would run into the time limit of the whole session."""
    for text in ((piece * 2000)[:2000], f"The area is {piece * 2000}"[:2000], piece * 100_000):
        assert outcome("4\\pi\\text{ cm}", text) in ("unparsed", "wrong")
        is_math(text)
