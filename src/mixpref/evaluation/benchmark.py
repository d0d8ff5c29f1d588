"""What a benchmark is: items from a local folder, how each is asked, and the official figure of the answers.

A benchmark is a file in `benchmarks/` that defines one `Benchmark`. Its rows become Problems, which engines answer and
the verifier judges like any others; what is particular to it - its data's form, its prompts, its metric - stays in
that file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mixpref.evaluation.statistics import wilson
from mixpref.records import Problem, Response, Verdict

Style = Literal["direct", "cot"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One row of a benchmark. Rows that ask the same of the same images share a problem, which is answered once."""

    problem_id: str
    key: str
    """The benchmark's own name of the row."""
    groups: tuple[str, ...] = ()
    """What the row belongs to, each as "aspect: value" ("task: geometry problem solving"); several of one aspect may
    be given. There is a score for each."""
    direct: str = ""
    """The benchmark's own text for asking directly, choices and images' marks included; empty: our style `direct`."""
    fault: str = ""
    """Why the row cannot be asked: its problem is not there. It counts as an error."""


Row = tuple[Problem | None, Item]
"""A row as a benchmark's `load` gives it; None where the item has a fault."""


def row(problem: Problem, key: str, groups: Sequence[str] = (), direct: str = "") -> Row:
    """A good row."""
    return problem, Item(problem_id=problem.id, key=key, groups=tuple(groups), direct=direct)


def faulty(key: str, fault: str, groups: Sequence[str] = ()) -> Row:
    """A row that cannot be asked."""
    return None, Item(problem_id="", key=key, groups=tuple(groups), fault=fault)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One item, what the model said, and the verdict; its outcome is never `error`."""

    item: Item
    problem: Problem
    """Without its images."""
    response: Response
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A benchmark's official figure with its 95 % interval, and what else the benchmark reports."""

    value: float
    """On the benchmark's scale: a share in 0..1 where `Benchmark.scale` is 1."""
    low: float
    high: float
    details: tuple[tuple[str, float], ...] = ()
    """Further measures by name: ("accuracy", 0.88), ("yes share", 0.51)."""


def accuracy(answers: Sequence[Answer]) -> Figure:
    """The share of right answers, with Wilson's interval. `answers` is not empty."""
    right = sum(answer.verdict.outcome == "correct" for answer in answers)
    low, high = wilson(right, len(answers))
    return Figure(value=right / len(answers), low=low, high=high)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A benchmark and all that is particular to it."""

    name: str
    """On the command line and in scores: lower-case letters, digits and -; a file of `benchmarks/`."""
    title: str
    """As papers write it, with the split."""
    hub: str
    """Where the data is from: the data set's name on the Hugging Face hub, or an address."""
    get: str
    """The shell command that brings the data into `{folder}`."""
    files: str
    """The folder's form, in words: which files with which columns or keys."""
    licence: str
    metric: str
    """Name of the official figure, as in "accuracy" or "mean F1 of three categories"."""
    version: str
    """Which official code or paper the metric follows, with file names; departures from it are told here."""
    load: Callable[[Path], Iterator[Row]]
    """The rows in a local folder, in the data's order; reads no network. Raises MixprefError that names what is missing
    in the folder; a row that cannot be asked is given as `faulty`."""
    styles: Mapping[Style, str] = field(default_factory=lambda: {"direct": "direct", "cot": "en"})
    """Prompt styles (`prompts.py`) for direct answers and chains of thought; without a key: not asked so."""
    rubric: str = ""
    """Name of the judge's rubric (`verifying/rubrics.py`) where the metric needs a judge."""
    read: Callable[[Problem, str, str], Verdict] | None = None
    """The official verdict on (problem, response's text, prompt style), for benchmarks that read answers in a way of
    their own; None: `mixpref.verify` by the problem's rule or the rubric."""
    figure: Callable[[Sequence[Answer]], Figure] = accuracy
    """The official figure of answers; there is at least one. Pure and seeded, so that it is the same in every run."""
    scale: float = 1.0
    """The best value that the figure can have; 1 is shown as per cent."""
    max_new_tokens: int | None = None
    """Tokens of a direct answer at least, where the benchmark's answers are long; None: as the recipe says."""
