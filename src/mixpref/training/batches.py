"""Which pairs an optimizer step takes, and how they are dealt to processes and micro-batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from mixpref.seeds import derive

Place = tuple[int, bool]
"""A pair's index in the data set, and whether it counts in the loss."""


class StepBatches(Sampler[list[Place]]):
    """The micro-batches of one process, step by step: a batch sampler.

    A step is the next `step_pairs` pairs of the epoch's order, whatever the number of processes and the size of the
    micro-batches; the epoch's last step has what is left. Within a step pairs of like length share a micro-batch,
    which saves padding and changes nothing else. Every process gets as many micro-batches of a step as the others.
    Where there are fewer pairs than places, a place is filled by a pair that does not count, because every process
    has to take part in every forward pass.

    The order depends on `seed` and the epoch alone, so a resumed epoch goes on exactly where it was.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        step_pairs: int,
        micro_pairs: int,
        rank: int = 0,
        processes: int = 1,
        seed: int | None = None,
    ) -> None:
        """lengths: tokens of every pair. micro_pairs: pairs of a process's micro-batch at most. seed: None keeps the
        pairs in the order in which they are given."""
        self.lengths = lengths
        self.step_pairs, self.micro_pairs = step_pairs, micro_pairs
        self.rank, self.processes = rank, processes
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from the next iteration on."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Micro-batches of this process in an epoch."""
        steps, rest = divmod(len(self.lengths), self.step_pairs)
        return steps * self._micro_batches(self.step_pairs) + self._micro_batches(rest)

    def __iter__(self) -> Iterator[list[Place]]:
        order = self._order()
        for start in range(0, len(order), self.step_pairs):
            # The longest first: if memory runs out, it does so at once.
            step = sorted(order[start : start + self.step_pairs], key=lambda pair: -self.lengths[pair])
            places = self._micro_batches(len(step)) * self.processes
            for place in range(self.rank, places, self.processes):
                batch = step[len(step) * place // places : len(step) * (place + 1) // places]
                yield [(pair, True) for pair in batch] or [(step[-1], False)]

    def _micro_batches(self, pairs: int) -> int:
        return math.ceil(math.ceil(pairs / self.processes) / self.micro_pairs)

    def _order(self) -> list[int]:
        if self.seed is None:
            return list(range(len(self.lengths)))
        generator = torch.Generator().manual_seed(derive("order", self.seed, self.epoch))
        return torch.randperm(len(self.lengths), generator=generator).tolist()


class StepLoader(DataLoader[Any]):
    """A loader whose `StepBatches` hear of the epoch from Trainer."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
