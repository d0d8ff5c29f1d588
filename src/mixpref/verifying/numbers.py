"""Reads a number with its unit out of an answer, exactly: decimals and fractions as they are written, no rounding."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from mixpref.verifying.plain import plain, trimmed
from mixpref.verifying.units import NONE, SCALES, Unit, comparable, named, scale, unit, words


@dataclass(frozen=True)
class Quantity:
    """A number, exact, and what it counts or measures."""

    value: Fraction
    unit: Unit = NONE
    scale: int = 1
    """The factor of a number word: 2 million is value 2, scale 10^6."""
    tolerance: Fraction = Fraction(0)
    """Of a gold answer: how far from it an answer may lie, in units of the value."""
    decimals: int | None = None
    """Decimal places of a number written with a decimal point (1.2e3 has -2); None: whole, or a fraction."""

    def __str__(self) -> str:
        number = self.value * self.scale
        digits = str(number)
        # A denominator of 2s and 5s only is a decimal.
        if number.denominator > 1 and 10**_LONGEST % number.denominator == 0:
            digits = format(Decimal(number.numerator) / Decimal(number.denominator), "f")
        return f"{digits} {self.unit.name}".strip()


_NUMBER = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_CURRENCY = r"[$€£¥₹]|(?:US|A|C)\$"
_QUANTITY = re.compile(
    r"(?:(?:≈|~|=|:|about|approximately|approx\.?|roughly|around|exactly)\s*)?"
    rf"(?P<sign>[+-]\s?)?(?P<currency>(?:{_CURRENCY})\s?)?(?P<inner>[+-])?"
    r"(?:(?P<whole>\d+)\s+(?:and\s+)?(?=\d+\s?/\s?\d))?"
    rf"(?P<over>{_NUMBER})"
    rf"(?:\s?/\s?(?P<under>{_NUMBER})(?![\d.,]))?"
    r"(?:e(?P<exponent>[+-]?\d+)|\s?[×x*·]\s?10\s?\^\s?\(?(?P<power>[+-]?\d+)\)?)?"
    r"\s*(?P<unit>.*)",
    re.IGNORECASE,
)
_LONGEST = 300
"""Digits; longer ones are no answer but would cost time squared."""
_LARGEST_EXPONENT = 300

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_IN_WORDS = {word: str(value) for value, word in enumerate(_SMALL.split())}
_IN_WORDS |= {word: str(10 * value) for value, word in enumerate(_TENS.split(), 2)}
_IN_WORDS |= {
    f"{ten}{sign}{one}": str(int(_IN_WORDS[ten]) + int(_IN_WORDS[one]))
    for ten in _TENS.split() for one in _SMALL.split()[1:10] for sign in "- "
}  # fmt: skip
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "eighth": 8, "tenth": 10}
_IN_WORDS |= {
    f"{word}{sign}{part}{'s' * (value > 1)}": f"{value}/{under}"
    for value, word in enumerate(_SMALL.split()[:10])
    if value
    for part, under in _PARTS.items()
    for sign in "- "
}
_IN_WORDS |= {"half": "1/2", "a half": "1/2", "a quarter": "1/4", "a third": "1/3"}
_WORDS_FIRST = re.compile(rf"(?:{'|'.join(sorted(_IN_WORDS, key=len, reverse=True))})(?![\w-])", re.IGNORECASE)
# Before a number these turn a sentence into something else than a statement of that number.
_NOT_A_STATEMENT = re.compile(
    r"[<>≤≥≠^*/+×·√π\\()\[\]{}|=]|n['’]t\b|\b(?:not|no|never|nor|less|fewer|greater|least|most|above|below|under|over|between"
    r"|from|or|if|unless|either|neither|than|except|minus|plus|times|option|choice|figure|step|cannot)\b",
    re.IGNORECASE,
)
_COPULA = re.compile(r"\b(?:is|are|was|were|be|equals)\s*$|:\s*$", re.IGNORECASE)
_LAST_COPULA = re.compile(r"(?P<before>.*\S)\s+(?:is|are|was|were|equals)\b\s*:?(?P<after>.*)", re.IGNORECASE)
_STATES_ANOTHER = re.compile(
    r"(?:\b(?:is|are|was|were|equals|be)|:)\s*(?:about |approximately )?[-+$€£¥]?\.?\d", re.IGNORECASE
)
# "x + 2 = 7" says what x + 2 is; "x = 3 + 9 = 12" says what x is.
_OF_AN_UNKNOWN = re.compile(
    r"(?<![^\W\d_])[a-z]\s*[-+*/^·×]\s*\d|\d\s*[-+*/^·×]\s*[a-z](?![^\W\d_])|\d[xyz](?![^\W\d_])", re.IGNORECASE
)
_NEGATED = re.compile(
    r"[<>≤≥≠|]|n['’]t\b|\b(?:not|no|never|nor|or|if|unless|either|neither|except|cannot)\b", re.IGNORECASE
)


def quantity(text: str) -> Quantity | None:
    """The quantity that the whole of a plain text (`plain.plain`) is, such as -1,234.5, 1 1/2 cm, $2 million, 5e3, ten.

    None where it is anything else.
    """
    if in_words := _WORDS_FIRST.match(text):
        rest = text[in_words.end() :].strip()
        if " " not in rest:
            text = f"{_IN_WORDS[in_words[0].lower()]} {rest}"
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or len(match["over"]) + len(match["under"] or "") + len(match["whole"] or "") > _LONGEST:
        return None
    value = _fraction(match["over"])
    if match["under"]:
        under = _fraction(match["under"])
        if not under:
            return None
        value /= under
    if match["whole"]:
        if value >= 1:
            return None
        value += _fraction(match["whole"])
    exponent = match["exponent"] or match["power"]
    if exponent:
        if len(exponent) > 4 or abs(int(exponent)) > _LARGEST_EXPONENT:
            return None
        value *= Fraction(10) ** int(exponent)
    if (match["sign"] or "").strip() == "-":
        value = -value
    if match["inner"]:
        if match["sign"]:
            return None
        value = -value if match["inner"] == "-" else value
    factor, rest = scale(match["unit"])
    # "4 π cm" is no 4 of some unit.
    if rest[:1].isdigit() or "π" in rest or "√" in rest:
        return None
    found = unit(rest)
    if found is None or (found.dimension.startswith("thing:") and _attached(match)):
        return None
    if match["currency"]:
        found = _money(match["currency"].strip(), found)
    _, point, decimals = match["over"].partition(".")
    precision = len(decimals) - int(exponent or 0) if point and not match["under"] else None
    return None if found is None else Quantity(value, found, factor, decimals=precision)


@lru_cache(maxsize=4096)
def gold(text: str) -> Quantity | None:
    """The quantity of a gold answer, with the tolerance of its own precision.

    3.14 stands for all that rounds to it: 0.005 to either side. "3.14 ± 0.01" says its tolerance itself. A whole
    number and a fraction are exact.
    """
    centre, mark, reach = re.sub(r"\+\s?/?\s?-", "±", plain(text)).partition("±")
    found = quantity(centre.strip())
    if found is None:
        return None
    if not mark:
        return found if found.decimals is None else replace(found, tolerance=_half_a_digit(found.decimals))
    tolerance = quantity(reach.strip())
    if tolerance is None or tolerance.value < 0:
        return None
    # "3.14 ± 0.01 cm": the unit stands once, for both.
    return Quantity(
        found.value, tolerance.unit if tolerance.unit.dimension else found.unit, found.scale, tolerance.value
    )


_PLACES = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "一": 1, "两": 2, "二": 2, "三": 3, "四": 4}
_NEAREST = {
    "tenth": 1, "hundredth": 2, "thousandth": 3, "cent": 2, "ten": -1, "hundred": -2, "thousand": -3, "million": -6,
    "whole number": 0, "whole": 0, "integer": 0, "unit": 0, "one": 0,
}  # fmt: skip
_ASKED = re.compile(
    r"\b(?P<places>\d|one|two|three|four|five|six)[ -](?:decimals?\b|d\.?\s?p\b|digits? (?:after|behind) the)"
    r"|(?:nearest|round(?:ed)? (?:off )?to)\s+(?:the\s+)?(?:nearest\s+)?"
    rf"(?P<nearest>{'|'.join(_NEAREST)})s?\b"
    r"|(?:nearest|accurate to|精确到)\s*(?:the\s+)?0\.(?P<zeros>0*)1(?!\d)"
    r"|nearest\s+(?P<unit>[^\W\d_]+)"
    r"|(?:保留|精确到)\s*(?:小数点后)?\s*(?P<places_zh>[一两二三四\d])\s*位",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def asked_decimals(question: str) -> int | None:
    """The decimal places that a question wants: "to the nearest tenth", "with two decimal places", "保留两位小数".

    Negative for tens and more ("nearest hundred"). None where it asks for none.
    """
    for match in _ASKED.finditer(plain(question)):
        if digits := (match["places"] or match["places_zh"]):
            return _PLACES.get(digits.lower()) or int(digits)
        if match["zeros"] is not None:
            return len(match["zeros"]) + 1
        if match["nearest"]:
            return _NEAREST[match["nearest"].lower()]
        if match["unit"] and (found := unit(match["unit"])) and not found.dimension.startswith("thing:"):
            return 0
    return None


def rounded(truth: Quantity, question: str) -> Quantity:
    """A gold quantity with the tolerance that the question asks for, where it asks for decimal places."""
    places = asked_decimals(question)
    # A gold answer that states its tolerance is the better source.
    if places is None or (truth.tolerance and truth.decimals is None):
        return truth
    return replace(truth, tolerance=_half_a_digit(places))


def _half_a_digit(decimals: int) -> Fraction:
    return Fraction(1, 2) / Fraction(10) ** decimals


def read(answer: str) -> Quantity | None:
    """The one quantity that an answer states, alone or at the end of a sentence ("She makes $18", "x = 3 + 9 = 12").

    None where there is none, where there are several, or where the words say something else than the number
    ("not 5", "more than 5", "x > 5", "3 or 4").
    """
    text = plain(answer)
    if found := quantity(text):
        return found
    if found := _after_copula(text):
        return found
    if "=" in text:
        return _last_side(text)
    start = re.search(rf"(?:[+-]\s?)?(?:(?:{_CURRENCY})\s?)?[+-]?(?:\d|\.\d)", text)
    if start is None:
        return None
    before, after = text[: start.start()], text[start.start() :]
    # "P3", "x-3": the number is part of something larger.
    if before and not before[-1].isspace() and before[-1] != ":":
        return None
    if any(word in _IN_WORDS.keys() | SCALES and word not in ("one", "half") for word in before.lower().split()):
        return None
    # "The distance between A and B is 5" states a 5; "it lies between A and 5" does not.
    if (_NEGATED if _COPULA.search(before) else _NOT_A_STATEMENT).search(before):
        return None
    return quantity(after.strip())


def has_digits(answer: str) -> bool:
    """Whether an answer mentions any number in digits."""
    return any(character.isdigit() for character in answer)


def agree(truth: Quantity, stated: Quantity, question: str) -> bool:
    """Whether an answer's quantity is the gold one.

    Units of one dimension are converted. Where only one of the two has a unit, the other has the one that the question
    wants. A bare answer to a gold answer with a unit is right only if the question names that unit; a unit to a bare
    gold answer is accepted unless the question wants another one.
    """
    if truth.unit.dimension and stated.unit.dimension:
        return comparable(truth.unit, stated.unit) and _close(truth, stated, truth.unit, stated.unit)
    if truth.unit.dimension:
        return any(_close(truth, stated, truth.unit, wanted) for wanted in _wanted(truth.unit, question))
    if stated.unit.dimension:
        wanted = [each for each in named(question) if each.dimension == stated.unit.dimension]
        if wanted:
            return any(_close(truth, stated, each, stated.unit) for each in wanted)
        if stated.unit.dimension == "percent" and _close(truth, stated, NONE, Unit("", Fraction(1, 100))):
            return True
        # "0.5%" is neither a half nor a share of 0.5; "50%" for a gold 50 is what the picture's labels say.
        return _close(truth, stated) and not (stated.unit.dimension == "percent" and abs(truth.value) < 1)
    if truth.scale != stated.scale and truth.value == stated.value:
        # "2" where the question asks "how many million", or the other way round.
        return any(factor in (truth.scale, stated.scale) and name in words(question) for name, factor in SCALES.items())
    return _close(truth, stated)


def _wanted(truth: Unit, question: str) -> list[Unit]:
    """The unit of a bare answer: what the question names of the gold unit's dimension."""
    if truth.dimension.startswith("thing:"):
        return [truth] if truth.dimension.removeprefix("thing:") in words(question) else []
    return [each for each in named(question) if each.dimension == truth.dimension]


