"""Which pairs an optimizer step takes.

Pairs of one prompt belong together: a step that shares prompts computes each but once. So what is shuffled are prompts
with all their pairs, or with as many as may share a step.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import numpy
from torch.utils.data import Sampler

from mixpref.seeds import derive

Span = tuple[int, int]


class StepOrder(Sampler[Any]):
    """The optimizer steps of an epoch: a batch sampler whose every item is the pairs of a step, as indices.

    A step is the next `step_pairs` pairs of the epoch's order, whatever the number of processes and the size of the
    micro-batches; the epoch's last step has what is left. The order depends on `seed` and the epoch alone, so a
    resumed epoch goes on exactly where it was. Of a million pairs the plan takes some 10 MB, and seconds to make.
    """

    def __init__(
        self,
        groups: numpy.ndarray,
        *,
        step_pairs: int,
        group_pairs: int | None = None,
        seed: int | None = None,
        only: Sequence[int] | None = None,
    ) -> None:
        """groups: the group of each pair, a whole number, [N]; its pairs stay together. group_pairs: pairs of a group
        in a step at most. seed: None keeps the pairs in the order in which they are given. only: the pairs to take,
        None: all."""
        self.groups = groups
        self.step_pairs, self.group_pairs = step_pairs, group_pairs
        self.seed = seed
        self.only = range(len(groups)) if only is None else only
        self.epoch = 0
        self._planned: tuple[int | None, Sequence[Sequence[int] | numpy.ndarray]] = (None, [])

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from the next iteration on."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Steps of an epoch."""
        if self.seed is not None and self.group_pairs:
            return len(self._steps())
        return -(-len(self.only) // self.step_pairs)

    def __iter__(self) -> Iterator[Any]:
        for step in self._steps():
            yield [int(pair) for pair in step]

    def _steps(self) -> Sequence[Sequence[int] | numpy.ndarray]:
        """The pairs of every step of the epoch."""
        epoch, steps = self._planned
        if epoch != self.epoch:
            steps = self._plan()
            self._planned = (self.epoch, steps)
        return steps

    def _plan(self) -> Sequence[Sequence[int] | numpy.ndarray]:
        if self.seed is None:
            starts = range(0, len(self.only), self.step_pairs)
            return [self.only[start : start + self.step_pairs] for start in starts]
        random = Random(derive("order", self.seed, self.epoch))
        limit = self.group_pairs or len(self.groups)
        drawn = numpy.array(random.sample(self.only, len(self.only)), dtype=numpy.int32)
        # Pairs group by group, the groups in the order in which they are first drawn.
        _, first, group = numpy.unique(self.groups[drawn], return_index=True, return_inverse=True)
        turn = numpy.argsort(numpy.argsort(first))[group]
        drawn = drawn[numpy.argsort(turn, kind="stable")]
        chunks = _chunks(numpy.bincount(turn), limit)
        random.shuffle(chunks)
        return self._filled(drawn, deque(chunks), limit)

    def _filled(self, drawn: numpy.ndarray, chunks: deque[Span], limit: int) -> list[numpy.ndarray]:
        """Steps of `step_pairs` pairs, at most `limit` of them of one group; what has no room waits for the next.

        chunks: spans of `drawn`, each of one group.
        """
        steps: list[numpy.ndarray] = []
        step: list[numpy.ndarray] = []
        taken = 0
        used: Counter[int] = Counter()
        waiting: deque[Span] = deque()
        groups = self.groups[drawn].tolist()
        while chunks or waiting:
            if chunks:
                start, end = chunks.popleft()
                group = groups[start]
                room = min(limit - used[group], self.step_pairs - taken)
                middle = min(start + room, end)
                step.append(drawn[start:middle])
                taken += middle - start
                # A short chunk uses all of its room up: it is what its group has left for others.
                used[group] += room
                if middle < end:
                    waiting.append((middle, end))
            if taken == self.step_pairs or not chunks:
                steps.append(numpy.concatenate(step))
                step, taken = [], 0
                used.clear()
                chunks.extendleft(reversed(waiting))
                waiting.clear()
        return [*steps, numpy.concatenate(step)] if step else steps


def _chunks(sizes: numpy.ndarray, limit: int) -> list[Span]:
    """Groups of these sizes that lie one after the other, cut into spans of at most `limit`."""
    ends = numpy.cumsum(sizes)
    cuts = -(-sizes // limit)
    part = numpy.arange(cuts.sum()) - numpy.repeat(numpy.cumsum(cuts) - cuts, cuts)
    starts = numpy.repeat(ends - sizes, cuts) + part * limit
    return list(zip(starts.tolist(), numpy.minimum(starts + limit, numpy.repeat(ends, cuts)).tolist(), strict=True))
