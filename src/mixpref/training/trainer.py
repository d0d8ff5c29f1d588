"""MPOTrainer: a transformers.Trainer that trains by Mixed Preference Optimization.

What it adds to Trainer, beside the objective:

- The unit of work is a prompt with its images, its different responses and the pairs among them (`shared`): nothing is
  computed twice. `step="plain"` computes every response as a sequence of its own instead.
- The loss of an optimizer step is the mean over all its pairs, however they are cut into micro-batches, dealt to
  processes, and whatever is left for an epoch's last step. To Trainer a step is one batch: accumulation happens here.
- delta is updated once a step, from the rewards of all its pairs, before it is used. With one micro-batch a step that
  costs nothing. With more, delta has to be known before the first backward pass, so the step's log-probabilities are
  computed once ahead without gradients; those of the reference are kept for the step itself. `delta_lags` does
  without: delta is then the mean up to the step before, updated with that step's rewards, and just as exact.
- Checkpoints hold delta and the metrics not yet logged, are known to be complete, and are loaded whole.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
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
from mixpref.training import checkpoints, metrics
from mixpref.training.callbacks import ProgressBar
from mixpref.training.checks import check_finite, check_first_loss
from mixpref.training.config import MPOConfig
from mixpref.training.data import PairDataset, read_pairs
from mixpref.training.dropout import disable_dropout
from mixpref.training.features import Features
from mixpref.training.freezing import adapted, freeze
from mixpref.training.loading import step_loader
from mixpref.training.objective import RunningDelta
from mixpref.training.packing import Batch
from mixpref.training.reference import Reference, compute_in_step
from mixpref.training.steps import choose, pair_losses, rewards
from mixpref.training.streaming import StreamedPairs, is_streamed, record_refused, say_left_out

__all__ = ["MPOConfig", "MPOTrainer"]


@dataclass
class _Step:
    """The optimizer step at work."""

    delta: float = 0.0
    ahead: bool = False
    """Whether delta has already taken in this step's rewards."""
    sums: Tensor = field(default_factory=metrics.zeros)
    reference: list[Tensor] = field(default_factory=list)
    """The reference's log-probabilities of micro-batches not yet worked, as far as they are known."""


