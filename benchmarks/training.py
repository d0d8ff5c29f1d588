"""Whole trainers on the same rows: `python -m benchmarks.training --data DIR [--models embedded large] [--turns 3]`.

MPOTrainer against TRL 1.16's DPOTrainer with the same three losses, everything included: the collator and the images'
processing, reference, optimizer, metrics. DIR is a folder with `puzzlevqa/` (PuzzleVQA as JSON lines and images); a row
is a puzzle and a pair, the explanation that ends with the right option against one that ends with another. With one
pair a prompt only the two responses of a pair can share anything, which is the least that the shared step can save;
with three, one for each wrong option, a puzzle is used as pairs are built from samples.

The trainers take turns in one process, each from the same weights, with TRL as on a GPU (`peer_trl`). CPU seconds are
compared. That both give the responses the same mean log-probabilities is asserted.

Needs `pip install -c constraints.txt -e '.[dev,peers]'`.
"""

from __future__ import annotations

import copy
import json
import logging
import platform
import random
import tempfile
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
import tyro
from PIL import Image

from benchmarks.models import Sizes, make_model, make_processor
from benchmarks.peer_trl import score_responses_only
from mixpref import prompts
from mixpref.records import Problem
from mixpref.rundir import resolve_model
from mixpref.training.data import PairDataset
from mixpref.training.trainer import MPOConfig, MPOTrainer

LARGE = Sizes(hidden=768, inner=2048, layers=12, heads=12, kv_heads=4, vision=384, vision_layers=6, vision_heads=6)
"""About 100 M parameters; an image of PuzzleVQA is one tile of 256 tokens."""


@dataclass(frozen=True)
class Settings:
    data: Path
    models: tuple[str, ...] = ("embedded", "large")
    pairs: tuple[int, ...] = (96, 9)
    """Pairs of a training, for each model."""
    pairs_a_prompt: tuple[int, ...] = (1, 3)
    batch_size: int = 8
    turns: int = 3
    threads: int = 1


def puzzles(data: Path, count: int, each: int) -> list[dict[str, Any]]:
    """Rows in TRL's format: `count` of them, `each` of a puzzle."""
    folder = data / "puzzlevqa"
    lines = (folder / "puzzles.jsonl").read_text(encoding="utf-8").splitlines()
    draw = random.Random(0)
    rows = []
    for line in draw.sample([line for line in lines if len(json.loads(line)["options"]) > each], count // each):
        puzzle = json.loads(line)
        answer = str(puzzle["answer"])
        options = tuple(map(str, puzzle["options"]))
        problem = Problem(question=puzzle["question"], choices=options, answer=(answer,))
        wrong = draw.sample([option for option in options if option != answer], each)
        image = Image.open(folder / puzzle["image"]).convert("RGB")
        right, *others = (
            [{"role": "assistant", "content": f"{puzzle['explanation']} Final answer: {stated}"}]
            for stated in (answer, *wrong)
        )
        # TRL puts the image before the text by itself, as MPOTrainer does.
        prompt = [{"role": "user", "content": prompts.ask(problem, "en")}]
        rows += [{"prompt": prompt, "chosen": right, "rejected": other, "images": [image]} for other in others]
    return rows


def load(name: str) -> tuple[Any, Any]:
    """Model in float32 and processor."""
    if name == "large":
        processor = make_processor(LARGE)
        return make_model(LARGE, processor), processor
    from transformers import AutoModelForImageTextToText, AutoProcessor

    path = resolve_model(name)
    return AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32), AutoProcessor.from_pretrained(path)


COMMON: dict[str, Any] = {
    "per_device_train_batch_size": 0,
    # So low that the order of the rows, which is each trainer's own, does not matter.
    "learning_rate": 1e-9,
    "weight_decay": 0.05,
    "num_train_epochs": 1,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "disable_tqdm": True,
    "seed": 0,
}


