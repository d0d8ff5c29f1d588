"""MPOTrainer: a transformers.Trainer that trains by Mixed Preference Optimization.

What it adds to Trainer, beside the objective:

- The loss of an optimizer step is the mean over all its pairs, however they are cut into micro-batches, dealt to
  processes, and whatever is left for an epoch's last step.
- delta is updated once a step, from the rewards of all its pairs, before it is used. With one micro-batch a step that
  costs nothing. With more, delta has to be known before the first backward pass, so the step's log-probabilities are
  computed once ahead without gradients; those of the reference are kept for the step itself. `delta_lags` does
  without: delta is then the mean up to the step before, updated with that step's rewards, and just as exact.
- Checkpoints hold delta and the metrics not yet logged, are known to be complete, and are loaded whole.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerState,
)
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.training import checkpoints, metrics
from mixpref.training.batches import StepBatches, StepLoader
from mixpref.training.callbacks import ProgressBar
from mixpref.training.config import MPOConfig
from mixpref.training.data import Example, PairDataset, read_pairs
from mixpref.training.dropout import disable_dropout
from mixpref.training.objective import Parts, RunningDelta, first_loss, mpo_loss
from mixpref.training.plain import Batch, PlainCollator, response_logps

__all__ = ["MPOConfig", "MPOTrainer"]

_FIRST_LOSS_TOLERANCE = 0.01


@dataclass
class _Step:
    """The optimizer step at work."""

    batches: list[Batch]
    pairs: int
    """Pairs that count, over all micro-batches and processes."""
    sums: Tensor = field(default_factory=metrics.zeros)
    done: int = 0
    """Micro-batches that have been worked."""
    ahead: bool = False
    """Whether delta has already taken in this step's rewards."""
    reference: list[Tensor] = field(default_factory=list)
    """The reference's log-probabilities of micro-batches not yet worked, as far as they are known."""
    delta: float = 0.0


