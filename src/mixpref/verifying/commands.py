r"""What the commands of LaTeX mean that take what follows them: \frac, \sqrt, \sin, \begin{pmatrix}."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sympy
from sympy import Expr, Integer, S, Symbol

from mixpref.verifying.notation import FUNCTIONS, GREEK, VARIANTS, Unreadable
from mixpref.verifying.structures import EVALUATED, Grid, Many, Node, Region, Row, Scalar, bounded, power, scalar

if TYPE_CHECKING:
    from mixpref.verifying.expressions import Reader

_INVERSES = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
_DECORATED = ("overline", "vec", "hat", "bar", "overrightarrow", "widehat", "dot", "tilde", "mathcal", "mathbb")
_NAMED_SHAPES = ("angle", "triangle", "odot", "square", "nabla", "partial")


def group(reader: Reader) -> Expr:
    r"""The argument of a command: {..}, or one digit or letter (\frac12)."""
    if reader.at.take("{"):
        return scalar(reader.closed(reader.sum(), "}"))
    kind, value = reader.at.tokens[reader.at.place] if reader.at.place < len(reader.at.tokens) else ("", "")
    if kind == "number" and value.isdigit():
        reader.at.tokens[reader.at.place : reader.at.place + 1] = [("number", digit) for digit in value]
        reader.at.place += 1
        return Integer(value[0])
    return scalar(reader.base())


def command(reader: Reader, name: str) -> Node:
    name = VARIANTS.get(name, name)
    if name == "frac":
        return fraction(reader)
    if name == "sqrt" or name == "cbrt":
        return root(reader, 3 if name == "cbrt" else 2)
    if name in FUNCTIONS:
        return function(reader, name)
    if name == "pi":
        return Scalar(S.Pi)
    if name == "infty":
        return Scalar(S.Infinity)
    if name in ("emptyset", "reals", "integers"):
        return Region({"reals": S.Reals, "integers": S.Integers}.get(name, S.EmptySet))
    if name == "mathbb" and reader.at.peek() == "{":
        letter = reader.at.raw()
        regions = {"R": S.Reals, "Z": S.Integers, "N": S.Naturals, "Q": S.Rationals, "C": S.Complexes}
        return Region(regions[letter]) if letter in regions else Scalar(Symbol(f"mathbb {letter}"))
    if name in GREEK:
        return reader.letter(name)
    if name == "abs":
        reader.at.expect("(")
        return Scalar(sympy.Abs(scalar(reader.bracketed("("))))
    if name == "binom":
        return Scalar(sympy.binomial(bounded(group(reader)), bounded(group(reader))))
    if name in ("lfloor", "lceil"):
        inner = scalar(reader.closed(reader.sum(), f"\\r{name[1:]}"))
        return Scalar(sympy.floor(inner) if name == "lfloor" else sympy.ceiling(inner))
    if name == "langle":
        node = reader.closed(reader.listing(), "\\rangle")
        return Row(node.items if isinstance(node, Many) else (node,), "(", ")")
    if name == "begin":
        return matrix(reader)
    if name in _DECORATED:
        return reader.subscripted(f"{name} {reader.at.raw()}")
    if name in _NAMED_SHAPES:
        start = reader.at.place
        while reader.at.kind() == "letter":
            reader.at.place += 1
        return reader.subscripted(f"{name} {''.join(value for _, value in reader.at.tokens[start : reader.at.place])}")
    raise Unreadable(f"\\{name} is not known")


def fraction(reader: Reader) -> Node:
    start = reader.at.place
    over = group(reader)
    middle = reader.at.place
    under = group(reader)
    written = [
        [value for _, value in part]
        for part in (reader.at.tokens[start:middle], reader.at.tokens[middle : reader.at.place])
    ]
    first, second = ([value for value in part if value not in "{}"] for part in written)
    if first[:1] == ["d"] and second[:1] == ["d"] and len(second) > 1:
        return Scalar(Symbol(f"{''.join(first)}/{''.join(second)}"))
    if under == 0:
        raise Unreadable("division by zero")
    return Scalar(over / under)


def root(reader: Reader, degree: int) -> Node:
    index = Integer(degree)
    if reader.at.take("["):
        index = scalar(reader.closed(reader.sum(), "]"))
    inner = group_or_factor(reader)
    if index == 0:
        raise Unreadable("a root of degree zero")
    if inner.is_number and inner.is_negative and index.is_odd:
        return Scalar(-power(-inner, 1 / index))
    return Scalar(power(inner, 1 / index))


def group_or_factor(reader: Reader) -> Expr:
    if reader.at.peek() == "{":
        return group(reader)
    kind = reader.at.kind()
    # \sqrt12 is what people type for the root of 12.
    return scalar(reader.base()) if kind in ("number", "letter") or reader.at.peek() else scalar(reader.factor())


def function(reader: Reader, name: str) -> Node:
    base = None
    exponent = Integer(1)
    for _ in range(2):
        if reader.at.take("^"):
            exponent = reader.exponent()
        elif name == "log" and reader.at.take("_"):
            base = group(reader)
    if exponent == -1:
        if name not in _INVERSES:
            raise Unreadable(f"\\{name}^-1 is ambiguous")
        name, exponent = _INVERSES[name], Integer(1)
    if reader.at.peek() == "(":
        argument = scalar(reader.base())
    elif not reader.begins_factor() and reader.at.kind() != "number":
        raise Unreadable(f"\\{name} of nothing")
    else:
        argument = scalar(reader.factor())
        while (
            reader.begins_factor() and reader.at.peek().removeprefix("\\") not in FUNCTIONS and reader.at.peek() != "("
        ):
            argument *= scalar(reader.factor())
    if base is not None:
        return Scalar(power(sympy.log(argument, base), exponent))
    return Scalar(power(EVALUATED[name](argument), exponent))


def matrix(reader: Reader) -> Node:
    kind = reader.at.raw()
    if kind not in ("pmatrix", "bmatrix", "matrix", "array", "Bmatrix", "smallmatrix"):
        raise Unreadable(f"\\begin{{{kind}}} is not known")
    rows: list[list[Node]] = [[]]
    while True:
        if reader.at.peek() == "\\end" and not rows[-1] and rows[:-1]:
            rows.pop()
        else:
            rows[-1].append(reader.relation())
        if reader.at.take("\\\\"):
            rows.append([])
        elif not reader.at.take("&"):
            if reader.at.expect("\\end") and reader.at.raw() != kind:
                raise Unreadable("a matrix is never closed")
            return Grid(tuple(map(tuple, rows)))
