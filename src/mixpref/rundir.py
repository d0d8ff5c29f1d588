"""A run directory: one recipe and everything that was made from it.

recipe.yaml             what is done here
problems/train          Problem records, and problems/held_out, problems/rejected.jsonl
responses verdicts continuations pairs
model/                  the model trained by MPO; baselines/sft, baselines/dpo
scores/                 a JSON list of Score records a model
report.html
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import IO, Literal

from mixpref import recipe as recipes
from mixpref.errors import MixprefError
from mixpref.recipe import Recipe
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.settings import OPERATIONAL
from mixpref.store import Artifact, write_text

TRAINED = ("mpo", "dpo", "sft")
"""Roles that come out of training on a run's pairs, the one that a run is about first; the others are baselines."""
EMBEDDED = "embedded"
"""The recipe's name for the small model that comes with the package."""

# Everything that stages make; `overwrite` removes these and no other file that may lie beside them.
_CONTENTS = (
    "problems",
    "sampling",
    "responses",
    "verdicts",
    "continuations",
    "pairs",
    "reference",
    "model",
    "baselines",
    "benchmarks",
    "scores",
    "exports",
)


class Run:
    """A recipe and the directory where its stages meet. Made by `Run.open`."""

    def __init__(self, path: Path, recipe: Recipe) -> None:
        self.path = path
        self.recipe = recipe
        self._lock: IO[str] | None = None

    @classmethod
    def open(
        cls, path: Path | str, recipe: Recipe, *, overwrite: bool = False, exclusive: bool = True, new: bool = True
    ) -> Run:
        """Open the run directory of a recipe, making it where there is none.

        overwrite: delete what another recipe has made there, instead of refusing.
        exclusive: refuse a directory that another process has open; only a reader can do without.
        new: whether a directory may be made.

        Raises MixprefError where the directory belongs to another recipe, where another process works in it, or where
        it holds files that are no run's.
        """
        path = Path(path)
        if not new and not (path / "recipe.yaml").exists():
            raise MixprefError(f"there is no run in {path}; make it by `mixpref run`, or name another --output")
        if path.exists() and not path.is_dir():
            raise MixprefError(f"{path} is a file; name a directory by --output")
        if path.is_dir() and not (path / "recipe.yaml").exists() and any(_foreign(path)):
            raise MixprefError(f"{path} is not empty and holds no run; name another --output")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as reason:
            raise MixprefError(f"{path} cannot be made ({reason.strerror}); name another --output") from None
        run = cls(path, recipe)
        # Of the ranks of one distributed run, the first one holds the lock for all.
        if exclusive and os.environ.get("RANK", "0") == "0":
            run._acquire()
        try:
            run._claim(overwrite)
        except BaseException:
            run.close()
            raise
        return run

    def close(self) -> None:
        """Let other processes work in the directory. The end of the process does this, too."""
        if self._lock:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def problems(self, split: Literal["train", "held_out"]) -> Artifact[Problem]:
        """The problems to sample from (`train`), or those to measure on."""
        return Artifact(self.path / "problems" / split, Problem)

    @property
    def responses(self) -> Artifact[Response]:
        return Artifact(self.path / "responses", Response)

    @property
    def verdicts(self) -> Artifact[Verdict]:
        return Artifact(self.path / "verdicts", Verdict)

    @property
    def continuations(self) -> Artifact[Response]:
        """Responses to open problems gone on from without the images."""
        return Artifact(self.path / "continuations", Response)

    @property
    def pairs(self) -> Artifact[PreferencePair]:
        return Artifact(self.path / "pairs", PreferencePair)

    @property
    def rejects_file(self) -> Path:
        """JSON lines: the rows of the source that are no problems, each with file, line and reason."""
        return self.path / "problems" / "rejected.jsonl"

    def model_dir(self, role: str) -> Path:
        """Where the model of a role is: `base` the recipe's own, `mpo` model/, one of `evaluation.models` as it says,
        any other baselines/<role>.

        Raises MixprefError where it is somebody's local path and not there.
        """
        if role == "base":
            return Path(resolve_model(self.recipe.model))
        if further := self._further(role):
            return Path(resolve_model(further))
        return self.path / "model" if role == "mpo" else self.path / "baselines" / role

    def model_name(self, role: str) -> str:
        """The name that a server has the model of a role by: as the recipe says it, or its directory."""
        return self.recipe.model if role == "base" else self._further(role) or str(self.model_dir(role))

    def _further(self, role: str) -> str | None:
        return next((name for name in self.recipe.evaluation.models if role_of(name) == role), None)

    @property
    def scores_dir(self) -> Path:
        return self.path / "scores"

    @property
    def report_file(self) -> Path:
        return self.path / "report.html"

    def _acquire(self) -> None:
        import fcntl

        lock = open(self.path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the run
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            who = f"process {holder}" if holder else "another process"
            raise MixprefError(f"{who} is working in {self.path}; wait for its end or name another --output") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _claim(self, overwrite: bool) -> None:
        """Write the recipe, or see to it that the one that is there is the same."""
        file = self.path / "recipe.yaml"
        if file.exists():
            differences: list[str] = []
            try:
                there = recipes.load(file)
                # Where the work is done may change between two sessions of a run.
                differences = recipes.difference(there, self.recipe, but=OPERATIONAL)
            except MixprefError as reason:
                differences = [f"the recipe that is there cannot be read: {reason}"]
            if not differences:
                if recipes.difference(there, self.recipe):
                    write_text(file, recipes.to_yaml(self.recipe))
                return
            made = [name for name in _CONTENTS if (self.path / name).exists()]
            # A run that stopped at its recipe's first mistake has made nothing that the corrected recipe contradicts.
            if made and not overwrite:
                lines = "".join(f"\n  {line}" for line in differences)
                raise MixprefError(
                    f"{self.path} holds a run of another recipe; name another --output, or give --overwrite to delete "
                    f"that run and start anew. The difference:{lines}"
                )
            self._discard()
        write_text(file, recipes.to_yaml(self.recipe))

    def _discard(self) -> None:
        self.report_file.unlink(missing_ok=True)
        for name in _CONTENTS:
            shutil.rmtree(self.path / name, ignore_errors=True)


def further_roles(run: Run) -> tuple[str, ...]:
    """The roles of the recipe's further models. Raises MixprefError where two of them have one."""
    models = run.recipe.evaluation.models
    roles = {role_of(model): model for model in models}
    if len(roles) < len(set(models)):
        raise MixprefError(f"evaluation.models: {', '.join(models)} are not all told apart by their names")
    return tuple(roles)


def role_of(model: str) -> str:
    """The role of a model that is none of the run's own: its name, fit for a file's ("owner/name" is owner-name)."""
    role = re.sub(r"[^\w.]+", "-", model).strip("-.")
    # The run's own models go by these.
    return f"model-{role}" if role in ("base", *TRAINED, "") else role


def resolve_model(name: str) -> str:
    """What `from_pretrained` takes for the recipe's `model`: a local directory, or a name on the Hugging Face hub.

    Raises MixprefError for what must be a local directory but is not there, or holds no model.
    """
    if name == EMBEDDED:
        path = Path(__file__).parent / "world" / "model"
        if not (path / "config.json").exists():
            raise MixprefError(f"the embedded model is missing from {path}; make it by `python -m mixpref.world.build`")
        return str(path)
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise MixprefError(f"model: {name} is a directory without a config.json; name one that holds a saved model")
        return str(path)
    if path.is_file() or _looks_local(name):
        raise MixprefError(f"model: there is no model directory {name}; name a directory, a hub model or {EMBEDDED!r}")
    return name


def _looks_local(name: str) -> bool:
    """Names on the hub are `name` or `owner/name`; where `owner` is a directory here, a path is meant."""
    parts = Path(name).parts
    return name.startswith((".", "/", "~")) or "\\" in name or len(parts) > 2 or Path(*parts[:-1], "x").parent.is_dir()


def _foreign(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.name != ".lock" and not each.name.endswith(".tmp")]