class MPOTrainer(Trainer):
    """Trains a vision-language model on preference rows by MPO.

    model: the model, or what AutoModelForImageTextToText loads. It is the policy; a frozen copy of it is the reference,
    unless `ref_model` gives another. So to resume, too, begin with the initial model: the checkpoint's weights go into
    the policy alone.
    train_dataset, eval_dataset: rows as in `mixpref.training.data`; rows that cannot be trained on are left out, see
    `train_dataset.refused`.
    processing_class: the model's processor; loaded with the model where that is a name.

    Raises MixprefError where no row can be trained on.
    """

    args: MPOConfig
    train_dataset: PairDataset

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | str | Path,
        args: MPOConfig | None = None,
        train_dataset: Sequence[Mapping[str, Any]] | PairDataset | None = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        ref_model: nn.Module | None = None,
        **more: Any,
    ) -> None:
        args = args or MPOConfig(output_dir="mpo")
        if not isinstance(args, MPOConfig):
            raise MixprefError(f"args must be an MPOConfig, not a {type(args).__name__}")
        # Trainer would split a batch over all GPUs that one process sees; several are used by torchrun.
        args._n_gpu = min(args.n_gpu, 1)
        if isinstance(model, str | Path):
            processing_class = processing_class or AutoProcessor.from_pretrained(model)
            model = AutoModelForImageTextToText.from_pretrained(model, dtype=torch.float32)
        if processing_class is None:
            raise MixprefError("MPOTrainer needs the model's processor: give it as processing_class")
        tokenizer = getattr(processing_class, "tokenizer", processing_class)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        if args.disable_dropout:
            disable_dropout(model)
        reference = copy.deepcopy(model) if ref_model is None else ref_model
        self.reference = reference.eval().requires_grad_(False)
        self.delta = RunningDelta()
        self.tokens = 0
        """Tokens of prompts and responses that the policy was trained on so far."""
        self._sums = metrics.zeros()
        self._evaluated = metrics.zeros()
        self._step = _Step([], 0)
        if isinstance(eval_dataset, dict):
            eval_dataset = {
                name: read_pairs(rows, processing_class, args.max_length) for name, rows in eval_dataset.items()
            }
        else:
            eval_dataset = read_pairs(eval_dataset, processing_class, args.max_length)
        super().__init__(
            model=model,
            args=args,
            data_collator=more.pop("data_collator", None) or PlainCollator(processing_class),
            train_dataset=read_pairs(train_dataset, processing_class, args.max_length),
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            **more,
        )
        # The loss that compute_loss returns is divided by the pairs of the whole step.
        self.loss_is_scaled_for_ga = True
        # Where delta has no part in the loss, it is not worth a forward pass.
        self._lags = args.delta_lags or not args.bco_weight
        self.reference.to(args.device)
        self._bar = ProgressBar()
        for callback in (PrinterCallback, DEFAULT_PROGRESS_CALLBACK):
            self.remove_callback(callback)
        if not args.disable_tqdm:
            self.add_callback(self._bar)

    # Data

    def get_train_dataloader(self) -> DataLoader[Example]:
        args = self.args
        return self._loader(
            self.train_dataset,
            step_pairs=args.step_pairs,
            micro_pairs=args.per_device_train_batch_size,
            seed=args.seed if args.data_seed is None else args.data_seed,
        )

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Example]:
        own: Any = self.eval_dataset
        rows = own if eval_dataset is None else own[eval_dataset] if isinstance(eval_dataset, str) else eval_dataset
        pairs = read_pairs(rows, self.processing_class, self.args.max_length)
        if pairs is None:
            raise ValueError("evaluation needs an eval_dataset")
        size = self.args.per_device_eval_batch_size
        return self._loader(pairs, step_pairs=size * self.args.world_size, micro_pairs=size, seed=None)

    def _loader(self, pairs: PairDataset, *, step_pairs: int, micro_pairs: int, seed: int | None) -> StepLoader:
        """Not prepared by accelerate: the batches know the processes, and repeat no pair to fill the last ones."""
        args = self.args
        batches = StepBatches(
            pairs.lengths,
            step_pairs=step_pairs,
            micro_pairs=micro_pairs,
            rank=args.process_index,
            processes=args.world_size,
            seed=seed,
        )
        return StepLoader(
            pairs,
            batch_sampler=batches,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            persistent_workers=args.dataloader_persistent_workers,
            prefetch_factor=args.dataloader_prefetch_factor,
            pin_memory=args.dataloader_pin_memory and torch.cuda.is_available(),
            # One of its own: the loader's draws shall not move the model's.
            generator=torch.Generator(),
        )

    # The step

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Tensor | int | None]:
        """The micro-batches of the next step, and the pairs of the step over all processes."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        pairs = torch.tensor(sum(int(batch["counts"].sum()) for batch in batches), device=device)
        self._step = _Step(batches, int(self.accelerator.reduce(pairs, "sum")))
        return batches, self._step.pairs

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        step = self._step
        if step.done == 0:
            step.delta = self.delta.value
            if len(step.batches) > 1 and not self._lags:
                self._look_ahead(model)
        loss = super().training_step(model, inputs, num_items_in_batch)
        step.done += 1
        if step.done == len(step.batches):
            self._finish_step()
        return loss

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This process's share of the step's loss: its pairs' losses over the pairs of the whole step."""
        if num_items_in_batch is None:
            raise ValueError("compute_loss is a part of an optimizer step; use evaluate() or predict() elsewhere")
        step = self._step
        reference = step.reference.pop(0) if step.reference else self._reference_logps(inputs)
        policy, lengths = response_logps(model, inputs)
        if not step.ahead:
            value = self.delta.update(self._rewards(policy, reference, inputs))
            if not self._lags:
                step.delta = value
        parts = self._parts(policy, reference, lengths, step.delta)
        step.sums += metrics.summed(parts, policy, reference, lengths, inputs)
        loss = parts.loss[inputs["counts"]].sum() / num_items_in_batch
        if not inputs["counts"].any():
            # No pair counts here, but all processes have to take part in the backward pass.
            loss = parts.loss.sum() * 0.0
        # Gradients are averaged over the processes, where a sum is wanted.
        return loss * self.args.world_size

    def _look_ahead(self, model: nn.Module) -> None:
        """Let delta take in the rewards of the whole step before its first backward pass."""
        step = self._step
        model.train()
        rewards = []
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in map(self._prepare_inputs, step.batches):
                step.reference.append(self._reference_logps(batch))
                rewards.append(self._rewards(response_logps(model, batch)[0], step.reference[-1], batch))
        step.delta = self.delta.update(torch.cat(rewards))
        step.ahead = True

    def _finish_step(self) -> None:
        """Count the step's sums in. Raises MixprefError where its loss says that something is wrong."""
        step = self._step
        sums = self.accelerator.reduce(step.sums.to(self.args.device), "sum").cpu()
        means = dict(zip(metrics.SUMS, (sums / step.pairs).tolist(), strict=True))
        number = self.state.global_step + 1
        if not math.isfinite(means["loss"]):
            found = ", ".join(f"{name} {means[name]:.4g}" for name in (*metrics.MEANS[1:4], *metrics.MEANS[-2:]))
            raise MixprefError(
                f"the loss of step {number} is {means['loss']} ({found}); stopped before it could reach the model. A "
                "lower learning_rate or max_grad_norm may help, or float32 in place of half precision"
            )
        if number == 1:
            self._check_first_loss(means["loss"], means["reference_nll"])
        self._sums += sums
        self.tokens += int(sums[metrics.SUMS.index("tokens")])

    def _check_first_loss(self, loss: float, nll: float) -> None:
        args = self.args
        constant = first_loss(dpo_weight=args.dpo_weight, bco_weight=args.bco_weight)
        expected = constant + args.sft_weight * nll
        weighted = "NLL" if args.sft_weight == 1 else f"{args.sft_weight:g} NLL"
        if self.is_world_process_zero():
            say(f"first loss: expected {constant:.5f} + {weighted} = {expected:.5f}, found {loss:.5f}")
        if args.check_first_loss and abs(loss - expected) > _FIRST_LOSS_TOLERANCE * abs(expected):
            raise MixprefError(
                f"the first loss is {loss:.5f}, but with the policy equal to the reference it is {expected:.5f} "
                f"({constant:.5f} + {weighted} of the chosen responses): the policy is not the reference. Look for "
                "dropout or drop path left on, weights that were not loaded, or a ref_model that is another model; "
                "where that is meant, set check_first_loss=False"
            )

    def _reference_logps(self, batch: Batch) -> Tensor:
        with torch.no_grad(), self.accelerator.autocast():
            return response_logps(self.reference, batch)[0]

    def _rewards(self, policy: Tensor, reference: Tensor, batch: Batch) -> Tensor:
        """Rewards of the pairs that count, chosen and rejected."""
        return self.args.beta * (policy.detach() - reference)[batch["counts"].repeat(2)]

    def _parts(self, policy: Tensor, reference: Tensor, lengths: Tensor, delta: float) -> Parts:
        args = self.args
        (chosen, rejected), (reference_chosen, reference_rejected) = policy.chunk(2), reference.chunk(2)
        _, parts = mpo_loss(
            chosen,
            rejected,
            reference_chosen,
            reference_rejected,
            lengths.chunk(2)[0],
            delta=delta,
            beta=args.beta,
            dpo_weight=args.dpo_weight,
            bco_weight=args.bco_weight,
            sft_weight=args.sft_weight,
        )
        return parts

    # Evaluation

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        inputs = self._prepare_inputs(inputs)
        with torch.no_grad(), self.compute_loss_context_manager():
            reference = self._reference_logps(inputs)
            policy, lengths = response_logps(model, inputs)
            parts = self._parts(policy, reference, lengths, self.delta.value)
        self._evaluated += metrics.summed(parts, policy, reference, lengths, inputs)
        return parts.loss.mean(), None, None

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> Any:
        """As Trainer's, with the metrics of training; delta is used as it is and stays."""
        self._evaluated.zero_()
        output: Any = super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )
        sums = self.accelerator.reduce(self._evaluated.to(self.args.device), "sum").cpu()
        # The loss included: Trainer's weighs a small last batch like a full one.
        output.metrics.update({f"{metric_key_prefix}_{name}": mean for name, mean in metrics.means(sums).items()})
        return output

    # Logs and checkpoints

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs and self._sums[-1]:
            logs |= {**metrics.means(self._sums), "delta": self.delta.value, "tokens": self.tokens}
            self._sums.zero_()
        super().log(logs, start_time)

    def floating_point_ops(self, inputs: Any) -> int:
        """Not counted: transformers' estimate knows nothing of the reference."""
        return 0

    def train(self, resume_from_checkpoint: str | bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """As Trainer's. resume_from_checkpoint=True takes the last complete checkpoint in output_dir.

        Raises MixprefError where there is none, where it does not fit the model, where the first loss is not the
        expected one, and where a loss is not finite.
        """
        if resume_from_checkpoint is True:
            found = checkpoints.complete(str(self.args.output_dir))
            if not found:
                raise MixprefError(f"there is no complete checkpoint in {self.args.output_dir} to resume from")
            resume_from_checkpoint = str(found[-1])
        self.delta, self.tokens = RunningDelta(), 0
        self._sums.zero_()
        if resume_from_checkpoint:
            self._load_state(Path(resume_from_checkpoint))
        try:
            return super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            self._bar.close()

    def restore(self, checkpoint: Path) -> None:
        """Take over a checkpoint without training on: its weights, delta and history. Raises MixprefError."""
        self._load_from_checkpoint(str(checkpoint))
        self._load_state(checkpoint)
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    def _load_state(self, checkpoint: Path) -> None:
        state = checkpoints.read_state(checkpoint)
        self.delta.load_state_dict(state["delta"])
        self.tokens = state["tokens"]
        self._sums = torch.tensor([state["sums"][name] for name in metrics.SUMS], dtype=torch.float64)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        # The other processes' random states have to be there before the checkpoint is declared complete.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            sums = dict(zip(metrics.SUMS, self._sums.tolist(), strict=True))
            checkpoints.write_state(folder, {"delta": self.delta.state_dict(), "tokens": self.tokens, "sums": sums})

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        model = self.model if model is None else model
        if isinstance(model, PreTrainedModel) and not self.is_fsdp_enabled:
            checkpoints.load_weights(model, Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        if isinstance(self.model, PreTrainedModel) and not self.is_fsdp_enabled and self.state.best_model_checkpoint:
            checkpoints.load_weights(self.model, Path(self.state.best_model_checkpoint))
        else:
            super()._load_best_model()
