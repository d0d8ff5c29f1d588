r"""Reads an expression in LaTeX, or as people type one, into SymPy numbers and the structures that mathematics has.

math-verify's own reader takes 2(3) for 5, 204_5 for 204, y' for y and \gamma for Euler's constant; here what is
ambiguous is unreadable. Only integrals, sums, products and limits are left to math-verify.
"""

from __future__ import annotations

import re

import sympy
from sympy import Expr, I, Integer, Rational, S, Symbol

from mixpref.verifying.commands import command
from mixpref.verifying.notation import RELATIONS, Cursor, Unreadable
from mixpref.verifying.structures import (
    Chain,
    Combined,
    Many,
    Node,
    Ratio,
    Region,
    Row,
    Scalar,
    by_math_verify,
    factorial,
    flat,
    inequality,
    power,
    scalar,
)

_LEFT_TO_MATH_VERIFY = re.compile(r"\\(?:int|sum|prod|lim|iint|oint)(?![A-Za-z])")
_DEEPEST = 40


def read(text: str) -> Node:
    """The statement that the whole of a tidied text (`maths.tidy`) makes. Raises Unreadable."""
    try:
        if not _LEFT_TO_MATH_VERIFY.search(text):
            return Reader(text).statement()
        sides = [by_math_verify(side) if _LEFT_TO_MATH_VERIFY.search(side) else read(side) for side in _sides(text)]
        return sides[0] if len(sides) == 1 else Chain(tuple(sides), ("=",) * (len(sides) - 1))
    except RecursionError:
        raise Unreadable("nested too deeply") from None


def _sides(text: str) -> list[str]:
    """Split at the equals signs outside of braces."""
    sides, depth = [""], 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "=" and not depth:
            sides.append("")
        else:
            sides[-1] += character
    return sides


