"""Whether two formulas have the same value: at 50 digits, and where they have variables at several points.

That decides what simplification cannot, and is quicker. What has no number at all is left to math-verify.
"""

from __future__ import annotations

import logging
import random

import mpmath
import sympy
from math_verify import verify
from sympy import Expr, Float, Rational, S, Symbol
from sympy.core.function import AppliedUndef

from mixpref.verifying.structures import Node, Scalar

# Of switched-off time limits: the pool keeps them.
logging.getLogger("math_verify").setLevel(logging.ERROR)

_DIGITS = 50
CLOSE = mpmath.mpf(10) ** -35
_TINY = mpmath.mpf(10) ** -60
_POINTS = 8
_TEN, _HALF = mpmath.mpf(10), mpmath.mpf("0.5")


class Undecided(Exception):
    """Neither the same nor another statement, as far as the rule can tell."""


def expr(node: Node) -> Expr:
    """The formula of a scalar. Raises Undecided for a structure."""
    if not isinstance(node, Scalar):
        raise Undecided(f"a {type(node).__name__.lower()} where a number is needed")
    return node.expr


def equal(gold: Scalar, answer: Scalar, decimals: int | None) -> bool:
    """Whether two scalars are equal, or one rounds to the other at the decimals that are asked for or that gold has."""
    if same_values(gold.expr, answer.expr):
        return True
    places = decimals
    # A gold 0.5 is a half; 3.14 and 1.50 are rounded.
    if places is None and gold.decimals and abs(gold.expr) * 10**gold.decimals >= 10:
        places = gold.decimals
    if places is None or gold.expr.free_symbols or answer.expr.free_symbols:
        return False
    first, second = number(gold.expr, {}), number(answer.expr, {})
    return first is not None and second is not None and abs(first - second) <= _HALF * _TEN**-places + CLOSE


def same_values(gold: Expr, answer: Expr) -> bool:
    """Whether two formulas are equal wherever both have a value. Raises Undecided."""
    if gold == answer:
        return True
    if gold.is_Rational and answer.is_Rational:
        return False
    gold, answer = map(without_functions, (gold, answer))
    if gold.is_infinite or answer.is_infinite or S.NaN in (gold, answer):
        return False
    agreed = disagreed = unreal = 0
    for point in points(gold, answer):
        first, second = number(gold, point), number(answer, point)
        if first is None or second is None:
            continue
        if abs(first - second) <= CLOSE * max(abs(first), abs(second)):
            agreed += 1
        elif abs(first.imag) > CLOSE or abs(second.imag) > CLOSE:
            unreal += 1
        else:
            disagreed += 1
    if disagreed:
        return False
    if agreed and not unreal:
        return True
    if agreed:
        raise Undecided("equal only where all roots and logarithms are real")
    if unreal:
        return False
    if verify(gold, answer, timeout_seconds=None, raise_on_error=True):
        return True
    raise Undecided("expressions without a value that could be compared")


def without_functions(formula: Expr) -> Expr:
    """f(2) as a variable: nothing is known of f but that f(2) is f(1 + 1)."""
    unknown = {
        each: Symbol(f"{each.func}{tuple(map(sympy.expand, each.args))}") for each in formula.atoms(AppliedUndef)
    }
    return formula.xreplace(unknown) if unknown else formula


def points(*exprs: Expr) -> list[dict[Symbol, Expr]]:
    """Values for the variables of expressions: integers and fractions of both signs, the same ones every time."""
    names = sorted({symbol.name for expr in exprs for symbol in expr.free_symbols})
    if not names:
        return [{}]
    rng = random.Random(0)
    points = []
    for index in range(_POINTS):
        values = {}
        for name in names:
            size = Rational(rng.randint(1, 400), 97) if index % 4 else Rational(rng.randint(2, 5))
            values[name] = size if index < _POINTS // 2 or rng.random() < 0.5 else -size
        points.append({symbol: values[symbol.name] for expr in exprs for symbol in expr.free_symbols})
    return points


def number(expr: Expr, point: dict[Symbol, Expr]) -> mpmath.mpc | None:
    """The value at a point to 50 digits; None where there is none (a pole, a symbol without a value)."""
    found = _digits(expr, point, _DIGITS)
    if found is None or not any(0 < abs(part) < _TINY for part in (found.real, found.imag)):
        return found
    # A tiny value that changes with more digits is what is left of a sum that cancels.
    again = _digits(expr, point, 3 * _DIGITS) or mpmath.mpc(0)
    parts = zip((found.real, found.imag), (again.real, again.imag), strict=True)
    return mpmath.mpc(*(part if abs(part - other) <= CLOSE * abs(part) else mpmath.mpf(0) for part, other in parts))


def _digits(expr: Expr, point: dict[Symbol, Expr], digits: int) -> mpmath.mpc | None:
    value = expr.evalf(digits, subs=point) if point else expr.evalf(digits)
    if not value.is_number or not value.is_finite:
        return None
    parts = []
    for part in value.as_real_imag():
        if not (part.is_Float or part.is_Rational):
            return None
        # SymPy says so where no digit is valid.
        parts.append(mpmath.mpf(0) if isinstance(part, Float) and part._prec < 10 else mpmath.mpmathify(part))
    with mpmath.workdps(digits):
        return mpmath.mpc(*parts)


def quotient(first: mpmath.mpc, second: mpmath.mpc) -> mpmath.mpc:
    """One value over another, to 50 digits."""
    with mpmath.workdps(_DIGITS):
        return first / second
