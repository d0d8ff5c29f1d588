"""What training did to the single items that models are measured on: the held-out problems and those of benchmarks.

A held-out problem is an item of its own; rows of a benchmark that ask the same share a problem, which is answered once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Item
from mixpref.evaluation.comparison import Comparison, compare
from mixpref.records import Outcome, Problem, Response, Verdict
from mixpref.reporting.cases import item_kind
from mixpref.rundir import TRAINED, further_roles
from mixpref.store import Artifact

if TYPE_CHECKING:
    from mixpref.rundir import Run


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A set of items, as it lies in the run directory."""

    name: str
    """The benchmark of its scores."""
    folder: str
    """What the folder of answers has behind role and style."""
    problems: Artifact[Problem]
    items: Artifact[Item] | None = None
    """A benchmark's rows; None where each problem is a row."""

    def answers(self, run: Run, role: str, style: str) -> tuple[Artifact[Response], Artifact[Verdict]]:
        """Responses and verdicts of a model, one of each a problem, in one order."""
        path = run.scores_dir / "items" / f"{role}-{style}{self.folder}"
        return Artifact(path / "responses", Response), Artifact(path / "verdicts", Verdict)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """base against the trained model on one set in one style, item by item."""

    benchmark: str
    style: str
    before: str
    """Role of the first model."""
    after: str
    comparison: Comparison
    kinds: Mapping[str, int]
    """Problems by what became of them (`cases.KINDS`)."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A problem that both models were asked, or one of them, and where to find it."""

    asked: Asked
    style: str
    before: str
    after: str
    problem_id: str
    kind: str


def sets(run: Run) -> list[Asked]:
    """All that models can have been measured on in this run; the held-out problems first."""
    own = "world" if run.recipe.problems.source == "world" else "held-out"
    found = [Asked(name=own, folder="", problems=run.problems("held_out"))]
    for path in sorted((run.path / "benchmarks").glob("*/problems")):
        name = path.parent.name
        found.append(
            Asked(
                name=f"{name}-benchmark" if name == own and found[0].problems.path.exists() else name,
                folder=f"-{name}",
                problems=Artifact(path, Problem),
                items=Artifact(path.parent / "items", Item),
            )
        )
    return found


def candidates(run: Run) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Roles of the model before and of the one after; of each, the first that was measured is taken."""
    further = further_roles(run)
    return ("base", *further), (*TRAINED, *further)


def changes(run: Run) -> tuple[list[Changes], list[Found]]:
    """The comparisons, chain of thought first, and the problems that they are of. What was not evaluated is left out.

    The trained model against the one before; where there are no such two, the first two of `evaluation.models`.
    Raises MixprefError where verdicts are on other responses.
    """
    compared: list[Changes] = []
    found: list[Found] = []
    befores, afters = candidates(run)
    for asked in sets(run):
        for style in ("cot", "direct"):
            first, before = _first(run, asked, style, befores)
            role, after = _first(run, asked, style, [each for each in afters if each != first])
            if not before or not after:
                continue
            kinds = {
                problem_id: item_kind(before.get(problem_id), after.get(problem_id))
                for problem_id in dict.fromkeys((*before, *after))
            }
            counts = Counter(kinds.values())
            compared.append(
                Changes(
                    benchmark=asked.name,
                    style=style,
                    before=first,
                    after=role,
                    comparison=_compare(asked, before, after, run.recipe.seed),
                    kinds=counts,
                )
            )
            found += (
                Found(asked=asked, style=style, before=first, after=role, problem_id=problem_id, kind=kind)
                for problem_id, kind in kinds.items()
            )
    return compared, found


def families(asked: Asked) -> dict[str, str]:
    """The family of each problem; where it has none, the first group of its first row."""
    found = dict(asked.problems.columns("id", "family"))
    for problem_id, groups in asked.items.columns("problem_id", "groups") if asked.items else ():
        # A row that cannot be asked has no problem.
        if groups and problem_id and not found.get(problem_id):
            found[problem_id] = groups[0]
    return found


def _first(run: Run, asked: Asked, style: str, roles: Iterable[str]) -> tuple[str, dict[str, Verdict]]:
    """The first of the roles that was measured, and its outcomes."""
    seen = ((role, _outcomes(asked.answers(run, role, style))) for role in roles)
    return next((each for each in seen if each[1]), ("", {}))


def _outcomes(answers: tuple[Artifact[Response], Artifact[Verdict]]) -> dict[str, Verdict]:
    """The outcomes, in verdicts without texts, by problem id; empty where a model was not evaluated."""
    return {problem_id: Verdict(outcome=outcome) for problem_id, outcome in _columns(*answers)}


def _columns(responses: Artifact[Response], verdicts: Artifact[Verdict]) -> Iterator[tuple[str, Outcome]]:
    for response, verdict in zip_longest(
        responses.columns("problem_id", "sample"), verdicts.columns("response_id", "outcome")
    ):
        if verdict is None:
            return
        if response is None or verdict[0] != "-".join(map(str, response)):
            raise MixprefError(
                f"{verdicts.path} does not belong to {responses.path}; delete {verdicts.path} and run again"
            )
        yield response[0], verdict[1]


def _compare(asked: Asked, before: Mapping[str, Verdict], after: Mapping[str, Verdict], seed: int) -> Comparison:
    rows = (
        {problem_id: problem_id for problem_id in (*before, *after)}
        if asked.items is None
        else {key: problem_id for key, problem_id in asked.items.columns("key", "problem_id") if problem_id}
    )

    def right(verdicts: Mapping[str, Verdict]) -> dict[str, bool]:
        found = {key: verdicts.get(problem_id) for key, problem_id in rows.items()}
        return {key: each.outcome == "correct" for key, each in found.items() if each and each.outcome != "error"}

    return compare(right(before), right(after), seed=seed)


def answers_of(found: list[Found], run: Run) -> dict[tuple[str, str, str, str], tuple[Response, Verdict]]:
    """The whole answers to some problems, by (set, style, role, problem id)."""
    wanted: dict[tuple[str, str, str], set[str]] = {}
    folders: dict[str, Asked] = {}
    for each in found:
        folders[each.asked.name] = each.asked
        for role in (each.before, each.after):
            wanted.setdefault((each.asked.name, each.style, role), set()).add(each.problem_id)
    return {
        (name, style, role, response.problem_id): (response, verdict)
        for (name, style, role), problem_ids in wanted.items()
        for response, verdict in zip(*folders[name].answers(run, role, style), strict=False)
        if response.problem_id in problem_ids
    }