def _close(truth: Quantity, stated: Quantity, one: Unit = NONE, other: Unit = NONE) -> bool:
    expected = truth.value * truth.scale * one.factor
    return abs(stated.value * stated.scale * other.factor - expected) <= truth.tolerance * truth.scale * one.factor


def _fraction(digits: str) -> Fraction:
    return Fraction(digits.replace(",", ""))


def _attached(match: re.Match[str]) -> bool:
    """12cm is a quantity, but 3rd, 5A or 2x are names of something else: only known units may touch the number."""
    start = match.start("unit")
    # Chinese has no blanks: 12个.
    return match.string[start - 1] != " " and not "\u4e00" <= match["unit"][:1] <= "\u9fff"


def _money(symbol: str, rest: Unit) -> Unit | None:
    """The unit of $5 with what follows the number: nothing, the currency again, or what it is paid for."""
    currency = unit(symbol[-1])
    assert currency is not None
    if rest.dimension.startswith("thing:") or rest.dimension in ("", currency.dimension):
        return currency
    return None


def _after_copula(text: str) -> Quantity | None:
    """Of "The side of the square with area 9 is 3" the 3; None where more than one number is said to be something."""
    match = _LAST_COPULA.match(text)
    if match is None or _NEGATED.search(match["before"]) or _STATES_ANOTHER.search(match["before"]):
        return None
    return quantity(match["after"].strip())


def _last_side(text: str) -> Quantity | None:
    """Of "x = 3 + 9 = 12" the last side; None where another side is another number, or there are several equations."""
    if re.search(r"[<>≤≥≠,;]|\b(?:and|or|not)\b", text.rpartition("=")[0]):
        return None
    if _OF_AN_UNKNOWN.search(text.partition("=")[0]):
        return None
    sides = [quantity(trimmed(side.strip())) for side in text.split("=")]
    last = sides[-1]
    if last is None or any(side is not None and side.value != last.value for side in sides[:-1]):
        return None
    return last
