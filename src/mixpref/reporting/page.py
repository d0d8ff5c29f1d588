"""The page: findings in, one HTML text out, which needs nothing but itself.

The page runs no script and fetches nothing; its content security policy says so to the browser. All text is escaped by
the template, for a model may well answer in HTML, and pictures come in only as images that Pillow has decoded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from mixpref.evaluation.statistics import pass_at_k
from mixpref.records import Problem, Response, Score, Verdict
from mixpref.reporting import plots
from mixpref.reporting.gather import TRAINED, Change, Changes, Findings, ShownPair, curve
from mixpref.reporting.pictures import data_uri
from mixpref.reporting.table import NOTHING, STYLES, Row, interval, overall, overlap, percent, points, rows

_ROLES = {
    "base": "before training",
    "sft": "fine-tuned on the chosen responses only",
    "dpo": "preference part of the objective only",
    "mpo": "mixed preference optimization",
}
_SPOKEN = {"direct": "the direct answer", "cot": "chain of thought"}
_WHYS = {
    "correctness": "right answer against wrong answer",
    "format": "right answer against no readable answer",
    "dropout-ntp": "with the picture against continued without it",
    "vote": "majority answer against another",
}
_TONES = {"correct": "good", "wrong": "bad", "unparsed": "odd", "error": "none"}
# Characters that HTML forbids or that no UTF-8 file can hold; a model or a broken file may yield them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REJECTED_SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two responses of a case."""

    label: str
    good: bool
    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A problem and two responses to it, side by side."""

    question: str
    pictures: tuple[str | None, ...]
    """Data URIs; None for a picture that cannot be decoded."""
    choices: tuple[tuple[str, str, bool], ...]
    """Letter, text, and whether it is the right one."""
    answer: str
    caption: tuple[str, ...]
    sides: tuple[Side, Side]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What one stage made, by kind: (name, count, tone)."""

    name: str
    total: int
    parts: tuple[tuple[str, int, str], ...]


def render(findings: Findings) -> str:
    """The page as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("mixpref.reporting"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        # Markup is what this package drew itself; everything else that is text gets cleaned, then escaped.
        finalize=lambda value: value if isinstance(value, Markup) or not isinstance(value, str) else printable(value),
    )
    environment.filters |= {"percent": percent, "points": points, "interval": interval, "count": "{:,}".format}
    template = environment.get_template("report.html.jinja")
    return template.render(_context(findings, Markup))


def printable(text: str) -> str:
    """The text with every character that a page cannot hold replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _context(findings: Findings, markup: type) -> dict[str, Any]:
    return {
        "name": findings.name,
        "seed": findings.seed,
        "headline": headline(findings),
        "facts": _facts(findings),
        "benchmarks": [_benchmark(findings, benchmark, markup) for benchmark in _names(findings.scores)],
        "roles": _ROLES,
        "training": {role: [markup(plot) for plot in training_plots(log)] for role, log in findings.logs.items()},
        "steps": {role: log[-1]["step"] for role, log in findings.logs.items()},
        "bars": bars(findings),
        "sampling_plots": [markup(plot) for plot in _sampling_plots(findings.solved)],
        "gallery": [
            (why, _WHYS.get(why, ""), findings.pairs.get(why, len(cases)), cases)
            for why, cases in _gallery(findings).items()
        ],
        "gallery_size": len(findings.gallery),
        "all_pairs": sum(findings.pairs.values()),
        "changes": findings.changes,
        "spoken": _SPOKEN,
        "changed": [
            (kind, total, [_change(each, changes) for each in shown])
            for changes in findings.changes
            for kind, total, shown in (
                ("Fixed", changes.fixed, changes.shown_fixed),
                ("Broken", changes.broken, changes.shown_broken),
            )
            if changes.shown_fixed or changes.shown_broken
        ],
        "rejected": findings.rejected[:_REJECTED_SHOWN],
        "rejected_kinds": Counter(row.kind for row in findings.rejected),
        "recipe": findings.recipe,
        "manifests": findings.manifests,
        "nothing": NOTHING,
    }


