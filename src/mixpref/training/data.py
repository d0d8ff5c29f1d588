"""Preference rows become token sequences, or are refused with the reason; nothing is ever cut.

A row is a dict in TRL's format: `prompt`, `chosen`, `rejected` (conversations or strings) and `images` (or `image`).
The prompt is rendered as for sampling, with the generation prompt at its end. A response is the tokens of its text
and one end of turn: what the model would have to sample. So nothing of the chat template after the end of turn is
taught, and a response that was cut at the token limit (`chosen_complete` or `rejected_complete` false) is taught no
end at all.
"""

from __future__ import annotations

import io
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from PIL import Image
from torch.utils.data import Dataset

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.training.batches import Place

_MEDIA = ("image_token", "video_token", "audio_token", "boi_token")


@dataclass(frozen=True, kw_only=True)
class Example:
    """A pair as the step takes it."""

    prompt: str
    """The text after the chat template, one placeholder an image."""
    images: tuple[Image.Image, ...]
    chosen: tuple[int, ...]
    """Token ids of the response, its end of turn included."""
    rejected: tuple[int, ...]
    counts: bool = True
    """False for a pair that only fills a place: it has no part in the loss."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A row that cannot be trained on."""

    row: int
    """Its place among the rows, from 0."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Pair:
    row: int
    prompt: str
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


class PairDataset(Dataset[Example]):
    """The rows that can be trained on; `refused` says which cannot, and why.

    Every row is read once at the start: its responses are tokenised, its images decoded. After that only tokens are
    kept; images are taken from `rows` again when they are needed. `lengths` are the tokens of each pair's longer
    sequence: exact with a `max_length`, without the images' tokens otherwise (only their order matters then).
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], processor: Any, max_length: int | None = None) -> None:
        """max_length: tokens of prompt and response, images included; longer pairs are refused, never cut.

        Raises MixprefError where the tokenizer has no end of text.
        """
        self.rows = rows
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        if self.tokenizer.eos_token_id is None:
            raise MixprefError("the tokenizer has no eos_token to end a response with; set one")
        self.max_length = max_length
        self.refused: list[Refused] = []
        self.lengths: list[int] = []
        self._pairs: list[_Pair] = []
        self._media = _media_tokens(processor)
        self._ends = {True: end_of_turn(processor), False: self.tokenizer.eos_token_id}
        # Pairs of one prompt usually stand together: the images before need no second look.
        self._seen: tuple[str, list[Any], int] = ("", [], 0)
        for index in range(len(rows)):
            try:
                self._read(index, rows[index])
            except _Refusal as refusal:
                self.refused.append(Refused(row=index, reason=str(refusal)))

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, place: int | Place) -> Example:
        """The example at an index, or at an index and whether it counts (`StepBatches`)."""
        index, counts = place if isinstance(place, tuple) else (place, True)
        pair = self._pairs[index]
        images = tuple(open_image(image) for image in _images(self.rows[pair.row]))
        return Example(prompt=pair.prompt, images=images, chosen=pair.chosen, rejected=pair.rejected, counts=counts)

    def reasons(self) -> dict[str, int]:
        """How many rows were refused for each reason, the most frequent first."""
        return dict(Counter(each.reason for each in self.refused).most_common())

    def _read(self, index: int, row: Mapping[str, Any]) -> None:
        for key in ("prompt", "chosen", "rejected"):
            if not row.get(key):
                raise _Refusal(f"no {key}")
            if not isinstance(row[key], str) and not _is_conversation(row[key]):
                raise _Refusal(f"{key} is neither a text nor a conversation")
        images = _images(row)
        prompt, chat = self._prompt(row["prompt"], len(images))
        chosen = self._response(row, "chosen", chat)
        rejected = self._response(row, "rejected", chat)
        if chosen == rejected:
            raise _Refusal("chosen and rejected are the same")
        length = self._length(prompt, images) + max(len(chosen), len(rejected))
        if self.max_length is not None and length > self.max_length:
            raise _Refusal(f"longer than {self.max_length} tokens")
        self.lengths.append(length)
        self._pairs.append(_Pair(row=index, prompt=prompt, chosen=chosen, rejected=rejected))

    def _prompt(self, prompt: Any, images: int) -> tuple[str, bool]:
        """The rendered prompt, and whether it is a conversation."""
        mark = getattr(self.processor, "image_token", None)
        if isinstance(prompt, str):
            text, marks = prompt, prompt.count(mark) if mark else 0
        else:
            messages = _with_images(prompt, images)
            parts = [part for message in messages for part in message["content"]]
            marks = sum(part["type"] == "image" for part in parts)
            # A placeholder that stands in the text itself takes an image like any other.
            marks += sum(part.get("text", "").count(mark) for part in parts if part["type"] == "text") if mark else 0
            if not _sees(self.processor):
                messages = [{**message, "content": _text(message["content"])} for message in messages]
            try:
                text = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            except TemplateError as reason:
                raise _Refusal(f"the chat template refuses the prompt ({reason})") from reason
        if marks != images:
            raise _Refusal(f"{'more' if marks > images else 'fewer'} image placeholders than images")
        return text, not isinstance(prompt, str)

    def _response(self, row: Mapping[str, Any], key: str, chat: bool) -> tuple[int, ...]:
        text = row[key]
        if not isinstance(text, str):
            if len(text) != 1 or text[0].get("role") != "assistant":
                raise _Refusal(f"{key} is not one message of the assistant")
            text = _text(text[0]["content"])
        end = self._ends[chat]
        text = text.removesuffix(self.tokenizer.decode([end]))
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not text.strip() or not tokens:
            raise _Refusal(f"{key} is empty")
        if not self._media.isdisjoint(tokens):
            raise _Refusal(f"{key} holds an image token")
        return tuple(tokens) if row.get(f"{key}_complete") is False else (*tokens, end)

    def _length(self, prompt: str, images: list[Any]) -> int:
        before, seen, length = self._seen
        if before == prompt and len(seen) == len(images) and all(map(operator.is_, seen, images)):
            return length
        opened = [open_image(image) for image in images]
        if self.max_length is None:
            length = len(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        else:
            length = len(process(self.processor, [prompt], [opened])["input_ids"][0])
        self._seen = (prompt, images, length)
        return length


def read_pairs(rows: Any, processor: Any, max_length: int | None = None) -> PairDataset | None:
    """The data set of preference rows, saying what is left out; a data set or None stays what it is.

    Raises MixprefError where no row can be trained on.
    """
    if rows is None or isinstance(rows, PairDataset):
        return rows
    pairs = PairDataset(rows, processor, max_length)
    reasons = "; ".join(f"{reason} ({count})" for reason, count in pairs.reasons().items())
    if not len(pairs):
        raise MixprefError(f"none of the {len(rows)} preference pairs can be trained on: {reasons or 'there is none'}")
    if pairs.refused:
        say(f"left out {len(pairs.refused)} of {len(rows)} pairs: {reasons}")
    return pairs


class _Refusal(Exception):
    """Why a row cannot be trained on."""


def process(processor: Any, prompts: Sequence[str], images: Sequence[Sequence[Image.Image]]) -> dict[str, Any]:
    """The processor's tensors for rendered prompts and the images of each, padded to one length."""
    bos = getattr(getattr(processor, "tokenizer", processor), "bos_token", None)
    settings: dict[str, Any] = {"padding": True, "return_tensors": "pt"}
    # Most chat templates write the first token themselves; a second one would be a prompt never seen.
    if bos and all(prompt.startswith(bos) for prompt in prompts):
        settings["add_special_tokens"] = False
    # Processors disagree about rows without images in a list of lists; a batch without any passes none.
    if pictures := [list(each) for each in images if each]:
        settings["images"] = pictures
    return dict(processor(text=list(prompts), **settings))


def open_image(image: Any) -> Image.Image:
    """The decoded RGB picture of a PIL image, the bytes of a file, a path, or a dict of one of the latter two."""
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    try:
        if isinstance(image, bytes):
            image = Image.open(io.BytesIO(image))
        elif isinstance(image, str | Path):
            image = Image.open(image)
        return image.convert("RGB")
    except (OSError, ValueError, SyntaxError, AttributeError, Image.DecompressionBombError) as reason:
        raise _Refusal(f"an image cannot be opened ({type(reason).__name__})") from reason


def end_of_turn(processor: Any) -> int:
    """The token that ends the assistant's turn in the processor's chat template; without one, the end of text."""
    tokenizer = getattr(processor, "tokenizer", processor)
    if not getattr(processor, "chat_template", None):
        return tokenizer.eos_token_id
    said = "mixpref"
    turns: list[dict[str, Any]] = [{"role": "user", "content": said}, {"role": "assistant", "content": said}]
    if _sees(processor):
        turns = [{**turn, "content": [{"type": "text", "text": said}]} for turn in turns]
    rendered = processor.apply_chat_template(turns, tokenize=False)
    closing = tokenizer(rendered.rpartition(said)[2], add_special_tokens=False)["input_ids"]
    special = {*tokenizer.all_special_ids} | {
        token for token, kind in tokenizer.added_tokens_decoder.items() if kind.special
    }
    return next((token for token in closing if token in special), tokenizer.eos_token_id)


def _is_conversation(value: Any) -> bool:
    return isinstance(value, Sequence) and all(
        isinstance(turn, Mapping) and "role" in turn and isinstance(turn.get("content"), str | Sequence)
        for turn in value
    )


def _images(row: Mapping[str, Any]) -> list[Any]:
    images = row.get("images")
    if images is None:
        return [] if row.get("image") is None else [row["image"]]
    return list(images)


def _with_images(messages: Sequence[Mapping[str, Any]], images: int) -> list[dict[str, Any]]:
    """The conversation with its contents as lists of parts. Images without a place stand before the first text of the
    user."""
    turns = [
        {**message, "content": [{"type": "text", "text": content}] if isinstance(content, str) else list(content)}
        for message in messages
        for content in [message["content"]]
    ]
    placed = any(part["type"] == "image" for turn in turns for part in turn["content"])
    for turn in turns:
        if turn["role"] == "user" and not placed:
            turn["content"] = [{"type": "image"}] * images + turn["content"]
            break
    return turns


def _text(content: str | Sequence[Mapping[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _sees(processor: Any) -> bool:
    return getattr(processor, "image_processor", None) is not None


def _media_tokens(processor: Any) -> set[int]:
    """Ids that stand for pictures and the like: in a response they would ask for features that are not there."""
    tokenizer = getattr(processor, "tokenizer", processor)
    names = {getattr(holder, name, None) for holder in (processor, tokenizer) for name in _MEDIA}
    ids = {getattr(holder, f"{name}_id", None) for holder in (processor, tokenizer) for name in _MEDIA}
    ids |= {tokenizer.convert_tokens_to_ids(name) for name in names if isinstance(name, str)}
    return {token for token in ids if isinstance(token, int) and token != tokenizer.unk_token_id}
