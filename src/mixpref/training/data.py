"""Preference rows become token sequences, or are refused with the reason; nothing is ever cut.

A row is a dict in TRL's format: `prompt`, `chosen`, `rejected` (conversations or strings) and `images` (or `image`).
The prompt is rendered as for sampling, with the generation prompt at its end. A response is the tokens of its text
and one end of turn: what the model would have to sample. So nothing of the chat template after the end of turn is
taught, and a response that was cut at the token limit (`chosen_complete` or `rejected_complete` false) is taught no
end at all.
"""

from __future__ import annotations

import hashlib
import io
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
from mixpref.training.batches import Place, Shape, row_tokens

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
    group: int = 0
    """Pairs with the same prompt and images have the same number."""
    key: str = ""
    """Hash of prompt and images."""
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


@dataclass
class _Group:
    """What the pairs of one prompt have in common."""

    number: int
    tokens: int
    """Of the prompt, images included."""
    responses: dict[tuple[int, ...], int]
    """Each response's number within the group."""


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
        """max_length: tokens of prompt and response, images included; longer pairs are refused, never cut.
        max_tokens: the same of a prompt and both responses, which is the least that shares a row.

        Raises MixprefError where the tokenizer has no end of text.
        """
        self.rows = rows
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        if self.tokenizer.eos_token_id is None:
            raise MixprefError("the tokenizer has no eos_token to end a response with; set one")
        self.max_length, self.max_tokens = max_length, max_tokens
        self.refused: list[Refused] = []
        self.shapes: list[Shape] = []
        self._pairs: list[_Pair] = []
        self._keys: list[str] = []
        """Of the groups, by their numbers."""
        self._media = _media_tokens(processor)
        mark = getattr(processor, "image_token", None)
        self._mark = self.tokenizer.convert_tokens_to_ids(mark) if isinstance(mark, str) else None
        self._ends = {True: end_of_turn(processor), False: self.tokenizer.eos_token_id}
        self._groups: dict[str, _Group] = {}
        self._digests: dict[str, str] = {}
        # How many tokens the processor makes of images depends on their sizes alone.
        self._image_tokens: dict[tuple[tuple[int, int], ...], int] = {}
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
        return Example(
            prompt=pair.prompt,
            images=images,
            chosen=pair.chosen,
            rejected=pair.rejected,
            group=self.shapes[index].group,
            key=self._keys[self.shapes[index].group],
            counts=counts,
        )

    def keys(self) -> set[str]:
        """The keys of all different responses (`response_key`)."""
        return {key for index in range(len(self)) for key in self.keys_of(index)}

    def keys_of(self, index: int) -> tuple[str, str]:
        """The keys of a pair's responses."""
        pair, key = self._pairs[index], self._keys[self.shapes[index].group]
        return response_key(key, pair.chosen), response_key(key, pair.rejected)

    def __getitems__(self, step: Sequence[Sequence[Place]]) -> list[list[Example]]:
        """The micro-batches of a step; torch's loaders ask for a whole item of the batch sampler so."""
        return [[self[place] for place in batch] for batch in step]

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
        group = self._group(prompt, images)
        # A refused pair's responses take no number.
        known = {**group.responses}
        numbers = [known.setdefault(response, len(known)) for response in (chosen, rejected)]
        shape = Shape(
            group=group.number,
            prompt=group.tokens,
            chosen=(numbers[0], len(chosen)),
            rejected=(numbers[1], len(rejected)),
        )
        if self.max_length is not None and shape.longest > self.max_length:
            raise _Refusal(f"longer than {self.max_length} tokens")
        if self.max_tokens is not None and row_tokens([shape]) > self.max_tokens:
            raise _Refusal(f"prompt and responses have more than {self.max_tokens} tokens")
        group.responses = known
        self.shapes.append(shape)
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

    def _group(self, prompt: str, images: list[Any]) -> _Group:
        key = _hash("\0".join((prompt, *map(self._content, images))).encode())
        if key in self._groups:
            return self._groups[key]
        opened = [open_image(image) for image in images]
        sizes = tuple(image.size for image in opened)
        ids = process(self.tokenizer, [prompt], [])["input_ids"][0].tolist()
        if not self._media.isdisjoint(set(ids) - {self._mark}):
            raise _Refusal("the prompt holds a placeholder of something else than an image")
        text = len(ids)
        if sizes not in self._image_tokens:
            try:
                whole = process(self.processor, [prompt], [opened])
            except (ValueError, IndexError, TypeError, RuntimeError) as reason:
                raise _Refusal(f"the processor refuses the prompt ({reason})") from reason
            self._image_tokens[sizes] = len(whole["input_ids"][0]) - text
        number = len(self._keys)
        self._keys.append(key)
        self._groups[key] = _Group(number=number, tokens=text + self._image_tokens[sizes], responses={})
        return self._groups[key]

    def _content(self, image: Any) -> str:
        """A hash of an image's bytes or pixels."""
        if isinstance(image, Mapping):
            image = image.get("bytes") or image.get("path")
        if isinstance(image, Image.Image):
            return f"{image.mode} {image.size} {_hash(image.tobytes())}"
        if isinstance(image, str | Path):
            path = str(image)
            if path not in self._digests:
                self._digests[path] = _hash(Path(path).read_bytes()) if Path(path).is_file() else path
            return self._digests[path]
        return _hash(image) if isinstance(image, bytes) else repr(image)


def read_pairs(
    rows: Any, processor: Any, max_length: int | None = None, max_tokens: int | None = None
) -> PairDataset | None:
    """The data set of preference rows, saying what is left out; a data set or None stays what it is.

    Raises MixprefError where no row can be trained on.
    """
    if rows is None or isinstance(rows, PairDataset):
        return rows
    pairs = PairDataset(rows, processor, max_length, max_tokens)
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
    settings: dict[str, Any] = {"padding": len(prompts) > 1, "return_tensors": "pt"}
    # Most chat templates write the first token themselves; a second one would be a prompt never seen.
    if bos and all(prompt.startswith(bos) for prompt in prompts):
        settings["add_special_tokens"] = False
    if any(images):
        settings["images"] = [list(each) for each in images]
    inputs = dict(processor(text=list(prompts), **settings))
    # PaliGemma's, for a loss that is not ours.
    inputs.pop("labels", None)
    return inputs


def response_kind(processor: Any, name: str) -> int:
    """Token type of a response in the processor's tensor `name`: 0, text; but PaliGemma alone tells what is to be
    predicted (1) from the prompt (0)."""
    return int(name == "token_type_ids" and type(processor).__name__.startswith("PaliGemma"))


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


def response_key(group: str, response: Sequence[int]) -> str:
    """What tells a response from all others: a hash of prompt, images and tokens."""
    return _hash(f"{group} {' '.join(map(str, response))}".encode())


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


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
