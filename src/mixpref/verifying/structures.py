"""What an expression is made of: SymPy's formulas, and the structures of mathematics around them."""

from __future__ import annotations

from dataclasses import dataclass

import sympy
from math_verify import LatexExtractionConfig, parse
from sympy import Expr

from mixpref.verifying.notation import Unreadable

EVALUATED = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec, "csc": sympy.csc,
    "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "arcsin": sympy.asin, "arccos": sympy.acos,
    "arctan": sympy.atan, "ln": sympy.log, "exp": sympy.exp,
    # A bare log is the common one, as in math-verify.
    "lg": lambda x: sympy.log(x, 10), "log": lambda x: sympy.log(x, 10),
}  # fmt: skip
_LARGEST_BITS = 1 << 20
"""Of a power: a larger one is no number that anybody writes down, and would take all memory."""
_LARGEST_FACTORIAL = 20_000


@dataclass(frozen=True)
class Scalar:
    """A number or a formula."""

    expr: Expr
    decimals: int | None = None
    """Decimal places of a literal such as -3.14; None for everything else."""


@dataclass(frozen=True)
class Row:
    """Items between brackets whose order counts: a tuple, a point or an interval."""

    items: tuple[Node, ...]
    opening: str
    closing: str


@dataclass(frozen=True)
class Many:
    r"""Items whose order does not count: a set in braces, a bare list "1, 2", "1 or 2", or \pm 1."""

    items: tuple[Node, ...]
    kind: str
    """`set`, `list`, `or`, `pm`; `and` of inequalities that hold together."""


@dataclass(frozen=True)
class Chain:
    """Parts with relations between them: x = 5, 1 < x <= 2."""

    parts: tuple[Node, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True)
class Combined:
    """A union, intersection or difference of sets."""

    left: Node
    right: Node
    operation: str


@dataclass(frozen=True)
class Region:
    r"""A named set: \mathbb{R}, \emptyset."""

    region: sympy.Set


@dataclass(frozen=True)
class Grid:
    """A matrix, by rows."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Ratio:
    """3:2."""

    parts: tuple[Node, ...]


Node = Scalar | Row | Many | Chain | Combined | Region | Grid | Ratio


INEQUALITIES = frozenset(("<", "<=", ">", ">="))


def inequality(node: Node) -> bool:
    """Whether a node is a chain of inequalities."""
    return isinstance(node, Chain) and set(node.relations) <= INEQUALITIES


def flat(items: list[Node] | tuple[Node, ...]) -> tuple[Node, ...]:
    return tuple(
        inner for item in items for inner in (item.items if isinstance(item, Many) and item.kind == "pm" else (item,))
    )


def scalar(node: Node) -> Expr:
    if not isinstance(node, Scalar):
        raise Unreadable(f"a {type(node).__name__.lower()} where a number is needed")
    return node.expr


def bounded(value: Expr) -> Expr:
    if value.is_number and abs(value) > _LARGEST_FACTORIAL:
        raise Unreadable("a number too large to work with")
    return value


def factorial(value: Expr) -> Expr:
    return sympy.factorial(bounded(value))


def power(base: Expr, exponent: Expr) -> Expr:
    if base.is_Rational and exponent.is_Rational:
        bits = max(abs(base.p), base.q).bit_length()
        if abs(exponent.p) * bits > _LARGEST_BITS * exponent.q:
            raise Unreadable("a number too large to work with")
        if base == 0 and exponent < 0:
            raise Unreadable("division by zero")
    return base**exponent


def by_math_verify(text: str) -> Node:
    found = parse(
        f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None, raise_on_error=True
    )
    if len(found) != 1 or not isinstance(found[0], Expr):
        raise Unreadable("math-verify reads no expression in it")
    return Scalar(found[0])
