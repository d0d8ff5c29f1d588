"""The plain step: every response is a sequence of its own, the prompt and its images before it.

The policy runs once over the chosen and the rejected responses of a micro-batch together. Logits are computed only
where a response's token is predicted. Nothing is shared between the two responses of a pair: this is the yardstick
for steps that do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mixpref.training.data import Example, process, response_key, response_kind

Batch = dict[str, Any]
"""`inputs`: what the model takes, each tensor with 2B sequences, the B chosen before the B rejected. `response`
[2B, S]: where the responses' tokens are. `lengths`, `keys` [2B]: how many they are, and their hashes. `chosen`,
`rejected` [B]: the responses of each pair. `tokens` [B]: of the pair's two sequences. `counts` [B]: whether the pair
has a part in the loss."""


class PlainCollator:
    """Makes a micro-batch of B examples; each pair's prompt and images are processed once."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        tokenizer = getattr(processor, "tokenizer", processor)
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def __call__(self, examples: Sequence[Example]) -> Batch:
        prompts = process(self.processor, [each.prompt for each in examples], [each.images for each in examples])
        ids, mask = prompts.pop("input_ids"), prompts.pop("attention_mask").bool()
        responses = [each.chosen for each in examples] + [each.rejected for each in examples]
        starts = mask.sum(1).tolist() * 2
        size = (len(responses), max(start + len(said) for start, said in zip(starts, responses, strict=True)))
        inputs: dict[str, Any] = {
            "input_ids": torch.full(size, self.pad),
            "attention_mask": torch.zeros(size, dtype=torch.long),
        }
        response = torch.zeros(size, dtype=torch.bool)
        for name, value in prompts.items():
            if not isinstance(value, Tensor):
                inputs[name] = value * 2
            elif value.shape == ids.shape:
                inputs[name] = torch.full(size, response_kind(self.processor, name), dtype=value.dtype)
            else:
                # Images follow each other in the order of the prompts, however many tensors' rows each has.
                inputs[name] = torch.cat((value, value))
        for row, said in enumerate(responses):
            pair, start, end = row % len(examples), starts[row], starts[row] + len(said)
            inputs["input_ids"][row, :start] = ids[pair][mask[pair]]
            inputs["input_ids"][row, start:end] = torch.tensor(said)
            inputs["attention_mask"][row, :end] = 1
            response[row, start:end] = True
            for name, value in prompts.items():
                if isinstance(value, Tensor) and value.shape == ids.shape:
                    inputs[name][row, :start] = value[pair][mask[pair]]
        return {
            "inputs": inputs,
            "response": response,
            "lengths": response.sum(1),
            "keys": [response_key(each.key, each.chosen) for each in examples]
            + [response_key(each.key, each.rejected) for each in examples],
            "chosen": torch.arange(len(examples)),
            "rejected": torch.arange(len(examples), 2 * len(examples)),
            "tokens": torch.stack(inputs["attention_mask"].chunk(2)).sum((0, 2)),
            "counts": torch.tensor([each.counts for each in examples]),
        }


def response_logps(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Log-probabilities [2B] of the responses, in nats, summed over their tokens in float32, and the tokens [2B].

    The model is entered by its `forward` alone, so wrappers that shard or cast parameters there see every use.
    """
    response = batch["response"]
    # The token at position t is predicted at t - 1.
    predicts = torch.zeros_like(response)
    predicts[:, :-1] = response[:, 1:]
    logits = model(**batch["inputs"], logits_to_keep=predicts, use_cache=False).logits
    if logits.ndim == 3:
        logits = logits[predicts]
    tokens = batch["inputs"]["input_ids"][response]
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logps = -cross_entropy(logits.to(dtype), tokens, reduction="none")
    sums = torch.zeros(response.shape, dtype=dtype, device=logps.device).masked_scatter(response, logps).sum(1)
    return sums, response.sum(1)
