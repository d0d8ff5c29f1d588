"""The stage `train`: a model trained on the run's preference pairs, by MPO or as a baseline."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixpref import prompts
from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.seeds import derive
from mixpref.store import write_json

if TYPE_CHECKING:
    from mixpref.rundir import Run
    from mixpref.training.trainer import MPOConfig, MPOTrainer

WEIGHTS: dict[str, dict[str, float]] = {
    "mpo": {},
    "sft": {"dpo_weight": 0.0, "bco_weight": 0.0, "sft_weight": 1.0},
    "dpo": {"dpo_weight": 1.0, "bco_weight": 0.0, "sft_weight": 0.0},
}
"""What a role trains for, where it is not what the recipe says. The baselines have the same pairs and settings."""

LOG = "training_log.jsonl"
_CHECKPOINTS = "checkpoints"
_SAVING = "saving"


def train(run: Run, role: str = "mpo") -> None:
    """Train the model of a role (mpo, sft, dpo) and save it, with its processor, in `run.model_dir(role)`.

    Goes on from the last complete checkpoint. Beside the model stay the training log and a manifest, whose counts say
    of every pair whether it was trained on.

    Raises MixprefError where the pairs are not complete, where the model cannot be loaded, and as MPOTrainer does.
    """
    folder = run.model_dir(role)
    if role not in WEIGHTS:
        raise ValueError(f"there is no role {role!r} to train; the roles are {', '.join(WEIGHTS)}")
    if (folder / "manifest.json").exists():
        say(f"train {role}: finished before, skipped")
        return
    rows = _rows(run)
    trainer = _trainer(run, role, rows, folder)
    _resume_and_train(trainer, folder / _CHECKPOINTS, role)
    _save(trainer, folder)
    if trainer.is_world_process_zero():
        write_json(folder / "manifest.json", _manifest(run, role, trainer, len(rows)))
        shutil.rmtree(folder / _CHECKPOINTS, ignore_errors=True)


def _rows(run: Run) -> Sequence[Mapping[str, Any]]:
    """The run's own pairs, or those of an MMPR data set, which are read only as their steps come."""
    if run.recipe.training.pairs is not None:
        from mixpref.sources.mmpr import MMPRRows

        meta = Path(run.recipe.training.pairs).expanduser()
        return MMPRRows(meta, seed=run.recipe.seed, remote_images=run.recipe.problems.remote_images)
    if not run.pairs.finished:
        raise MixprefError(f"{run.pairs.path} is not complete; run `mixpref pair` first")
    pairs = run.pairs.read()
    wanted = {pair.problem_id for pair in pairs}
    problems = {problem.id: problem for problem in run.problems("train") if problem.id in wanted}
    if missing := wanted - problems.keys():
        raise MixprefError(
            f"{run.pairs.path} has pairs of {len(missing)} problems that are not in {run.problems('train').path}; "
            "delete pairs/ and run `mixpref pair` again"
        )
    return [
        {
            "prompt": prompts.messages(problems[pair.problem_id], pair.style),
            "chosen": [{"role": "assistant", "content": pair.chosen}],
            "rejected": [{"role": "assistant", "content": pair.rejected}],
            "images": list(problems[pair.problem_id].images),
            "chosen_complete": pair.chosen_complete,
            "rejected_complete": pair.rejected_complete,
        }
        for pair in pairs
    ]


def _trainer(run: Run, role: str, rows: Sequence[Mapping[str, Any]], folder: Path) -> MPOTrainer:
    # Imported only now: both load torch.
    from mixpref.training.callbacks import LogFile
    from mixpref.training.data import read_pairs
    from mixpref.training.trainer import MPOTrainer

    model, processor = _load(run)
    recipe = run.recipe.training
    pairs = read_pairs(rows, processor, recipe.max_length, recipe.max_tokens_per_row)
    assert pairs is not None
    return MPOTrainer(
        model,
        args=_config(run, role, len(pairs), folder),
        train_dataset=pairs,
        processing_class=processor,
        callbacks=[LogFile(folder / LOG)],
    )


