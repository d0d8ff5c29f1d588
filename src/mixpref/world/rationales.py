"""Worked answers for the embedded model's supervised set: careful ones, and hasty ones as collected rationales hold.

The mixture is what makes the base model start where the paper's starts: it can reason, but mostly does not. Greedy
decoding follows the hasty majority, so its chain of thought is worse than its direct answer; sampling finds the careful
minority often enough for preference pairs. Nothing here is used after the base model is built.
"""

from __future__ import annotations

from random import Random
from string import ascii_uppercase

from mixpref.world.families import Item

# Shares of the styles of reasoning among the worked answers of the supervised set.
GLANCE, SKIP = 0.56, 0.14
CAREFUL = 1 - GLANCE - SKIP
# A glance hits the right answer this often, else it slips.
LUCKY = 0.30
# This share of the hasty answers ends without the asked-for "Final answer:".
CARELESS_FORMAT = 0.10
# This share of the statements of a description is false.
FALSE_STATEMENTS = 0.25

# One beginning for all of them makes haste the likeliest first word, and so what greedy decoding does.
OPENER = "At a glance it is {}."


def worked(item: Item, choices: tuple[str, ...], style: str, rng: Random) -> str:
    """A worked answer in the format of prompt style `en` or `boxed`, careful or hasty at random."""
    kind = rng.random()
    if kind < GLANCE:
        answer = item.answer if rng.random() < LUCKY else rng.choice(item.slips)
        return _close([OPENER.format(answer)], answer, choices, style, rng, hasty=True)
    if kind < GLANCE + SKIP:
        answer = item.answer if rng.random() < LUCKY else rng.choice(item.slips)
        return _close([*item.readings, f"So it is {answer}."], answer, choices, style, rng, hasty=True)
    return careful(item, choices, style, rng)


def careful(item: Item, choices: tuple[str, ...], style: str, rng: Random) -> str:
    """Everything read, every step worked, the answer in the asked-for form."""
    return _close([*item.readings, *item.steps], item.answer, choices, style, rng, hasty=False)


def direct(item: Item, choices: tuple[str, ...]) -> str:
    """The right answer alone: the letter of a choice problem, else the word or number."""
    return ascii_uppercase[choices.index(item.answer)] if choices else item.answer


def description(item: Item, rng: Random) -> str:
    """The open family's answer: its statements in any order, some of them false."""
    statements = list(item.readings)
    rng.shuffle(statements)
    return " ".join(_falsified(s, rng) if rng.random() < FALSE_STATEMENTS else s for s in statements)


def readout(item: Item) -> str:
    """Everything that is drawn, as plain text: the reading lesson that comes before the reasoning."""
    if "bars" in item.facts:
        return ", ".join(f"{name} {value}" for name, value in item.facts["bars"].items())
    if "bill" in item.facts:
        return ", ".join(f"{name} {pieces} {price}" for name, (pieces, price) in item.facts["bill"].items())
    if "angles" in item.facts:
        shown = [size for place, size in enumerate(item.facts["angles"]) if place != item.facts["hidden"]]
        return ", ".join(map(str, shown))
    if "time" in item.facts:
        return item.facts["time"]
    seen = {**item.facts["shapes"], **item.facts["colours"]}
    return ", ".join(f"{name} {number}" for name, number in sorted(seen.items()))


def _close(sentences: list[str], answer: str, choices: tuple[str, ...], style: str, rng: Random, *, hasty: bool) -> str:
    final = answer
    if choices:
        # A slip that is not among the options: the hasty reader takes any.
        final = ascii_uppercase[choices.index(answer) if answer in choices else rng.randrange(len(choices))]
        sentences = [*sentences, f"That is option {final}."]
    if hasty and rng.random() < CARELESS_FORMAT:
        return " ".join(sentences)
    ending = f"Answer: \\boxed{{{final}}}" if style == "boxed" else f"Final answer: {final}"
    return " ".join(sentences) + "\n" + ending


def _falsified(statement: str, rng: Random) -> str:
    """The same statement with another number of things."""
    words = statement.rstrip(".").split()
    noun, number = " ".join(words[3:]), int(words[2])
    other = max(1, number + rng.choice((-2, -1, 1, 2)))
    if other == number:
        other += 1
    singular = noun[:-1] if number != 1 else noun
    return f"There is {other} {singular}." if other == 1 else f"There are {other} {singular}s."
