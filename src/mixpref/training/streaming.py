"""Preference rows that are read when their step comes: training on millions of them in bounded memory.

Nothing is read at the start but a sample. A step's rows are tokenised by every process, which so agree on the
micro-batches without a word; images are decoded only by the process that works on them. A row that turns out to be
unusable drops out of its step, whose loss is the mean over the pairs that are left. What was refused travels with the
batch, from the loader's workers too, and is recorded where the step is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy
from accelerate.utils import gather_object
from PIL import Image
from torch.utils.data import Dataset

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.training.batches import Packing
from mixpref.training.data import Example, in_words
from mixpref.training.reading import Numbering, PairReader, ReadPair, Refusal, Refused, open_image
from mixpref.training.shapes import Shape

NEIGHBOURS = 8
"""Rows that stay together in the order of an epoch where the source knows no groups."""
_SAMPLE = 64
_RECORDED = 1000
"""Refused rows, and different reasons, that are kept at most; the others are but counted."""
_REMEMBERED = 16384
_OTHERS = "another reason"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What the rows that are read at the start tell of all; they are evenly spread."""

    rows: int
    good: tuple[int, ...]
    """The rows among them that can be trained on."""
    reasons: dict[str, int]
    """Why the others cannot."""
    prompt: float
    """Mean tokens, images included."""
    chosen: float
    rejected: float

    def __str__(self) -> str:
        left_out = f" ({in_words(self.reasons)})" if self.reasons else ""
        return (
            f"of {self.rows} looked at, {len(self.good)} can be trained on{left_out}; on average {self.prompt:.0f} "
            f"tokens of prompt, {self.chosen:.0f} and {self.rejected:.0f} of responses"
        )


@dataclass(frozen=True, kw_only=True)
class ReadStep:
    """A process's part of a step: its micro-batches, each of at least one example, and the rows refused in it."""

    batches: list[list[Example]]
    refused: list[Refused]


class StreamedPairs(Dataset[Example]):
    """Preference rows as pairs, each read when it is asked for; indices are those of the rows.

    rows: any sequence of rows (`mixpref.training.reading`); `rows[i]` may raise Unusable. Pairs of one prompt share a
    step if `rows.groups` has the same whole number for them, [N]; without it, every 8 neighbouring rows stay together,
    for sources mostly write a question's pairs one after the other. Whether they are of one prompt is found out when
    they are read.

    `refused` has the first 1,000 rows that were refused, `reasons()` counts all of them.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        processor: Any,
        max_length: int | None = None,
        max_tokens: int | None = None,
    ) -> None:
        """max_length, max_tokens: as of `PairReader`.

        Raises MixprefError where the tokenizer has no end of text, and where no row of the sample can be trained on.
        """
        self.rows = rows
        self.processor = processor
        self.refused: list[Refused] = []
        self._reasons: Counter[str] = Counter()
        self._known = numpy.zeros(len(rows), bool)
        """Rows that are recorded as refused: in the next epoch they are refused again."""
        self._reader = PairReader(processor, max_length, max_tokens, decode=False, remember=_REMEMBERED)
        given = getattr(rows, "groups", None)
        self.groups = numpy.arange(len(rows)) // NEIGHBOURS if given is None else numpy.asarray(given)
        """The group of each row, [N]."""
        if len(self.groups) != len(rows):
            raise MixprefError(f"there are {len(rows)} rows, but groups of {len(self.groups)}; correct rows.groups")
        self.sample = self._sampled()

    def __len__(self) -> int:
        """All rows: which of them can be trained on, only reading them tells."""
        return len(self.rows)

    def __getitem__(self, row: int) -> Example:
        """Raises MixprefError for a row that cannot be trained on."""
        try:
            pair = self._reader.read(self.rows, row)
            return _example(pair, _opened(pair), group=0)
        except Refusal as refusal:
            raise MixprefError(f"row {row} cannot be trained on: {refusal}") from refusal

    def read_step(self, rows: Sequence[int], packing: Packing) -> ReadStep:
        """Read the rows of a step and decode the images of this process's share.

        Raises MixprefError where neither one of them nor of the sample's can be read.
        """
        pairs: dict[int, ReadPair] = {}
        shapes: dict[int, Shape] = {}
        refused: list[Refused] = []
        numbering = Numbering()
        # In the order of the source, which is the quicker to read.
        for row in sorted(rows):
            try:
                pairs[row] = self._reader.read(self.rows, row)
            except Refusal as refusal:
                refused.append(refusal.of(row))
            else:
                shapes[row] = numbering.shape(pairs[row])
        ordered = {row: shapes[row] for row in rows if row in shapes}
        pictures = _Pictures()

        def example(row: int, counts: bool) -> Example:
            return _example(pairs[row], pictures.of(pairs[row]), shapes[row].group, counts)

        batches: list[list[Example]] = []
        for batch in packing.share(ordered) if ordered else [[]]:
            batches.append([])
            for row, counts in batch:
                try:
                    batches[-1].append(example(row, counts))
                except Refusal as refusal:
                    refused.append(refusal.of(row))
        if not all(batches):
            filler = self._filler(batches, ordered, example, rows[0])
            batches = [batch or [filler] for batch in batches]
        return ReadStep(batches=batches, refused=refused)

    def record(self, refused: Iterable[Refused]) -> None:
        """Take note of refused rows; of a row that is known already nothing is noted."""
        for each in refused:
            if self._known[each.row]:
                continue
            self._known[each.row] = True
            reason = each.counted_by
            self._reasons[reason if reason in self._reasons or len(self._reasons) < _RECORDED else _OTHERS] += 1
            if len(self.refused) < _RECORDED:
                self.refused.append(each)

    def reasons(self) -> dict[str, int]:
        """How many of the rows read so far were refused for each reason, the most frequent first."""
        return dict(self._reasons.most_common())

    def state_dict(self) -> dict[str, Any]:
        """What is recorded, as JSON."""
        return {
            "rows": numpy.flatnonzero(self._known).tolist(),
            "reasons": dict(self._reasons),
            "first": [[each.row, each.reason, each.kind] for each in self.refused],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._known[:] = False
        self._known[state["rows"]] = True
        self._reasons = Counter(state["reasons"])
        self.refused = [Refused(row=row, reason=reason, kind=kind) for row, reason, kind in state["first"]]

    def _sampled(self) -> Sample:
        count = min(_SAMPLE, len(self.rows))
        good: dict[int, ReadPair] = {}
        reasons: Counter[str] = Counter()
        for row in [place * len(self.rows) // count for place in range(count)]:
            try:
                pair = self._reader.read(self.rows, row)
                _opened(pair)
                good[row] = pair
            except Refusal as refusal:
                reasons[refusal.of(row).counted_by] += 1
        found = dict(reasons.most_common())
        if not good:
            looked_at = f"{count} preference pairs"
            if count < len(self.rows):
                looked_at += f" looked at, of {len(self.rows):,},"
            raise MixprefError(f"none of the {looked_at} can be trained on: {in_words(found)}")
        return Sample(
            rows=count,
            good=tuple(good),
            reasons=found,
            prompt=fmean(pair.tokens for pair in good.values()),
            chosen=fmean(len(pair.chosen) for pair in good.values()),
            rejected=fmean(len(pair.rejected) for pair in good.values()),
        )

    def _filler(self, batches: Sequence[Sequence[Example]], others: Iterable[int], example: Any, near: int) -> Example:
        """A pair that does not count, for the micro-batches that lost all of theirs: of this process's share, of the
        step, or else the nearest of the sample's."""
        own = [each for batch in batches for each in batch]
        if own:
            return replace(min(own, key=lambda each: len(each.chosen) + len(each.rejected)), counts=False)
        for row in others:
            try:
                return example(row, False)
            except Refusal:
                # Recorded by the process that has the row in its share.
                continue
        last = ""
        for row in sorted(self.sample.good, key=lambda row: abs(row - near)):
            try:
                pair = self._reader.read(self.rows, row)
                return _example(pair, _opened(pair), group=0, counts=False)
            except Refusal as refusal:
                last = str(refusal)
        raise MixprefError(f"rows that were good at the start cannot be read any more ({last}); are their files gone?")


