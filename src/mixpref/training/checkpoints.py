"""Checkpoints that can be trusted: complete or not there, and loaded whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from mixpref.errors import MixprefError
from mixpref.store import write_json

STATE = "mixpref.json"
"""Written last: a checkpoint without it was torn by the end of its process."""


def complete(output_dir: Path | str) -> list[Path]:
    """The complete checkpoints in a directory, the newest last."""
    found = [
        (int(match[1]), folder)
        for folder in Path(output_dir).glob("checkpoint-*")
        if (match := re.fullmatch(r"checkpoint-(\d+)", folder.name)) and (folder / STATE).exists()
    ]
    return [folder for _, folder in sorted(found)]


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Keep what the trainer knows beyond what transformers keeps, and so declare the checkpoint complete."""
    write_json(folder / STATE, state)


def read_state(folder: Path) -> dict[str, Any]:
    """What `write_state` kept. Raises MixprefError for a checkpoint that is not complete."""
    try:
        return json.loads((folder / STATE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MixprefError(
            f"{folder} is no complete checkpoint of MPOTrainer ({STATE} is missing); resume from another one"
        ) from None


def load_weights(model: PreTrainedModel, folder: Path) -> None:
    """Put the weights of a checkpoint into the model, every one of them.

    transformers' Trainer reads the file's tensors by their names in the file, which are not those of the modules for
    vision-language models: it warns and goes on with the initial weights. Here `from_pretrained` does the renaming,
    and a tensor too few or too many is an error. Raises MixprefError.
    """
    # Every narrower type fits into these without loss, so the weights come back bit for bit.
    wide = any(weight.dtype == torch.float64 for weight in model.parameters())
    dtype = torch.float64 if wide else torch.float32
    read: Any = type(model).from_pretrained
    try:
        loaded, found = read(folder, dtype=dtype, output_loading_info=True)
    except (OSError, RuntimeError, ValueError) as reason:
        raise MixprefError(
            f"the checkpoint {folder} cannot be loaded into the model ({' '.join(str(reason).split())}); delete it to "
            "resume from the one before"
        ) from reason
    wrong = {kind: sorted(map(str, keys)) for kind, keys in found.items() if keys}
    if wrong:
        kind, keys = next(iter(wrong.items()))
        raise MixprefError(
            f"the checkpoint {folder} does not fit the model: {len(keys)} {kind.replace('_', ' ')}, the first "
            f"{keys[0]}; resume with the model that the training began with"
        )
    model.load_state_dict(loaded.state_dict(), strict=True)
