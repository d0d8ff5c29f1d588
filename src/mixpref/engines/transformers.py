"""The embedded engine: any vision-language model that transformers loads, in this process."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from packaging.version import Version
from PIL import Image
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor
from transformers.cache_utils import DynamicCache, DynamicLayer

from mixpref import prompts
from mixpref.engines.sampling import SeededSampling
from mixpref.errors import MixprefError
from mixpref.records import Problem, Response
from mixpref.seeds import derive

# What `generate` calls a cache handed to it: transformers 5.24 renamed it.
_CACHE = "cache" if Version(transformers.__version__) >= Version("5.24.0") else "past_key_values"

Prompt = tuple[str, list[Image.Image]]
"""The text after the chat template, and the images of its marks."""


class TransformersEngine:
    """Samples responses in padded batches. Every response depends on its own seed, not on its neighbours' seeds.

    Padding and the batch's shape move floats in their last digits, so byte-equal responses need the same batches:
    the stages therefore cut their problems into the same batches in every run.

    Raises MixprefError where the model cannot be loaded.
    """

    def __init__(
        self, model: str, *, name: str | None = None, dtype: torch.dtype | None = None, device: str | None = None
    ) -> None:
        # The name is what responses tell of their sampler: pairs should not differ by where a model's folder lies.
        self.name = name or model
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = dtype or (torch.bfloat16 if self.device == "cuda" else torch.float32)
        try:
            self.processor: Any = AutoProcessor.from_pretrained(model)
            loaded: Any = AutoModelForImageTextToText.from_pretrained(model, dtype=dtype)
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise MixprefError(
                f"the model {model!r} cannot be loaded as an image-text-to-text model ({reason}); give a folder or hub "
                "name that AutoModelForImageTextToText and AutoProcessor load"
            ) from error
        self.model = loaded.to(self.device).eval()
        self.tokenizer: Any = self.processor.tokenizer
        self.tokenizer.padding_side = "left"
        self.ends = self._end_tokens()
        # Image and chat tokens inside a response would crash or mislead every later forward pass.
        added = self.tokenizer.added_tokens_decoder
        special = {*self.tokenizer.all_special_ids, *(token for token, kind in added.items() if kind.special)}
        self.forbidden = sorted(token for token in special - set(self.ends) if token < self._vocabulary())

    def generate(
        self,
        problems: Sequence[Problem],
        style: str,
        samples: int = 1,
        *,
        seed: int = 0,
        greedy: bool = False,
        temperature: float = 1.0,
        top_k: int = 50,
        top_p: float = 1.0,
        max_new_tokens: int = 256,
    ) -> list[list[Response]]:
        """`samples` responses to each problem, in the problems' order.

        Sample i of a problem is seeded by (seed, problem id, i). A problem that cannot be put to the model - a broken
        image, more marks than images - yields responses with `finish == "error"` and the reason; it stops nobody else.
        """
        sampler = f"{self.name} greedy" if greedy else f"{self.name} T={temperature:g} top_k={top_k} top_p={top_p:g}"
        if greedy and samples != 1:
            raise ValueError(f"greedy decoding gives one response, not {samples}")
        prepared: dict[int, Prompt] = {}
        failed: dict[int, str] = {}
        for place, problem in enumerate(problems):
            try:
                prepared[place] = self._prompt(problem, style)
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                failed[place] = f"{type(error).__name__}: {error}"
        failed |= self._refused(prepared)
        places = [place for place in prepared if place not in failed]
        seeds = [[derive(seed, problem.id, index) for index in range(samples)] for problem in problems]
        answers: dict[int, list[tuple[str, int, str, float]]] = {}
        if places:
            flat = [one for place in places for one in seeds[place]]
            sampling = SeededSampling(
                flat,
                forbidden=self.forbidden,
                ends=self.ends,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                greedy=greedy,
                device=self.device,
            )
            rows = self._run([prepared[place] for place in places], samples, sampling, max_new_tokens)
            told = [self._tell(row, logprob) for row, logprob in zip(rows, sampling.logprobs.tolist(), strict=True)]
            answers = {place: told[turn * samples : (turn + 1) * samples] for turn, place in enumerate(places)}
        results = []
        for place, problem in enumerate(problems):
            reason = failed.get(place, "")
            told = answers.get(place, [("", 0, "error", 0.0)] * samples)
            results.append(
                [
                    Response(
                        problem_id=problem.id,
                        sample=index,
                        text=text,
                        tokens=tokens,
                        finish=finish,  # type: ignore[arg-type]
                        seed=seeds[place][index],
                        style=style,
                        sampler=sampler,
                        logprob=logprob,
                        error=reason,
                    )
                    for index, (text, tokens, finish, logprob) in enumerate(told)
                ]
            )
        return results

    def _prompt(self, problem: Problem, style: str) -> Prompt:
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in problem.images]
        conversation = prompts.messages(problem, style)
        return self.processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False), images

    def _refused(self, prepared: dict[int, Prompt]) -> dict[int, str]:
        """Why each prompt that the processor refuses is refused. One call where all is well, one each where not."""
        faults = (ValueError, IndexError, TypeError, RuntimeError)
        if not prepared:
            return {}
        try:
            self._process(list(prepared.values()))
        except faults as together:
            refused = {}
            for place, prompt in prepared.items():
                try:
                    self._process([prompt])
                except faults as error:
                    refused[place] = f"{type(error).__name__}: {error}"
            if not refused:
                raise together
            return refused
        return {}

    def _process(self, prompts: list[Prompt]) -> dict[str, Tensor]:
        texts = [text for text, _ in prompts]
        # Processors disagree about rows without images in a list of lists; a batch without any passes none.
        images = [pictures for _, pictures in prompts if pictures]
        inputs = self.processor(text=texts, images=images or None, padding=True, return_tensors="pt")
        dtype = self.model.dtype
        return {
            name: (value.to(self.device, dtype) if value.is_floating_point() else value.to(self.device))
            for name, value in inputs.items()
            if isinstance(value, Tensor)
        }

    @torch.inference_mode()
    def _run(self, prompts: list[Prompt], samples: int, sampling: SeededSampling, max_new_tokens: int) -> Tensor:
        """New tokens [len(prompts) * samples, <= max_new_tokens], padded on the right after the end of turn."""
        inputs = self._process(prompts)
        length = inputs["input_ids"].shape[1]
        settings: dict[str, Any] = {
            "do_sample": False,
            "eos_token_id": self.ends,
            "pad_token_id": self._pad(),
            "return_dict_in_generate": True,
            # The checkpoint's own sampling defaults would be warned about, or applied, beside ours.
            "temperature": None,
            "top_k": None,
            "top_p": None,
        }
        cache = None
        if samples > 1:
            first = self.model.generate(**inputs, **settings, max_new_tokens=1, use_cache=True)
            cache = self._repeated(first.past_key_values, length, samples)
        if cache is None:
            # Repeated as prompts, not as tensors: how images lie in the tensors is each processor's own affair.
            if samples > 1:
                inputs = self._process([prompt for prompt in prompts for _ in range(samples)])
            out = self.model.generate(**inputs, **settings, max_new_tokens=max_new_tokens, logits_processor=[sampling])
        else:
            out = self.model.generate(
                input_ids=inputs["input_ids"].repeat_interleave(samples, 0),
                attention_mask=inputs["attention_mask"].repeat_interleave(samples, 0),
                **{_CACHE: cache},
                **settings,
                max_new_tokens=max_new_tokens,
                logits_processor=[sampling],
            )
        return out.sequences[:, length:]

    def _repeated(self, cache: Any, length: int, samples: int) -> Any:
        """The prompts' keys and values up to their last token, once a sample; None where this model can't share them.

        The prompt is most of the work: n samples need it once, not n times.
        """
        layers = getattr(cache, "layers", [])
        plain = type(cache) is DynamicCache and all(type(layer) is DynamicLayer for layer in layers)
        if not plain or getattr(self.model.model, "rope_deltas", None) is not None:
            return None
        cache.crop(length - 1 - cache.get_seq_length())
        cache.batch_repeat_interleave(samples)
        return cache

    def _tell(self, row: Tensor, logprob: float) -> tuple[str, int, str, float]:
        tokens = row.tolist()
        end = next((place for place, token in enumerate(tokens) if token in self.ends), None)
        said = tokens if end is None else tokens[:end]
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        return text, len(said) + (end is not None), "length" if end is None else "stop", logprob

    def _end_tokens(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]
        return sorted({token for token in (*ends, self.tokenizer.eos_token_id) if token is not None})

    def _pad(self) -> int:
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.ends[0]

    def _vocabulary(self) -> int:
        return self.model.get_output_embeddings().weight.shape[0]
