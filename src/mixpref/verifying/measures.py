r"""Units behind expressions: 4\pi\text{ cm}^2 is 4\pi in square centimetres. Those of plain numbers: `numbers`."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from mixpref.verifying.units import NONE, Unit, named, unit

_LONGEST_UNIT = 60
"""Characters."""
_TRAILING = re.compile(
    r"(?P<value>.*?[\d)}\]a-zπ!|\s])\s*(?:\\text\{(?P<text>[^{}]*)\}"
    r"|(?<=[\s\d)}\]])(?P<bare>[A-Za-z]{2}[A-Za-z /.]*|(?<=\s)[A-Za-z](?:\s?/\s?[A-Za-z]+)?))"
    r"\s*(?:\^\{?(?P<power>[23])\}?)?",
    re.DOTALL,
)
_DEGREES = re.compile(
    r"(.*?)\s*(?:\^\s*\{?\s*(?:\\circ|\\degree)\s*\}?|\\degree|°)\s*(\\text\{\s*[CF]\s*\}|[CF])?", re.DOTALL
)
UNITLESS = frozenset(
    f"{power}{name}" for power in ("", "square ", "sq ", "sq. ", "cubic ") for name in ("unit", "units")
) | {"units squared", "rad", "radian", "radians"}


@lru_cache(maxsize=4096)
def measured(stated: str) -> tuple[str, Unit]:
    r"""An expression and its unit: 4\pi\text{ cm}^2 is 4\pi in square centimetres."""
    if match := _DEGREES.fullmatch(stated):
        scale = re.sub(r"\\text|[{}\s]", "", match[2] or "")
        return (match[1], unit(f"°{scale}") or NONE) if match[1].strip() else (stated, NONE)
    if stated.startswith("\\$") and len(stated) > 2:
        return stated[2:].strip(), unit("$") or NONE
    head, tail = stated[:-_LONGEST_UNIT], stated[-_LONGEST_UNIT:]
    if match := _TRAILING.fullmatch(tail):
        value, text = f"{head}{match['value']}".strip(), match["text"] is not None
        name = (match["text"] or match["bare"] or "").strip()
        if name.lower() in UNITLESS:
            return value, NONE
        found = unit(f"{name}^{match['power']}" if match["power"] else name)
        # A word is a unit only where it is set as text: "3 ab" is a product.
        known = found is not None and found.dimension and not found.dimension.startswith("thing:")
        if found is not None and (known or text) and not _open(value):
            return value, found
    return stated, NONE


def _open(text: str) -> bool:
    return text.count("(") + text.count("[") + text.count("{") != text.count(")") + text.count("]") + text.count("}")


def converted(gold: str, bare: str, measure: Unit, question: str) -> str | None:
    """A gold expression in the unit of the answer; None where the answer's unit is another one."""
    value, wanted = measured(gold)
    if wanted.dimension and measure.dimension:
        if wanted.dimension != measure.dimension:
            return None
        return _times(value, wanted.factor / measure.factor)
    if wanted.dimension:
        if wanted.dimension == "angle" and _PI.search(bare):
            return f"({value}) * \\pi / 180"
        for each in named(question):
            if each.dimension == wanted.dimension:
                return _times(value, wanted.factor / each.factor)
        return value if wanted.dimension.startswith("thing:") or wanted.dimension == "angle" else None
    if measure.dimension == "angle" and _PI.search(value):
        return f"({value}) * 180 / \\pi"
    for each in named(question) if measure.dimension else ():
        if each.dimension == measure.dimension:
            return _times(value, each.factor / measure.factor)
    return value


_PI = re.compile(r"\\pi(?![A-Za-z])|π")


def _times(value: str, factor: Fraction) -> str:
    return value if factor == 1 else f"({value}) * \\frac{{{factor.numerator}}}{{{factor.denominator}}}"
