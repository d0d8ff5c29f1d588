"""Loaders of optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from mixpref.training.batches import Packing, StepBatches
from mixpref.training.config import MPOConfig
from mixpref.training.data import Example, PairDataset
from mixpref.training.order import StepOrder
from mixpref.training.packing import Batch
from mixpref.training.streaming import ReadStep, StreamedPairs, StreamedSteps


class StepLoader(DataLoader[Any]):
    """A loader of steps whose order hears of the epoch from Trainer."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


def step_loader(
    pairs: PairDataset | StreamedPairs,
    collator: Callable[[Any], Any],
    args: MPOConfig,
    *,
    step_pairs: int,
    micro_pairs: int | None,
    seed: int | None = None,
    only: Sequence[int] | None = None,
) -> StepLoader:
    """The steps of this process, each a list of micro-batches; `StepOrder` and `Packing` have the settings.

    Where rows of a streamed step were refused, its first micro-batch has them as `refused` (`take_refused`).
    Not prepared by accelerate: the steps know the processes, and repeat no pair to fill the last ones.
    """
    packing = Packing(
        micro_pairs=micro_pairs,
        row_tokens=args.max_tokens_per_row,
        together=args.step == "shared",
        rank=args.process_index,
        processes=args.world_size,
    )
    order: dict[str, Any] = {"step_pairs": step_pairs, "group_pairs": args.max_pairs_per_group}
    order |= {"seed": seed, "only": only}
    steps: StepOrder
    dataset: StreamedSteps | PairDataset
    if isinstance(pairs, StreamedPairs):
        dataset, steps = StreamedSteps(pairs, packing), StepOrder(pairs.groups, **order)
    else:
        dataset, steps = pairs, StepBatches(pairs.shapes, packing, **order)
    return StepLoader(
        dataset,
        batch_sampler=steps,
        collate_fn=partial(_collated, collator),
        num_workers=args.dataloader_num_workers,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        pin_memory=args.dataloader_pin_memory and torch.cuda.is_available(),
        # One of its own: the loader's draws shall not move the model's.
        generator=torch.Generator(),
    )


def _collated(collator: Callable[[Any], Batch], step: Sequence[Sequence[Example]] | ReadStep) -> list[Batch]:
    if not isinstance(step, ReadStep):
        return [collator(batch) for batch in step]
    batches = [collator(batch) for batch in step.batches]
    if step.refused:
        batches[0]["refused"] = step.refused
    return batches