def _load(run: Run) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    name = str(run.model_dir("base"))
    try:
        remote = run.recipe.trust_remote_code
        processor = AutoProcessor.from_pretrained(name, trust_remote_code=remote)
        # The weights that are trained are float32 also where the passes are bf16: updates are too small for bf16.
        model = AutoModelForImageTextToText.from_pretrained(name, dtype=torch.float32, trust_remote_code=remote)
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise MixprefError(
            f"the model {name!r} cannot be loaded as an image-text-to-text model ({reason}); give a folder or hub name "
            "that AutoModelForImageTextToText and AutoProcessor load"
        ) from error
    return model, processor


def _config(run: Run, role: str, pairs: int, folder: Path) -> MPOConfig:
    from mixpref.training.config import MPOConfig

    recipe = run.recipe.training
    steps = math.ceil(recipe.epochs * math.ceil(pairs / recipe.batch_size))
    settings: dict[str, Any] = {
        "beta": recipe.beta,
        "dpo_weight": recipe.dpo_weight,
        "bco_weight": recipe.bco_weight,
        "sft_weight": recipe.sft_weight,
    } | WEIGHTS[role]
    return MPOConfig(
        output_dir=str(folder / _CHECKPOINTS),
        seed=derive(run.recipe.seed, "train") % 2**32,
        learning_rate=recipe.learning_rate,
        batch_size=recipe.batch_size,
        per_device_train_batch_size=min(recipe.micro_batch_size, recipe.batch_size),
        num_train_epochs=recipe.epochs,
        weight_decay=recipe.weight_decay,
        # transformers takes 1 and more for a number of steps.
        warmup_steps=recipe.warmup_ratio if recipe.warmup_ratio < 1 else steps,
        lr_scheduler_type=recipe.lr_scheduler,
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.bf16,
        step=recipe.step,
        reference=recipe.reference,
        # All roles start from the same model, and learn from the same pairs.
        reference_cache=str(run.path / "reference") if recipe.reference == "cached" else None,
        max_tokens_per_row=recipe.max_tokens_per_row,
        max_pairs_per_group=recipe.max_pairs_per_group,
        freeze=list(recipe.freeze),
        activation_checkpointing=recipe.gradient_checkpointing,
        logging_steps=recipe.logging_steps,
        save_steps=recipe.save_steps,
        # One more than is needed: the last may be torn.
        save_total_limit=2,
        **settings,
    )


def _resume_and_train(trainer: MPOTrainer, folder: Path, role: str) -> None:
    from mixpref.training import checkpoints

    found = checkpoints.complete(folder)
    if not found:
        trainer.train()
        return
    state = json.loads((found[-1] / "trainer_state.json").read_text(encoding="utf-8"))
    if state["global_step"] >= state["max_steps"]:
        # Trainer would do one step more.
        trainer.restore(found[-1])
        return
    say(f"train {role}: goes on from step {state['global_step']} of {state['max_steps']}")
    trainer.train(resume_from_checkpoint=str(found[-1]))


def _save(trainer: MPOTrainer, folder: Path) -> None:
    """Save the model so that config.json, by which others know that it is there, comes last."""
    saving = folder / _SAVING
    if trainer.is_world_process_zero():
        shutil.rmtree(saving, ignore_errors=True)
    trainer.save_model(str(saving))
    if trainer.is_world_process_zero():
        # A pickle of the trainer's settings: the manifest has them.
        (saving / "training_args.bin").unlink(missing_ok=True)
        for file in sorted(saving.iterdir(), key=lambda file: (file.name == "config.json", file.name)):
            os.replace(file, folder / file.name)
        saving.rmdir()


def _manifest(run: Run, role: str, trainer: MPOTrainer, rows: int) -> dict[str, Any]:
    import torch
    import transformers

    args = trainer.args
    objective = {name: getattr(args, name) for name in ("beta", "dpo_weight", "bco_weight", "sft_weight")}
    reasons = trainer.train_dataset.reasons()
    return {
        "role": role,
        "settings": {"seed": run.recipe.seed, **dataclasses.asdict(run.recipe.training), **objective},
        "counts": {
            "pairs": {"all": rows, "trained on": rows - sum(reasons.values()), **reasons},
            "steps": trainer.state.max_steps,
            "tokens": trainer.tokens,
        },
        "delta": trainer.delta.value,
        "model": run.recipe.model,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
    }
