import pytest

from mixpref.verifying.plain import plain


@pytest.mark.parametrize(
    ("typeset", "text"),
    [
        ("  12 . ", "12"),
        ("**12**", "12"),
        ("The answer is **12**", "The answer is 12"),
        ("`12`", "12"),
        ("“red”", "red"),
        ("$12$", "12"),
        ("\\(12\\)", "12"),
        ("\\boxed{\\text{B}}", "B"),
        ("$\\dfrac{1}{2}$", "1/2"),
        ("\\frac12", "1/2"),
        ("\\frac{-1}{2}", "-1/2"),
        ("1\\frac{1}{2}", "1 1/2"),
        ("12\\frac{1}{2}", "12 1/2"),
        ("\\frac{x+1}{2}", "(x+1)/2"),
        ("\\frac{\\sqrt{3}}{2}", "(sqrt(3))/2"),
        ("1½", "1 1/2"),
        ("1{,}000", "1000"),
        ("1\\,000", "1000"),
        ("1\u202f000", "1000"),
        ("$6 \\mathrm{~m}$", "6 m"),
        ("12\\ \\text{cm}^{2}", "12 cm^2"),
        ("12 cm²", "12 cm^2"),
        ("145^{\\circ}", "145°"),
        ("50\\%", "50%"),
        ("\\$5", "$5"),
        ("−5", "-5"),
        ("１２", "12"),
        ("x \\leq 3", "x ≤ 3"),
    ],
)
def test_typesetting_goes(typeset, text):
    assert plain(typeset) == text


@pytest.mark.parametrize(
    "text",
    [
        "-5",
        "x>3",
        "[1,2)",
        "(1,2]",
        "$5 and $6",
        "U.S",
        "2**3",
        "5!",
        "12:30",
        "a_b",
        "3.5",
        ".5",
        "(A)",
        "A)",
        "don't",
    ],
)
def test_what_is_said_stays(text):
    assert plain(text) == text


def test_prices_are_no_formula():
    assert plain("$5") == "$5"
    assert plain("between $5 and $6") == "between $5 and $6"
