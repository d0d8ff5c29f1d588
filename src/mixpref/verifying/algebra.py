"""Compares expressions: are they the same statement, whatever their form? Runs in a process that may be killed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from mixpref.verifying.expressions import read
from mixpref.verifying.notation import Unreadable
from mixpref.verifying.regions import (
    interval_name,
    is_name,
    region,
    same_name,
    same_region,
    spread,
    unnamed,
)
from mixpref.verifying.structures import (
    INEQUALITIES,
    Chain,
    Combined,
    Grid,
    Many,
    Node,
    Ratio,
    Region,
    Row,
    Scalar,
    inequality,
)
from mixpref.verifying.values import (
    CLOSE,
    Undecided,
    equal,
    expr,
    number,
    points,
    quotient,
    same_values,
    without_functions,
)

_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


def compare(task: dict[str, Any]) -> dict[str, str]:
    """Is an answer one of the gold expressions?

    `task` is a `judgement.Algebra` as a dict: golds, answer, decimals. Returns outcome (correct, wrong, unparsed),
    detail and normalised. Raises ValueError for a gold expression that cannot be read; then nothing is known of the
    answer, and neither is it where any other exception comes out.
    """
    golds = [_gold(text) for text in task["golds"]]
    try:
        answer = read(task["answer"])
    except Unreadable as why:
        return {"outcome": "unparsed", "detail": f"not an expression: {why}", "normalised": task["answer"]}
    undecided = ""
    for gold in golds:
        try:
            if same(gold, answer, task.get("decimals")):
                return _verdict("correct", task)
        except Undecided as why:
            undecided = undecided or str(why) or "undecided"
    if undecided:
        return {"outcome": "unparsed", "detail": undecided, "normalised": task["answer"]}
    return _verdict("wrong", task)


def _verdict(outcome: str, task: dict[str, Any]) -> dict[str, str]:
    detail = f"{task['answer']} against {' or '.join(task['golds'])}"
    return {"outcome": outcome, "detail": detail, "normalised": task["answer"]}


@lru_cache(maxsize=512)
def _gold(text: str) -> Node:
    try:
        return read(text)
    except Unreadable as why:
        raise ValueError(f"the gold answer {text!r} cannot be read: {why}") from None


def same(gold: Node, answer: Node, decimals: int | None = None) -> bool:
    """Whether an answer states what a gold answer states. Raises Undecided."""
    if isinstance(gold, Chain) and isinstance(answer, Chain) and (found := _relations(gold, answer)) is not None:
        return found
    gold, answer = spread(gold), spread(answer)
    (gold_name, gold), (name, answer) = unnamed(gold), unnamed(answer)
    if gold_name and name and not same_name(gold_name, name):
        return False
    return _values(gold, answer, decimals)


def _values(gold: Node, answer: Node, decimals: int | None) -> bool:
    if isinstance(gold, Scalar) and isinstance(answer, Scalar):
        return equal(gold, answer, decimals)
    if isinstance(gold, Many):
        return _many(gold, answer, decimals)
    if isinstance(answer, Many):
        return _single_against_many(gold, answer, decimals)
    if isinstance(gold, Ratio) and isinstance(answer, Scalar) and len(gold.parts) == 2:
        over, under = map(expr, gold.parts)
        if under != 0 and same_values(over / under, answer.expr):
            raise Undecided("a ratio against its quotient")
    if isinstance(gold, Ratio) and isinstance(answer, Ratio):
        if len(gold.parts) == len(answer.parts) and _all(gold.parts, answer.parts, decimals):
            return True
        if len(gold.parts) == len(answer.parts) == 2:
            (a, b), (c, d) = (tuple(map(expr, each.parts)) for each in (gold, answer))
            if 0 not in (a, b, c, d) and same_values(a * d, b * c):
                raise Undecided("the same ratio in other terms")
        return False
    if isinstance(gold, Row) and isinstance(answer, Row):
        brackets = (gold.opening, gold.closing) == (answer.opening, answer.closing)
        return brackets and len(gold.items) == len(answer.items) and _all(gold.items, answer.items, decimals)
    if isinstance(gold, Grid) or isinstance(answer, Grid):
        return _grids(gold, answer, decimals)
    if isinstance(gold, Chain) and isinstance(answer, Chain):
        return _chains(gold, answer)
    if isinstance(gold, Scalar) or isinstance(answer, Scalar):
        return False
    return same_region(region(gold), region(answer), decimals)


def _all(golds: Sequence[Node], answers: Sequence[Node], decimals: int | None) -> bool:
    return all(same(gold, answer, decimals) for gold, answer in zip(golds, answers, strict=True))


# Several values


def _many(gold: Many, answer: Node, decimals: int | None) -> bool:
    if isinstance(answer, Many):
        return _unordered(gold, answer, decimals)
    if isinstance(answer, Row | Chain | Combined) and any(map(inequality, gold.items)):
        return same_region(region(gold), region(answer), decimals)
    if isinstance(answer, Row):
        if gold.kind == "set":
            return False
        values = _in_order(gold)
        if (answer.opening, answer.closing) != ("(", ")") or len(values) != len(answer.items):
            return False
        if _all(values, answer.items, decimals):
            return True
        if _permuted(values, answer.items, decimals):
            raise Undecided("the same values in another order")
        return False
    if len(gold.items) == 1 and isinstance(answer, Scalar):
        return same(gold.items[0], answer, decimals)
    if isinstance(answer, Combined):
        return same_region(region(gold), region(answer), decimals)
    return False


def _single_against_many(gold: Node, answer: Many, decimals: int | None) -> bool:
    if answer.kind == "set" and len(answer.items) == 1 and isinstance(gold, Scalar):
        return same(gold, answer.items[0], decimals)
    if isinstance(gold, Row) and answer.kind == "list" and (gold.opening, gold.closing) == ("(", ")"):
        values = _in_order(answer)
        return len(values) == len(gold.items) and _all(gold.items, values, decimals)
    if isinstance(gold, Chain | Combined | Region) and answer.kind != "pm":
        if answer.kind == "list" and not isinstance(gold, Combined | Region):
            raise Undecided("several statements")
        return same_region(region(gold), region(answer), decimals)
    if answer.kind in ("list", "or"):
        raise Undecided("several values")
    return False


def _in_order(node: Many) -> list[Node]:
    """The values of "x = 1, y = 2" as the coordinates of a point. Raises Undecided for "y = 2, x = 1"."""
    pairs = [unnamed(item) for item in node.items]
    names = [str(name) for name, _ in pairs if name is not None]
    if names != sorted(names):
        raise Undecided("a tuple against names in another order")
    return [value for _, value in pairs]


def _unordered(gold: Many, answer: Many, decimals: int | None) -> bool:
    if gold.kind != answer.kind and any(map(inequality, (*gold.items, *answer.items))):
        return same_region(region(gold), region(answer), decimals)
    names, others = _names(gold), _names(answer)
    if len(set(names)) == len(set(others)) == 1 and names[0] and others[0] and not same_name(names[0], others[0]):
        return False
    golds, answers = (
        _distinct(each.kind, [unnamed(item)[1] for item in each.items] if len(set(which)) == 1 else list(each.items))
        for each, which in ((gold, names), (answer, others))
    )
    if len(golds) != len(answers):
        if len(_distinct("set", golds)) == len(_distinct("set", answers)) < max(len(golds), len(answers)):
            raise Undecided("a value more than once")
        return False
    if (len(set(names)) > 1) == (len(set(others)) > 1):
        return _permuted(golds, answers, decimals)
    # "AB = 4, CD = 5" against "4, 5": which is which is said by the order alone.
    golds, answers = ([unnamed(item)[1] for item in items] for items in (golds, answers))
    if _all(golds, answers, decimals):
        return True
    if _permuted(golds, answers, decimals):
        raise Undecided("the same values in another order")
    return False


def _names(node: Many) -> list[Node | None]:
    """The name of each item; a name that only the first one has is that of all: x = 2, -2."""
    names = [unnamed(item)[0] for item in node.items]
    return names[:1] * len(names) if not any(names[1:]) else names


def _distinct(kind: str, items: list[Node]) -> list[Node]:
    if kind == "list":
        return items
    found: list[Node] = []
    for item in items:
        if not any(_same_or_not(item, other) for other in found):
            found.append(item)
    return found


def _same_or_not(one: Node, other: Node) -> bool:
    try:
        return type(one) is type(other) and same(one, other)
    except Undecided:
        return False


def _permuted(golds: Sequence[Node], answers: Sequence[Node], decimals: int | None) -> bool:
    """Whether every gold value has its own answer: equal values are few, so the first that fits is taken."""
    left = list(answers)
    if len(golds) != len(left):
        return False
    undecided: Undecided | None = None
    for gold in golds:
        for place, answer in enumerate(left):
            try:
                if same(gold, answer, decimals):
                    del left[place]
                    break
            except Undecided as why:
                undecided = why
        else:
            if undecided:
                raise undecided
            return False
    return True


def _grids(gold: Node, answer: Node, decimals: int | None) -> bool:
    if isinstance(gold, Grid) and isinstance(answer, Grid):
        if [len(row) for row in gold.rows] != [len(row) for row in answer.rows]:
            return False
        return all(_all(row, other, decimals) for row, other in zip(gold.rows, answer.rows, strict=True))
    grid, row = (gold, answer) if isinstance(gold, Grid) else (answer, gold)
    if isinstance(grid, Grid) and isinstance(row, Row):
        items = [item for line in grid.rows for item in line]
        line = 1 in (len(grid.rows), len(grid.rows[0])) and len(items) == len(row.items)
        if line and _all(items, row.items, decimals):
            raise Undecided("a tuple against a matrix")
    return False


# Relations


def _relations(gold: Chain, answer: Chain) -> bool | None:
    """Two relations compared as such; None where they are values with names ("x = 5" against "y = 5")."""
    kinds = {*gold.relations, *answer.relations}
    if kinds <= INEQUALITIES:
        return _chains(gold, answer)
    parts = (*gold.parts, *answer.parts)
    if kinds not in ({"="}, {"!="}) or len(parts) != 4 or not all(isinstance(part, Scalar) for part in parts):
        return None
    if kinds == {"="}:
        # x = y is y = x, but x = 5 is not y = 5.
        named = all(is_name(each.parts[0]) for each in (gold, answer)) and same_name(gold.parts[0], answer.parts[0])
        if named or not all(map(_has_variables, (gold, answer))):
            return None
    return _proportional(gold, answer, signed=False)


def _has_variables(chain: Chain) -> bool:
    return any(expr(part).free_symbols for part in chain.parts)


def _chains(gold: Chain, answer: Chain) -> bool:
    """Inequalities: part by part in either direction, as intervals of one name, or multiples of each other."""
    kinds = set(gold.relations), set(answer.relations)
    if not all(kind <= INEQUALITIES for kind in kinds):
        if gold.relations != answer.relations or len(gold.parts) != len(answer.parts):
            if kinds[0].isdisjoint(INEQUALITIES) != kinds[1].isdisjoint(INEQUALITIES):
                return False
            raise Undecided("relations of different kinds")
        return _all(gold.parts, answer.parts, None)
    for parts, relations in (
        (answer.parts, answer.relations),
        (answer.parts[::-1], tuple(_FLIPPED[each] for each in answer.relations[::-1])),
    ):
        if relations == gold.relations and _all(gold.parts, parts, None):
            return True
    if len(gold.parts) == len(answer.parts) == 2 and _proportional(gold, answer, signed=True):
        return True
    gold_name, name = interval_name(gold), interval_name(answer)
    if gold_name is not None and name is not None:
        return gold_name == name and same_region(region(gold), region(answer), None)
    symbols = [frozenset().union(*(expr(part).free_symbols for part in each.parts)) for each in (gold, answer)]
    if symbols[0] != symbols[1]:
        return False
    if len(symbols[0]) == 1:
        return same_region(region(gold), region(answer), None)
    if len(gold.parts) == len(answer.parts) == 2:
        return False
    raise Undecided("inequalities that cannot be compared")


def _proportional(gold: Chain, answer: Chain, *, signed: bool) -> bool:
    """Whether two relations are one up to a constant factor, for inequalities a positive one."""
    differences = []
    for each in (gold, answer):
        left, right = map(expr, each.parts)
        left, right = map(without_functions, (left, right))
        differences.append(right - left if each.relations[0] in ("<", "<=") else left - right)
    strict = [each.relations[0] in ("<", ">") for each in (gold, answer)]
    if signed and strict[0] != strict[1]:
        return False
    factor = None
    for point in points(*differences):
        first, second = (number(each, point) for each in differences)
        if first is None or second is None:
            continue
        if not first or not second:
            if first or second:
                return False
            continue
        ratio = quotient(first, second)
        if factor is not None and abs(ratio - factor) > CLOSE * abs(factor):
            return False
        factor = ratio
    if factor is None:
        raise Undecided("an equation without values")
    return not signed or (abs(factor.imag) < CLOSE and factor.real > 0)
