"""Settings of the trainer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments

from mixpref.errors import MixprefError
from mixpref.training.freezing import PARTS


@dataclass
class MPOConfig(TrainingArguments):
    """transformers' TrainingArguments with the settings of MPO; defaults are those of the paper's InternVL2-8B.

    Sizes that depend on the machine keep the defaults of TrainingArguments: the paper's batch is 256 pairs
    (`batch_size=256`), in bf16.
    """

    beta: float = field(default=0.1, metadata={"help": "Scale of the rewards: beta (log pi - log pi_0)."})
    dpo_weight: float = field(default=0.8, metadata={"help": "Weight of the preference loss Lp (DPO)."})
    bco_weight: float = field(default=0.2, metadata={"help": "Weight of the quality loss Lq (BCO)."})
    sft_weight: float = field(default=1.0, metadata={"help": "Weight of the generation loss Lg (SFT)."})
    batch_size: int | None = field(
        default=None,
        metadata={
            "help": "Pairs an optimizer step over all processes. Replaces gradient_accumulation_steps, and need not be "
            "a multiple of anything. None: what gradient_accumulation_steps makes of per_device_train_batch_size."
        },
    )
    step: str = field(
        default="shared",
        metadata={
            "help": "shared: a prompt, its images and each different response are computed once; plain: every response "
            "is a sequence of its own. The gradients are the same."
        },
    )
    reference: str = field(
        default="cached",
        metadata={
            "help": "cached: the reference's log-probabilities are computed before the training, once for each "
            "different response, and no second model is kept; in_step: they are computed along with the policy's."
        },
    )
    reference_cache: str | None = field(
        default=None,
        metadata={"help": "Directory that keeps cached log-probabilities of the reference for the next training."},
    )
    feature_cache: str | None = field(
        default=None,
        metadata={
            "help": "Directory that keeps what a frozen vision tower and projector make of the images, so that they "
            "see each image once in all trainings: a file for each prompt, of image tokens x hidden size numbers."
        },
    )
    max_tokens_per_row: int | None = field(
        default=None,
        metadata={
            "help": "Tokens of a micro-batch, in place of per_device_train_batch_size: prompts and responses are "
            "packed into rows of up to so many, without padding. A pair that doesn't fit is left out and counted."
        },
    )
    max_pairs_per_group: int | None = field(
        default=None,
        metadata={"help": "Pairs of one prompt in an optimizer step at most. None: all of them stay together."},
    )
    freeze: list[str] = field(
        default_factory=list,
        metadata={"help": "Parts of the model that are not trained: vision, projector, language, embeddings."},
    )
    delta_lags: bool = field(
        default=False,
        metadata={
            "help": "Take delta from the steps before instead of these and the present one. Saves the forward passes "
            "that gradient accumulation needs to know the rewards of the whole step beforehand (about a fifth of it)."
        },
    )
    max_length: int | None = field(
        default=None,
        metadata={"help": "Tokens of prompt and response, images included; longer pairs are left out, never cut."},
    )
    disable_dropout: bool = field(default=True, metadata={"help": "Set all dropout rates to 0."})
    disable_drop_path: bool = field(
        default=True,
        metadata={"help": "Set the rates at which whole layers are dropped to 0 (the paper trains at 0.1)."},
    )
    check_first_loss: bool = field(
        default=True,
        metadata={"help": "Stop where the first loss is off its known value by more than 1 %."},
    )

    learning_rate: float = field(default=5e-6, metadata={"help": "Highest learning rate of AdamW."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's decoupled weight decay."})
    warmup_steps: float = field(default=0.05, metadata={"help": "Steps, or below 1 share of all steps, of warm-up."})
    lr_scheduler_type: Any = field(default="cosine", metadata={"help": "How the learning rate falls."})
    num_train_epochs: float = field(default=1.0, metadata={"help": "Passes over the pairs."})
    logging_steps: float = field(default=1, metadata={"help": "Steps between two logs."})
    logging_nan_inf_filter: bool = field(
        default=False, metadata={"help": "Not needed: a loss that is not finite stops the training."}
    )
    use_cache: bool = field(
        default=True,
        metadata={"help": "Goes into the saved model's configuration; the training itself never uses a cache."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        weights = {name: getattr(self, name) for name in ("dpo_weight", "bco_weight", "sft_weight")}
        if any(not 0 <= weight < math.inf for weight in weights.values()) or not any(weights.values()):
            raise MixprefError(f"the weights of the losses must be 0 or more, and not all 0: {weights}")
        if not 0 < self.beta < math.inf:
            raise MixprefError(f"beta must be above 0, not {self.beta}")
        if self.reference not in ("cached", "in_step"):
            raise MixprefError(f"reference must be cached or in_step, not {self.reference!r}")
        if self.step not in ("shared", "plain"):
            raise MixprefError(f"step must be shared or plain, not {self.step!r}")
        for name in ("batch_size", "max_tokens_per_row", "max_pairs_per_group"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise MixprefError(f"{name} must be 1 or more, not {value}")
        if self.step == "plain" and self.max_tokens_per_row:
            raise MixprefError(
                "max_tokens_per_row is of the shared step; the plain one has per_device_train_batch_size"
            )
        if unknown := set(self.freeze) - PARTS.keys():
            raise MixprefError(f"freeze: there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        if self.batch_size is None:
            each = self.per_device_train_batch_size * self.gradient_accumulation_steps
            self.batch_size = each * self.world_size
        if self.ddp_find_unused_parameters is None:
            # Not every row has an image, and the last layer of many vision towers is left out.
            self.ddp_find_unused_parameters = True
        # MPOTrainer accumulates by itself: to Trainer, every batch is a step.
        self.gradient_accumulation_steps = 1

    @property
    def step_pairs(self) -> int:
        """Pairs an optimizer step, over all processes."""
        assert self.batch_size is not None
        return self.batch_size

    @property
    def micro_pairs(self) -> int | None:
        """Pairs a micro-batch at most; None where a budget of tokens takes its place."""
        return None if self.max_tokens_per_row else self.per_device_train_batch_size
