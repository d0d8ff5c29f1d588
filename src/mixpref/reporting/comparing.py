"""Several runs on one page, side by side: `mixpref report A B C`.

The page is one file without a script, and it fetches nothing. Runs need not be finished nor have anything in common:
what a run has not made is left out, and where two runs were measured on other items the page says so.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpref.errors import MixprefError
from mixpref.recipe import flat
from mixpref.records import Score
from mixpref.reporting import plots
from mixpref.reporting.drawing import SERIES
from mixpref.reporting.gather import curve, measured_by
from mixpref.reporting.panels import PANELS, TONES
from mixpref.reporting.scoreboard import capital, title_of
from mixpref.reporting.sides import Side, against, read
from mixpref.reporting.table import NOTHING, STYLES
from mixpref.reporting.templating import template
from mixpref.store import write_text

if TYPE_CHECKING:
    from mixpref.rundir import Run

DRAWN = len(SERIES)
"""Runs in a plot of curves at most: as many as there are colours that are easily told apart."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_DEFAULT = Path("comparison.html")
# Characters that a plot's legend, and a name before a row of scores, have room for.
_LEGEND, _NAME = 40, 16


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that is not the same in all runs: its name, and its value in each."""

    key: str
    values: tuple[str, ...]


def compare_runs(runs: Sequence[Run], to: Path) -> Path:
    """Write the page that shows the runs side by side, and return its path.

    Raises MixprefError for a run that is named twice, for artifacts that cannot be read, and where the file cannot be
    written.
    """
    page = render(read(runs), to)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        write_text(to, page)
    except OSError as reason:
        raise MixprefError(f"{to} cannot be written ({reason.strerror}); name another file by --to") from None
    return to


def render(sides: Sequence[Side], to: Path = _DEFAULT) -> str:
    """The page as HTML text. to: where it will be written, for the command on it."""
    from markupsafe import Markup

    return template("comparison.html.jinja").render(_context(sides, to, Markup))


def differences(sides: Sequence[Side]) -> list[Difference]:
    """The settings that are not the same in all recipes, in the recipe's order."""
    recipes = [flat(side.run.recipe) for side in sides]
    # A mapping's own keys need not be in all.
    keys = dict.fromkeys(key for recipe in recipes for key in recipe)
    found = (tuple(_said(recipe[key]) if key in recipe else NOTHING for recipe in recipes) for key in keys)
    return [Difference(key=key, values=values) for key, values in zip(keys, found, strict=True) if _differ(values)]


def origins(sides: Sequence[Side]) -> list[Difference]:
    """Versions and models in the manifests that are not the same in all runs that have the manifest."""
    manifests = [dict(_manifests(side.run.path)) for side in sides]
    found = []
    for file in sorted({file for each in manifests for file in each}):
        there = [each[file] for each in manifests if file in each]
        for key in dict.fromkeys(key for manifest in there for key in manifest):
            if _differ(manifest.get(key, NOTHING) for manifest in there):
                values = tuple(each.get(file, {}).get(key, NOTHING) for each in manifests)
                found.append(Difference(key=f"{file.removesuffix('/manifest.json')}: {key}", values=values))
    return found


def panels(sides: Sequence[Side]) -> list[str]:
    """A plot of each quantity in the training logs, with a line a run; of the first `DRAWN` runs that have a log."""
    trained = [side for side in sides if side.log][:DRAWN]
    names = _names(sides)
    drawn = []
    for title, lines, share in PANELS:
        for key, name in lines:
            found = [plots.Curve(name=names[side.label], points=curve(side.log, key)) for side in trained]
            # A run that lacks a quantity keeps its place, and so every other one its colour.
            if any(each.points for each in found):
                what, shown_as = _in_unit(title if len(lines) == 1 else f"{title}: {name}", found)
                drawn.append(plots.curves(what, shown_as, share=share))
    return drawn


def _in_unit(title: str, lines: list[plots.Curve]) -> tuple[str, list[plots.Curve]]:
    """Very small or large figures (a learning rate of 5e-05) in a power of ten that the title names.

    The drawing would put that power at the head of its axis, where the legend stands.
    """
    greatest = max((abs(y) for line in lines for _, y in line.points if math.isfinite(y)), default=0.0)
    if not greatest or 0.01 <= greatest < 9000:
        return title, lines
    power = math.floor(math.log10(greatest))
    scaled = [plots.Curve(name=line.name, points=[(x, y / 10.0**power) for x, y in line.points]) for line in lines]
    return f"{title}, in 1e{power}", scaled