def headline(findings: Findings) -> tuple[str, list[str]]:
    """The page's first line and the sentences below it: what came out, and how sure it is."""
    found = rows(overall(findings.scores))
    models = {row.model: row for row in found if row.benchmark == found[0].benchmark}
    after = next((models[role] for role in TRAINED if role in models), None)
    before = models.get("base")
    if after is None or before is None:
        only = after or before or next(iter(models.values()), None)
        if only is None:
            return "Not evaluated yet", ["`mixpref evaluate` makes the scores."]
        said = ", ".join(f"{STYLES[score.style]} {percent(score.accuracy)} %" for score in only.scores)
        return f"{only.model}: {said}", ["There is no second model to compare it with."]
    style = "cot" if before.cot and after.cot else "direct"
    one, two = (getattr(row, style) for row in (before, after))
    if one is None or two is None or not one.n or not two.n:
        return "No common scores", ["The models were not evaluated in the same style."]
    title = f"{_SPOKEN[style].capitalize()}: {percent(one.accuracy)} % → {percent(two.accuracy)} %"
    verdict = "overlap: by these alone, the difference may be chance" if overlap(one, two) else "do not overlap"
    size = f"{two.n:,}" if one.n == two.n else f"{one.n:,} and {two.n:,}"
    lines = [
        f"{points(two.accuracy - one.accuracy)} points on {size} held-out problems. "
        f"The 95 % intervals, {interval(one)} and {interval(two)}, {verdict}."
    ]
    gaps = [_gap(row) for row in (before, after)]
    if None not in gaps:
        lines.append(
            f"Before training, chain of thought was {_against(gaps[0])} the direct answer; "
            f"after it, it is {_against(gaps[1])}."
        )
    lines.append(f"Without a readable answer: {percent(one.unparsed)} % before, {percent(two.unparsed)} % after.")
    return title, lines


def _gap(row: Row) -> float | None:
    """Chain of thought less direct answer, as a difference of shares."""
    return row.cot.accuracy - row.direct.accuracy if row.cot and row.direct else None


def _against(gap: float | None) -> str:
    distance = points(abs(gap or 0.0)).lstrip("+")
    if distance == "0.0":
        return "level with"
    return f"{distance} points {'above' if (gap or 0) > 0 else 'below'}"


def _facts(findings: Findings) -> list[tuple[str, str]]:
    steps = [log[-1]["step"] for log in findings.logs.values()][:1]
    numbers = (
        (findings.train, "training problems"),
        (sum(findings.finishes.values()), "sampled responses"),
        (sum(findings.pairs.values()), "preference pairs"),
        (steps[0] if steps else None, "optimizer steps"),
        (findings.held_out, "held-out problems"),
    )
    return [(f"{number:,}", label) for number, label in numbers if number]


def _names(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.benchmark.partition("/")[0] for score in scores))


def _benchmark(findings: Findings, name: str, markup: type) -> dict[str, Any]:
    """The before/after table, its plot, and the table of the families, of one benchmark."""
    main = [row for row in rows(findings.scores) if row.benchmark == name]
    inside = rows(score for score in findings.scores if score.benchmark.startswith(f"{name}/"))
    families: dict[str, dict[str, Row]] = {}
    for row in inside:
        families.setdefault(row.benchmark.partition("/")[2], {})[row.model] = row
    models = list(dict.fromkeys(row.model for row in main or inside))
    title = "Accuracy with its 95 % interval"
    return {
        "name": name,
        "rows": [(row, _gap(row)) for row in main],
        "errors": [
            (row.model, STYLES[score.style], score.errors) for row in main for score in row.scores if score.errors
        ],
        "plot": markup(plots.accuracies(title, [(row.model, row.scores) for row in main])) if main else "",
        "families": families,
        "models": models,
        "trained": next((role for role in TRAINED if role in models and "base" in models), None),
    }


