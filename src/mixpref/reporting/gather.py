"""Everything that the page shows of a run, read from the run directory.

A stage that has not run leaves its part empty. `sampled.py` counts what was made of the training problems, `changes.py`
compares the models item by item, `gallery.py` draws the cases to look at; artifacts are read as streams.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpref.errors import MixprefError
from mixpref.records import Problem, Score
from mixpref.reporting.changes import Changes, changes
from mixpref.reporting.gallery import ITEMS, PAIRS, Gallery, gallery
from mixpref.reporting.sampled import Paired, Sampled, count
from mixpref.reporting.table import ROLES
from mixpref.sources import Rejected
from mixpref.store import Artifact
from mixpref.training.stage import LOG

if TYPE_CHECKING:
    from mixpref.rundir import Run
from mixpref.rundir import TRAINED


@dataclass(frozen=True, kw_only=True)
class Findings:
    """All that the page shows; every part may be empty."""

    name: str
    path: str = "RUN"
    """The run directory, as commands on the page name it."""
    recipe: str = ""
    """The recipe's YAML text."""
    seed: int = 0
    scores: tuple[Score, ...] = ()
    samples: tuple[Score, ...] = ()
    """pass@k, majority@k and best-of-k of several samples an item."""
    measured: str = "mixpref evaluate RUN"
    """The command that made the scores."""
    train: int | None = None
    """Training problems, None before the problems are loaded."""
    held_out: int | None = None
    unused: int = 0
    """Good rows of the source that the recipe did not ask for."""
    rejected: tuple[Rejected, ...] = ()
    sampled: Sampled = field(default_factory=Sampled)
    paired: Paired = field(default_factory=Paired)
    changes: tuple[Changes, ...] = ()
    gallery: Gallery = field(default_factory=Gallery)
    logs: Mapping[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    """Training log by role: entries in the order of their steps."""
    manifests: Mapping[str, str] = field(default_factory=dict)
    """Manifests by their path in the run directory, as indented JSON."""

    @property
    def all_pairs(self) -> int:
        return sum(self.paired.kinds.values())

    @property
    def all_items(self) -> int:
        """Items that two models were asked, in each style anew."""
        return sum(sum(each.kinds.values()) for each in self.changes)


def gather(run: Run, *, pairs: int = PAIRS, items: int = ITEMS) -> Findings:
    """Read a run directory, finished or not, with at most `pairs` pairs and `items` held-out items to look at.

    Raises MixprefError for scores that cannot be read and for verdicts on other responses than those that are there.
    """
    train = run.problems("train")
    sampled, paired = count(run, dict(train.columns("id", "family")))
    compared, found = changes(run)
    recipe = run.path / "recipe.yaml"
    return Findings(
        name=run.recipe.name,
        path=str(run.path),
        recipe=recipe.read_text(encoding="utf-8") if recipe.exists() else "",
        seed=run.recipe.seed,
        scores=tuple(read_scores(run)),
        samples=tuple(read_scores(run, "sampled")),
        measured=measured_by(run),
        train=_length(train),
        held_out=_length(run.problems("held_out")),
        unused=_unused(train),
        rejected=_rejected(run.rejects_file),
        sampled=sampled,
        paired=paired,
        changes=tuple(compared),
        gallery=gallery(run, found, pairs=pairs, items=items),
        logs={role: log for role in TRAINED if (log := read_log(run.model_dir(role) / LOG))},
        manifests=_manifests(run.path),
    )


def read_scores(run: Run, folder: str = "") -> list[Score]:
    """The Score records of every model evaluated so far, in the order base, sft, dpo, mpo, others.

    folder: `sampled`, for those of several samples an item.
    Raises MixprefError for a score file that is not a JSON list of Score records.
    """
    scores: list[Score] = []
    for file in sorted((run.scores_dir / folder).glob("*.json")):
        try:
            scores += map(_score, json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError, KeyError) as mistake:
            raise MixprefError(
                f"{file} is not a list of scores ({mistake}); delete it and run `mixpref evaluate` again"
            ) from None
    return sorted(scores, key=lambda score: ROLES.index(score.model) if score.model in ROLES else len(ROLES))


def _score(row: Mapping[str, Any]) -> Score:
    """A Score of its JSON; keys of later versions are left out."""
    known = {each.name: row[each.name] for each in fields(Score) if each.name in row}
    # JSON has lists only.
    details = tuple((str(name), float(value)) for name, value in known.pop("details", ()))
    return Score(**known, details=details)


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


def measured_by(run: Run) -> str:
    """The command that made the scores of a run."""
    settings = run.recipe.evaluation
    path = shlex.quote(str(run.path))
    benchmarks = f" --benchmarks {','.join(settings.benchmarks)}" if settings.benchmarks else ""
    if not settings.held_out:
        models = "".join(f" --model {shlex.quote(model)}" for model in settings.models)
        return f"mixpref evaluate{benchmarks}{models} --output {path}"
    roles = [role for role in ROLES if (run.scores_dir / f"{role}.json").exists()]
    return f"mixpref evaluate {path} --roles {' '.join(roles or ('base', 'mpo'))}{benchmarks}"


def _length(artifact: Artifact) -> int | None:
    return len(artifact) if artifact.path.exists() else None


def _unused(problems: Artifact[Problem]) -> int:
    return problems.manifest["counts"].get("unused", 0) if problems.finished else 0


def _rejected(file: Path) -> tuple[Rejected, ...]:
    if not file.exists():
        return ()
    known = {each.name for each in fields(Rejected)}
    # Not splitlines: a reason may quote what Python takes for the end of a line, U+2028 for one.
    lines = file.read_text(encoding="utf-8").split("\n")
    rows = (json.loads(line) for line in lines if line)
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
