"""Units of quantities: which words mean the same unit, and how units of one dimension compare.

12 m is not 12 cm, but 120 cm is 1.2 m. Words that are no known unit ("apples") are kept as the things counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache

from mixpref.verifying.plain import plain


@dataclass(frozen=True)
class Unit:
    """A unit as its dimension and its size in that dimension's base unit; a counted thing is a dimension of its own."""

    dimension: str
    factor: Fraction = Fraction(1)
    name: str = field(default="", compare=False)
    """As it was written; units of several names are equal."""


NONE = Unit("")
"""Of a bare number."""

# dimension: {size: names}. Names of up to two letters are taken as they are written, longer ones in any case.
_TABLE: dict[str, dict[str, str]] = {
    "length": {
        "1/1000": "毫米 mm millimeter millimeters millimetre millimetres",
        "1/100": "厘米 cm centimeter centimeters centimetre centimetres cms",
        "1": "米 m meter meters metre metres",
        "1000": "千米 公里 km kilometer kilometers kilometre kilometres kms",
        "127/5000": "in inch inches",
        "381/1250": "ft foot feet",
        "1143/1250": "yd yard yards yds",
        "201168/125": "mi mile miles",
    },
    "mass": {
        "1/1000": "毫克 mg milligram milligrams",
        "1": "克 g gram grams",
        "1000": "千克 公斤 kg kilogram kilograms kilo kilos kgs",
        "1000000": "吨 ton tons tonne tonnes",
        "45359237/100000": "lb lbs pound pounds",
        "45359237/1600000": "oz ounce ounces",
    },
    "time": {
        "1/1000": "ms millisecond milliseconds",
        "1": "秒 s sec secs second seconds",
        "60": "分钟 min mins minute minutes",
        "3600": "小时 h hr hrs hour hours",
        "86400": "天 day days",
        "604800": "周 week weeks",
    },
    "years": {"1/12": "月 个月 month months", "1": "年 year years yr yrs"},
    "volume": {
        "1/1000": "毫升 ml mL milliliter milliliters millilitre millilitres",
        "1": "升 l L liter liters litre litres",
    },
    "angle": {"1": "度 ° degree degrees deg"},
    "celsius": {"1": "°C celsius"},
    "fahrenheit": {"1": "°F fahrenheit"},
    "percent": {"1": "% percent percents percentage pct"},
    "dollar": {"1/100": "¢ cent cents", "1": "$ USD dollar dollars"},
    "euro": {"1": "€ EUR euro euros"},
    "sterling": {"1": "£ GBP"},
    "yen": {"1": "JPY yen"},
    "yuan": {"1": "元 CNY RMB yuan"},
    "yen or yuan": {"1": "¥"},
    "rupee": {"1": "₹ INR rupee rupees"},
    "force": {"1": "N newton newtons", "1000": "kN"},
    "energy": {"1": "J joule joules", "1000": "kJ kilojoule kilojoules"},
    "power": {"1": "W watt watts", "1000": "kW kilowatt kilowatts"},
    "pressure": {"1": "Pa pascal pascals", "1000": "kPa"},
    "frequency": {"1": "Hz hertz", "1000": "kHz"},
    "voltage": {"1": "V volt volts"},
    "current": {"1/1000": "mA", "1": "A ampere amperes amp amps"},
    "resistance": {"1": "Ω ohm ohms"},
    "temperature": {"1": "K kelvin kelvins"},
    "amount": {"1": "mol mole moles"},
}
_COMPOUND = {"mph": "mi/h", "kmph": "km/h", "kph": "km/h", "fps": "ft/s"}
_UNITS = {
    name: Unit(dimension, Fraction(size))
    for dimension, sizes in _TABLE.items()
    for size, names in sizes.items()
    for name in names.split()
}
_EITHER = {"yen or yuan": ("yen", "yuan")}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SCALE = re.compile(rf"({'|'.join(SCALES)})s?\b\s*(?:of\b\s*)?", re.IGNORECASE)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_WORDS = re.compile(r"[^\W\d_][\w'’-]*(?: [^\W\d_][\w'’-]*){0,4}")
# Words that say nothing of what is counted, and words after which a number is no longer a plain statement.
_EMPTY = "in total all altogether together left remaining of the a an each more sum overall"
_UNCLEAR = "or and not than but if to plus minus times without unless maybe perhaps is are x"
_FILLERS, _HEDGES = frozenset(_EMPTY.split()), frozenset(_UNCLEAR.split())


def comparable(one: Unit, other: Unit) -> bool:
    """Whether quantities in these units can be equal: units of one dimension."""
    dimensions = (one.dimension, other.dimension)
    return dimensions[0] == dimensions[1] or any(
        sign in dimensions and set(dimensions) <= {sign, *meant} for sign, meant in _EITHER.items()
    )


def scale(text: str) -> tuple[int, str]:
    """The factor of a number word at the start of `text`, 1 without one, and the text after it."""
    match = _SCALE.match(text)
    return (SCALES[match[1].lower()], text[match.end() :]) if match else (1, text)


