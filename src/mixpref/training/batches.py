"""How the pairs of an optimizer step are packed into rows and dealt to processes.

Pairs of one prompt belong together: a step that shares prompts computes each but once. The loss is a mean over the
step's pairs however they lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy

from mixpref.training.order import StepOrder
from mixpref.training.shapes import Place, Shape, Shapes, row_tokens


@dataclass(frozen=True, kw_only=True)
class Packing:
    """The micro-batches of a step.

    Every process gets as many as the others. Where there are too few pairs for that, a place is filled by a pair that
    does not count, because every process has to take part in every forward pass.
    """

    micro_pairs: int | None = None
    """Pairs of a micro-batch at most; None: no limit."""
    row_tokens: int | None = None
    """Tokens of a micro-batch at most; None: no limit."""
    together: bool = True
    """Keep a prompt's pairs in one micro-batch; otherwise those of like length."""
    rank: int = 0
    processes: int = 1

    def share(self, step: Mapping[int, Shape]) -> list[list[Place]]:
        """This process's micro-batches of a step of at least one pair."""
        # The same place on every process has about the same work.
        return self._micro_batches(step)[self.rank :: self.processes]

    def _micro_batches(self, step: Mapping[int, Shape]) -> list[list[Place]]:
        """The micro-batches of all processes, the largest first: if memory runs out, it does so at once."""

        def size(pairs: Sequence[int]) -> int:
            return self._size([step[pair] for pair in pairs])

        batches: list[list[int]] = []
        for piece in sorted(self._pieces(step), key=size, reverse=True):
            home = next((batch for batch in batches if self._fits([step[pair] for pair in (*batch, *piece)])), None)
            if home is None:
                batches.append(list(piece))
            else:
                home += piece
        while len(batches) % self.processes and any(len(batch) > 1 for batch in batches):
            largest = max(batches, key=lambda batch: (len(batch) > 1, size(batch)))
            middle = len(largest) // 2
            batches.append(largest[middle:])
            del largest[middle:]
        batches.sort(key=size, reverse=True)
        shortest = min(step, key=lambda pair: size([pair]))
        fillers = -len(batches) % self.processes
        return [[(pair, True) for pair in batch] for batch in batches] + [[(shortest, False)]] * fillers

    def _pieces(self, step: Mapping[int, Shape]) -> list[list[int]]:
        """What has to stay in one micro-batch: a group's pairs in the step, cut only where they don't fit into one."""
        if not self.together:
            return [[pair] for pair in step]
        groups: dict[int, list[list[int]]] = {}
        # Pairs with a response in common side by side: a cut costs each of the two rows a copy of what they share.
        for pair in sorted(step, key=lambda pair: (step[pair].chosen, step[pair].rejected, pair)):
            pieces = groups.setdefault(step[pair].group, [[]])
            if pieces[-1] and not self._fits([step[each] for each in (*pieces[-1], pair)]):
                pieces.append([])
            pieces[-1].append(pair)
        return [piece for pieces in groups.values() for piece in pieces]

    def _fits(self, shapes: Sequence[Shape]) -> bool:
        if self.micro_pairs is not None and len(shapes) > self.micro_pairs:
            return False
        return self.row_tokens is None or self._size(shapes) <= self.row_tokens

    def _size(self, shapes: Sequence[Shape]) -> int:
        return row_tokens(shapes) if self.together else max(shape.longest for shape in shapes)


class StepBatches(StepOrder):
    """The optimizer steps of one process: a batch sampler whose every item is a step, a list of micro-batches."""

    def __init__(
        self,
        shapes: Sequence[Shape],
        packing: Packing,
        *,
        step_pairs: int,
        group_pairs: int | None = None,
        seed: int | None = None,
        only: Sequence[int] | None = None,
    ) -> None:
        """All settings but those of `Packing` are as of `StepOrder`."""
        groups = shapes.groups() if isinstance(shapes, Shapes) else numpy.array([each.group for each in shapes], int)
        super().__init__(groups, step_pairs=step_pairs, group_pairs=group_pairs, seed=seed, only=only)
        self.shapes, self.packing = shapes, packing

    def __iter__(self) -> Iterator[list[list[Place]]]:
        for step in super().__iter__():
            yield self.packing.share({pair: self.shapes[pair] for pair in step})