def training_plots(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """The curves of one training, each that has anything to show."""
    drawn = []
    for title, lines, share in PANELS:
        present = [plots.Curve(name=name, points=found) for key, name in lines if (found := curve(log, key))]
        if present:
            drawn.append(plots.curves(title, present, share=share))
    return drawn


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


def bars(findings: Findings) -> list[Bar]:
    """A bar for each stage that has run: what came out of it, nothing left out."""

    def bar(name: str, counts: Mapping[str, int], tones: Mapping[str, str], default: str) -> Bar:
        parts = tuple((kind, count, tones.get(kind, default)) for kind, count in counts.items() if count)
        return Bar(name=name, total=sum(counts.values()), parts=parts)

    problems = {
        "train": findings.train or 0,
        "held out": findings.held_out or 0,
        "not asked for": findings.unused,
        "unusable": len(findings.rejected),
    }
    finishes = {kind: findings.finishes[kind] for kind in ("stop", "length", "error") if findings.finishes.get(kind)}
    names = {"stop": "complete", "length": "cut at the limit", "error": "error"}
    made = (
        bar("Problems", problems, {"held out": "series-4", "not asked for": "none", "unusable": "bad"}, "series-1"),
        bar(
            "Responses",
            {names[kind]: count for kind, count in finishes.items()},
            {"cut at the limit": "odd", "error": "none"},
            "series-1",
        ),
        bar("Verdicts", findings.outcomes, _TONES, "series-1"),
        bar("Pairs", findings.pairs, {"format": "odd", "dropout-ntp": "series-3", "vote": "series-4"}, "series-1"),
    )
    return [each for each in made if each.total]


def _sampling_plots(solved: Mapping[tuple[int, int], int]) -> list[str]:
    """pass@k of the sampled model, and how many of a problem's samples are right."""
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
    drawn = [
        plots.curves(
            "pass@k of the sampled responses",
            [plots.Curve(name="pass@k", points=passed)],
            xlabel="k",
            share=True,
            dots=True,
        )
    ]
    right = dict.fromkeys(range(samples + 1), 0)
    for (_, correct), count in judged.items():
        right[correct] += count
    drawn.append(plots.columns("Problems by correct samples", right, xlabel=f"correct of {samples} samples"))
    return drawn


def _gallery(findings: Findings) -> dict[str, list[Case]]:
    cases: dict[str, list[Case]] = {}
    for shown in findings.gallery:
        cases.setdefault(shown.pair.why, []).append(_pair(shown))
    return cases


def _pair(shown: ShownPair) -> Case:
    pair = shown.pair
    return _case(
        shown.problem,
        pair.problem_id,
        Side(
            label="chosen",
            good=True,
            text=pair.chosen,
            notes=_notes(shown.chosen, pair.chosen_complete),
        ),
        Side(
            label="rejected",
            good=False,
            text=pair.rejected,
            notes=_notes(shown.rejected, pair.rejected_complete),
        ),
    )


def _change(change: Change, changes: Changes) -> Case:
    def side(label: str, found: tuple[Response, Verdict]) -> Side:
        response, verdict = found
        notes = _notes(verdict, response.finish == "stop")
        return Side(label=label, good=verdict.outcome == "correct", text=response.text, notes=notes)

    return _case(
        change.problem,
        change.before[0].problem_id,
        side(f"before ({changes.before})", change.before),
        side(f"after ({changes.after})", change.after),
    )


def _notes(verdict: Verdict | None, complete: bool) -> tuple[str, ...]:
    notes = []
    if verdict:
        why = f"read as {verdict.answer}" if verdict.answer else verdict.detail
        notes.append(f"{verdict.outcome}: {why}" if why else verdict.outcome)
    if not complete:
        notes.append("cut at the token limit")
    return tuple(notes)


def _case(problem: Problem | None, problem_id: str, one: Side, two: Side) -> Case:
    if problem is None:
        return Case(
            question="The problem is no longer in this run directory.",
            pictures=(),
            choices=(),
            answer="",
            caption=(problem_id,),
            sides=(one, two),
        )
    gold = {each.strip().casefold() for each in problem.answer or ()}
    choices = tuple(
        (letter, text, letter.casefold() in gold or text.strip().casefold() in gold)
        for letter, text in zip(ascii_uppercase, problem.choices, strict=False)
    )
    return Case(
        question=problem.question,
        pictures=tuple(data_uri(image) for image in problem.images),
        choices=choices,
        answer=" or ".join(problem.answer or ()),
        caption=tuple(each for each in (problem.family, problem.source, problem_id) if each),
        sides=(one, two),
    )
