"""The embedded engine: any vision-language model that transformers loads, in this process."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from mixpref import prompts
from mixpref.engines.blind import without_images
from mixpref.engines.decoding import Decoding, takes_decoding
from mixpref.engines.request import Request, Sampling
from mixpref.engines.sampling import SeededSampling
from mixpref.errors import MixprefError
from mixpref.records import Response

# Tokens before a response that its decoding is told, where it goes on from a prefix.
_CONTEXT = 32


@dataclass(frozen=True)
class Prompt:
    """The text after the chat template, and the images of its marks."""

    text: str
    images: tuple[Image.Image, ...]


class TransformersEngine:
    """Answers requests in padded batches. Every response depends on its own seed, not on its neighbours' seeds.

    Padding and the batch's shape move floats in their last digits, so byte-equal responses need the same batches:
    these are `batch_size` requests one after the other, in every run. What the checkpoint's generation config says of
    sampling is not heeded. Raises MixprefError where the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        name: str | None = None,
        dtype: torch.dtype | None = None,
        device: str | None = None,
        batch_size: int = 16,
        trust_remote_code: bool = False,
    ) -> None:
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = dtype or (torch.bfloat16 if device == "cuda" else torch.float32)
        trust = {"trust_remote_code": trust_remote_code}
        try:
            processor: Any = AutoProcessor.from_pretrained(model, **trust)
            loaded: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype, **trust)
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise MixprefError(
                f"the model {model!r} cannot be loaded as an image-text-to-text model ({reason}); give a folder or hub "
                "name that AutoModelForImageTextToText and AutoProcessor load"
            ) from error
        self._take(loaded.to(device), processor, name or model, batch_size)

    @classmethod
    def of(cls, model: Any, processor: Any, *, name: str, batch_size: int = 16) -> TransformersEngine:
        """An engine of a model that is loaded already. The model and its tokenizer are set up for sampling."""
        engine = cls.__new__(cls)
        engine._take(model, processor, name, batch_size)
        return engine

    def _take(self, model: Any, processor: Any, name: str, batch_size: int) -> None:
        if batch_size < 1:
            raise ValueError(f"a batch has one request or more, not {batch_size}")
        # The name is what responses tell of their sampler: pairs should not differ by where a model's folder lies.
        self.name = name
        self.batch_size = batch_size
        self.model = model.eval()
        self.device = model.device
        self.processor = processor
        self.tokenizer: Any = processor.tokenizer
        self.tokenizer.padding_side = "left"
        self.ends = self._end_tokens()
        # Image and chat tokens inside a response would crash or mislead every later forward pass.
        added = self.tokenizer.added_tokens_decoder
        special = {*self.tokenizer.all_special_ids, *(token for token, kind in added.items() if kind.special)}
        self.forbidden = sorted(token for token in special - set(self.ends) if token < self._vocabulary())
        # The checkpoint's own defaults - penalties, static caches, temperatures - would be applied beside ours.
        starts = ("bos_token_id", "decoder_start_token_id")
        self.model.generation_config = GenerationConfig(
            **{start: getattr(self.model.generation_config, start, None) for start in starts},
            eos_token_id=self.ends,
            pad_token_id=self._pad(),
        )
        self._shares = takes_decoding(self.model)

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        """(place, responses) of every request in order; `engines.request.Engine` says more.

        A request that cannot be put to the model - a broken image, more marks than images - yields responses with
        `finish == "error"` and the reason. Raises ValueError where greedy decoding is asked for several samples.
        """
        waiting = enumerate(requests)
        while batch := list(islice(waiting, self.batch_size)):
            answers = self._answers([request for _, request in batch], sampling)
            yield from ((place, told) for (place, _), told in zip(batch, answers, strict=True))

    def _answers(self, requests: Sequence[Request], sampling: Sampling) -> list[tuple[Response, ...]]:
        """The responses to one batch."""
        if sampling.greedy and (most := max((request.samples for request in requests), default=0)) > 1:
            raise ValueError(f"greedy decoding gives one response, not {most}")
        prepared: dict[int, Prompt] = {}
        failed: dict[int, str] = {}
        for place, request in enumerate(requests):
            try:
                prepared[place] = self._prompt(request)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                failed[place] = f"{type(error).__name__}: {error}"
        inputs, refused = self._inputs(prepared)
        failed |= refused
        places = [place for place in prepared if place not in failed]
        answers = {place: requests[place].failed(sampling, self.name, reason) for place, reason in failed.items()}
        if places:
            asked = [requests[place] for place in places]
            answers |= zip(
                places, self._told(asked, [prepared[place] for place in places], inputs, sampling), strict=True
            )
        return [answers[place] for place in range(len(requests))]

    def _told(
        self, requests: list[Request], asked: list[Prompt], inputs: dict[str, Tensor], sampling: Sampling
    ) -> Iterator[tuple[Response, ...]]:
        """The responses to requests that the processor has taken."""
        seeds = [request.seed_of(sample) for request in requests for sample in request.numbers]
        owners = [owner for owner, request in enumerate(requests) for _ in request.numbers]
        chosen = SeededSampling(seeds, sampling, forbidden=self.forbidden, ends=self.ends, device=self.device)
        said = self._run(asked, inputs, owners, chosen, sampling.max_new_tokens).tolist() if seeds else []
        logprobs = chosen.logprobs.tolist()
        rows = iter(range(len(seeds)))
        for owner, request in enumerate(requests):
            before = inputs["input_ids"][owner, -_CONTEXT:].tolist() if request.prefix else []
            responses = []
            for sample, row in zip(request.numbers, rows, strict=False):
                end = next((place for place, token in enumerate(said[row]) if token in self.ends), None)
                responses.append(
                    Response(
                        problem_id=request.problem.id,
                        sample=sample,
                        text=self._text(said[row][:end], before),
                        tokens=len(said[row]) if end is None else end + 1,
                        finish="length" if end is None else "stop",
                        seed=seeds[row],
                        style=request.style,
                        sampler=sampling.describe(self.name),
                        logprob=logprobs[row],
                        prefix=request.prefix,
                    )
                )
            yield tuple(responses)

    def _prompt(self, request: Request) -> Prompt:
        problem = without_images(request.problem) if request.blind else request.problem
        images = tuple(Image.open(io.BytesIO(data)).convert("RGB") for data in problem.images)
        conversation = prompts.messages(problem, request.style)
        text = self.processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
        return Prompt(text + request.prefix, images)

    def _inputs(self, prepared: dict[int, Prompt]) -> tuple[dict[str, Tensor], dict[int, str]]:
        """What the model is given of the prompts that the processor takes, and why it refuses the others."""
        faults = (ValueError, IndexError, TypeError, RuntimeError)
        if not prepared:
            return {}, {}
        try:
            return self._process(list(prepared.values())), {}
        except faults:
            refused = {}
            for place, prompt in prepared.items():
                try:
                    self._process([prompt])
                except faults as error:
                    refused[place] = f"{type(error).__name__}: {error}"
            if not refused:
                raise
        taken = [prompt for place, prompt in prepared.items() if place not in refused]
        return self._process(taken) if taken else {}, refused

    def _process(self, asked: list[Prompt]) -> dict[str, Tensor]:
        texts, images = [prompt.text for prompt in asked], [list(prompt.images) for prompt in asked]
        settings: dict[str, Any] = {"text": texts, "padding": True, "return_tensors": "pt"}
        # Most chat templates write the first token themselves; a second one would be a prompt never trained on.
        if (bos := self.tokenizer.bos_token) and all(text.startswith(bos) for text in texts):
            settings["add_special_tokens"] = False
        # Processors disagree about rows without images: most want no list for such a row, some an empty one.
        some = [pictures for pictures in images if pictures]
        try:
            inputs = self.processor(images=some or None, **settings)
        except ValueError:
            if len(some) in (0, len(images)):
                raise
            inputs = self.processor(images=images, **settings)
        dtype = self.model.dtype
        return {
            name: (value.to(self.device, dtype) if value.is_floating_point() else value.to(self.device))
            for name, value in inputs.items()
            if isinstance(value, Tensor)
        }

    @torch.inference_mode()
    def _run(
        self, asked: list[Prompt], inputs: dict[str, Tensor], owners: list[int], sampling: SeededSampling, limit: int
    ) -> Tensor:
        """New tokens [len(owners), <= limit] of rows that go on from prompt `owners[i]`, padded after their ends."""
        settings: dict[str, Any] = {"do_sample": False, "max_new_tokens": limit}
        if self._shares:
            rows = torch.tensor(owners, device=self.device)
            decoding = Decoding(rows, sampling, limit=limit, pad=self._pad())
            said = self.model.generate(**inputs, **settings, custom_generate=decoding)
            if said is not None:
                return said
            self._shares = False
        # Repeated as prompts, not as tensors: how images lie in the tensors is each processor's own affair.
        if owners != list(range(len(asked))):
            inputs = self._process([asked[owner] for owner in owners])
        said = self.model.generate(**inputs, **settings, logits_processor=[sampling])
        return said[:, inputs["input_ids"].shape[1] :]

    def _text(self, said: list[int], before: list[int]) -> str:
        """The text of a response's tokens. After a prefix, it may begin with a space, which decoders drop."""
        if before:
            context = self._decode(before)
            whole = self._decode([*before, *said])
            if whole.startswith(context):
                return whole[len(context) :]
        return self.tokenizer.decode(said, skip_special_tokens=True)

    def _decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _end_tokens(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return sorted({token for token in (*ends, self.tokenizer.eos_token_id) if token is not None})

    def _pad(self) -> int:
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.ends[0]

    def _vocabulary(self) -> int:
        return self.model.get_output_embeddings().weight.shape[0]
