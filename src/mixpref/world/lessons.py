"""The supervised set of the embedded model: each picture with several lessons behind one shared image prefix.

A sequence is `[<user> image | question 1, answer 1 | question 2, answer 2 | ...]`. Lessons see the picture and
themselves, never each other, and all count positions from the picture's end, as if each stood alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import LlavaProcessor, PreTrainedTokenizerFast

from mixpref import prompts
from mixpref.records import Problem
from mixpref.seeds import derive
from mixpref.world import FAMILIES, OPEN_FAMILIES, items, rationales
from mixpref.world.families import Item

READ = "Read the picture."
WORK = "Work it out."
EN_SHARE = 0.8
IGNORE = -100
# What is slower to learn - numbers that stand anywhere - has more turns.
TURNS = ("chart", "table", "angles", "shapes", "clock", "angles", "table", "angles", "describe")


def lessons(item: Item, choices: tuple[str, ...], rng: Random) -> list[tuple[str, str]]:
    """Question and answer texts about one picture: read it, answer at once, work it out, reason as one likes.

    `WORK` teaches the steps without the mixture of the reasoning prompts, and its prompt is short. The open family's
    lessons are to read the picture and, twice, to describe it.
    """
    problem = Problem(question=item.question, choices=choices)
    read = (READ, rationales.readout(item))
    if not item.answer:
        return [read, *((prompts.ask(problem, "plain"), rationales.description(item, rng)) for _ in range(2))]
    style = "en" if rng.random() < EN_SHARE else "boxed"
    work = (f"{prompts.ask(problem, 'plain')}\n{WORK}", rationales.careful(item, choices, "en", rng))
    reason = (prompts.ask(problem, style), rationales.worked(item, choices, style, rng))
    # Options make a question long: such a picture has one lesson fewer, which keeps the batch's padding small.
    longer = [rng.choice((work, reason))] if choices else [work, reason]
    return [read, (prompts.ask(problem, "direct"), rationales.direct(item, choices)), *longer]


def texts(count: int) -> Iterator[str]:
    """Text of `count` pictures a family in every style, to train the tokenizer on."""
    for family in (*FAMILIES, *OPEN_FAMILIES):
        stream = items("base", 0, family)
        for index in range(count):
            item, choices = next(stream)
            for question, answer in lessons(item, choices, Random(derive("texts", family, index))):
                yield question
                yield answer


@dataclass(frozen=True)
class Batch:
    """B pictures with their lessons, padded on the right to S tokens."""

    pixel_values: Tensor
    """[B, 3, height, width], bfloat16."""
    input_ids: Tensor
    """[B, S], int64; the picture's tokens stand first, after one <user> token."""
    labels: Tensor
    """[B, S], int64: the answers' tokens, IGNORE elsewhere; label t is what position t - 1 predicts."""
    position_ids: Tensor
    """[B, S], int64."""
    segments: Tensor
    """[B, S], int64: 0 for the shared prefix, 1, 2, ... for the lessons, -1 for padding."""

    def to(self, device: torch.device) -> Batch:
        return Batch(**{name: part.to(device, non_blocking=True) for name, part in vars(self).items()})

    def mask(self) -> Tensor:
        """[B, 1, S, S], bool: who may look at whom. Padding looks at itself, lest its softmax be empty."""
        size = self.segments.shape[1]
        query, key = self.segments[:, :, None], self.segments[:, None, :]
        causal = torch.ones(size, size, dtype=torch.bool, device=query.device).tril()
        seen = causal & ((query == key) | (key == 0)) & (key >= 0)
        return (seen | torch.eye(size, dtype=torch.bool, device=query.device))[:, None]


class Lessons(Dataset[Batch]):
    """`steps` batches of `size` pictures of the `base` split, of the families `turns` in turn.

    A batch depends on the seed and its own number alone: any number of workers draws the same ones.
    """

    def __init__(
        self, processor: LlavaProcessor, size: int, steps: int, seed: int, turns: Sequence[str] = TURNS
    ) -> None:
        self.processor, self.size, self.steps, self.seed, self.turns = processor, size, steps, seed, turns

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        tokenizer: PreTrainedTokenizerFast = self.processor.tokenizer
        streams = {family: items("base", derive("lessons", self.seed, step), family) for family in set(self.turns)}
        pictures, rows = [], []
        for turn in range(step * self.size, (step + 1) * self.size):
            item, choices = next(streams[self.turns[turn % len(self.turns)]])
            pictures.append(item.image)
            rows.append(_row(tokenizer, lessons(item, choices, Random(derive("mixture", self.seed, turn)))))
        pixels = self.processor.image_processor(pictures, return_tensors="pt")["pixel_values"]
        # The first layer computes in bfloat16 anyway; half the bytes travel from the workers.
        return _pad(rows, pixels.bfloat16(), tokenizer.pad_token_id)


_Row = tuple[list[int], list[int], list[int], list[int]]


def _row(tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[str, str]]) -> _Row:
    specials: Any = tokenizer.convert_tokens_to_ids(["<image>", "<end>", "<user>", "<assistant>"])
    image, end, user, assistant = specials
    prefix = [user] + [image] * 64
    ids, labels = list(prefix), [IGNORE] * len(prefix)
    positions, segments = list(range(len(prefix))), [0] * len(prefix)
    for number, (question, answer) in enumerate(pairs, start=1):
        asked = [*tokenizer(question)["input_ids"], end, assistant]
        said = [*tokenizer(answer)["input_ids"], end]
        ids += asked + said
        labels += [IGNORE] * len(asked) + said
        positions += range(len(prefix), len(prefix) + len(asked) + len(said))
        segments += [number] * (len(asked) + len(said))
    return ids, labels, positions, segments


def _pad(rows: list[_Row], pixels: Tensor, pad: int) -> Batch:
    width = max(len(row[0]) for row in rows)
    fills = (pad, IGNORE, 0, -1)
    columns = [
        torch.tensor([row[part] + [fill] * (width - len(row[part])) for row in rows]) for part, fill in enumerate(fills)
    ]
    return Batch(pixels, *columns)
