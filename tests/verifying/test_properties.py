"""What must hold for every answer, not only for those that somebody thought of."""

from fractions import Fraction
from string import ascii_uppercase

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mixpref.records import Problem
from mixpref.verifying import verify
from mixpref.verifying.extract import STYLES
from mixpref.verifying.rules import RULES

settings.register_profile(
    "verifying", deadline=None, max_examples=150, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("verifying")

# How models write one and the same answer, and how they lead up to it.
SETTINGS = (
    "{}",
    "{}.",
    "**{}**",
    "`{}`",
    "${}$",
    "\\({}\\)",
    " {} ",
    "\\text{{{}}}",
    "**{}.**",
    "The answer is {}",
    "The answer is **{}**.",
    "\\boxed{{{}}}",
    "$\\boxed{{{}}}$",
    "\\mathrm{{{}}}",
    '"{}"',
    "\u200b{}",
    "= {}",
)
FORMS = {
    "en": (
        "Let me think.\nFinal answer: {}",
        "So it is.\n**Final answer:** {}",
        "Well.\nFinal Answer： {}\n",
        "Hm.\nFinal answer:\n{}",
    ),
    "zh": ("想一想。\n答案: {}", "想一想。\n最终答案：{}", "想。\n**答案：** {}"),
    "boxed": (
        "Thus.\nAnswer: \\boxed{{{}}}",
        "Thus $\\boxed{{{}}}$ as asked.",
        "First \\boxed{{7919}}, no.\n\\boxed{{{}}}",
    ),
    "r1": ("<think>It may be 7919.</think>\n\\boxed{{{}}}", "It may be \\boxed{{7919}}.</think>Answer: \\boxed{{{}}}"),
    "any": (
        "Let me think.\n\nFinal answer: {}",
        "Let me think.\n\nAnswer: {}",
        "I see.\n\\boxed{{{}}}",
        "<think>7919?</think>\n**Answer:** {}",
    ),
    "direct": ("{}", "{}\n"),
}
# Of these, a setting with a box of its own stands in no other box.
BOXES = ("boxed", "r1")


@st.composite
def responses(draw, answer, settings=SETTINGS):
    """A response in some style that states the answer, and the style."""
    style = draw(st.sampled_from(sorted(FORMS)))
    form = draw(st.sampled_from(FORMS[style]))
    setting = draw(st.sampled_from(settings))
    if "\\boxed" in form and ("boxed" in setting or "The answer" in setting):
        setting = "{}"
    return form.format(setting.format(answer)), style


def outcome(problem, response):
    text, style = response
    return verify(problem, text, style).outcome


def digits(value: Fraction, places: int) -> str:
    return f"{float(value):.{places}f}" if places else str(int(value))


@st.composite
def decimals(draw):
    """A number and the way that a data set writes it."""
    places = draw(st.integers(0, 3))
    value = Fraction(draw(st.integers(-(10**6), 10**6)), 10**places)
    return value, digits(value, places)


@st.composite
def spelled(draw, value: Fraction, written: str):
    """Other ways to write a decimal number, of equal worth."""
    ways = [written, f"{written}.0" if "." not in written else f"{written}0", written.replace("-", "−")]
    ways.append(f"{value.numerator}/{value.denominator}" if value.denominator > 1 else f"{value.numerator:,}")
    if value.denominator > 1:
        sign = "-" if value < 0 else ""
        ways.append(f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}")
        ways.append(f"{sign}\\dfrac{{{abs(value.numerator)}}}{{{value.denominator}}}")
    ways.append("".join(chr(0xFF10 + int(sign)) if sign.isdigit() else sign for sign in written))
    return draw(st.sampled_from(ways))


@given(st.data())
def test_formatting_a_number_never_changes_the_verdict(data):
    value, written = data.draw(decimals())
    problem = Problem(question="What is it?", answer=written)
    assert outcome(problem, data.draw(responses(data.draw(spelled(value, written))))) == "correct"


@given(st.data())
def test_a_different_number_is_never_correct(data):
    value, written = data.draw(decimals())
    other, text = data.draw(decimals())
    # Gold 1.5 stands for what rounds to it.
    places = len(written.partition(".")[2])
    assume(abs(other - value) > (Fraction(1, 2 * 10**places) if places else 0))
    problem = Problem(question="What is it?", answer=written)
    assert outcome(problem, data.draw(responses(data.draw(spelled(other, text))))) == "wrong"


@given(st.data())
def test_another_sign_is_never_correct(data):
    value, written = data.draw(decimals())
    assume(value != 0)
    turned = written[1:] if written.startswith("-") else f"-{written}"
    problem = Problem(question="What is it?", answer=written)
    assert outcome(problem, data.draw(responses(data.draw(spelled(-value, turned))))) == "wrong"


UNITS = {
    "cm": ("cm", "centimeters", "centimetres", "\\text{ cm}", "\\,\\mathrm{cm}"),
    "m": ("m", "meters", "\\text{ m}"),
    "cm^2": ("cm^2", "cm²", "square centimeters", "\\text{ cm}^2"),
    "kg": ("kg", "kilograms", "\\ \\text{kg}"),
    "%": ("%", "percent", "\\%"),
    "°": ("°", "degrees", "^\\circ", "^{\\circ}"),
    "minutes": ("minutes", "min"),
    "dollars": ("dollars",),
    "apples": ("apples",),
}
PLAIN_SETTINGS = ("{}", "{}.", "**{}**", "${}$", "The answer is {}.", " {} ")


@given(st.data())
def test_formatting_a_unit_never_changes_the_verdict(data):
    unit = data.draw(st.sampled_from(sorted(UNITS)))
    number = data.draw(st.integers(1, 5000))
    problem = Problem(question="How much is it?", answer=f"{number} {unit}")
    spelling = data.draw(st.sampled_from(UNITS[unit]))
    gap = "" if spelling[0] in "\\^%°" else " "
    assert outcome(problem, data.draw(responses(f"{number}{gap}{spelling}", PLAIN_SETTINGS))) == "correct"


@given(st.data())
def test_a_different_unit_is_never_correct(data):
    unit, other = data.draw(st.sampled_from(sorted(UNITS))), data.draw(st.sampled_from(sorted(UNITS)))
    assume(unit != other)
    number = data.draw(st.integers(1, 5000))
    problem = Problem(question="How much is it?", answer=f"{number} {unit}")
    spelling = data.draw(st.sampled_from(UNITS[other]))
    gap = "" if spelling[0] in "\\^%°" else " "
    assert outcome(problem, data.draw(responses(f"{number}{gap}{spelling}", PLAIN_SETTINGS))) == "wrong"


OPTIONS = ("a red cube", "a blue ball", "the green cone", "a light green cone", "none of these")


@st.composite
def named(draw, index):
    letter, text = ascii_uppercase[index], OPTIONS[index]
    return draw(
        st.sampled_from(
            (
                letter,
                letter.lower(),
                f"({letter})",
                f"{letter}.",
                f"{letter})",
                f"({letter}) {text}",
                f"{letter}. {text}",
                f"{letter}: {text}",
                text,
                text.upper(),
                f"option {letter}",
                str(index + 1),
                f"[{letter}]",
            )
        )
    )


@given(st.data())
def test_the_name_of_an_option_never_changes_the_verdict(data):
    index, other = data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4))
    gold = data.draw(st.sampled_from((ascii_uppercase[index], OPTIONS[index])))
    problem = Problem(question="Which one?", answer=gold, choices=OPTIONS)
    expected = "correct" if index == other else "wrong"
    assert outcome(problem, data.draw(responses(data.draw(named(other)), PLAIN_SETTINGS))) == expected


