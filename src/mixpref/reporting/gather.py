"""Everything that the page shows of a run, read from the run directory in one pass over each artifact.

A stage that has not run leaves its part empty. Samples to look at are drawn by hashes of (seed, id): the same run
always shows the same ones, and they are not chosen for their looks. Only what is shown is kept in memory.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mixpref.errors import MixprefError
from mixpref.evaluation.stage import items
from mixpref.records import Outcome, PreferencePair, Problem, Response, Score, Verdict
from mixpref.reporting.table import ROLES
from mixpref.seeds import derive
from mixpref.sources import Rejected
from mixpref.store import Artifact
from mixpref.training.stage import LOG
from mixpref.verifying.stage import judged

if TYPE_CHECKING:
    from mixpref.rundir import Run

TRAINED = ("mpo", "dpo", "sft")
"""Roles that come out of training, the one that the page is about first."""


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """A pair of the gallery. Verdicts are None where the texts are no sampled responses."""

    pair: PreferencePair
    problem: Problem | None
    chosen: Verdict | None
    rejected: Verdict | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A held-out problem that one of two models answered right and the other did not."""

    problem: Problem | None
    before: tuple[Response, Verdict]
    after: tuple[Response, Verdict]


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What training did to the single held-out problems: counts of all, and samples of the fixed and the broken."""

    style: str
    before: str
    """Role of the first model."""
    after: str
    both_right: int
    both_wrong: int
    """Wrong or unparsed, before and after."""
    fixed: int
    broken: int
    left_out: int
    """Problems without an outcome before or after: an error, or not evaluated."""
    shown_fixed: tuple[Change, ...] = ()
    shown_broken: tuple[Change, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that the page shows; every part may be empty."""

    name: str
    recipe: str = ""
    """The recipe's YAML text."""
    seed: int = 0
    scores: tuple[Score, ...] = ()
    train: int | None = None
    """Training problems, None before the problems are loaded."""
    held_out: int | None = None
    unused: int = 0
    """Good rows of the source that the recipe did not ask for."""
    rejected: tuple[Rejected, ...] = ()
    finishes: Mapping[str, int] = field(default_factory=dict)
    """Sampled responses by finish reason."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """Their verdicts by outcome."""
    solved: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Problems by (samples judged without error, correct ones among them)."""
    pairs: Mapping[str, int] = field(default_factory=dict)
    """Preference pairs by why."""
    paired: int = 0
    """Problems that have a pair."""
    gallery: tuple[ShownPair, ...] = ()
    changes: tuple[Changes, ...] = ()
    logs: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    """Training log by role: entries in the order of their steps."""
    manifests: Mapping[str, str] = field(default_factory=dict)
    """Manifests by their path in the run directory, as indented JSON."""


def gather(run: Run, *, pairs: int = 24, changes: int = 12) -> Findings:
    """Read a run directory, finished or not, showing at most `pairs` pairs and `changes` fixed and broken problems."""
    seed = run.recipe.seed
    finishes, outcomes, solved = _sampling(run)
    counts, chosen = _pairs(run, pairs, seed)
    recipe = run.path / "recipe.yaml"
    scores = read_scores(run)
    return Findings(
        name=run.recipe.name,
        recipe=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
        seed=seed,
        scores=tuple(scores),
        train=_length(run.problems("train")),
        held_out=_length(run.problems("held_out")),
        unused=_unused(run.problems("train")),
        rejected=_rejected(run.rejects_file),
        finishes=finishes,
        outcomes=outcomes,
        solved=solved,
        pairs=Counter({why: sum(by_problem.values()) for why, by_problem in counts.items()}),
        paired=len({problem for by_problem in counts.values() for problem in by_problem}),
        gallery=_gallery(run, chosen),
        changes=_changes(run, changes, seed),
        logs={role: log for role in TRAINED if (log := read_log(run.model_dir(role) / LOG))},
        manifests=_manifests(run.path),
    )


