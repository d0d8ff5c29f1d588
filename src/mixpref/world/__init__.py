"""The built-in world: endless small problems of picture and question whose every fact is known.

Five closed families need reading and then reckoning; one open family, `describe`, has no gold answer but checkable
statements (`facts.py`). Problems of a split are drawn from seeds of that split's own, and on top of that a problem's
content (what is drawn and what is asked) belongs to one split only: a held-out problem never differs from a training
problem by its colours alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import Literal

from mixpref.records import Problem, content_hash
from mixpref.seeds import derive
from mixpref.world.drawing import png
from mixpref.world.families import CLOSED, OPEN, Item

FAMILIES = tuple(CLOSED)
OPEN_FAMILIES = tuple(OPEN)
Split = Literal["base", "train", "held_out"]

# Fifths of all contents. `base` trains the embedded model, `train` makes pairs, `held_out` measures.
_SHARES: dict[str, tuple[int, ...]] = {"base": (0, 1, 2), "train": (3,), "held_out": (4,)}
_CHOICE_SHARE = 0.25


def items(split: Split, seed: int, family: str) -> Iterator[tuple[Item, tuple[str, ...]]]:
    """Endless problems of one family with all that is known of them, and their choices (none for most)."""
    draw = (CLOSED | OPEN)[family]
    index = 0
    while True:
        rng = Random(derive("world", split, seed, family, index))
        index += 1
        item = draw(rng)
        content = content_hash(json.dumps(item.facts, sort_keys=True), item.question)
        if int(content, 16) % 5 in _SHARES[split]:
            yield item, item.options or _choices(item, rng)


def problems(split: Split, seed: int, count: int, families: Sequence[str] = FAMILIES) -> Iterator[Problem]:
    """`count` problems of a split, the families taking turns; the same for the same arguments, on any machine.

    Raises ValueError for a family that does not exist.
    """
    if unknown := set(families) - set(FAMILIES) - set(OPEN_FAMILIES):
        raise ValueError(f"no such family of the world: {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    streams = [(family, items(split, seed, family)) for family in families]
    for turn in range(count):
        family, stream = streams[turn % len(streams)]
        item, choices = next(stream)
        yield Problem(
            question=item.question,
            answer=(item.answer,) if item.answer else None,
            choices=choices,
            images=(png(item.image),),
            source="world",
            family=family,
            facts=json.dumps(item.facts, sort_keys=True),
        )


def _choices(item: Item, rng: Random) -> tuple[str, ...]:
    """Four options for some of the problems: the answer and the slips of a hasty reader, shuffled."""
    if rng.random() >= _CHOICE_SHARE:
        return ()
    options = list(dict.fromkeys((item.answer, *item.slips)))[:4]
    if not item.answer or len(options) < 3:
        return ()
    rng.shuffle(options)
    return tuple(options)
