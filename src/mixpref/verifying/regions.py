"""What statements are about: the name in x = 5, and the numbers that 1 < x <= 2, (1, 2] and {1, 2} describe."""

from __future__ import annotations

import sympy
from sympy import Expr, Interval, S, Symbol
from sympy.core.function import AppliedUndef

from mixpref.verifying.structures import (
    INEQUALITIES,
    Chain,
    Combined,
    Many,
    Node,
    Ratio,
    Region,
    Row,
    Scalar,
    inequality,
)
from mixpref.verifying.values import Undecided, equal, expr


def unnamed(node: Node) -> tuple[Node | None, Node]:
    """x = 3 + 9 = 12 as its name x and its value 12; a node without a name as it is."""
    if not isinstance(node, Chain):
        return None, node
    parts, relations = list(node.parts), list(node.relations)
    # x = 1/3 ~ 0.33 states 1/3; x ~ 0.33 has nothing better.
    while len(parts) > 1 and relations[-1] == "~" and (len(parts) > 2 or not is_name(parts[0])):
        parts.pop()
        relations.pop()
    if len(parts) == 1:
        return None, parts[0]
    if len(parts) == 2 and relations == ["="] and is_name(parts[1]) and not is_name(parts[0]):
        # 5 = x
        parts.reverse()
    if not set(relations) <= {"=", "~", "in"} or (len(relations) > 1 and "in" in relations):
        return None, Chain(tuple(parts), tuple(relations))
    name = parts.pop(0) if is_name(parts[0]) else None
    # f(x) = y = 2: the last name's value is the first one's.
    while len(parts) > 1 and is_name(parts[0]):
        parts.pop(0)
    if name is None and not all(isinstance(part, Scalar) and not part.expr.free_symbols for part in parts):
        return None, Chain(tuple(parts), tuple(relations[-len(parts) + 1 :]))
    for part in parts[:-1]:
        last = parts[-1]
        if not (equal(part, last, None) if isinstance(part, Scalar) and isinstance(last, Scalar) else part == last):
            raise Undecided("sides of an equation that differ")
    return name, parts[-1]


def is_name(node: Node) -> bool:
    """Whether a node names something: x, f(x), AB, |AB|, (x, y), A:B."""
    if isinstance(node, Row | Ratio):
        return all(map(is_name, node.items if isinstance(node, Row) else node.parts))
    if not isinstance(node, Scalar):
        return False
    expr = node.expr
    if isinstance(expr, sympy.Abs):
        expr = expr.args[0]
    if isinstance(expr, AppliedUndef) or expr.is_Symbol:
        return True
    if expr == S.ImaginaryUnit or expr == S.Exp1:
        return False
    # AB, and NO/BO
    return isinstance(expr, sympy.Mul) and all(
        each.is_Symbol or (each.is_Pow and each.base.is_Symbol and each.exp == -1) for each in expr.args
    )


def same_name(gold: Node, answer: Node) -> bool:
    """Whether two names may stand for the same thing."""
    if gold == answer:
        return True
    # Words say what is computed in many ways; letters stand for one thing each.
    return any("\\text" in str(each) for each in (gold, answer))


def spread(node: Node) -> Node:
    """(x, y) = (1, 2) as x = 1, y = 2; any other node as it is."""
    if isinstance(node, Chain) and node.relations == ("=",):
        names, values = node.parts
        if isinstance(names, Row) and isinstance(values, Row) and len(names.items) == len(values.items):
            pairs = zip(names.items, values.items, strict=True)
            return Many(tuple(Chain(pair, ("=",)) for pair in pairs), "list") if is_name(names) else node
    return node


def interval_name(chain: Chain) -> Expr | None:
    """x of x > 3 or 1 < x <= 2; None where it is no such interval."""
    named = [
        part for part in chain.parts if isinstance(part, Scalar) and is_name(part) and not part.expr.has(sympy.Abs)
    ]
    others = [part for part in chain.parts if part not in named]
    if len(named) != 1 or not all(isinstance(part, Scalar) and part.expr.is_number for part in others):
        return None
    if len(chain.parts) == 3 and chain.parts[1] is not named[0]:
        return None
    return named[0].expr if len(chain.parts) <= 3 else None