def read_scores(run: Run) -> list[Score]:
    """The Score records of every model evaluated so far, in the order base, sft, dpo, mpo, others.

    Raises MixprefError for a score file that is not a JSON list of Score records.
    """
    known = {each.name for each in fields(Score)}
    scores: list[Score] = []
    for file in sorted(run.scores_dir.glob("*.json")):
        try:
            rows = json.loads(file.read_text(encoding="utf-8"))
            scores += (Score(**{key: row[key] for key in row if key in known}) for row in rows)
        except (ValueError, TypeError, KeyError) as mistake:
            raise MixprefError(
                f"{file} is not a list of scores ({mistake}); delete it and run `mixpref evaluate` again"
            ) from None
    return sorted(scores, key=lambda score: ROLES.index(score.model) if score.model in ROLES else len(ROLES))


def read_log(file: Path) -> tuple[dict[str, Any], ...]:
    """The entries of a training log, one a step; of a step done twice, after a resume, the later one counts."""
    if not file.exists():
        return ()
    steps: dict[int, dict[str, Any]] = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(line)
            steps.setdefault(int(entry["step"]), {}).update(entry)
        # The last line of a run that was killed may be torn.
        except (ValueError, TypeError, KeyError):
            continue
    return tuple(steps[step] for step in sorted(steps))


