"""What decides of a pair where it goes: its tokens, and what it has in common with others."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy

Place = tuple[int, bool]
"""A pair's index in the data set, and whether it counts in the loss."""
_COLUMNS = 6


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides of a pair where it goes."""

    group: int
    """Pairs with the same prompt and images are of one group."""
    prompt: int
    """Tokens of the prompt, images included."""
    chosen: tuple[int, int]
    """The response's number within its group, and its tokens."""
    rejected: tuple[int, int]

    @property
    def longest(self) -> int:
        """Tokens of the longer sequence."""
        return self.prompt + max(self.chosen[1], self.rejected[1])


def row_tokens(shapes: Iterable[Shape]) -> int:
    """Tokens of a row that holds these pairs: each prompt and each response once."""
    prompts: dict[int, int] = {}
    responses: set[tuple[int, int, int]] = set()
    for shape in shapes:
        prompts[shape.group] = shape.prompt
        responses |= {(shape.group, *shape.chosen), (shape.group, *shape.rejected)}
    return sum(prompts.values()) + sum(tokens for _, _, tokens in responses)


class Shapes(Sequence[Shape]):
    """A list of shapes that takes 24 bytes for each."""

    def __init__(self, shapes: Iterable[Shape] = ()) -> None:
        self._numbers = array("i")
        for shape in shapes:
            self.append(shape)

    def append(self, shape: Shape) -> None:
        self._numbers.extend((shape.group, shape.prompt, *shape.chosen, *shape.rejected))

    def groups(self) -> numpy.ndarray:
        """The group of each, [N]."""
        return numpy.array(self._numbers, dtype=numpy.int32)[::_COLUMNS].copy()

    def __len__(self) -> int:
        return len(self._numbers) // _COLUMNS

    @overload
    def __getitem__(self, index: int) -> Shape: ...
    @overload
    def __getitem__(self, index: slice) -> list[Shape]: ...
    def __getitem__(self, index: int | slice) -> Shape | list[Shape]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} shapes, none at {index}")
        start = index % len(self) * _COLUMNS
        group, prompt, chosen, tokens, rejected, others = self._numbers[start : start + _COLUMNS]
        return Shape(group=group, prompt=prompt, chosen=(chosen, tokens), rejected=(rejected, others))
