"""The nouns of mixpref: what one stage writes and the next one reads.

    Problem --sample--> Response --verify--> Verdict --pair--> PreferencePair --train--> model --evaluate--> Score

Every record is frozen and holds only strings, numbers, bytes and tuples of them, so that it goes to disk and comes
back equal (`store.py`). This module imports nothing heavy: everything else may import it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["correct", "wrong", "unparsed", "error"]
Finish = Literal["stop", "length", "error"]
Why = Literal["correctness", "format", "dropout-ntp", "vote", "foreign"]


def content_hash(*parts: str | bytes) -> str:
    """16 hex digits that depend on the parts and on where each of them ends."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A question about no, one or many images, and how an answer to it is judged.

    `question` may hold `<image>` marks for the images' places; where it holds none, the images come first.
    """

    question: str
    answer: tuple[str, ...] | None = None
    """Accepted answers, or None for an open question. A single string may be given. A choice problem's answer is its
    letter or the text of the right choice."""
    choices: tuple[str, ...] = ()
    """Texts of the options, without their letters; they are lettered A, B, C ... in this order."""
    images: tuple[bytes, ...] = ()
    """Each image as the bytes of its file (PNG, JPEG, WebP, ...)."""
    rule: str | None = None
    """How an answer is judged (`verifying/rules.py`); None picks by the problem itself."""
    source: str = ""
    """Where the problem came from: the data set's name, with file and line where there is one."""
    family: str = ""
    """The kind of problem within its source; scores are broken down by it."""
    facts: str = ""
    """What is known to be true of the images, as JSON or in words; for open questions that can be checked by it."""
    id: str = field(default="", repr=False)
    """Hash of everything that the model or the judge sees; computed where it is not given."""

    def __post_init__(self) -> None:
        answer = (self.answer,) if isinstance(self.answer, str) else self.answer
        object.__setattr__(self, "answer", None if answer is None else tuple(answer))
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "images", tuple(self.images))
        if not self.id:
            parts = (self.question, str(self.rule), *(self.answer or ("\0open",)), "\0", *self.choices, "\0")
            object.__setattr__(self, "id", content_hash(*parts, *self.images))


@dataclass(frozen=True, kw_only=True)
class Response:
    """One answer of a model to one problem, or the record of why there is none (`finish == "error"`)."""

    problem_id: str
    sample: int
    """Which of the problem's n samples this is, from 0."""
    text: str
    """What the model wrote, without its end-of-turn token and without the prefix."""
    tokens: int
    """Generated tokens, the end-of-turn token included."""
    finish: Finish
    seed: int
    style: str
    """Prompt style (`prompts.py`) that the question was put in."""
    sampler: str
    """Model and sampling settings, as a short text."""
    logprob: float | None
    """Sum over the generated tokens of log pi(token) at temperature 1, in nats; None where the engine does not tell."""
    prefix: str = ""
    """The beginning of the turn that was given to the model to go on from."""
    error: str = ""

    @property
    def id(self) -> str:
        return f"{self.problem_id}-{self.sample}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the verifier says of a response. An `error` is a failure of the judge, never of the answer."""

    outcome: Outcome
    answer: str = ""
    """The answer as the response states it; empty where none was found."""
    normalised: str = ""
    """The answer in the form in which it was compared: plain characters, numbers exact."""
    rule: str = ""
    detail: str = ""
    """Why: the normalised answers that were compared, the reason of unparsed or error."""
    score: float = 0.0
    """1 for a correct answer, 0 for any other; between them by a metric with degrees (`anls`, `vqa`, a judge)."""
    scores: tuple[float, ...] = ()
    """What a judge gave on its rubric's own scale: the response's score, then the reference's where it compares."""
    response_id: str = ""


@dataclass(frozen=True, kw_only=True)
class PreferencePair:
    """Two responses to one problem, the first better than the second."""

    problem_id: str
    chosen: str
    rejected: str
    why: Why
    style: str
    chosen_origin: str
    """Where the chosen text comes from: a response's id and its sampler."""
    rejected_origin: str
    """The same of the rejected text; `blind` in it: the model went on without the images."""
    chosen_complete: bool = True
    """False where the text was cut at the token limit: it has no end of turn, and none may be taught."""
    rejected_complete: bool = True


@dataclass(frozen=True, kw_only=True)
class Score:
    """Accuracy, or another official figure, of one model on one benchmark, asked in one style."""

    model: str
    """Role in the run: base, mpo, sft, dpo, or a model's name."""
    benchmark: str
    """The benchmark's name; `world/chart` is one family of `world`."""
    style: Literal["direct", "cot"]
    n: int
    accuracy: float
    """Share of the n problems answered right, in 0..1; errors are not counted in n."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    unparsed: float
    """Share of the n responses without a readable answer, in 0..1."""
    errors: int = 0
    """Problems without an outcome: generation or judge failed. Beside n, never in it."""
    tokens: float = 0.0
    """Mean tokens of a response."""
    metric: str = "accuracy"
    """What `accuracy`, `low` and `high` are, where a benchmark's official figure is another one."""
    scale: float = 1.0
    """The best value that the figure can have; 1: it is a share."""
    details: tuple[tuple[str, float], ...] = ()
    """Further measures of the benchmark by name."""
    judge: str = ""
    """Judge and version of its rubric, where a judge read the answers."""
