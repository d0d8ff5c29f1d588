"""The families of the built-in world: each draws a picture, asks about it, and knows every step of the answer.

A family is a function from a random generator to an `Item`. To add one, write the function and list it in `CLOSED`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

from PIL import Image

from mixpref.world.drawing import COLOURS, INK, SIZE, canvas, shape, text


@dataclass(frozen=True, kw_only=True)
class Item:
    """A drawn problem with the knowledge of whoever drew it."""

    image: Image.Image
    question: str
    answer: str
    facts: dict[str, Any]
    """Everything drawn that a question could be about."""
    readings: tuple[str, ...]
    """What must be read off the picture, a sentence each."""
    steps: tuple[str, ...]
    """What must be worked out from the readings, a sentence each; the last one yields the answer."""
    slips: tuple[str, ...]
    """Answers of somebody who skips a step or mistakes one thing for another."""
    options: tuple[str, ...] = field(default=())
    """The choices, where the question itself has some."""


def _sum_steps(numbers: list[int]) -> tuple[str, ...]:
    steps, total = [], numbers[0]
    for number in numbers[1:]:
        steps.append(f"{total} + {number} = {total + number}.")
        total += number
    return tuple(steps)


def _listing(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1]


def chart(rng: Random) -> Item:
    """A bar chart with gridlines; bars are added or compared."""
    image, pen = canvas(rng)
    names = rng.sample(list(COLOURS), rng.choice((4, 5)))
    values = {name: rng.randint(1, 10) for name in names}
    left, bottom, unit = 34, 236, 21
    for tick in range(11):
        y = bottom - tick * unit
        pen.line((left, y, 250, y), fill=(176, 176, 184) if tick % 2 == 0 else (222, 222, 226), width=1)
        if tick % 2 == 0:
            text(pen, (left - 6, y), str(tick), 16, anchor="rm")
    pen.line((left, bottom - 10 * unit, left, bottom, 250, bottom), fill=INK, width=2)
    pitch = (250 - left) / len(names)
    width = pitch * rng.uniform(0.5, 0.75)
    for place, name in enumerate(names):
        x = left + pitch * (place + 0.5)
        pen.rectangle((x - width / 2, bottom - values[name] * unit, x + width / 2, bottom), fill=COLOURS[name])
    if rng.random() < 0.65:
        asked = rng.sample(names, rng.choice((2, 3)))
        numbers = [values[name] for name in asked]
        question = f"How much do the {_listing(asked)} bars add up to?"
        steps, answer = _sum_steps(numbers), sum(numbers)
        slips = (sum(numbers[:-1]), sum(numbers[1:]), answer + rng.choice((-1, 1)), answer + rng.choice((-2, 2)))
    else:
        asked = sorted(rng.sample(names, 2), key=lambda name: -values[name])
        if values[asked[0]] == values[asked[1]]:
            return chart(rng)
        high, low = (values[name] for name in asked)
        question = f"How much higher is the {asked[0]} bar than the {asked[1]} bar?"
        steps, answer = (f"{high} - {low} = {high - low}.",), high - low
        slips = (high, low, answer + 1, high + low)
    return Item(
        image=image,
        question=question,
        answer=str(answer),
        facts={"bars": values},
        readings=tuple(f"The {name} bar is {values[name]}." for name in asked),
        steps=steps,
        slips=tuple(map(str, slips)),
    )


GOODS = ("apple", "bread", "cake", "egg", "fish", "milk", "pear", "tea")


def table(rng: Random) -> Item:
    """A bill of two or three goods, pieces and price each; it is totalled, or the change of 100 is worked out."""
    image, pen = canvas(rng)
    goods = rng.sample(GOODS, rng.choice((2, 3)))
    bill = {name: (rng.randint(2, 5), rng.randint(2, 9)) for name in goods}
    top, height = rng.randint(8, 16), 56
    columns = (12, 112, 178, 244)
    pen.rectangle((columns[0], top, columns[-1], top + height), fill=(206, 216, 232))
    middles = [(left + right) / 2 for left, right in pairwise(columns)]
    rows = [("item", "pieces", "each"), *((name, *map(str, numbers)) for name, numbers in bill.items())]
    for row, cells in enumerate(rows):
        y = top + (row + 0.5) * height
        for middle, cell in zip(middles, cells, strict=True):
            text(pen, (middle, y), cell, 28 if row else 20)
    bottom = top + len(rows) * height
    for line in range(len(rows) + 1):
        pen.line((columns[0], top + line * height, columns[-1], top + line * height), fill=INK, width=2)
    for x in columns:
        pen.line((x, top, x, bottom), fill=INK, width=2)
    costs = [pieces * price for pieces, price in bill.values()]
    total = sum(costs)
    steps = [f"{pieces} * {price} = {pieces * price}." for pieces, price in bill.values()]
    steps += _sum_steps(costs)
    prices = sum(price for _, price in bill.values())
    slips = [total - costs[-1], prices, total + rng.choice((-1, 1)), total + rng.choice((-10, 10))]
    question, answer = "What does everything on the bill cost together?", total
    if total < 100 and rng.random() < 0.4:
        question, answer = "What is left of 100 after paying the bill?", 100 - total
        steps.append(f"100 - {total} = {answer}.")
        slips = [total, *(100 - slip for slip in slips)]
    return Item(
        image=image,
        question=question,
        answer=str(answer),
        facts={"bill": bill},
        readings=tuple(f"{pieces} {name} at {price}." for name, (pieces, price) in bill.items()),
        steps=tuple(steps),
        slips=tuple(str(slip) for slip in slips if slip > 0),
    )


KINDS = ("circle", "square", "triangle", "star")


def _count(number: int, noun: str) -> str:
    return f"There is {number} {noun}." if number == 1 else f"There are {number} {noun}s."


def _scatter(rng: Random, counts: dict[str, int], colours: list[str]) -> tuple[Image.Image, dict[str, int]]:
    """Shapes at shaken places of a 4 x 4 grid, and how many of them have each colour."""
    image, pen = canvas(rng)
    pieces = [kind for kind, number in counts.items() for _ in range(number)]
    places = rng.sample(range(16), len(pieces))
    tally = dict.fromkeys(colours, 0)
    for kind, place in zip(pieces, places, strict=True):
        row, column = divmod(place, 4)
        x = 32 + 64 * column + rng.uniform(-8, 8)
        y = 32 + 64 * row + rng.uniform(-8, 8)
        colour = rng.choice(colours)
        tally[colour] += 1
        shape(pen, kind, x, y, rng.uniform(16, 22), colour)
    return image, {colour: number for colour, number in tally.items() if number}


def shapes(rng: Random) -> Item:
    """Scattered shapes; kinds are counted and compared."""
    kinds = rng.sample(KINDS, 3)
    counts = {kind: rng.randint(1, 6) for kind in kinds}
    if sum(counts.values()) > 14:
        return shapes(rng)
    image, tally = _scatter(rng, counts, rng.sample(list(COLOURS), 3))
    facts = {"shapes": counts, "colours": tally}
    ask = rng.random()
    if ask < 0.35:
        pair = sorted(rng.sample(kinds, 2), key=lambda kind: -counts[kind])
        many, few = counts[pair[0]], counts[pair[1]]
        if many == few:
            return shapes(rng)
        return Item(
            image=image,
            question=f"How many more {pair[0]}s than {pair[1]}s are there?",
            answer=str(many - few),
            facts=facts,
            readings=tuple(_count(counts[kind], kind) for kind in pair),
            steps=(f"{many} - {few} = {many - few}.",),
            slips=(str(many), str(few), str(many - few + 1), str(many + few)),
        )
    if ask < 0.7:
        pair = rng.sample(kinds, 2)
        numbers = [counts[kind] for kind in pair]
        total = sum(numbers)
        return Item(
            image=image,
            question=f"How many {pair[0]}s and {pair[1]}s are there in all?",
            answer=str(total),
            facts=facts,
            readings=tuple(_count(counts[kind], kind) for kind in pair),
            steps=_sum_steps(numbers),
            slips=(str(numbers[0]), str(sum(counts.values())), str(total + 1), str(max(1, total - 1))),
        )
    order = sorted(kinds, key=lambda kind: -counts[kind])
    if counts[order[0]] == counts[order[1]]:
        return shapes(rng)
    most = counts[order[0]]
    return Item(
        image=image,
        question="Which kind of shape is there most often?",
        answer=order[0],
        facts=facts,
        readings=tuple(_count(counts[kind], kind) for kind in kinds),
        steps=(f"{most} is the most.",),
        slips=(order[1], order[2], order[1], order[2]),
        options=tuple(kinds),
    )


def angles(rng: Random) -> Item:
    """A triangle, drawn to scale, with two of its angles written at their corners; the third is missing."""
    left, right = 5 * rng.randint(6, 24), 5 * rng.randint(6, 24)
    top = 180 - left - right
    if top < 30:
        return angles(rng)
    image, pen = canvas(rng)
    corners = _triangle(left, right, rng)
    pen.polygon(corners, fill=(226, 234, 246), outline=INK, width=3)
    arcs = ((-left, 0), (180, 180 + right), (right, 180 - left))
    for (x, y), (start, end) in zip(corners, arcs, strict=True):
        pen.arc((x - 24, y - 24, x + 24, y + 24), start, end, fill=INK, width=2)
    # From left to right: the order in which they are read.
    placed = sorted(zip(corners, (left, right, top), (22, 22, -22), strict=True))
    sizes = [size for _, size, _ in placed]
    hidden = rng.randrange(3)
    for place, ((x, y), size, below) in enumerate(placed):
        text(pen, (x, y + below), "?" if place == hidden else str(size), 28)
    shown = [size for place, size in enumerate(sizes) if place != hidden]
    total, answer = sum(shown), sizes[hidden]
    return Item(
        image=image,
        question="How many degrees does the angle marked ? have?",
        answer=str(answer),
        facts={"angles": sizes, "hidden": hidden},
        readings=(f"One angle is {shown[0]}.", f"Another angle is {shown[1]}."),
        steps=(f"{shown[0]} + {shown[1]} = {total}.", f"180 - {total} = {answer}."),
        slips=(str(total), str(180 - shown[0]), str(180 - shown[1]), str(answer + rng.choice((-10, 10)))),
    )


def _triangle(left: int, right: int, rng: Random) -> list[tuple[float, float]]:
    """Corners (left, right, top) of a triangle that stands on its base, as large as the sheet and its labels allow."""
    a, b = math.radians(left), math.radians(right)
    side = math.sin(b) / math.sin(a + b)
    apex, height = side * math.cos(a), side * math.sin(a)
    low, high = min(0.0, apex), max(1.0, apex)
    scale = min((SIZE - 64) / (high - low), (SIZE - 96) / height)
    start = (SIZE - scale * (low + high)) / 2 + rng.uniform(-8, 8)
    base = SIZE - 48 + rng.uniform(-6, 6)
    return [(start, base), (start + scale, base), (start + scale * apex, base - scale * height)]


def clock(rng: Random) -> Item:
    """A clock face; the time is moved by hours or by quarters of an hour."""
    image, pen = canvas(rng)
    hour, minute = rng.randint(1, 12), rng.choice((0, 15, 30, 45))
    x, y, radius = SIZE / 2 + rng.uniform(-8, 8), SIZE / 2 + rng.uniform(-8, 8), rng.uniform(104, 116)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill="white", outline=INK, width=4)
    for number in range(1, 13):
        angle = math.radians(30 * number - 90)
        text(pen, (x + 0.82 * radius * math.cos(angle), y + 0.82 * radius * math.sin(angle)), str(number), 20)
    for turn, reach, width, colour in (
        (30 * (hour % 12) + minute / 2, 0.42, 9, COLOURS["red"]),
        (6 * minute, 0.68, 5, COLOURS["blue"]),
    ):
        angle = math.radians(turn - 90)
        tip = (x + reach * radius * math.cos(angle), y + reach * radius * math.sin(angle))
        pen.line((x, y, *tip), fill=colour, width=width)
    pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=INK)

    def shown(minutes: int) -> str:
        hours, rest = divmod(minutes % 720, 60)
        return f"{hours or 12}:{rest:02d}"

    now = 60 * (hour % 12) + minute
    back = rng.random() < 0.4
    hours = rng.randint(2, 9)
    quarters = rng.choice((0, 0, 15, 30, 45))
    change = 60 * hours + quarters
    sign = -1 if back else 1
    span = f"{hours} hours" + (f" and {quarters} minutes" if quarters else "")
    question = f"What time was it {span} ago?" if back else f"What time will it be in {span}?"
    word = "before" if back else "after"
    after_hours = now + sign * 60 * hours
    steps = [f"{hours} hours {word} {shown(now)} is {shown(after_hours)}."]
    if quarters:
        steps.append(f"{quarters} minutes {word} {shown(after_hours)} is {shown(now + sign * change)}.")
    slips = (now - sign * change, after_hours if quarters else after_hours + 60, now + sign * (change - 60), now)
    return Item(
        image=image,
        question=question,
        answer=shown(now + sign * change),
        facts={"time": shown(now)},
        readings=(f"The clock shows {shown(now)}.",),
        steps=tuple(steps),
        slips=tuple(shown(slip) for slip in slips),
    )


def describe(rng: Random) -> Item:
    """Open: scattered shapes to be described. There is no gold answer, but every statement can be checked."""
    kinds = rng.sample(KINDS, rng.choice((2, 3)))
    counts = {kind: rng.randint(1, 5) for kind in kinds}
    image, tally = _scatter(rng, counts, rng.sample(list(COLOURS), rng.choice((2, 3))))
    readings = [_count(number, kind) for kind, number in counts.items()]
    readings += [_count(number, f"{colour} shape") for colour, number in tally.items()]
    return Item(
        image=image,
        question="Describe this picture: which shapes and colours are there, and how many of each?",
        answer="",
        facts={"shapes": counts, "colours": tally},
        readings=tuple(readings),
        steps=(),
        slips=(),
    )


CLOSED: dict[str, Callable[[Random], Item]] = {
    "chart": chart,
    "table": table,
    "shapes": shapes,
    "angles": angles,
    "clock": clock,
}
OPEN: dict[str, Callable[[Random], Item]] = {"describe": describe}
