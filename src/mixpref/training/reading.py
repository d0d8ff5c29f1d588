"""A preference row becomes a prompt and two responses in tokens, or is refused with the reason.

A row is a dict in TRL's format: `prompt`, `chosen`, `rejected` (conversations or strings) and `images` (or `image`).
The prompt is rendered as for sampling, with the generation prompt at its end. A response is the tokens of its text
and one end of turn: what the model would have to sample. So nothing of the chat template after the end of turn is
taught, and a response that was cut at the token limit (`chosen_complete` or `rejected_complete` false) is taught no
end at all.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import TemplateError
from PIL import Image

from mixpref.errors import MixprefError
from mixpref.sources.unusable import Unusable
from mixpref.training.shapes import Shape

_MEDIA = ("image_token", "video_token", "audio_token", "boi_token")

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A row that cannot be trained on."""

    row: int
    """Its place among the rows, from 0."""
    reason: str
    kind: str = ""
    """The reason in a few words, where it says more than what it is counted by."""

    @property
    def counted_by(self) -> str:
        return self.kind or self.reason


class Refusal(Exception):
    """Why a row cannot be trained on."""

    def __init__(self, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.kind = kind

    def of(self, row: int) -> Refused:
        return Refused(row=row, reason=str(self), kind=self.kind)


@dataclass(frozen=True, kw_only=True)
class ReadPair:
    """A row in tokens."""

    prompt: str
    """The text after the chat template, one placeholder an image."""
    tokens: int
    """Of the prompt, images included."""
    images: tuple[Any, ...]
    """As the row has them: what `open_image` takes."""
    chosen: tuple[int, ...]
    """Token ids of the response, its end of turn included."""
    rejected: tuple[int, ...]
    key: str
    """Hash of prompt and images."""


class PairReader:
    """Reads single rows; nothing is ever cut.

    What rows have in common is looked at once: the tokens of a prompt and of images, the hash of a file.
    """

    def __init__(
        self,
        processor: Any,
        max_length: int | None = None,
        max_tokens: int | None = None,
        *,
        decode: bool = True,
        remember: int | None = None,
    ) -> None:
        """max_length: tokens of prompt and response, images included; longer pairs are refused, never cut.
        max_tokens: the same of a prompt and both responses, which is the least that shares a row. decode: whether a
        row whose images cannot be decoded is refused; otherwise they have but to tell their sizes. remember: of how
        many prompts, files and sizes of images at most it is kept what was found; None: of all.

        Raises MixprefError where the tokenizer has no end of text.
        """
        self.processor = processor
        self.tokenizer = getattr(processor, "tokenizer", processor)
        if self.tokenizer.eos_token_id is None:
            raise MixprefError("the tokenizer has no eos_token to end a response with; set one")
        self.max_length, self.max_tokens = max_length, max_tokens
        self._decode, self._remember = decode, remember
        self._media = _media_tokens(processor)
        mark = getattr(processor, "image_token", None)
        self._mark = self.tokenizer.convert_tokens_to_ids(mark) if isinstance(mark, str) else None
        ends = {True: end_of_turn(processor), False: self.tokenizer.eos_token_id}
        self._ends = {chat: (end, self.tokenizer.decode([end])) for chat, end in ends.items()}
        self._prompt_tokens: dict[str, int] = {}
        self._digests: dict[str, str] = {}
        # How many tokens the processor makes of images depends on their sizes alone.
        self._image_tokens: dict[tuple[tuple[int, int], ...], int] = {}

    def read(self, rows: Sequence[Mapping[str, Any]], index: int) -> ReadPair:
        """Raises Refusal."""
        try:
            row = rows[index]
        except Unusable as unusable:
            raise Refusal(unusable.reason, unusable.kind) from unusable
        for key in ("prompt", "chosen", "rejected"):
            if not row.get(key):
                raise Refusal(f"no {key}")
            if not isinstance(row[key], str) and not _is_conversation(row[key]):
                raise Refusal(f"{key} is neither a text nor a conversation")
        images = row_images(row)
        prompt, chat = self._prompt(row["prompt"], len(images))
        chosen = self._response(row, "chosen", chat)
        rejected = self._response(row, "rejected", chat)
        if chosen == rejected:
            raise Refusal("chosen and rejected are the same")
        key = _hash("\0".join((prompt, *map(self._content, images))).encode())
        if key not in self._prompt_tokens:
            self._keep(self._prompt_tokens, key, self._count(prompt, images))
        tokens = self._prompt_tokens[key]
        if self.max_length is not None and tokens + max(len(chosen), len(rejected)) > self.max_length:
            raise Refusal(f"longer than {self.max_length} tokens")
        if self.max_tokens is not None and tokens + len(chosen) + len(rejected) > self.max_tokens:
            raise Refusal(f"prompt and responses have more than {self.max_tokens} tokens")
        return ReadPair(prompt=prompt, tokens=tokens, images=tuple(images), chosen=chosen, rejected=rejected, key=key)

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
                raise Refusal(f"the chat template refuses the prompt ({reason})") from reason
        if marks != images:
            raise Refusal(f"{'more' if marks > images else 'fewer'} image placeholders than images")
        return text, not isinstance(prompt, str)

    def _response(self, row: Mapping[str, Any], key: str, chat: bool) -> tuple[int, ...]:
        text = row[key]
        if not isinstance(text, str):
            if len(text) != 1 or text[0].get("role") != "assistant":
                raise Refusal(f"{key} is not one message of the assistant")
            text = _text(text[0]["content"])
        end, closing = self._ends[chat]
        text = text.removesuffix(closing)
        tokens = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if not text.strip() or not tokens:
            raise Refusal(f"{key} is empty")
        if not self._media.isdisjoint(tokens):
            raise Refusal(f"{key} holds an image token")
        return tuple(tokens) if row.get(f"{key}_complete") is False else (*tokens, end)

    def _count(self, prompt: str, images: Sequence[Any]) -> int:
        """Tokens of a prompt, images included."""
        opened = [open_image(image) for image in images] if self._decode else []
        sizes = tuple(image.size for image in opened) if self._decode else tuple(map(image_size, images))
        ids = process(self.tokenizer, [prompt], [])["input_ids"][0].tolist()
        if not self._media.isdisjoint(set(ids) - {self._mark}):
            raise Refusal("the prompt holds a placeholder of something else than an image")
        text = len(ids)
        if sizes not in self._image_tokens:
            try:
                whole = process(self.processor, [prompt], [opened or [Image.new("RGB", size) for size in sizes]])
            except (ValueError, IndexError, TypeError, RuntimeError) as reason:
                raise Refusal(f"the processor refuses the prompt ({reason})") from reason
            self._keep(self._image_tokens, sizes, len(whole["input_ids"][0]) - text)
        return text + self._image_tokens[sizes]

    def _content(self, image: Any) -> str:
        """A hash of an image's bytes or pixels."""
        if isinstance(image, Mapping):
            image = image.get("bytes") or image.get("path")
        if isinstance(image, Image.Image):
            return f"{image.mode} {image.size} {_hash(image.tobytes())}"
        if isinstance(image, str | Path):
            path = str(image)
            if path not in self._digests:
                self._keep(self._digests, path, self._file_hash(path))
            return self._digests[path]
        return _hash(image) if isinstance(image, bytes) else repr(image)

    @staticmethod
    def _file_hash(path: str) -> str:
        try:
            return _hash(Path(path).read_bytes())
        except (OSError, ValueError):
            # Opening it as an image will say what is wrong.
            return path

    def _keep(self, known: dict[Key, Value], key: Key, value: Value) -> None:
        known[key] = value
        if self._remember is not None and len(known) > self._remember:
            known.pop(next(iter(known)))


class Numbering:
    """Numbers prompts, and the responses of each, in the order in which they come."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        """Of the prompts and their images, by their numbers."""
        self._groups: dict[str, int] = {}
        self._responses: list[dict[tuple[int, ...], int]] = []

    def shape(self, pair: ReadPair) -> Shape:
        group = self._groups.setdefault(pair.key, len(self.keys))
        if group == len(self.keys):
            self.keys.append(pair.key)
            self._responses.append({})
        said = self._responses[group]
        chosen, rejected = (said.setdefault(each, len(said)) for each in (pair.chosen, pair.rejected))
        return Shape(
            group=group,
            prompt=pair.tokens,
            chosen=(chosen, len(pair.chosen)),
            rejected=(rejected, len(pair.rejected)),
        )


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
    """The decoded RGB picture of a PIL image, the bytes of a file, a path, or a dict of one of the latter two.

    Raises Refusal.
    """
    with _opened(image) as picture:
        return picture.convert("RGB")


def image_size(image: Any) -> tuple[int, int]:
    """Width and height of what `open_image` takes, without decoding it. Raises Refusal."""
    with _opened(image) as picture:
        return picture.size


@contextmanager
def _opened(image: Any) -> Iterator[Image.Image]:
    if isinstance(image, Mapping):
        image = image.get("bytes") or image.get("path")
    try:
        if isinstance(image, bytes):
            image = io.BytesIO(image)
        if isinstance(image, str | Path | io.BytesIO):
            with Image.open(image) as picture:
                yield picture
        else:
            yield image
    except (OSError, ValueError, SyntaxError, AttributeError, Image.DecompressionBombError) as reason:
        raise Refusal(f"an image cannot be opened ({type(reason).__name__})") from reason


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


def row_images(row: Mapping[str, Any]) -> list[Any]:
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
