"""Loaders of optimizer steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from mixpref.training.batches import StepBatches
from mixpref.training.config import MPOConfig
from mixpref.training.data import Example, PairDataset
from mixpref.training.packing import Batch


class StepLoader(DataLoader[Any]):
    """A loader of steps whose `StepBatches` hear of the epoch from Trainer."""

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


def step_loader(
    pairs: PairDataset,
    collator: Callable[[Any], Any],
    args: MPOConfig,
    *,
    step_pairs: int,
    micro_pairs: int | None,
    seed: int | None = None,
    only: Sequence[int] | None = None,
) -> StepLoader:
    """The steps of this process, each a list of micro-batches; `StepBatches` has the settings.

    Not prepared by accelerate: the steps know the processes, and repeat no pair to fill the last ones.
    """
    steps = StepBatches(
        pairs.shapes,
        step_pairs=step_pairs,
        micro_pairs=micro_pairs,
        row_tokens=args.max_tokens_per_row,
        group_pairs=args.max_pairs_per_group,
        together=args.step == "shared",
        rank=args.process_index,
        processes=args.world_size,
        seed=seed,
        only=only,
    )
    return StepLoader(
        pairs,
        batch_sampler=steps,
        collate_fn=partial(_collated, collator),
        num_workers=args.dataloader_num_workers,
        persistent_workers=args.dataloader_persistent_workers,
        prefetch_factor=args.dataloader_prefetch_factor,
        pin_memory=args.dataloader_pin_memory and torch.cuda.is_available(),
        # One of its own: the loader's draws shall not move the model's.
        generator=torch.Generator(),
    )


def _collated(collator: Callable[[Any], Batch], step: Sequence[Sequence[Example]]) -> list[Batch]:
    return [collator(batch) for batch in step]
