"""Checks the statements of a description against what was drawn: the open family's substitute for a gold answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

_STATEMENT = re.compile(
    r"\bthere (?:is|are) (?:only )?(\d+|an?|one|two|three|four|five|six|seven|eight|nine|ten|no) "
    r"([a-z]+)( shapes?)?(?= *(?:[.,;!\n]|and\b|$))",
    re.IGNORECASE,
)
_NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDS = {word: number for number, word in enumerate(_NUMERALS)}
_WORDS |= {"a": 1, "an": 1}


@dataclass(frozen=True)
class Check:
    """How a description stands against the facts, in numbers of statements."""

    right: int
    wrong: int
    missing: int
    """Drawn kinds and colours that no statement speaks of."""

    @property
    def wrong_share(self) -> float:
        """Share of false statements in 0..1; 0 for a description without any statement."""
        return self.wrong / max(1, self.right + self.wrong)


def check(facts: str, text: str) -> Check:
    """Compare each "There are N things." of `text` with `facts` (the JSON of `Problem.facts`).

    A thing is a kind of shape ("3 circles") or a colour ("2 red shapes"); one that was not drawn counts as drawn 0
    times. A statement that is repeated counts each time.
    """
    drawn = json.loads(facts)
    truth = {**drawn["shapes"], **{f"{colour} shape": number for colour, number in drawn["colours"].items()}}
    right = wrong = 0
    spoken = set()
    for number, noun, shape in _STATEMENT.findall(text):
        thing = f"{noun.lower()} shape" if shape else noun.lower().removesuffix("s")
        said = int(number) if number.isdigit() else _WORDS[number.lower()]
        spoken.add(thing)
        if truth.get(thing, 0) == said:
            right += 1
        else:
            wrong += 1
    return Check(right, wrong, len(truth.keys() - spoken))