def train_ours(model: Any, processor: Any, rows: list[dict[str, Any]], batch_size: int) -> tuple[float, list[float]]:
    """CPU seconds of the training, and the mean log-probabilities of chosen and rejected responses."""
    with tempfile.TemporaryDirectory() as folder:
        config = MPOConfig(output_dir=folder, **{**COMMON, "per_device_train_batch_size": batch_size})
        started = time.process_time()
        trainer = MPOTrainer(model, config, train_dataset=rows, processing_class=processor)
        trainer.train()
        return time.process_time() - started, _means(trainer)


def train_trl(model: Any, processor: Any, rows: list[dict[str, Any]], batch_size: int) -> tuple[float, list[float]]:
    import trl
    from datasets import Dataset

    with tempfile.TemporaryDirectory() as folder:
        config = trl.DPOConfig(
            output_dir=folder,
            loss_type=["sigmoid", "bco_pair", "sft"],
            loss_weights=[0.8, 0.2, 1.0],
            beta=0.1,
            max_length=None,
            bf16=False,
            gradient_checkpointing=False,
            **{**COMMON, "per_device_train_batch_size": batch_size},
        )
        # Turning the rows into a Dataset is not TRL's work.
        dataset = Dataset.from_list(rows)
        started = time.process_time()
        # Without one it looks for the model's name on the hub.
        reference = copy.deepcopy(model)
        trainer = trl.DPOTrainer(
            model, ref_model=reference, args=config, train_dataset=dataset, processing_class=processor
        )
        trainer.train()
        return time.process_time() - started, _means(trainer)


def _means(trainer: Any) -> list[float]:
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [sum(entry[f"logps/{side}"] for entry in logs) / len(logs) for side in ("chosen", "rejected")]


def compare(name: str, model: Any, processor: Any, rows: list[dict[str, Any]], each: int, settings: Settings) -> None:
    """One line of the table."""
    shapes = PairDataset(rows, processor).shapes
    lengths = mean(shape.prompt for shape in shapes), mean(shape.chosen[1] for shape in shapes)
    seconds: dict[str, list[float]] = {"trl": [], "ours": []}
    sides = {"trl": train_trl, "ours": train_ours}
    for turn in range(settings.turns):
        found = {}
        for side in list(sides) if turn % 2 == 0 else list(sides)[::-1]:
            taken, found[side] = sides[side](copy.deepcopy(model), processor, copy.deepcopy(rows), settings.batch_size)
            seconds[side].append(taken)
        if any(abs(a - b) > 1e-4 * abs(a) for a, b in zip(found["trl"], found["ours"], strict=True)):
            raise SystemExit(f"NOT EQUAL: {name}: mean log-probabilities of chosen and rejected {found}")
    ratios = [a / b for a, b in zip(seconds["trl"], seconds["ours"], strict=True)]
    parameters = sum(weight.numel() for weight in model.parameters()) / 1e6
    cells = [f"{name}, {parameters:.0f} M", len(rows), each, f"{lengths[0]:.0f} + {lengths[1]:.0f}"]
    cells += [f"{len(rows) / median(seconds[side]):.2f}" for side in sides]
    cells += [f"{median(ratios):.2f}", f"{min(ratios):.2f} - {max(ratios):.2f}"]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def main(settings: Settings) -> int:
    torch.set_num_threads(settings.threads)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    score_responses_only([])
    columns = ["model", "pairs", "of a prompt", "tokens P + R", "TRL, pairs a CPU second", "mixpref"]
    print(f"| {' | '.join([*columns, 'times as fast', 'least - most'])} |")
    print("|---|---|---|---|---|---|---|---|")
    for name, count in zip(settings.models, settings.pairs, strict=True):
        model, processor = load(name)
        for each in settings.pairs_a_prompt:
            compare(name, model, processor, puzzles(settings.data, count, each), each, settings)
    versions = ", ".join(f"{package} {version(package)}" for package in ("trl", "transformers", "torch"))
    print(f"\n{platform.machine()}, {settings.threads} thread, float32, Python {platform.python_version()}, {versions}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Settings)))
