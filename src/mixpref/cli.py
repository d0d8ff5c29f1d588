"""The command line: `mixpref COMMAND RECIPE [settings]`. Settings are the recipe's, and each of them is a flag.

The recipe is read first; flags such as `--training.learning-rate 1e-6` replace its values. Exit status: 0 done,
2 a mistake of the user's, told in one message, 130 interrupted.
"""

from __future__ import annotations

import difflib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import chain, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mixpref import pipeline, recipe
from mixpref.errors import MixprefError
from mixpref.recipe import Recipe
from mixpref.rundir import EMBEDDED, Run, further_roles
from mixpref.settings import EvaluationRecipe

if TYPE_CHECKING:
    from rich.console import Console

_HELP = """usage: mixpref COMMAND [RECIPE] [settings]

Make a vision-language model reason better by Mixed Preference Optimization.

The whole loop:
{whole}

Its stages, each alone:
{stages}

RECIPE is a YAML file, a run directory, or a built-in recipe: {recipes}.
`mixpref COMMAND --help` lists the settings of a command; `mixpref --version` prints the version.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status. `arguments`: without the program's name; None takes sys.argv."""
    try:
        status = _main(list(sys.argv[1:] if arguments is None else arguments))
        # Short output reaches a closed pipe only now.
        sys.stdout.flush()
        return status
    except MixprefError as mistake:
        print(f"mixpref: {mistake}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("mixpref: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # `mixpref ... | head`: the reader has gone. The interpreter flushes stdout once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


@dataclass(frozen=True, kw_only=True)
class _Command(ABC):
    """What all commands take. A subclass is one command; its docstring is its help."""

    output: Path | None = None
    """The run directory; None: runs/NAME after the recipe's name, and runs/NAME-seedN where --seed is given."""
    overwrite: bool = False
    """Delete what another recipe has made in the run directory, instead of refusing."""
    settings: Annotated[Recipe, tyro.conf.arg(name="")] = field(default_factory=lambda: Recipe(name="recipe"))

    @abstractmethod
    def do(self, run: Run) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Run(_Command):
    """Run all stages; what an interrupted run has left stays."""

    compare: bool = False
    """Train SFT on the chosen answers, and DPO, on the same pairs, too, and show them beside MPO."""

    def do(self, run: Run) -> None:
        pipeline.run_all(run, compare=self.compare)
        _show_scores(run)


@dataclass(frozen=True, kw_only=True)
class _Demo(_Run):
    """Run all stages on the embedded model and the built-in world."""


@dataclass(frozen=True, kw_only=True)
class _Sample(_Command):
    """Load the problems and let the model answer those of training."""

    def do(self, run: Run) -> None:
        pipeline.run_stage(run, "problems")
        pipeline.run_stage(run, "sample")


@dataclass(frozen=True, kw_only=True)
class _Verify(_Command):
    """Judge the sampled answers, or show beforehand what would come of it."""

    audit: bool = False
    """Judge nothing: pass the gold answers through their own rules, and show verdicts that are there already."""
    labels: Path | None = None
    """With --audit: JSON lines with question, answer, response and correct (true or false) to compare verdicts with."""
    show: int = 2
    """With --audit: verdicts of each outcome to print."""

    def do(self, run: Run) -> None:
        if self.audit:
            _audit(run, self.labels, self.show)
        else:
            pipeline.run_stage(run, "verify")


@dataclass(frozen=True, kw_only=True)
class _Continue(_Command):
    """Go on from the beginnings of answers to open questions without the images, for dropout-ntp pairs."""

    def do(self, run: Run) -> None:
        pipeline.run_stage(run, "continue")


@dataclass(frozen=True, kw_only=True)
class _Pair(_Command):
    """Build preference pairs of right and worse answers."""

    def do(self, run: Run) -> None:
        pipeline.run_stage(run, "pair")


@dataclass(frozen=True, kw_only=True)
class _Train(_Command):
    """Train a model on the pairs."""

    role: Literal["mpo", "sft", "dpo"] = "mpo"
    """mpo: by the recipe's weights, into model/; sft, dpo: by that loss alone, into baselines/."""

    def do(self, run: Run) -> None:
        pipeline.run_stage(run, "train", roles=(self.role,))


@dataclass(frozen=True, kw_only=True)
class _Evaluate(_Command):
    """Measure models on the held-out problems and on benchmarks."""

    roles: tuple[Literal["base", "mpo", "sft", "dpo"], ...] = ("base", "mpo")
    """Which models; base is the one that the recipe starts from."""
    benchmarks: str | None = None
    """Benchmarks as well, such as mathvista,pope; paper: the eight of the MPO paper. The same as
    --evaluation.benchmarks."""

    def do(self, run: Run) -> None:
        if run.recipe.evaluation.held_out:
            pipeline.run_stage(run, "problems")
        pipeline.run_stage(run, "evaluate", roles=(*self.roles, *further_roles(run)))
        _show_scores(run)


@dataclass(frozen=True, kw_only=True)
class _Benchmarks:
    """Measure any models on benchmarks, without a recipe."""

    benchmarks: str
    """Which, such as mathvista,pope; paper: the eight of the MPO paper."""
    model: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """A directory or hub name; give --model again for another one to compare with. None: the embedded one."""
    output: Path = Path("runs/evaluation")
    """The run directory; what is in it already is not measured again."""
    overwrite: bool = False
    """Delete what was measured there with other settings, instead of refusing."""
    trust_remote_code: bool = False
    """Run Python code that comes with the models: only where you trust their authors."""
    seed: int = 0
    """Moves sampled answers and intervals by bootstrap."""
    evaluation: EvaluationRecipe = field(default_factory=lambda: EvaluationRecipe(held_out=False, max_new_tokens=4096))

    def recipe(self) -> Recipe:
        evaluation = replace(self.evaluation, benchmarks=_named(self.benchmarks), models=self.model or (EMBEDDED,))
        made = Recipe(
            name="evaluation", seed=self.seed, trust_remote_code=self.trust_remote_code, evaluation=evaluation
        )
        return Recipe.from_dict(made.to_dict(), origin="the command line")


@dataclass(frozen=True, kw_only=True)
class _Report(_Command):
    """Write the page report.html of a run, finished or not."""

    def do(self, run: Run) -> None:
        pipeline.run_stage(run, "report")


@dataclass(frozen=True, kw_only=True)
class _View(_Command):
    """Serve the page of a run on this machine, with all its pairs and full pictures."""

    port: int = 8321
    """Of 127.0.0.1; 0: any that is free."""
    open: bool = False
    """Open it in the browser."""

    def do(self, run: Run) -> None:
        from mixpref.reporting.server import view

        view(run, port=self.port, open_browser=self.open)


@dataclass(frozen=True, kw_only=True)
class _Compare:
    """Compare runs side by side on one page."""

    to: Path = Path("comparison.html")
    """The file to write."""


@dataclass(frozen=True, kw_only=True)
class _Export(_Command):
    """Write the pairs of a run for other trainers, with their images."""

    format: Literal["mmpr", "trl", "parquet", "llamafactory"] = "parquet"
    """mmpr: meta.json and annotations; trl: conversations as JSON lines; parquet: for datasets.load_dataset;
    llamafactory: ShareGPT with dataset_info.json."""
    to: Path | None = None
    """The folder to make; None: exports/FORMAT in the run directory. An earlier export is replaced with --overwrite."""

    def do(self, run: Run) -> None:
        from mixpref.exporting.stage import export

        # Unlike other commands', --overwrite here never means the run itself.
        export(run, self.format, self.to or run.path / "exports" / self.format, overwrite=self.overwrite)


_WHOLE: dict[str, type[_Command]] = {"demo": _Demo, "run": _Run}
_STAGES: dict[str, type[_Command]] = {
    "sample": _Sample,
    "verify": _Verify,
    "continue": _Continue,
    "pair": _Pair,
    "train": _Train,
    "evaluate": _Evaluate,
    "report": _Report,
    "view": _View,
    "export": _Export,
}
_COMMANDS = _WHOLE | _STAGES
_READERS = ("report", "view", "export")
# These make the run directory; the others need what is in it.
_FIRST = ("demo", "run", "sample", "evaluate")


def _main(arguments: list[str]) -> int:
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help", "help"):
        whole, stages = (
            "\n".join(f"  {each:10} {command.__doc__}" for each, command in group.items())
            for group in (_WHOLE, _STAGES)
        )
        print(_HELP.format(whole=whole, stages=stages, recipes=", ".join(recipe.built_ins())), end="")
        return 0
    if name == "--version":
        import mixpref

        print(f"mixpref {mixpref.__version__}")
        return 0
    if name not in _COMMANDS:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_COMMANDS)}"
        raise MixprefError(f"there is no command {name!r}; {hint}")
    if name == "demo":
        rest = ["demo", *rest]
    sources = list(takewhile(lambda word: not word.startswith("-"), rest))
    if name == "report" and len(sources) > 1:
        _compare(sources, rest[len(sources) :])
        return 0
    if name == "evaluate" and not sources and any(word.startswith("--benchmarks") for word in rest):
        _evaluate_models(rest)
        return 0
    source = rest.pop(0) if sources else None
    # Only for --help, which shows the defaults of the classes then; anything else needs a recipe.
    if source is None and not {"-h", "--help"} & {*rest}:
        raise MixprefError(f"{name} needs a recipe right behind it: `mixpref {name} RECIPE [settings]`")
    _do(name, source, rest)
    return 0