def curve(log: Iterable[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    """(step, value) of the entries that hold a number under `key`; NaN and infinities are kept."""
    return [
        (entry["step"], float(value))
        for entry in log
        if isinstance(value := entry.get(key), int | float) and not isinstance(value, bool)
    ]


def _length(artifact: Artifact) -> int | None:
    return len(artifact) if artifact.path.exists() else None


def _unused(problems: Artifact[Problem]) -> int:
    return problems.manifest["counts"].get("unused", 0) if problems.finished else 0


def _sampling(run: Run) -> tuple[Counter[str], Counter[str], Counter[tuple[int, int]]]:
    finishes: Counter[str] = Counter()
    for response in run.responses:
        finishes[response.finish] += 1
    outcomes: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for verdict in run.verdicts:
        outcomes[verdict.outcome] += 1
        problem = verdict.response_id.rpartition("-")[0]
        # A problem with nothing but errors stays in the count, with no samples.
        judged[problem] += verdict.outcome != "error"
        correct[problem] += verdict.outcome == "correct"
    order = get_args(Outcome)
    return (
        finishes,
        Counter({outcome: outcomes[outcome] for outcome in order if outcomes[outcome]}),
        Counter((n, correct[problem]) for problem, n in judged.items()),
    )


def _pairs(run: Run, shown: int, seed: int) -> tuple[dict[str, Counter[str]], list[PreferencePair]]:
    """Pairs by why and problem, and the sample: of each kind its share, but no kind with fewer than a quarter of
    `shown` if it has as many."""
    counts: dict[str, Counter[str]] = {}
    for pair in run.pairs:
        counts.setdefault(pair.why, Counter())[pair.problem_id] += 1
    quotas = _quotas({why: len(by_problem) for why, by_problem in counts.items()}, shown)
    picked: dict[tuple[str, str], int] = {}
    for why, quota in quotas.items():
        problems = sorted(counts[why], key=lambda problem: derive(seed, "report", why, problem))
        # One pair a problem: which of its pairs is again a draw.
        for problem in problems[:quota]:
            picked[why, problem] = derive(seed, "report", "which", why, problem) % counts[why][problem]
    sample: list[PreferencePair] = []
    seen: Counter[tuple[str, str]] = Counter()
    for pair in run.pairs if picked else ():
        key = (pair.why, pair.problem_id)
        if picked.get(key) == seen[key]:
            sample.append(pair)
        seen[key] += key in picked
    whys = list(quotas)
    return counts, sorted(sample, key=lambda pair: (whys.index(pair.why), pair.problem_id))


def _quotas(available: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of each kind to show: in proportion, at least a quarter of the total for a kind that has as many."""
    everything = sum(available.values())
    if everything <= total:
        return dict(available)
    least = {why: min(have, total // max(4, len(available))) for why, have in available.items()}
    rest = total - sum(least.values())
    quotas = {why: least[why] + math.floor(rest * have / everything) for why, have in available.items()}
    quotas = {why: min(have, quotas[why]) for why, have in available.items()}
    for why in sorted(available, key=lambda why: quotas[why] - available[why]):
        quotas[why] = min(available[why], quotas[why] + total - sum(quotas.values()))
    return quotas


def _gallery(run: Run, sample: Sequence[PreferencePair]) -> tuple[ShownPair, ...]:
    problems = _problems(run.problems("train"), {pair.problem_id for pair in sample})
    # An origin is a response's id, then its sampler.
    origins = {
        origin: origin.split(maxsplit=1)[0]
        for pair in sample
        for origin in (pair.chosen_origin, pair.rejected_origin)
        if origin.strip()
    }
    wanted = set(origins.values())
    verdicts = {verdict.response_id: verdict for verdict in run.verdicts if verdict.response_id in wanted}
    return tuple(
        ShownPair(
            pair=pair,
            problem=problems.get(pair.problem_id),
            chosen=verdicts.get(origins.get(pair.chosen_origin, "")),
            rejected=verdicts.get(origins.get(pair.rejected_origin, "")),
        )
        for pair in sample
    )


def _changes(run: Run, shown: int, seed: int) -> tuple[Changes, ...]:
    """base against the trained model, chain of thought first; nothing where one of them was not evaluated."""
    found = []
    for style in ("cot", "direct"):
        before = _answers(run, "base", style)
        after, role = next(((answers, role) for role in TRAINED if (answers := _answers(run, role, style))), ({}, ""))
        if before and after:
            # The problems that are shown are chains of thought: direct answers are a word.
            found.append(_compare(run, style, role, before, after, shown if style == "cot" else 0, seed))
    return tuple(found)


def _compare(
    run: Run,
    style: str,
    role: str,
    before: dict[str, tuple[Response, Verdict]],
    after: dict[str, tuple[Response, Verdict]],
    shown: int,
    seed: int,
) -> Changes:
    groups: dict[tuple[bool, bool], list[str]] = {(one, two): [] for one in (True, False) for two in (True, False)}
    left_out = len(before.keys() ^ after.keys())
    for problem in before.keys() & after.keys():
        outcomes = (before[problem][1].outcome, after[problem][1].outcome)
        if "error" in outcomes:
            left_out += 1
        else:
            groups[outcomes[0] == "correct", outcomes[1] == "correct"].append(problem)

    def sample(group: list[str]) -> list[str]:
        return sorted(group, key=lambda problem: derive(seed, "report", "change", problem))[:shown]

    fixed, broken = sample(groups[False, True]), sample(groups[True, False])
    problems = _problems(run.problems("held_out"), {*fixed, *broken})

    def changed(ids: list[str]) -> tuple[Change, ...]:
        return tuple(Change(problem=problems.get(each), before=before[each], after=after[each]) for each in ids)

    return Changes(
        style=style,
        before="base",
        after=role,
        both_right=len(groups[True, True]),
        both_wrong=len(groups[False, False]),
        fixed=len(groups[False, True]),
        broken=len(groups[True, False]),
        left_out=left_out,
        shown_fixed=changed(fixed),
        shown_broken=changed(broken),
    )


def _answers(run: Run, role: str, style: str) -> dict[str, tuple[Response, Verdict]]:
    """What a model answered to the held-out problems, by problem id; empty where it was not evaluated."""
    responses, verdicts = items(run, role, style)
    return {response.problem_id: (response, verdict) for response, verdict in judged(responses, verdicts)}


def _rejected(file: Path) -> tuple[Rejected, ...]:
    if not file.exists():
        return ()
    known = {each.name for each in fields(Rejected)}
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return tuple(Rejected(**{key: row[key] for key in row if key in known}) for row in rows)


def _manifests(root: Path) -> dict[str, str]:
    texts = {}
    for file in sorted(root.rglob("manifest.json")):
        text = file.read_text(encoding="utf-8", errors="replace")
        # One that is no JSON is shown as it is: that is the quickest way to see what is wrong.
        with suppress(ValueError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
        texts[file.relative_to(root).as_posix()] = text
    return texts


def _problems(artifact: Artifact, wanted: set[str]) -> dict[str, Problem]:
    return {problem.id: problem for problem in artifact if problem.id in wanted} if wanted else {}