@given(st.data())
def test_two_options_are_never_correct(data):
    one, other = sorted(data.draw(st.lists(st.integers(0, 3), min_size=2, max_size=2, unique=True)))
    problem = Problem(question="Which one?", answer=ascii_uppercase[one], choices=OPTIONS)
    joined = data.draw(st.sampled_from((" or ", " and ", ", ", "/")))
    answer = joined.join((ascii_uppercase[one], ascii_uppercase[other]))
    assert outcome(problem, data.draw(responses(answer, PLAIN_SETTINGS))) == "unparsed"


# Expressions: their own spellings, and what differs from them.
EXPRESSIONS = (
    (
        "2\\sqrt{3}",
        ("2 \\sqrt{3}", "2\\sqrt 3", "\\sqrt{12}", "2*sqrt(3)"),
        ("3\\sqrt{2}", "-2\\sqrt{3}", "2\\sqrt{5}", "6"),
    ),
    ("\\frac{\\pi}{2}", ("\\dfrac{\\pi}{2}", "\\pi/2", "0.5\\pi"), ("\\frac{\\pi}{3}", "2\\pi", "-\\frac{\\pi}{2}")),
    ("(3,-4)", ("(3, -4)", "\\left(3, -4\\right)"), ("(-4,3)", "(3,4)", "[3,-4]", "(3,-4,0)")),
    ("[1,2)", ("[1, 2)", "\\left[1, 2\\right)"), ("(1,2]", "[1,2]", "(1,2)", "[1,3)")),
    ("x>3", ("x > 3", "3 < x"), ("x<3", "x\\geq 3", "x>4", "y>3")),
    ("x^2+2x+1", ("(x+1)^2", "1+2x+x^2"), ("x^2+2x", "(x-1)^2", "y^2+2y+1")),
    ("\\{1,2\\}", ("\\{2, 1\\}", "\\{1, 2\\}"), ("\\{1\\}", "\\{1,3\\}", "(1,2)")),
)