class StreamedSteps(Dataset[Example]):
    """What a loader of steps reads from: `StreamedPairs` and how its steps are packed."""

    def __init__(self, pairs: StreamedPairs, packing: Packing) -> None:
        self.pairs, self.packing = pairs, packing

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> Example:
        return self.pairs[row]

    def __getitems__(self, rows: Sequence[int]) -> ReadStep:
        """A step; torch's loaders ask for a whole item of the batch sampler so."""
        return self.pairs.read_step(rows, self.packing)


class _Pictures:
    """The images of a step's prompts, each decoded once, when it is first wanted."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[Image.Image, ...] | Refusal] = {}

    def of(self, pair: ReadPair) -> tuple[Image.Image, ...]:
        """Raises Refusal."""
        if pair.key not in self._found:
            try:
                self._found[pair.key] = _opened(pair)
            except Refusal as refusal:
                self._found[pair.key] = refusal
        found = self._found[pair.key]
        if isinstance(found, Refusal):
            raise found
        return found


def is_streamed(rows: Any) -> bool:
    """Whether rows, or one of several sets by name, are read only when their step comes."""
    if isinstance(rows, dict):
        return any(map(is_streamed, rows.values()))
    return isinstance(rows, StreamedPairs) or bool(getattr(rows, "streamed", False))


def record_refused(pairs: Any, steps: Iterable[Iterable[dict[str, Any]]]) -> None:
    """Take the refused rows out of micro-batches, where `step_loader` put them, and record them on every process."""
    if isinstance(pairs, StreamedPairs):
        own = [each for step in steps for batch in step for each in batch.pop("refused", ())]
        pairs.record(gather_object(own))


def say_left_out(pairs: Any) -> None:
    """Say which streamed rows were refused so far, if any were."""
    if isinstance(pairs, StreamedPairs) and (reasons := pairs.reasons()):
        say(f"left out {sum(reasons.values())} of {len(pairs)} pairs: {in_words(reasons)}")


def _opened(pair: ReadPair) -> tuple[Image.Image, ...]:
    return tuple(open_image(image) for image in pair.images)


def _example(pair: ReadPair, images: tuple[Image.Image, ...], group: int, counts: bool = True) -> Example:
    return Example(
        prompt=pair.prompt,
        images=images,
        chosen=pair.chosen,
        rejected=pair.rejected,
        group=group,
        key=pair.key,
        counts=counts,
    )
