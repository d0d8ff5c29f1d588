"""Log-probabilities of responses that are given to a model (teacher forcing), as training computes them.

A response is the tokens of its text and, unless it was cut at the token limit, the end of turn; before it stands the
prompt as `TransformersEngine` puts it, the prefix of the turn included. Where the model can (`training.shared`), a
prompt and its images are computed once for all responses behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jinja2 import TemplateError
from PIL import Image
from torch import Tensor

from mixpref import prompts
from mixpref.engines.transformers import TransformersEngine
from mixpref.records import Problem, Response
from mixpref.training import plain, shared
from mixpref.training.data import Example, end_of_turn, open_image
from mixpref.training.packing import PackedCollator
from mixpref.training.plain import PlainCollator
from mixpref.training.reading import Refusal

_MEDIA = ("image_token_id", "image_token_index", "video_token_id", "audio_token_id", "boi_token_index")
_REFUSED = (ValueError, IndexError, TypeError, RuntimeError)
"""What processors raise where they cannot take a prompt."""


@dataclass(frozen=True, kw_only=True)
class Forced:
    """What a model says to a response that it was given, or why nothing."""

    logprob: float | None = None
    """Sum over the response's tokens of log pi(token), in nats, at temperature 1."""
    tokens: int = 0
    """The tokens of the text, end of turn included. Where a model has sampled others for the same text, the
    log-probability of its sample is another one."""
    reason: str = ""
    """Why there is none."""


@dataclass(frozen=True)
class _Turn:
    """A response in tokens and the prompt that it stands behind."""

    group: tuple[str, str, str]
    """Responses with the same have the same prompt and images."""
    prompt: str
    images: tuple[Image.Image, ...]
    tokens: tuple[int, ...]


class TeacherForcing:
    """Tells the log-probabilities of given responses under one model."""

    def __init__(self, model: Any, processor: Any) -> None:
        """The model's usual use stays as it was, but it is in evaluation mode from now on."""
        self.model, self.processor = model.eval(), processor
        self._end = end_of_turn(self.processor)
        self._media = {getattr(self.model.config, name, None) for name in _MEDIA}
        self._logps: Callable[..., tuple[Tensor, Tensor]] = shared.response_logps
        self._collate: Callable[[Sequence[Example]], dict[str, Any]] = PackedCollator(self.processor)
        try:
            shared.share_prefixes(self.model)
        except shared.NotIsolated:
            self._logps, self._collate = plain.response_logps, PlainCollator(self.processor)

    @classmethod
    def load(cls, model: str, *, trust_remote_code: bool = False) -> TeacherForcing:
        """Of a directory or hub name. Raises MixprefError where it cannot be loaded."""
        # As for sampling, so that dtype and device are those of the log-probabilities of samples.
        engine = TransformersEngine(model, trust_remote_code=trust_remote_code)
        return cls(engine.model, engine.processor)

    def __call__(self, asked: Sequence[tuple[Problem, Response]]) -> list[Forced]:
        """What the model says to each response, all in one pass. `finish == "error"` has no text, and so no answer."""
        found: dict[int, Forced] = {}
        turns: dict[int, _Turn] = {}
        for place, (problem, response) in enumerate(asked):
            try:
                turns[place] = self._turn(problem, response, list(turns.values()))
            except (ValueError, TemplateError, Refusal) as reason:
                found[place] = Forced(reason=str(reason))
        found |= self._forced(turns)
        return [found[place] for place in range(len(asked))]

    def _turn(self, problem: Problem, response: Response, others: Sequence[_Turn]) -> _Turn:
        """Raises Refusal or ValueError where it cannot be put to a model."""
        if response.finish == "error":
            raise Refusal(response.error or "the response failed")
        said = self.processor.tokenizer(response.text, add_special_tokens=False)["input_ids"]
        if not self._media.isdisjoint(said):
            raise Refusal("the response holds an image token")
        tokens = (*said, self._end) if response.finish == "stop" else tuple(said)
        if not tokens:
            raise Refusal("the response is empty")
        group = (problem.id, response.style, response.prefix)
        for other in others:
            if other.group == group:
                return _Turn(group, other.prompt, other.images, tokens)
        conversation = prompts.messages(problem, response.style)
        prompt = self.processor.apply_chat_template(conversation, add_generation_prompt=True, tokenize=False)
        return _Turn(group, prompt + response.prefix, tuple(map(open_image, problem.images)), tokens)

    def _forced(self, turns: dict[int, _Turn]) -> dict[int, Forced]:
        """In one pass; prompt by prompt where the processor refuses one of them."""
        if not turns:
            return {}
        groups: dict[tuple[str, str, str], list[int]] = {}
        for place, turn in turns.items():
            groups.setdefault(turn.group, []).append(place)
        # The collators take pairs; of an odd number of responses the last one is a pair with itself.
        pairs = [
            (number, first, second)
            for number, places in enumerate(groups.values())
            for first, second in zip(places[::2], [*places[1::2], places[-1]], strict=False)
        ]
        try:
            batch = self._collate([_example(number, turns[first], turns[second]) for number, first, second in pairs])
        except _REFUSED as reason:
            if len(groups) == 1:
                return dict.fromkeys(turns, Forced(reason=f"the processor refuses the prompt ({reason})"))
            alone = [self._forced({place: turns[place] for place in places}) for places in groups.values()]
            return {place: forced for some in alone for place, forced in some.items()}
        chosen, rejected = self._run(batch)
        found = {second: logprob for (_, _, second), logprob in zip(pairs, rejected, strict=True)}
        found |= {first: logprob for (_, first, _), logprob in zip(pairs, chosen, strict=True)}
        return {place: Forced(logprob=found[place], tokens=len(turn.tokens)) for place, turn in turns.items()}

    @torch.no_grad()
    def _run(self, batch: dict[str, Any]) -> tuple[list[float], list[float]]:
        """Log-probabilities of the pairs' first responses and of their second ones."""
        device, dtype = self.model.device, self.model.dtype
        moved = {name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()}
        moved["inputs"] = {
            # Models of less than float32 want their pictures so.
            name: value.to(device, dtype if value.is_floating_point() else None) if isinstance(value, Tensor) else value
            for name, value in batch["inputs"].items()
        }
        logps, _ = self._logps(self.model, moved)
        return logps[moved["chosen"]].tolist(), logps[moved["rejected"]].tolist()


def _example(number: int, first: _Turn, second: _Turn) -> Example:
    return Example(prompt=first.prompt, images=first.images, chosen=first.tokens, rejected=second.tokens, group=number)