def region(node: Node) -> sympy.Set:
    """The numbers that a node describes. Raises Undecided where it describes none."""
    if isinstance(node, Region):
        return node.region
    if isinstance(node, Row):
        if len(node.items) != 2:
            raise Undecided("a tuple against a set")
        low, high = map(expr, node.items)
        return _interval(low, high, node.opening == "(", node.closing == ")")
    if isinstance(node, Many):
        items = [unnamed(item)[1] for item in node.items]
        parts = [sympy.FiniteSet(item.expr) if isinstance(item, Scalar) else region(item) for item in items]
        if node.kind == "list" and any(map(inequality, items)):
            raise Undecided("inequalities with a comma between them")
        return sympy.Intersection(*parts) if node.kind == "and" else sympy.Union(*parts)
    if isinstance(node, Combined):
        left, right = region(node.left), region(node.right)
        return {"cup": sympy.Union, "cap": sympy.Intersection, "setminus": sympy.Complement}[node.operation](
            left, right
        )
    if isinstance(node, Chain):
        return solutions(node)
    raise Undecided(f"a {type(node).__name__.lower()} against a set")


def _interval(low: Expr, high: Expr, left_open: bool, right_open: bool) -> sympy.Set:
    if not (low.is_extended_real and high.is_extended_real):
        raise Undecided("an interval without real ends")
    return Interval(low, high, left_open, right_open)


def solutions(chain: Chain) -> sympy.Set:
    """The numbers of which a chain of relations is true, or that it names. Raises Undecided."""
    name, value = unnamed(chain)
    if name is not None:
        return sympy.FiniteSet(value.expr) if isinstance(value, Scalar) else region(value)
    variables = sorted(frozenset().union(*(expr(part).free_symbols for part in chain.parts)), key=str)
    if chain.relations == ("!=",) and is_name(chain.parts[0]):
        return S.Reals - sympy.FiniteSet(expr(chain.parts[1]))
    if not set(chain.relations) <= INEQUALITIES:
        raise Undecided("an equation against a set")
    named = interval_name(chain)
    variable = Symbol("x", real=True)
    if named is None and len(variables) != 1:
        raise Undecided("an inequality in several variables")
    swap = {named: variable} if named is not None else {variables[0]: variable}
    relations = {"<": sympy.Lt, "<=": sympy.Le, ">": sympy.Gt, ">=": sympy.Ge}
    found: sympy.Set = S.Reals
    for left, relation, right in zip(chain.parts, chain.relations, chain.parts[1:], strict=False):
        claim = relations[relation](expr(left).subs(swap), expr(right).subs(swap))
        if claim in (S.true, S.false):
            found = found if claim == S.true else S.EmptySet
            continue
        try:
            found = found.intersect(claim.as_set())
        except NotImplementedError:
            raise Undecided("an inequality that cannot be solved") from None
    return found


def same_region(gold: sympy.Set, answer: sympy.Set, decimals: int | None) -> bool:
    """Whether two sets of numbers are the same, piece by piece. Raises Undecided."""
    if gold == answer:
        return True
    pieces = _pieces(gold), _pieces(answer)
    if None in pieces:
        difference = gold.symmetric_difference(answer).is_empty
        if difference is None:
            raise Undecided("sets that cannot be compared")
        return bool(difference)
    first, second = (sorted(each or (), key=lambda piece: (piece[0].evalf(), piece[1].evalf())) for each in pieces)
    return len(first) == len(second) and all(
        one[2:] == other[2:]
        and equal(Scalar(one[0]), Scalar(other[0]), decimals)
        and equal(Scalar(one[1]), Scalar(other[1]), decimals)
        for one, other in zip(first, second, strict=True)
    )


def _pieces(region: sympy.Set) -> list[tuple[Expr, Expr, bool, bool]] | None:
    if region is S.EmptySet:
        return []
    if region is S.Reals:
        region = Interval(S.NegativeInfinity, S.Infinity)
    if isinstance(region, sympy.FiniteSet):
        return [(item, item, False, False) for item in region] if all(item.is_number for item in region) else None
    if isinstance(region, Interval):
        return [(region.start, region.end, bool(region.left_open), bool(region.right_open))]
    if isinstance(region, sympy.Union):
        found = [_pieces(part) for part in region.args]
        return None if None in found else [piece for part in found for piece in part or ()]
    return None
