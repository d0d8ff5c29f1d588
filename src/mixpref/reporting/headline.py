"""The page's first lines: what came out, and how sure it is."""

from __future__ import annotations

from mixpref.reporting.changes import Changes
from mixpref.reporting.gather import Findings
from mixpref.reporting.scoreboard import HELD_OUT, title_of
from mixpref.reporting.table import STYLES, Row, difference, interval, overall, overlap, percent, points, rows, shown
from mixpref.rundir import TRAINED

SPOKEN = {"direct": "the direct answer", "cot": "chain of thought"}


def headline(findings: Findings) -> tuple[str, list[str]]:
    """The first line and the sentences below it. Where there are several benchmarks, they are about the first one."""
    found = rows(overall(findings.scores))
    models = {row.model: row for row in found if row.benchmark == found[0].benchmark}
    after = next((models[role] for role in TRAINED if role in models), None)
    before = models.get("base")
    for each in findings.changes:
        # Of models that were all made elsewhere, the two that were compared.
        if found and each.benchmark == found[0].benchmark and not (before and after):
            before, after = models.get(each.before), models.get(each.after)
    if after is None or before is None:
        only = after or before or next(iter(models.values()), None)
        if only is None:
            return "Not evaluated yet", ["`mixpref evaluate` makes the scores."]
        said = ", ".join(f"{STYLES[score.style]} {shown(score)}" for score in only.scores)
        return f"{only.model}: {said}", ["There is no second model to compare it with."]
    style = "cot" if before.cot and after.cot else "direct"
    one, two = (getattr(row, style) for row in (before, after))
    if one is None or two is None or not one.n or not two.n:
        return "No common scores", ["The models were not evaluated in the same style."]
    size = f"{two.n:,}" if one.n == two.n else f"{one.n:,} and {two.n:,}"
    unit = "points " if two.scale == 1 else ""
    verdict = "overlap: by these alone, the difference may be chance" if overlap(one, two) else "do not overlap"
    lines = [
        f"{difference(two, one)} {unit}on {size} {_problems(two.benchmark)}. "
        f"The 95 % intervals, {interval(one)} and {interval(two)}, {verdict}."
    ]
    lines += [_paired(each) for each in findings.changes if (each.benchmark, each.style) == (two.benchmark, style)]
    gaps = [_gap(row) for row in (before, after)]
    trained = before.model == "base" and after.model in TRAINED
    if None not in gaps and trained:
        lines.append(f"Before training, chain of thought was {gaps[0]} the direct answer; after it, it is {gaps[1]}.")
    elif None not in gaps:
        names = before.model, after.model
        said = "; ".join(f"of {name}, it is {gap}" for name, gap in zip(names, gaps, strict=True))
        lines.append(f"Chain of thought against the direct answer: {said}.")
    places = ("before", "after") if trained else (f"of {before.model}", f"of {after.model}")
    unread = ", ".join(f"{percent(each.unparsed)} % {place}" for each, place in zip((one, two), places, strict=True))
    lines.append(f"Without a readable answer: {unread}.")
    arrow = "→" if trained else "against"
    return f"{SPOKEN[style].capitalize()}: {shown(one)} {arrow} {shown(two)}", lines


def compared(changes: Changes) -> str:
    """One model against another on the same items, as a line for the terminal."""
    found = changes.comparison
    return (
        f"{changes.after} against {changes.before} on {changes.benchmark}, {STYLES[changes.style]}: "
        f"{points(found.difference)} points ({points(found.low)} to {points(found.high)}, McNemar's p "
        f"{probability(found.p)}); {found.fixed:,} fixed, {found.broken:,} broken of {found.n:,}"
    )


def facts(findings: Findings) -> list[tuple[str, str]]:
    """How much of everything there is, as (number, what it counts)."""
    steps = [log[-1]["step"] for log in findings.logs.values()][:1]
    numbers = (
        (findings.train, "training problems"),
        (sum(findings.sampled.finishes.values()), "sampled responses"),
        (findings.all_pairs, "preference pairs"),
        (steps[0] if steps else None, "optimizer steps"),
        (findings.held_out, "held-out problems"),
    )
    return [(f"{number:,}", label) for number, label in numbers if number]


def probability(p: float) -> str:
    """A p value, as much of it as means anything."""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def _problems(benchmark: str) -> str:
    return "held-out problems" if benchmark in HELD_OUT else f"problems of {title_of(benchmark)}"


def _paired(changes: Changes) -> str:
    found = changes.comparison
    p = probability(found.p)
    return (
        f"Problem by problem: {found.fixed:,} fixed, {found.broken:,} broken. The paired 95 % interval of the "
        f"difference is {points(found.low)} to {points(found.high)}, McNemar's p {p if p[0] == '<' else f'= {p}'}."
    )


def _gap(row: Row) -> str | None:
    """Chain of thought against the direct answer, in words."""
    if not row.cot or not row.direct:
        return None
    distance = difference(row.cot, row.direct)
    if not distance.startswith(("+", "−")):
        return "level with"
    unit = " points" if row.cot.scale == 1 else ""
    return f"{distance[1:]}{unit} {'above' if distance.startswith('+') else 'below'}"
