"""What engines are asked, and the protocol that they answer by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from mixpref.records import Problem, Response
from mixpref.seeds import derive


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How tokens are chosen; the same for all requests of a call."""

    temperature: float = 1.0
    """Divides the logits; 0: greedy, always the likeliest token."""
    top_k: int = 50
    """Only the k likeliest tokens; 0: all."""
    top_p: float = 1.0
    """Only the likeliest tokens that together have this probability."""
    max_new_tokens: int = 256
    """Tokens of a response, its end of turn included."""

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    def describe(self, model: str) -> str:
        """`Response.sampler`: the model and these settings as a short text."""
        if self.greedy:
            return f"{model} greedy"
        return f"{model} T={self.temperature:g} top_k={self.top_k} top_p={self.top_p:g}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """Some samples of one problem."""

    problem: Problem
    style: str
    """Prompt style (`prompts.py`) that the question is put in."""
    samples: int = 1
    first: int = 0
    """Number of the first of them: later rounds of sampling go on counting."""
    seed: int = 0
    prefix: str = ""
    """The beginning of the assistant's turn, which the model goes on from."""
    blind: bool = False
    """Ask without the images."""

    @property
    def numbers(self) -> range:
        """`Response.sample` of the responses."""
        return range(self.first, self.first + self.samples)

    def seed_of(self, sample: int) -> int:
        """The seed of a sample by its number: it depends on nothing else that is asked beside it."""
        return derive(self.seed, self.problem.id, sample)

    def failed(self, sampling: Sampling, model: str, reason: str) -> tuple[Response, ...]:
        """The record that there are no responses, and why: one for each sample."""
        return tuple(
            Response(
                problem_id=self.problem.id,
                sample=sample,
                text="",
                tokens=0,
                finish="error",
                seed=self.seed_of(sample),
                style=self.style,
                sampler=sampling.describe(model),
                logprob=None,
                prefix=self.prefix,
                error=reason,
            )
            for sample in self.numbers
        )


class Engine(Protocol):
    """What answers requests: `TransformersEngine` in this process, `ServerEngine` elsewhere."""

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[tuple[int, tuple[Response, ...]]]:
        """(place among the requests, its responses) of every request exactly once, in any order.

        Requests are taken only as they can be worked on, so they may be many and read from disk. A request that cannot
        be answered yields responses with `finish == "error"` and the reason; it stops nobody else.
        """
        ...


class Units(Protocol):
    """Requests in units of work, by the units' keys: read from disk as they are asked for, and fit to be pickled."""

    def __getitem__(self, key: str) -> Sequence[Request]: ...