def _do(name: str, source: str | None, flags: list[str]) -> None:
    if not sys.stderr.isatty():
        # transformers and the hub draw bars of their own; they read this when they are imported.
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    # A run directory stands for the recipe in it, and for itself as the output.
    directory = Path(source) if source and (Path(source) / "recipe.yaml").is_file() else None
    file = directory / "recipe.yaml" if directory else source
    written = recipe.load(file) if file else Recipe(name="recipe")
    command = tyro.cli(
        _COMMANDS[name],
        prog=f"mixpref {name}" + ("" if name == "demo" else f" {source or 'RECIPE'}"),
        args=flags,
        default=_COMMANDS[name](settings=written),
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    settings = command.settings
    if isinstance(command, _Evaluate) and command.benchmarks is not None:
        evaluation = replace(settings.evaluation, benchmarks=_named(command.benchmarks))
        settings = replace(settings, evaluation=evaluation)
    # tyro knows types, the recipe knows what is in range.
    settings = Recipe.from_dict(settings.to_dict(), origin="the command line")
    output = command.output or directory
    if output is None:
        moved = settings.seed != written.seed
        output = Path("runs") / (f"{settings.name}-seed{settings.seed}" if moved else settings.name)
    # Pairs from elsewhere need no earlier stage.
    from_elsewhere = name == "train" and settings.training.pairs is not None
    new = name in _FIRST or from_elsewhere or getattr(command, "audit", False)
    overwrite = command.overwrite and name != "export"
    with Run.open(output, settings, overwrite=overwrite, new=new, exclusive=name not in _READERS) as run:
        replace(command, settings=settings).do(run)


def _evaluate_models(flags: list[str]) -> None:
    command = tyro.cli(_Benchmarks, prog="mixpref evaluate", args=flags, config=(tyro.conf.FlagCreatePairsOff,))
    settings = command.recipe()
    with Run.open(command.output, settings, overwrite=command.overwrite) as run:
        pipeline.run_stage(run, "evaluate", roles=further_roles(run))
        pipeline.run_stage(run, "report")
        _show_scores(run)


def _compare(sources: list[str], flags: list[str]) -> None:
    from mixpref.reporting.comparing import compare_runs

    command = tyro.cli(_Compare, prog=f"mixpref report {' '.join(sources)}", args=flags)
    with ExitStack() as opened:
        runs = []
        for source in sources:
            file = Path(source) / "recipe.yaml"
            if not file.is_file():
                raise MixprefError(f"there is no run in {source}; name run directories to compare")
            runs.append(opened.enter_context(Run.open(source, recipe.load(file), exclusive=False, new=False)))
        print(compare_runs(runs, command.to))


def _named(benchmarks: str) -> tuple[str, ...]:
    """The benchmarks that a list with commas names. Raises MixprefError for one that there is not."""
    from mixpref.evaluation.benchmarks import PAPER, benchmark

    named = [each.strip() for each in benchmarks.split(",") if each.strip()]
    found = tuple(dict.fromkeys(name for each in named for name in (PAPER if each == "paper" else (each,))))
    for name in found:
        benchmark(name)
    return found


def _audit(run: Run, labels: Path | None, show: int) -> None:
    """Print what the verifier makes of the run's gold answers, of labelled responses, and of the run's responses."""
    from mixpref.sources.stage import load_problems
    from mixpref.verifying import audit
    from mixpref.verifying.stage import judged

    load_problems(run)
    console = _stdout()
    problems = chain(run.problems("train"), run.problems("held_out"))
    if not audit.show_gold_answers(audit.gold_answers(problems), console):
        # As `sample` would: once the rows are corrected, they are read again.
        run.problems("train").discard()
    if labels is not None:
        audit.show_confusion(audit.labelled(labels), console)
    if run.verdicts.finished and show > 0:
        audit.show_sample(judged(run.responses, run.verdicts), run.problems("train"), console, show)


def _show_scores(run: Run) -> None:
    """Print the table of all models evaluated so far to stdout, and the first against the second, item by item."""
    from mixpref.reporting.changes import changes
    from mixpref.reporting.gather import read_scores
    from mixpref.reporting.headline import compared
    from mixpref.reporting.table import score_table

    console = _stdout()
    console.print(score_table(read_scores(run)))
    for each in changes(run)[0]:
        console.print(compared(each), highlight=False, markup=False, soft_wrap=True)


def _stdout() -> Console:
    from rich.console import Console

    # In a file or a pipe there is no width to keep to.
    return Console() if sys.stdout.isatty() else Console(width=120)


if __name__ == "__main__":
    sys.exit(main())