@lru_cache(maxsize=4096)
def unit(text: str) -> Unit | None:
    """The unit that the whole of `text` names; None where it is neither a unit nor the name of a thing counted."""
    text = " ".join(text.split()).rstrip(".")
    if known := _known(text):
        return replace(known, name=text)
    if not _WORDS.fullmatch(text):
        return None
    words = text.lower().split()
    if _HEDGES.intersection(words):
        return None
    things = [word for word in words if word not in _FILLERS]
    if not things:
        return NONE
    # "minutes in total"
    found = _known(" ".join(things))
    # "3 i", "3π": one letter is a variable or a constant, not a thing.
    if found is None and len(things[-1]) == 1 and not _CHINESE.match(things[-1]):
        return None
    return replace(found or Unit(f"thing:{stem(things[-1])}"), name=" ".join(things))


def stem(word: str) -> str:
    """A word's singular, roughly: enough to tell that `apple` and `apples` are the same thing."""
    word = word.lower().replace("’", "'").removesuffix("'s")
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def _known(text: str) -> Unit | None:
    if not text:
        return NONE
    over, slash, under = re.sub(r"\s*(?:/|\bper\b)\s*", "/", text).partition("/")
    if slash:
        above, below = _known(over), None if "/" in under else _known(under)
        if above is None or below is None or not above.dimension or not below.dimension:
            return None
        return Unit(f"{above.dimension}/{below.dimension}", above.factor / below.factor)
    power = 1
    for pattern, exponent in (
        (r"^(?:square|sq\.?)\s+|^平方|\s+squared$|\s?\^2$", 2),
        (r"^cubic\s+|^立方|\s+cubed$|\s?\^3$", 3),
    ):
        text, found = re.subn(pattern, "", text, count=1, flags=re.IGNORECASE)
        power = exponent if found else power
    if (name := text.lower()) in _COMPOUND:
        return _known(_COMPOUND[name])
    degrees = re.fullmatch(r"(?:°|degrees?)\s?(C|F|celsius|fahrenheit)", text, re.IGNORECASE)
    base = _UNITS.get(f"°{degrees[1][0].upper()}" if degrees else text)
    if base is None and len(text) > 2:
        base = _UNITS.get(name)
    if base is None or power == 1:
        return base
    # A litre is a cubic decimetre: volumes in both spellings compare.
    if base.dimension == "length" and power == 3:
        return Unit("volume", base.factor**3 * 1000)
    return Unit(f"{base.dimension}^{power}", base.factor**power)


def _names(wanted: Callable[[str], bool]) -> str:
    return "|".join(sorted((re.escape(name) for name in _UNITS if wanted(name)), key=len, reverse=True))


_LONG = _names(lambda name: len(name) > 2 and not _CHINESE.match(name))
_SHORT = _names(lambda name: len(name) <= 2 and not _CHINESE.match(name))
# Without blanks between words, one character alone may be part of another word.
_HAN = "".join(
    (
        r"(?P<han_asked>多少|几)?(?P<han>(?:平方|立方)?(?:",
        _names(lambda name: len(name) > 1 and bool(_CHINESE.match(name))),
        r")|(?:(?<=多少)|(?<=几)|(?<=\d)|平方|立方)(?:",
        _names(lambda name: len(name) == 1 and bool(_CHINESE.match(name))),
        "))",
    )
)
_SYMBOLS = _names(lambda name: len(name) == 1 and not name.isalpha())
_ONE = rf"(?:(?:square|sq\.?|cubic)\s)?(?:(?i:{_LONG})|{_SHORT})(?:\s?\^[23])?"
_ANY = rf"{_ONE}(?:(?:\s?/\s?|\sper\s){_ONE})?"
# A short name is also a word or a letter (in, m, A): in a sentence it is a unit only after a number or after "in".
_NAMED = re.compile(
    rf"(?P<asked>\b(?i:how many|in|to|into|nearest)\s)?(?<![^\W\d_])(?P<long>(?:(?:square|sq\.?|cubic)\s)?(?i:{_LONG})"
    rf"(?:\s?\^[23])?(?:(?:\s?/\s?|\sper\s){_ONE})?|{_SYMBOLS})(?!\w)"
    rf"|(?:(?P<ask>\b(?i:how many|in|to|into|nearest)\s|\()(?!in\b)|\d\s?)(?P<short>{_ANY})(?!\w)"
    rf"|{_HAN}"
)


@lru_cache(maxsize=1024)
def named(question: str) -> tuple[Unit, ...]:
    """The units that a question wants its answer in: those it asks for ("in cm", "how many hours"), else all it names.

    Of a dimension for which it asks, only the units asked for are given.
    """
    asked: dict[Unit, None] = {}
    other: dict[Unit, None] = {}
    for match in _NAMED.finditer(plain(question)):
        found = _known(match["long"] or match["short"] or match["han"])
        if found is not None and found.dimension:
            (asked if match["asked"] or match["ask"] or match["han_asked"] else other)[found] = None
    wanted = {each.dimension for each in asked}
    return (*asked, *(each for each in other if each.dimension not in wanted))


@lru_cache(maxsize=1024)
def words(question: str) -> frozenset[str]:
    """The stems of a question's words."""
    return frozenset(stem(word) for word in re.findall(r"[^\W\d_][\w'’-]*", question))
