"""The runs that one page compares: what is read of each, what they are called, and how they did on the same items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpref.errors import MixprefError
from mixpref.evaluation.comparison import Comparison, compare
from mixpref.reporting.changes import sets
from mixpref.reporting.gather import read_log, read_scores
from mixpref.reporting.sampled import Sampled, count
from mixpref.reporting.table import Row, overall, rows
from mixpref.rundir import TRAINED, further_roles
from mixpref.training.stage import LOG

if TYPE_CHECKING:
    from mixpref.rundir import Run


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the runs, and what the page shows of it; what it has not made is empty."""

    run: Run
    label: str
    """Tells it from the others."""
    rows: tuple[Row, ...] = ()
    """Scores of whole benchmarks."""
    standings: tuple[str, ...] = ()
    """Roles in the order in which they stand for the run: trained ones, further ones, the one before training."""
    role: str = ""
    """Whose training log it is."""
    log: tuple[dict[str, Any], ...] = ()
    sampled: Sampled
    pairs: int = 0
    tokens: float | None = None
    """Mean tokens of a response; None where there are none."""

    def standing(self, benchmark: str) -> Row | None:
        """The scores on a benchmark of the model that stands for the run; None where no model was measured on it."""
        found = {row.model: row for row in self.rows if row.benchmark == benchmark}
        return next((found[role] for role in self.standings if role in found), None)


@dataclass(frozen=True, kw_only=True)
class Against:
    """A later run's model against the first run's on the items of one benchmark in one style."""

    first: Side
    later: Side
    roles: tuple[str, str]
    """Models of the first and of the later run."""
    style: str
    comparison: Comparison
    """n is 0 where the two runs have no item in common."""


def read(runs: Sequence[Run]) -> list[Side]:
    """Read the runs. Raises MixprefError for one that is named twice and for artifacts that cannot be read."""
    return [_side(run, label) for run, label in zip(runs, labels(runs), strict=True)]


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its recipe's, and where several have that one, with the end of its path behind it.

    As much of the path as tells these runs apart. Raises MixprefError where two are the same directory.
    """
    paths = [run.path.resolve() for run in runs]
    for run, path in zip(runs, paths, strict=True):
        if paths.count(path) > 1:
            raise MixprefError(f"{run.path} is named twice; name each run once")
    names = [run.recipe.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({_ending(path, _namesakes(name, names, paths))})"
        for name, path in zip(names, paths, strict=True)
    ]


def against(benchmark: str, sides: Sequence[Side]) -> list[Against]:
    """Every later run against the first one, in the styles that both were measured in, chain of thought first."""
    found: list[Against] = []
    first, *later = sides
    for side in later:
        ours, theirs = first.standing(benchmark), side.standing(benchmark)
        for style in ("cot", "direct"):
            before, after = (_right(each, benchmark, row, style) for each, row in ((first, ours), (side, theirs)))
            if not ours or not theirs or not before or not after:
                continue
            compared = compare(before, after, seed=first.run.recipe.seed)
            roles = (ours.model, theirs.model)
            found.append(Against(first=first, later=side, roles=roles, style=style, comparison=compared))
    return found


def _side(run: Run, label: str) -> Side:
    sampled, paired = count(run, {})
    sizes = [tokens for tokens, finish in run.responses.columns("tokens", "finish") if finish != "error"]
    logs = {role: log for role in TRAINED if (log := read_log(run.model_dir(role) / LOG))}
    role = next(iter(logs), "")
    return Side(
        run=run,
        label=label,
        rows=tuple(rows(overall(read_scores(run)))),
        standings=(*TRAINED, *further_roles(run), "base"),
        role=role,
        log=logs.get(role, ()),
        sampled=sampled,
        pairs=sum(paired.kinds.values()),
        tokens=sum(sizes) / len(sizes) if sizes else None,
    )


def _namesakes(name: str, names: Sequence[str], paths: Sequence[Path]) -> list[Path]:
    return [path for other, path in zip(names, paths, strict=True) if other == name]


def _ending(path: Path, others: Sequence[Path]) -> str:
    """The shortest end of a path, in whole parts, that none of the others has."""
    ends = (Path(*path.parts[-length:]) for length in range(1, len(path.parts)))
    return str(next((end for end in ends if sum(_ends(other, end) for other in others) == 1), path))


def _ends(path: Path, end: Path) -> bool:
    return path.parts[-len(end.parts) :] == end.parts


def _right(side: Side, benchmark: str, row: Row | None, style: str) -> dict[str, bool]:
    """Whether a model's answer was right, by item; items without an outcome are absent.

    The key holds the problem's id, a hash of all that is asked: two items are the same where they ask the same.
    """
    asked = next((each for each in sets(side.run) if each.name == benchmark), None)
    if asked is None or row is None or not getattr(row, style):
        return {}
    outcomes = {
        response_id.rpartition("-")[0]: outcome == "correct"
        for response_id, outcome in asked.answers(side.run, row.model, style)[1].columns("response_id", "outcome")
        if outcome != "error"
    }
    if asked.items is None:
        return outcomes
    # Several rows of a benchmark may ask the same: it is answered once, and counts as often.
    rows_of = asked.items.columns("problem_id", "key")
    return {f"{problem_id} {key}": outcomes[problem_id] for problem_id, key in rows_of if problem_id in outcomes}
