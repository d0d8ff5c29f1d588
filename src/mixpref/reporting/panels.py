"""Which plots the page has, and the bars of what each stage made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixpref.evaluation.statistics import pass_at_k
from mixpref.records import Score
from mixpref.reporting import plots
from mixpref.reporting.gather import Findings, curve
from mixpref.reporting.sampled import BINS, Paired, Sampled
from mixpref.reporting.scoreboard import title_of

TONES = {"correct": "good", "wrong": "bad", "unparsed": "odd", "error": "none"}
FAMILIES = 16
"""Families in a plot at most; the smallest ones are put together."""

PANELS: tuple[tuple[str, tuple[tuple[str, str], ...], bool], ...] = (
    ("Loss", (("loss", "whole"),), False),
    (
        "Parts of the loss, unweighted",
        (("loss/dpo", "preference"), ("loss/bco", "quality"), ("loss/sft", "generation")),
        False,
    ),
    ("Reward", (("rewards/chosen", "chosen"), ("rewards/rejected", "rejected")), False),
    ("Reward margin", (("rewards/margins", "margin"),), False),
    ("Chosen preferred", (("rewards/accuracies", "pairs"),), True),
    ("Reward shift δ", (("delta", "δ"),), False),
    ("Log-probability", (("logps/chosen", "chosen"), ("logps/rejected", "rejected")), False),
    ("Gradient norm", (("grad_norm", "norm"),), False),
    ("Learning rate", (("learning_rate", "rate"),), False),
)
"""Of the training log: title, (key, name) of each curve, whether they are shares."""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What one stage made, by kind: (name, count, tone)."""

    name: str
    command: str
    """The stage's command."""
    total: int
    parts: tuple[tuple[str, int, str], ...]


def training_plots(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """The curves of one training, each that has anything to show."""
    drawn = []
    for title, lines, share in PANELS:
        present = [
            plots.Curve(name=name, points=found, exact=key == "learning_rate")
            for key, name in lines
            if (found := curve(log, key))
        ]
        if present:
            drawn.append(plots.curves(title, present, share=share))
    return drawn


def bars(findings: Findings) -> list[Bar]:
    """A bar for each stage that has run: what came out of it, nothing left out."""

    def bar(name: str, command: str, counts: Mapping[str, int], tones: Mapping[str, str]) -> Bar:
        parts = tuple((kind, count, tones.get(kind, "series-1")) for kind, count in counts.items() if count)
        return Bar(name=name, command=command, total=sum(counts.values()), parts=parts)

    problems = {
        "train": findings.train or 0,
        "held out": findings.held_out or 0,
        "not asked for": findings.unused,
        "unusable": len(findings.rejected),
    }
    names = {"stop": "complete", "length": "cut at the limit", "error": "error"}
    finishes = {said: findings.sampled.finishes.get(kind, 0) for kind, said in names.items()}
    made = (
        bar("Problems", "sample", problems, {"held out": "series-4", "not asked for": "none", "unusable": "bad"}),
        bar("Responses", "sample", finishes, {"cut at the limit": "odd", "error": "none"}),
        bar("Verdicts", "verify", findings.sampled.outcomes, TONES),
        bar(
            "Pairs",
            "pair",
            findings.paired.kinds,
            {"format": "odd", "dropout-ntp": "series-3", "vote": "series-4", "foreign": "series-2"},
        ),
    )
    return [each for each in made if each.total]


def sampling_plots(sampled: Sampled) -> list[str]:
    """pass@k of the sampled model, how many of a problem's samples are right, outcomes by family, and lengths."""
    drawn = _solved(sampled.solved)
    if len(families := _largest(sampled.families)) > 1:
        drawn.append(plots.shares("Outcomes by family", families, TONES))
    if sampled.tokens:
        drawn.append(plots.histogram("Length of right and wrong responses", sampled.tokens, xlabel="tokens"))
    return drawn


def samples_plots(scores: Sequence[Score]) -> list[str]:
    """What k samples an item are worth, one plot a benchmark and model: any right one, the majority, the best one."""
    drawn = []
    for benchmark, model in dict.fromkeys((score.benchmark, score.model) for score in scores):
        found: dict[str, list[tuple[float, float]]] = {}
        for score in scores:
            name, _, k = score.metric.replace("best-of-", "best of k by its own reward@").partition("@")
            if (score.benchmark, score.model) == (benchmark, model):
                found.setdefault(name, []).append((int(k), score.accuracy))
        lines = [plots.Curve(name=name, points=points) for name, points in found.items()]
        title = f"{model} on {title_of(benchmark)}: k samples a problem"
        drawn.append(plots.curves(title, lines, xlabel="k", share=True, dots=True))
    return drawn


def pairing_plots(paired: Paired) -> list[str]:
    """How long the texts of the pairs are."""
    if not paired.gaps:
        return []
    gap = "by how much chosen is longer (right) or shorter (left)"
    return [
        plots.histogram("Length of chosen and rejected", paired.tokens, xlabel="tokens"),
        plots.gaps("Length gap of the pairs", paired.gaps, BINS, xlabel=gap),
    ]


def _solved(solved: Mapping[tuple[int, int], int]) -> list[str]:
    judged = {key: count for key, count in solved.items() if key[0]}
    if not judged:
        return []
    samples = max(n for n, _ in judged)
    passed = []
    for k in range(1, samples + 1):
        # A problem some of whose samples failed has fewer than the others: it counts for as many as it has.
        enough = {key: count for key, count in judged.items() if key[0] >= k}
        mean = sum(count * pass_at_k(n, right, k) for (n, right), count in enough.items()) / sum(enough.values())
        passed.append((k, mean))
    curve = plots.Curve(name="pass@k", points=passed)
    right = dict.fromkeys(range(samples + 1), 0)
    for (_, correct), count in judged.items():
        right[correct] += count
    return [
        plots.curves("pass@k of the sampled responses", [curve], xlabel="k", share=True, dots=True),
        plots.columns("Problems by correct samples", right, xlabel=f"correct of {samples} samples"),
    ]


def _largest(families: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """At most `FAMILIES` rows, in the order of their names, the rest of them as one."""
    named = {family or "no family": outcomes for family, outcomes in families.items()}
    by_size = sorted(named, key=lambda family: -sum(named[family].values()))
    if len(by_size) <= FAMILIES:
        return named
    kept, rest = {*by_size[: FAMILIES - 1]}, by_size[FAMILIES - 1 :]
    others = sum((Counter(named[family]) for family in rest), Counter())
    return {family: named[family] for family in named if family in kept} | {f"{len(rest)} others": others}