def _context(sides: Sequence[Side], to: Path, markup: type) -> dict[str, Any]:
    names = _names(sides)
    benchmarks = list(dict.fromkeys(row.benchmark for side in sides for row in side.rows))
    first = benchmarks[0] if benchmarks else ""
    sections = [_section(name, sides, names, markup) for name in benchmarks]
    trained = [side for side in sides if side.log]
    return {
        "policy": _POLICY,
        "sides": sides,
        "names": names if any(label != name for label, name in names.items()) else {},
        "title": _title([side.label for side in sides]),
        "first": first,
        "heads": [(side, side.standing(first)) for side in sides],
        "leads": [each for each in sections[0]["against"] if each.style == "cot"] if sections else [],
        "differences": differences(sides),
        "settings": len({key for side in sides for key in flat(side.run.recipe)}),
        "benchmarks": sections,
        "trained": trained,
        "left": trained[DRAWN:],
        "panels": [markup(plot) for plot in panels(sides)],
        "sampled": [side for side in sides if side.sampled.finishes or side.pairs],
        "outcomes": tuple(TONES),
        "origins": origins(sides),
        "command": _commands(sides, to),
        "styles": STYLES,
        "nothing": NOTHING,
    }


def _section(benchmark: str, sides: Sequence[Side], names: dict[str, str], markup: type) -> dict[str, Any]:
    """One benchmark for the template: the scores of all models of all runs, and the runs against the first."""
    measured = [(side, [row for row in side.rows if row.benchmark == benchmark]) for side in sides]
    present = [(side, found) for side, found in measured if found]
    scores: list[Score] = [score for _, found in present for row in found for score in row.scores]
    lines = [(f"{names[side.label]} {row.model}", row.scores) for side, found in present for row in found]
    title = f"{capital(scores[0].metric)} with its 95 % interval"
    return {
        "name": title_of(benchmark),
        "score": scores[0],
        "sides": present,
        "missing": [side for side, found in measured if not found],
        "plot": markup(plots.accuracies(title, lines)),
        "against": against(benchmark, sides),
    }


def _commands(sides: Sequence[Side], to: Path) -> dict[str, list[str]]:
    """The commands behind each part of the page."""
    paths = {side.label: shlex.quote(str(side.run.path)) for side in sides}
    written = "" if to == _DEFAULT else f" --to {shlex.quote(str(to))}"
    return {
        "report": [f"mixpref report {' '.join(paths.values())}{written}"],
        "evaluate": [measured_by(side.run) for side in sides if side.rows],
        "train": [
            f"mixpref train {paths[side.label]}" + ("" if side.role == "mpo" else f" --role {side.role}")
            for side in sides
            if side.log
        ],
        "sample": [f"mixpref sample {paths[side.label]}" for side in sides if side.sampled.finishes],
    }


def _names(sides: Sequence[Side]) -> dict[str, str]:
    """What a run is called in plots, by its label: its label where all have room there, else its number."""
    every = [side.label for side in sides]
    # A line's mark in the legend takes the room of some letters.
    fits = max(map(len, every)) <= _NAME and sum(len(label) + 5 for label in every[:DRAWN]) <= _LEGEND
    return {label: label if fits else f"run {place}" for place, label in enumerate(every, start=1)}


def _title(labels: Sequence[str]) -> str:
    """The runs in one line; of many, how many more there are."""
    if len(labels) > DRAWN:
        return f"{', '.join(labels[: DRAWN - 1])} and {len(labels) - DRAWN + 1} more runs"
    *some, last = labels
    return f"{', '.join(some)} and {last}" if some else last


def _differ(values: Any) -> bool:
    return len(set(values)) > 1


def _said(value: Any) -> str:
    """A setting as it is written in a recipe."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _manifests(root: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(path in the run, what its manifest says of versions and model); one that is no JSON object is left out."""
    for file in sorted(root.rglob("manifest.json")):
        manifest: Any = None
        with suppress(ValueError):
            manifest = json.loads(file.read_text(encoding="utf-8", errors="replace"))
        if isinstance(manifest, dict):
            versions = manifest.get("versions")
            known = {f"{name} version": _said(each) for name, each in versions.items()} if versions else {}
            # Two runs' own models are both called so, wherever the runs lie.
            model = {"model": _said(manifest["model"]).replace(str(root), "RUN")} if "model" in manifest else {}
            yield file.relative_to(root).as_posix(), {**known, **model}
