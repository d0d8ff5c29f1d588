"""The stages in their order, each of which may also run alone:

    problems -> sample -> verify -> continue -> pair -> train -> evaluate -> report

They meet only in the run directory. Each goes on with what an interrupted run has left; one that is finished is
skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.rundir import Run, further_roles
from mixpref.store import Artifact

STAGES = ("problems", "sample", "verify", "continue", "pair", "train", "evaluate", "report")

# The stage whose artifact must be finished before, for those that cannot make it themselves.
_NEEDS = {"verify": "sample", "continue": "sample", "pair": "verify", "train": "pair"}
_MAKE_PAIRS = ("sample", "verify", "continue", "pair")


def run_all(run: Run, compare: bool = False) -> None:
    """Run all stages. compare: train and evaluate the baselines as well, on the same pairs.

    Raises MixprefError as the stages do.
    """
    trained = ("sft", "dpo", "mpo") if compare else ("mpo",)
    # What is not there is better told now than after hours of work.
    for role in ("base", *further_roles(run)):
        run.model_dir(role)
    if run.recipe.evaluation.benchmarks:
        _stage("mixpref.evaluation.sets", "check")(run)
    foreign = run.recipe.training.pairs is not None
    for stage in STAGES:
        if (foreign and stage in _MAKE_PAIRS) or (stage == "continue" and not _continues(run)):
            continue
        if stage == "train":
            for role in trained:
                run_stage(run, "train", roles=(role,))
        else:
            run_stage(run, stage, roles=("base", *trained, *further_roles(run)))


def run_stage(run: Run, stage: str, roles: Sequence[str] = ()) -> None:
    """Run one stage. roles: the models to train or to evaluate.

    Raises MixprefError, naming the command to run first, where an earlier stage is not finished.
    """
    need = _NEEDS.get(stage)
    if stage == "pair" and _continues(run) and _finished(run, "verify"):
        need = "continue"
    if stage == "train" and run.recipe.training.pairs is not None:
        need = None
    if stage == "continue" and not _continues(run):
        raise MixprefError("continue: only dropout-ntp pairs need it; add dropout-ntp to pairing.kinds")
    if need is not None and not _finished(run, need):
        raise MixprefError(
            f"{stage}: there is nothing to start from in {run.path}; run `mixpref {need} RECIPE --output {run.path}` "
            f"first, or `mixpref run` for all stages"
        )
    if _finished(run, stage):
        say(f"{stage}: finished before, skipped")
        return
    if stage == "problems":
        _stage("mixpref.sources.stage", "load_problems")(run)
        _try_gold_answers(run)
    elif stage == "sample":
        _stage("mixpref.sampling.stage", "sample")(run)
    elif stage == "verify":
        _stage("mixpref.verifying.stage", "verify_responses")(run)
    elif stage == "continue":
        _stage("mixpref.sampling.continuing", "continue_blindly")(run)
    elif stage == "pair":
        _stage("mixpref.pairing.stage", "make_pairs")(run)
    elif stage == "train":
        for role in roles:
            _stage("mixpref.training.stage", "train")(run, role=role)
    elif stage == "evaluate":
        _stage("mixpref.evaluation.stage", "evaluate")(run, roles=tuple(roles))
    elif stage == "report":
        _stage("mixpref.reporting.stage", "report")(run)
    else:
        raise ValueError(f"there is no stage {stage!r}; the stages are {', '.join(STAGES)}")


def _finished(run: Run, stage: str) -> bool:
    """Whether the stage's artifact is complete. Of models and scores, their own stages know; a page is made anew."""
    artifacts: dict[str, tuple[Artifact[Any], ...]] = {
        "problems": (run.problems("train"), run.problems("held_out")),
        "sample": (run.responses,),
        "verify": (run.verdicts,),
        "continue": (run.continuations,),
        "pair": (run.pairs,),
    }
    return stage in artifacts and all(artifact.finished for artifact in artifacts[stage])


def _continues(run: Run) -> bool:
    """Whether the recipe's pairs need blind continuations."""
    return "dropout-ntp" in run.recipe.pairing.kinds


def _stage(module: str, function: str) -> Callable[..., object]:
    # Imported only now: some of them load torch.
    return getattr(import_module(module), function)


def _try_gold_answers(run: Run) -> None:
    """Judge every gold answer as if it were a response: what its own rule does not accept, no model can answer right.

    Says how many fail; their responses will be recorded as errors or as wrong. Raises MixprefError where all fail.
    """
    from mixpref.verifying.audit import gold_answers

    failed: list[str] = []
    total = 0
    for split in ("train", "held_out"):
        for judged in gold_answers(run.problems(split)):
            total += 1
            verdict = judged.verdict
            if verdict.outcome != "correct":
                failed.append(f"{judged.text!r} of {judged.problem.source} is {verdict.outcome} ({verdict.detail})")
    if not failed:
        return
    message = f"{len(failed)} of {total} gold answers are not accepted by their own rule; the first, {failed[0]}"
    if len(failed) == total:
        run.problems("train").discard()
        raise MixprefError(f"{message}; correct the answers or the rules of the rows")
    say(f"problems: {message}; `mixpref verify {run.path} --audit` shows them all")