class Reader:
    def __init__(self, text: str) -> None:
        self.at = Cursor(text)
        self.depth = 0
        self.inside_bars = 0
        self.inside_braces = False
        self.upper = True
        self.signs_seen = 0
        self.opened = -1

    def statement(self) -> Node:
        node = self.listing()
        if self.at.place < len(self.at.tokens):
            raise Unreadable(f"unexpected {self.at.tokens[self.at.place][1]!r}")
        return node

    # Structures

    def listing(self) -> Node:
        groups, joints = [[self.relation()]], set()
        while joint := self.at.take(",", ";", "and", "or"):
            # "1, 2, and 3"
            joint = self.at.take("and", "or") or joint
            joints.add(joint)
            if joint == ";":
                groups.append([])
            groups[-1].append(self.relation())
        kind = "or" if "or" in joints else "and" if joints == {"and"} and any(map(inequality, groups[0])) else "list"
        # "p = 5, q = 2; p = 7, q = 2" is two pairs.
        items = [group[0] if len(group) == 1 else Many(flat(group), "list") for group in groups]
        return (
            items[0] if len(items) == 1 == len(groups[0]) else Many(flat(items if ";" in joints else groups[0]), kind)
        )

    def relation(self) -> Node:
        parts, relations = [self.combined()], []
        while self.at.peek() in RELATIONS and self.at.peek():
            relations.append(RELATIONS[self.at.take(*RELATIONS)])
            parts.append(self.combined())
        return Chain(tuple(parts), tuple(relations)) if relations else parts[0]

    def combined(self) -> Node:
        node = self.ratio()
        while operation := self.at.take("\\cup", "\\cap", "\\setminus"):
            node = Combined(node, self.ratio(), operation[1:])
        return node

    def ratio(self) -> Node:
        parts = [self.element()]
        while not self.inside_braces and self.at.take(":"):
            parts.append(self.element())
        return Ratio(tuple(parts)) if len(parts) > 1 else parts[0]

    def element(self) -> Node:
        r"""A sum, or what is in its place; with \pm, both of its values."""
        start, seen = self.at.place, self.signs_seen
        first = self.sum()
        # (1 \\pm 2) within a formula: the whole formula has both values.
        if self.signs_seen == seen or (start == self.opened and self.at.peek() in (")", "]")):
            return first
        end, self.at.place, self.upper = self.at.place, start, not self.upper
        second = self.sum()
        self.at.place, self.upper = end, not self.upper
        self.signs_seen = seen
        return Many((first, second), "pm")

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise Unreadable("nested too deeply")
        start = self.at.place
        sign = self.sign()
        node = self.product()
        if sign is not None:
            node = Scalar(sign * scalar(node))
        while (sign := self.sign()) is not None:
            node = Scalar(scalar(node) + sign * scalar(self.product()))
        self.depth -= 1
        written = self.at.tokens[start : self.at.place]
        if written and written[0][1] in ("+", "-"):
            written = written[1:]
        if isinstance(node, Scalar) and len(written) == 1 and written[0][0] == "number":
            return Scalar(node.expr, len(written[0][1].partition(".")[2]) or None)
        return node

    def sign(self) -> int | None:
        sign = self.at.take("+", "-", "\\pm", "\\mp")
        if not sign:
            return None
        # "+-" is ±, as people type it.
        if sign == "+" and self.at.take("-"):
            sign = "\\pm"
        if sign in ("\\pm", "\\mp"):
            self.signs_seen += 1
            return 1 if (sign == "\\pm") == self.upper else -1
        return -1 if sign == "-" else 1

    def product(self) -> Node:
        start, node, slashed = self.at.place, self.factor(), False
        while True:
            if operation := self.at.take("*", "/"):
                after = scalar(self.signed_factor())
                if operation == "/" and after == 0:
                    raise Unreadable("division by zero")
                node = Scalar(scalar(node) / after if operation == "/" else scalar(node) * after)
                # 1/2 x is half of x, and so is 4/3 pi r^3; what x/2y means nobody knows.
                written = self.at.tokens[start : self.at.place]
                slashed = operation == "/" and not all(kind in ("number", "sign") for kind, _ in written)
            elif self.begins_factor():
                if slashed:
                    raise Unreadable("a product after a slash is ambiguous; put it in brackets")
                node = Scalar(scalar(node) * scalar(self.factor()))
            else:
                return node

    def refuse(self, why: str) -> Node:
        raise Unreadable(why)

    def signed_factor(self) -> Node:
        return Scalar(-scalar(self.factor())) if self.at.take("-") else self.factor()

    def begins_factor(self) -> bool:
        if self.at.kind() in ("letter", "text"):
            return True
        sign = self.at.peek()
        if sign == "|":
            return not self.inside_bars
        if sign in ("(", "{", "["):
            return True
        return sign[:1] == "\\" and sign not in RELATIONS and sign not in _NO_FACTOR

    # Factors

    def factor(self) -> Node:
        mixed = self.at.kind() == "mixed"
        node = self.base()
        while True:
            if self.at.take("!"):
                node = Scalar(factorial(scalar(node)))
            elif self.at.take("%"):
                node = Scalar(scalar(node) / 100)
            elif "\\circ" in (self.at.peek(), self.at.peek(1)) or (self.at.peek(1), self.at.peek(2)) == ("{", "\\circ"):
                raise Unreadable("degrees within a formula")
            elif self.at.take("^"):
                if mixed:
                    raise Unreadable("a power of a mixed number is ambiguous")
                node = Scalar(power(scalar(node), self.exponent()))
                if self.at.peek() == "^":
                    raise Unreadable("a power of a power without brackets")
            else:
                return node

    def exponent(self) -> Expr:
        if self.at.take("{"):
            return scalar(self.closed(self.sum(), "}"))
        sign = -1 if self.at.take("-") else 1
        return sign * scalar(self.base())

    def closed(self, node: Node, closing: str) -> Node:
        self.at.expect(closing)
        return node

    def base(self) -> Node:
        kind, value = self.at.next()
        if kind == "number":
            return self.number(value)
        if kind == "mixed":
            whole, over, under = map(int, value.split())
            return Scalar(Integer(whole) + Rational(over, under)) if under else self.refuse("division by zero")
        if kind == "letter":
            return self.letter(value)
        if kind == "text":
            return self.subscripted(value if len(value) == 1 else f"\\text{{{value.casefold()}}}")
        if value == "(" or value == "[":
            return self.bracketed(value)
        if value == "{":
            return self.closed(self.listing(), "}")
        if value == "{{":
            return self.braces()
        if value == "|":
            self.inside_bars += 1
            node = self.sum()
            self.inside_bars -= 1
            return Scalar(sympy.Abs(scalar(self.closed(node, "|"))))
        if value[:1] == "\\":
            return command(self, value[1:])
        raise Unreadable(f"unexpected {value!r}" if value else "it ends too early")

    def number(self, digits: str) -> Node:
        if self.at.kind() == "number":
            raise Unreadable("two numbers beside each other")
        if self.at.take("_"):
            # 204_5: digits in base 5; another base is another number, and none is the number in base ten.
            return Scalar(Symbol(f"{digits}_{self.at.raw()}"))
        return Scalar(Rational(digits))

    def letter(self, name: str) -> Node:
        if self.at.kind() == "number":
            raise Unreadable(f"{name}{self.at.tokens[self.at.place][1]} is neither a product nor a power")
        primes = 0
        while self.at.take("'"):
            primes += 1
        if not primes and self.at.peek() != "_":
            if name == "e":
                return Scalar(S.Exp1)
            if name == "i":
                return Scalar(I)
        node = self.subscripted(name + "'" * primes)
        if name in "fghFGHPQ" and self.at.peek() == "(":
            self.at.place += 1
            inner = self.bracketed("(")
            arguments = inner.items if isinstance(inner, Row) else (inner,)
            return Scalar(sympy.Function(str(node.expr))(*map(scalar, arguments)))
        return node

    def subscripted(self, name: str) -> Scalar:
        return Scalar(Symbol(f"{name}_{self.at.raw()}" if self.at.take("_") else name))

    def bracketed(self, opening: str) -> Node:
        outer = self.inside_bars, self.inside_braces
        self.inside_bars, self.inside_braces, self.opened = 0, False, self.at.place
        node = self.listing()
        self.inside_bars, self.inside_braces = outer
        closing = self.at.expect(")", "]")
        if isinstance(node, Many) and node.kind == "list":
            return Row(node.items, opening, closing)
        if (opening, closing) not in (("(", ")"), ("[", "]")):
            raise Unreadable("brackets that do not match")
        return node

    def braces(self) -> Node:
        if self.at.take("}}"):
            return Region(S.EmptySet)
        outer, self.inside_bars, self.inside_braces = (self.inside_bars, self.inside_braces), 1, True
        node = self.listing()
        self.inside_bars, self.inside_braces = outer
        if self.at.take("|", ":"):
            # {x | x > 3} says no more than x > 3.
            return self.closed(self.listing(), "}}")
        self.at.expect("}}")
        items = node.items if isinstance(node, Many) and node.kind in ("list", "pm") else (node,)
        return Many(flat(items), "set")


_NO_FACTOR = frozenset(
    [
        "\\cup",
        "\\cap",
        "\\setminus",
        "\\pm",
        "\\mp",
        "\\circ",
        "\\rfloor",
        "\\rceil",
        "\\rangle",
        "\\end",
        "\\\\",
        "\\|",
    ]
)
