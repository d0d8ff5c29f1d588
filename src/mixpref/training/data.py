"""Preference rows as a data set of pairs: which rows can be trained on, and what a step takes of each.

What a row is, and why one is refused, is told in `mixpref.training.reading`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch.utils.data import Dataset

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.training.reading import (
    Numbering,
    PairReader,
    ReadPair,
    Refusal,
    Refused,
    end_of_turn,
    open_image,
    process,
    response_key,
    response_kind,
    row_images,
)
from mixpref.training.shapes import Place, Shapes

if TYPE_CHECKING:
    from mixpref.training.streaming import StreamedPairs

__all__ = [
    "Example",
    "PairDataset",
    "Refused",
    "end_of_turn",
    "open_image",
    "process",
    "read_pairs",
    "response_key",
    "response_kind",
]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A pair as the step takes it."""

    prompt: str
    """The text after the chat template, one placeholder an image."""
    images: tuple[Image.Image, ...]
    chosen: tuple[int, ...]
    """Token ids of the response, its end of turn included."""
    rejected: tuple[int, ...]
    group: int = 0
    """Pairs with the same prompt and images have the same number."""
    key: str = ""
    """Hash of prompt and images."""
    counts: bool = True
    """False for a pair that only fills a place: it has no part in the loss."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    row: int
    prompt: str
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


class PairDataset(Dataset[Example]):
    """The rows that can be trained on; `refused` says which cannot, and why.

    Every row is read once at the start: its responses are tokenised, its images decoded. After that only tokens are
    kept; images are taken from `rows` again when they are needed. `shapes` tell the tokens of each pair and which
    pairs have their prompt, images included, or a response in common.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        processor: Any,
        max_length: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """max_length, max_tokens: as of `PairReader`. Raises MixprefError where the tokenizer has no end of text."""
        self.rows = rows
        self.processor = processor
        self.refused: list[Refused] = []
        self.shapes = Shapes()
        self._pairs: list[_Pair] = []
        reader, numbering = PairReader(processor, max_length, max_tokens), Numbering()
        for row in range(len(rows)):
            try:
                pair = reader.read(rows, row)
            except Refusal as refusal:
                self.refused.append(refusal.of(row))
            else:
                self.shapes.append(numbering.shape(pair))
                self._pairs.append(_kept(row, pair))
        self._keys = numbering.keys

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, place: int | Place) -> Example:
        """The example at an index, or at an index and whether it counts (`StepBatches`)."""
        index, counts = place if isinstance(place, tuple) else (place, True)
        pair = self._pairs[index]
        images = tuple(open_image(image) for image in row_images(self.rows[pair.row]))
        group = self.shapes[index].group
        return Example(
            prompt=pair.prompt,
            images=images,
            chosen=pair.chosen,
            rejected=pair.rejected,
            group=group,
            key=self._keys[group],
            counts=counts,
        )

    def __getitems__(self, step: Sequence[Sequence[Place]]) -> list[list[Example]]:
        """The micro-batches of a step; torch's loaders ask for a whole item of the batch sampler so."""
        return [[self[place] for place in batch] for batch in step]

    def keys(self) -> set[str]:
        """The keys of all different responses (`response_key`)."""
        return {key for index in range(len(self)) for key in self.keys_of(index)}

    def keys_of(self, index: int) -> tuple[str, str]:
        """The keys of a pair's responses."""
        pair, key = self._pairs[index], self._keys[self.shapes[index].group]
        return response_key(key, pair.chosen), response_key(key, pair.rejected)

    def covering(self, keys: set[str]) -> list[int]:
        """Pairs, group by group, that together have all responses with these keys, and few others."""
        wanted, found = set(keys), []
        for index in sorted(range(len(self)), key=lambda index: self.shapes[index].group):
            if not wanted.isdisjoint(own := self.keys_of(index)):
                found.append(index)
                wanted.difference_update(own)
        return found

    def reasons(self) -> dict[str, int]:
        """How many rows were refused for each reason, the most frequent first."""
        return dict(Counter(each.counted_by for each in self.refused).most_common())


def _kept(row: int, pair: ReadPair) -> _Pair:
    return _Pair(row=row, prompt=pair.prompt, chosen=pair.chosen, rejected=pair.rejected)


def read_pairs(
    rows: Any, processor: Any, max_length: int | None = None, max_tokens: int | None = None
) -> PairDataset | StreamedPairs | None:
    """The data set of preference rows, saying what is left out; a data set or None stays what it is.

    Rows with `streamed` true become StreamedPairs, all others a PairDataset. Raises MixprefError where no row can be
    trained on.
    """
    # Here, because streaming builds on this module.
    from mixpref.training.streaming import StreamedPairs

    if rows is None or isinstance(rows, PairDataset | StreamedPairs):
        return rows
    if getattr(rows, "streamed", False):
        streamed = StreamedPairs(rows, processor, max_length, max_tokens)
        say(f"{len(rows)} pairs are read when their step comes; {streamed.sample}")
        return streamed
    pairs = PairDataset(rows, processor, max_length, max_tokens)
    reasons = in_words(pairs.reasons())
    if not len(pairs):
        raise MixprefError(f"none of the {len(rows)} preference pairs can be trained on: {reasons}")
    if pairs.refused:
        say(f"left out {len(pairs.refused)} of {len(rows)} pairs: {reasons}")
    return pairs


def in_words(reasons: Mapping[str, int]) -> str:
    """Counts of reasons as a line."""
    return "; ".join(f"{reason} ({count})" for reason, count in reasons.items()) or "there is none"
