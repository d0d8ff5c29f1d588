"""Which pairs an optimizer step takes, and how they are packed into rows and dealt to processes.

Pairs of one prompt belong together: a step that shares prompts computes each but once. So what is shuffled are prompts
with all their pairs, or with as many as may share a step. The loss is a mean over the step's pairs however they lie.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from torch.utils.data import Sampler

from mixpref.seeds import derive

Place = tuple[int, bool]
"""A pair's index in the data set, and whether it counts in the loss."""


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


def row_tokens(shapes: Sequence[Shape]) -> int:
    """Tokens of a row that holds these pairs: each prompt and each response once."""
    prompts = {shape.group: shape.prompt for shape in shapes}
    responses = {(shape.group, *said) for shape in shapes for said in (shape.chosen, shape.rejected)}
    return sum(prompts.values()) + sum(tokens for _, _, tokens in responses)


class StepBatches(Sampler[list[list[Place]]]):
    """The optimizer steps of one process: a batch sampler whose every item is a step, a list of micro-batches.

    A step is the next `step_pairs` pairs of the epoch's order, whatever the number of processes and the size of the
    micro-batches; the epoch's last step has what is left. Every process gets as many micro-batches of a step as the
    others. Where there are too few pairs for that, a place is filled by a pair that does not count, because every
    process has to take part in every forward pass.

    The order depends on `seed` and the epoch alone, so a resumed epoch goes on exactly where it was.
    """

    def __init__(
        self,
        shapes: Sequence[Shape],
        *,
        step_pairs: int,
        micro_pairs: int | None = None,
        row_tokens: int | None = None,
        group_pairs: int | None = None,
        together: bool = True,
        rank: int = 0,
        processes: int = 1,
        seed: int | None = None,
        only: Sequence[int] | None = None,
    ) -> None:
        """micro_pairs, row_tokens: pairs and tokens of a micro-batch at most, None: no limit. group_pairs: pairs of one
        prompt in a step at most. together: keep a prompt's pairs in one micro-batch; otherwise those of like length.
        seed: None keeps the pairs in the order in which they are given. only: the pairs to take, None: all."""
        self.shapes = shapes
        self.step_pairs, self.micro_pairs, self.row_tokens = step_pairs, micro_pairs, row_tokens
        self.group_pairs, self.together = group_pairs, together
        self.rank, self.processes = rank, processes
        self.seed = seed
        self.only = range(len(shapes)) if only is None else only
        self.epoch = 0
        self._planned: tuple[int | None, list[list[int]]] = (None, [])

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from the next iteration on."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Steps of an epoch."""
        return len(self._steps())

    def __iter__(self) -> Iterator[list[list[Place]]]:
        for step in self._steps():
            # The same place on every process has about the same work.
            yield self._micro_batches(step)[self.rank :: self.processes]

    def _steps(self) -> list[list[int]]:
        """The pairs of every step of the epoch."""
        epoch, steps = self._planned
        if epoch != self.epoch:
            steps = self._plan()
            self._planned = (self.epoch, steps)
        return steps

    def _plan(self) -> list[list[int]]:
        if self.seed is None:
            order = self.only
            return [list(order[start : start + self.step_pairs]) for start in range(0, len(order), self.step_pairs)]
        random = Random(derive("order", self.seed, self.epoch))
        limit = self.group_pairs or len(self.shapes)
        groups: dict[int, list[int]] = {}
        for pair in random.sample(self.only, len(self.only)):
            groups.setdefault(self.shapes[pair].group, []).append(pair)
        chunks = [pairs[start : start + limit] for pairs in groups.values() for start in range(0, len(pairs), limit)]
        random.shuffle(chunks)
        return self._filled(deque(chunks), limit)

    def _filled(self, chunks: deque[list[int]], limit: int) -> list[list[int]]:
        """Steps of `step_pairs` pairs, at most `limit` of them of one group; what has no room waits for the next."""
        steps: list[list[int]] = []
        step: list[int] = []
        used: Counter[int] = Counter()
        waiting: deque[list[int]] = deque()
        while chunks or waiting:
            chunk = chunks.popleft() if chunks else []
            group = self.shapes[chunk[0]].group if chunk else -1
            room = min(limit - used[group], self.step_pairs - len(step)) if chunk else 0
            step += chunk[:room]
            used[group] += room
            if rest := chunk[room:]:
                waiting.append(rest)
            if len(step) == self.step_pairs or not chunks:
                steps.append(step)
                step = []
                used.clear()
                chunks.extendleft(reversed(waiting))
                waiting.clear()
        return [*steps, step] if step else steps

    def _micro_batches(self, step: Sequence[int]) -> list[list[Place]]:
        """The micro-batches of all processes, the largest first: if memory runs out, it does so at once."""
        batches: list[list[int]] = []
        for piece in sorted(self._pieces(step), key=self._size, reverse=True):
            home = next((batch for batch in batches if self._fits([*batch, *piece])), None)
            if home is None:
                batches.append(list(piece))
            else:
                home += piece
        while len(batches) % self.processes and any(len(batch) > 1 for batch in batches):
            largest = max(batches, key=lambda batch: (len(batch) > 1, self._size(batch)))
            middle = len(largest) // 2
            batches.append(largest[middle:])
            del largest[middle:]
        batches.sort(key=self._size, reverse=True)
        shortest = min(step, key=lambda pair: self._size([pair]))
        fillers = -len(batches) % self.processes
        return [[(pair, True) for pair in batch] for batch in batches] + [[(shortest, False)]] * fillers

    def _pieces(self, step: Sequence[int]) -> list[list[int]]:
        """What has to stay in one micro-batch: a group's pairs in the step, cut only where they don't fit into one."""
        if not self.together:
            return [[pair] for pair in step]
        groups: dict[int, list[list[int]]] = {}
        # Pairs with a response in common side by side: a cut costs each of the two rows a copy of what they share.
        for pair in sorted(step, key=lambda pair: (self.shapes[pair].chosen, self.shapes[pair].rejected, pair)):
            pieces = groups.setdefault(self.shapes[pair].group, [[]])
            if pieces[-1] and not self._fits([*pieces[-1], pair]):
                pieces.append([])
            pieces[-1].append(pair)
        return [piece for pieces in groups.values() for piece in pieces]

    def _fits(self, pairs: Sequence[int]) -> bool:
        if self.micro_pairs is not None and len(pairs) > self.micro_pairs:
            return False
        return self.row_tokens is None or self._size(pairs) <= self.row_tokens

    def _size(self, pairs: Sequence[int]) -> int:
        if not self.together:
            return max(self.shapes[pair].longest for pair in pairs)
        return row_tokens([self.shapes[pair] for pair in pairs])