@given(st.data())
@settings(max_examples=80)
def test_spelling_an_expression_never_makes_it_another(data):
    gold, equals, others = data.draw(st.sampled_from(EXPRESSIONS))
    problem = Problem(question="What is it?", answer=gold)
    plain = ("{}", "${}$", "${}$.", "\\({}\\)")
    assert outcome(problem, data.draw(responses(data.draw(st.sampled_from((gold, *equals))), plain))) == "correct"
    assert outcome(problem, data.draw(responses(data.draw(st.sampled_from(others)), plain))) != "correct"


PIECES = st.sampled_from(
    (
        "Final answer:",
        "答案：",
        "\\boxed{",
        "}",
        "{",
        "$",
        "\\frac",
        "<think>",
        "</think>",
        "12",
        "-",
        " cm",
        "\n",
        "(B)",
        "=",
        "**",
        "½",
        "^",
        "not ",
        "\\",
        "\u202e",
        "\u2067",
        "\ud800",
        "\x00",
        "١",
        "e9",
        "[",
        "|",
        "%",
        "#### ",
        "Answer",
        "A",
        ",",
        ".",
    )
)
NOISE = st.one_of(st.text(max_size=300), st.lists(PIECES, max_size=30).map("".join), st.binary(max_size=200).map(str))
GOLDS = {
    "number": "12 cm",
    "choice": "B",
    "math": "2\\sqrt{3}",
    "yes_no": "Yes",
    "list": "1, 2, 3",
    "mathvision": "12",
    "mathvista": "12",
}


@given(st.sampled_from(sorted(RULES)), st.sampled_from(sorted(STYLES)), NOISE, st.booleans())
@settings(max_examples=400)
def test_no_text_raises_an_exception(rule, style, noise, stated):
    choices = ("red", "no", "1/2") if rule == "choice" else ()
    problem = Problem(question="How many cm?", answer=GOLDS.get(rule, "blue"), choices=choices, rule=rule)
    text = f"Well, so.\nFinal answer: {noise}" if stated else noise
    verdict = verify(problem, text, style)
    assert verdict.outcome in ("correct", "wrong", "unparsed") or "seconds" in verdict.detail, verdict


@given(st.sampled_from(sorted(STYLES)), st.lists(PIECES, min_size=1, max_size=6).map("".join))
@settings(max_examples=60)
def test_no_long_text_takes_long(style, piece):
    text = piece * (100_000 // len(piece))
    problem = Problem(question="How many cm?", answer="12 cm")
    assert verify(problem, text, style).outcome in ("wrong", "unparsed")