class MPOTrainer(Trainer):
    """Trains a vision-language model on preference rows by MPO.

    model: the model, or what AutoModelForImageTextToText loads. It is the policy; a frozen copy of it is the reference,
    unless `ref_model` gives another. So to resume, too, begin with the initial model: the checkpoint's weights go into
    the policy alone. Where the model is a peft adapter, the reference is the model without it.
    peft_config: makes such an adapter of the model, a LoraConfig for example.
    train_dataset, eval_dataset: rows as in `mixpref.training.reading`, or StreamedPairs, which are read when their step
    comes. Rows that cannot be trained on are left out, see `train_dataset.refused`.
    processing_class: the model's processor; loaded with the model where that is a name.

    Raises MixprefError where no row can be trained on.
    """

    args: MPOConfig
    train_dataset: PairDataset | StreamedPairs

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | str | Path,
        args: MPOConfig | None = None,
        train_dataset: Sequence[Mapping[str, Any]] | PairDataset | StreamedPairs | None = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        ref_model: nn.Module | None = None,
        peft_config: Any = None,
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
        if peft_config is not None:
            model = adapted(model, peft_config)
        if processing_class is None:
            raise MixprefError("MPOTrainer needs the model's processor: give it as processing_class")
        tokenizer = getattr(processing_class, "tokenizer", processing_class)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        disable_dropout(model, dropout=args.disable_dropout, drop_path=args.disable_drop_path)
        if is_streamed({"train": train_dataset, "eval": eval_dataset}):
            compute_in_step(args)
        cached, own = args.reference == "cached", ref_model is None
        if ref_model is None and not cached and not hasattr(model, "disable_adapter"):
            ref_model = copy.deepcopy(model)
        if ref_model is not None:
            ref_model.eval().requires_grad_(False)
        freeze(model, args.freeze)
        self._logps, collator = choose(args.step, [each for each in (model, ref_model) if each is not None])
        # A reference from elsewhere may see in another way.
        seen = Path(args.feature_cache) if args.feature_cache else None
        self._features = Features(model, seen) if args.step == "shared" and own else None
        path = Path(args.reference_cache) if args.reference_cache else None
        self.reference = Reference(ref_model, model, self._logps, cached=cached, path=path)
        self.delta = RunningDelta()
        self.tokens = 0
        """Tokens of prompts and responses that the policy was trained on so far."""
        self._sums = metrics.zeros()
        self._evaluated = metrics.zeros()
        self._evaluating: PairDataset | StreamedPairs | None = None
        self._step = _Step()
        self.args, self.processing_class = args, processing_class
        super().__init__(
            model=model,
            args=args,
            data_collator=more.pop("data_collator", None) or collator(processing_class),
            train_dataset=self._read(train_dataset),
            eval_dataset=(
                {name: self._read(rows) for name, rows in eval_dataset.items()}
                if isinstance(eval_dataset, dict)
                else self._read(eval_dataset)
            ),
            processing_class=processing_class,
            **more,
        )
        # The loss that compute_loss returns is divided by the pairs of the whole step.
        self.loss_is_scaled_for_ga = True
        # Where delta has no part in the loss, it is not worth a forward pass.
        self._lags = args.delta_lags or not args.bco_weight
        if ref_model is not None:
            ref_model.to(args.device)
        self._bar = ProgressBar()
        for callback in (PrinterCallback, DEFAULT_PROGRESS_CALLBACK):
            self.remove_callback(callback)
        if not args.disable_tqdm:
            self.add_callback(self._bar)

    # Data

    def get_train_dataloader(self) -> DataLoader[Any]:
        args = self.args
        seed = args.seed if args.data_seed is None else args.data_seed
        sizes: dict[str, Any] = {"step_pairs": args.step_pairs, "micro_pairs": args.micro_pairs}
        return step_loader(self.train_dataset, self.data_collator, args, seed=seed, **sizes)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:
        own: Any = self.eval_dataset
        rows = own if eval_dataset is None else own[eval_dataset] if isinstance(eval_dataset, str) else eval_dataset
        pairs = self._read(rows)
        if pairs is None:
            raise ValueError("evaluation needs an eval_dataset")
        self._fill_reference(pairs)
        self._evaluating = pairs
        size = self.args.per_device_eval_batch_size
        return step_loader(
            pairs, self.data_collator, self.args, step_pairs=size * self.args.world_size, micro_pairs=None
        )

    def _read(self, rows: Any) -> PairDataset | StreamedPairs | None:
        args = self.args
        return read_pairs(rows, self.processing_class, args.max_length, args.max_tokens_per_row)

    # The step

    def get_batch_samples(
        self, epoch_iterator: Any, num_batches: int, device: torch.device
    ) -> tuple[list[Any], Tensor | int | None]:
        """The next step, a list of micro-batches, and its pairs over all processes."""
        steps, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        record_refused(self.train_dataset, steps)
        pairs = torch.tensor(sum(int(batch["counts"].sum()) for step in steps for batch in step), device=device)
        return steps, int(self.accelerator.reduce(pairs, "sum"))

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """One optimizer step's gradients: the micro-batches' one after the other, reduced over processes at the last.

        Returns this process's share of the loss. Raises MixprefError where the loss says that something is wrong.
        """
        batches: list[Batch] = inputs
        self._step = _Step(delta=self.delta.value)
        if len(batches) > 1 and not self._lags:
            self._look_ahead(model, batches)
        total = torch.zeros((), device=self.args.device)
        for number, batch in enumerate(batches, start=1):
            last = number == len(batches)
            self.accelerator.gradient_state._set_sync_gradients(last)
            with nullcontext() if last else self.accelerator.no_sync(model):
                total += super().training_step(model, batch, num_items_in_batch)
        assert num_items_in_batch is not None
        self._finish_step(int(num_items_in_batch))
        return total

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
        inputs = self._seen(model, inputs)
        reference = step.reference.pop(0) if step.reference else self._reference_logps(model, inputs)
        policy, _ = self._logps(model, inputs)
        if not step.ahead:
            value = self.delta.update(rewards(policy, reference, inputs, self.args))
            if not self._lags:
                step.delta = value
        parts = pair_losses(policy, reference, inputs, self.args, step.delta)
        step.sums += metrics.summed(parts, policy, reference, inputs)
        loss = parts.loss[inputs["counts"]].sum() / num_items_in_batch
        if not inputs["counts"].any():
            # No pair counts here, but all processes have to take part in the backward pass.
            loss = parts.loss.sum() * 0.0
        # Gradients are averaged over the processes, where a sum is wanted.
        return loss * self.args.world_size

    def _look_ahead(self, model: nn.Module, batches: list[Batch]) -> None:
        """Let delta take in the rewards of the whole step before its first backward pass."""
        step = self._step
        model.train()
        found = []
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in map(self._prepare_inputs, batches):
                batch = self._seen(model, batch)
                step.reference.append(self._reference_logps(model, batch))
                found.append(rewards(self._logps(model, batch)[0], step.reference[-1], batch, self.args))
        step.delta = self.delta.update(torch.cat(found))
        step.ahead = True

    def _seen(self, model: nn.Module, batch: Batch) -> Batch:
        """The micro-batch; where nothing of seeing is trained, with its images' features for policy and reference."""
        return batch if self._features is None else {**batch, "features": self._features(model, batch)}

    def _finish_step(self, pairs: int) -> None:
        """Count the step's sums in. Raises MixprefError where its loss says that something is wrong."""
        if not pairs:
            # Every row of a streamed step was refused.
            return
        sums = self.accelerator.reduce(self._step.sums.to(self.args.device), "sum").cpu()
        means = dict(zip(metrics.SUMS, (sums / pairs).tolist(), strict=True))
        check_finite(means, self.state.global_step + 1)
        if self.state.global_step == 0:
            check_first_loss(means, self.args)
        self._sums += sums
        self.tokens += int(sums[metrics.SUMS.index("tokens")])

    def _reference_logps(self, model: nn.Module, batch: Batch) -> Tensor:
        """The reference's log-probabilities [U] of a micro-batch's responses."""
        with self.accelerator.autocast():
            return self.reference(model, batch)

    def _fill_reference(self, *datasets: PairDataset | StreamedPairs | None) -> None:
        """Compute those of the reference's log-probabilities that are to be cached and not there yet."""
        args, model = self.args, self.model
        assert model is not None
        for pairs in datasets if self.reference.cached else ():
            if isinstance(pairs, StreamedPairs):
                raise MixprefError("streamed rows cannot be cached: give them at the start, or set reference='in_step'")
            if pairs is None or not (missing := self.reference.missing(pairs.keys())):
                continue
            sizes: dict[str, Any] = {"step_pairs": args.step_pairs, "micro_pairs": args.micro_pairs}
            loader = step_loader(pairs, self.data_collator, args, only=pairs.covering(missing), **sizes)
            steps = ([self._seen(model, self._prepare_inputs(batch)) for batch in step] for step in loader)
            with self.accelerator.autocast():
                self.reference.fill(model, steps, len(loader), rank=args.process_index)

    # Evaluation

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        losses = []
        record_refused(self._evaluating, [inputs])
        with torch.no_grad(), self.compute_loss_context_manager():
            for batch in map(self._prepare_inputs, inputs):
                reference = self._reference_logps(model, batch)
                policy, _ = self._logps(model, batch)
                parts = pair_losses(policy, reference, batch, self.args, self.delta.value)
                self._evaluated += metrics.summed(parts, policy, reference, batch)
                losses.append(parts.loss)
        return torch.cat(losses).mean(), None, None

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
        own = self.eval_dataset
        self._fill_reference(self.train_dataset, *(own.values() if isinstance(own, dict) else (own,)))
        self.delta, self.tokens = RunningDelta(), 0
        self._sums.zero_()
        if resume_from_checkpoint:
            self._load_state(Path(resume_from_checkpoint))
        try:
            return super().train(resume_from_checkpoint, *args, **kwargs)
        finally:
            self._bar.close()
            if self.is_world_process_zero():
                say_left_out(self.train_dataset)

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
        if isinstance(self.train_dataset, StreamedPairs) and "refused" in state:
            self.train_dataset.load_state_dict(state["refused"])

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        # The other processes' random states have to be there before the checkpoint is declared complete.
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            folder = Path(self._get_output_dir(trial=trial)) / f"checkpoint-{self.state.global_step}"
            sums = dict(zip(metrics.SUMS, self._sums.tolist(), strict=True))
            state: dict[str, Any] = {"delta": self.delta.state_dict(), "tokens": self.tokens, "sums": sums}
            if isinstance(self.train_dataset, StreamedPairs):
                state["refused"] = self.train_dataset.state_dict()
            checkpoints.write_state(folder, state)

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
