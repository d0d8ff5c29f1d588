"""Dropout-NTP on the world's open family: `python -m benchmarks.dropout [--ratios 0.25 0.5 0.75] [--output DIR]`.

No picture to describe has a gold answer, but every statement of a description can be checked against what was drawn. So
the benchmark can say what the method only supposes: whether the chosen texts are truer than the rejected ones, and
whether training on them makes the model's descriptions of held-out pictures truer. Prints the tables of
docs/benchmarks.md; each expectation that does not hold is named, and the exit status is then 1.

The method needs a model that writes on when it sees nothing, as language models do. The embedded model was never asked
without a picture, and stops; so it is first taught descriptions of pictures that it is not shown, beside such that it
is, a quarter of whose statements are false as in its own lessons. That is the base model here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
import tyro
from transformers import AutoModelForImageTextToText, AutoProcessor

from mixpref import pipeline, prompts, world
from mixpref.engines.request import Request, Sampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.recipe import Recipe
from mixpref.records import Problem
from mixpref.rundir import Run, resolve_model
from mixpref.world import rationales
from mixpref.world.facts import Check, check
from mixpref.world.families import Item

RESAMPLES = 2000


@dataclass(frozen=True)
class Settings:
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75)
    train: int = 800
    held_out: int = 300
    responses: int = 4
    """Descriptions of a training picture, each of which can make one pair."""
    temperature: float = 1.0
    """Of the descriptions and of their continuations."""
    max_length_gap: float | None = None
    roles: tuple[str, ...] = ("sft", "mpo")
    """sft, on the chosen texts alone, shows what the rejected ones add."""
    steps: int = 300
    """Of teaching the base model to write without a picture, at the rate below."""
    rate: float = 3e-4
    seed: int = 0
    output: Path = Path("runs/dropout")


def recipe(settings: Settings, base: Path, ratio: float) -> Recipe:
    return Recipe.from_dict(
        {
            "name": "dropout",
            "seed": settings.seed,
            "model": str(base),
            "problems": {
                "source": "world",
                "families": ["describe"],
                "train": settings.train,
                "held_out": settings.held_out,
            },
            "sampling": {
                "open_samples": settings.responses,
                "temperature": settings.temperature,
                "max_new_tokens": 96,
                "batch_size": 50,
            },
            "pairing": {
                "kinds": ["dropout-ntp"],
                "dropout_ratio": ratio,
                "max_length_gap": settings.max_length_gap,
            },
            "training": {"learning_rate": 5e-5, "batch_size": 32, "micro_batch_size": 32},
        }
    )


def taught_blind(settings: Settings) -> Path:
    """The embedded model after `steps` of 16 descriptions with their picture and 16 without."""
    folder = settings.output / "base"
    if (folder / "config.json").exists():
        return folder
    processor = AutoProcessor.from_pretrained(resolve_model("embedded"))
    model = AutoModelForImageTextToText.from_pretrained(resolve_model("embedded"), dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.rate)
    shown, hidden = (world.items("base", 100 + place, "describe") for place in range(2))
    random = Random(settings.seed)
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (step + 1) / 20) * (1 - step / settings.steps)
        for stream in (shown, hidden):
            items = [item for item, _ in islice(stream, 16)]
            _loss(model, processor, items, random, blind=stream is hidden).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _loss(model: Any, processor: Any, items: Sequence[Item], random: Random, *, blind: bool) -> torch.Tensor:
    """Mean cross-entropy of the descriptions' tokens."""
    prompts_, texts = [], []
    for item in items:
        problem = Problem(question=item.question, images=() if blind else (b"picture",))
        asked = processor.apply_chat_template(
            prompts.messages(problem, "plain"), add_generation_prompt=True, tokenize=False
        )
        prompts_.append(asked)
        texts.append(asked + rationales.description(item, random) + processor.tokenizer.eos_token)
    pictures = None if blind else [[item.image] for item in items]
    processor.tokenizer.padding_side = "right"
    inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
    lengths = processor(text=prompts_, images=pictures, padding=True, return_tensors="pt")["attention_mask"].sum(1)
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    for row, length in enumerate(lengths.tolist()):
        labels[row, :length] = -100
    return model(**inputs, labels=labels).loss


def false_share(checks: Sequence[Check]) -> float:
    """Of all statements, those that are false."""
    return sum(each.wrong for each in checks) / max(1, sum(each.wrong + each.right for each in checks))


def interval(first: Sequence[Check], second: Sequence[Check]) -> tuple[float, float]:
    """95 % bootstrap interval of the second share less the first, texts drawn in pairs."""
    random = Random(0)
    found = []
    for _ in range(RESAMPLES):
        places = random.choices(range(len(first)), k=len(first))
        found.append(false_share([second[place] for place in places]) - false_share([first[place] for place in places]))
    found.sort()
    return found[RESAMPLES // 40], found[-RESAMPLES // 40 - 1]


def descriptions(model: Path, problems: Sequence[Problem], temperature: float) -> list[Check]:
    engine = TransformersEngine(str(model), batch_size=50)
    requests = (Request(problem=problem, style="plain", seed=7) for problem in problems)
    answers = dict(engine.answer(requests, Sampling(temperature=temperature, max_new_tokens=96)))
    return [check(problem.facts, answers[place][0].text) for place, problem in enumerate(problems)]


def main(settings: Settings) -> int:
    broken: list[str] = []
    folder = taught_blind(settings)
    pairs_table, models_table = [], []
    base: dict[float, list[Check]] = {}
    for ratio in settings.ratios:
        with Run.open(settings.output / f"ratio-{ratio:g}", recipe(settings, folder, ratio)) as run:
            for stage in ("problems", "sample", "verify", "continue", "pair", "train"):
                pipeline.run_stage(run, stage, roles=settings.roles)
            facts = {problem.id: problem.facts for problem in run.problems("train")}
            pairs = run.pairs.read()
            chosen = [check(facts[pair.problem_id], pair.chosen) for pair in pairs]
            rejected = [check(facts[pair.problem_id], pair.rejected) for pair in pairs]
            low, high = interval(chosen, rejected)
            refused = run.pairs.manifest["counts"]["candidates"]
            pairs_table.append(
                f"| {ratio:g} | {len(pairs)} of {refused['all']} | {_percent(false_share(chosen))} "
                f"| {_percent(false_share(rejected))} | {_percent(low)} - {_percent(high)} |"
            )
            if low <= 0:
                broken.append(f"ratio {ratio:g}: rejected clearly false more often than chosen")
            problems = run.problems("held_out").read()
            for name, temperature in (("greedy", 0.0), ("T = 1", 1.0)):
                before = base.setdefault(temperature, descriptions(run.model_dir("base"), problems, temperature))
                for role in settings.roles:
                    after = descriptions(run.model_dir(role), problems, temperature)
                    low, high = interval(before, after)
                    models_table.append(
                        f"| {ratio:g} | {name} | {role} | {_percent(false_share(before))} "
                        f"| {_percent(false_share(after))} | {_percent(low)} - {_percent(high)} "
                        f"| {_statements(before)} | {_statements(after)} | {_missing(before)} | {_missing(after)} |"
                    )
                    # Greedy decoding makes few mistakes from the start.
                    if high >= 0 and role == "mpo" and temperature:
                        broken.append(f"ratio {ratio:g}, {name}: fewer false statements after training")
    print("\n| ratio | pairs | chosen: false | rejected: false | difference, 95 % |\n|---|---|---|---|---|")
    print("\n".join(pairs_table))
    print(
        "\n| ratio | decoding | model | false before | after | difference, 95 % | statements before | after "
        "| missing before | after |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    print("\n".join(models_table))
    for what in broken:
        print(f"NOT MET: {what}")
    return 1 if broken else 0


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _statements(checks: Sequence[Check]) -> str:
    return f"{sum(each.right + each.wrong for each in checks) / len(checks):.2f}"


def _missing(checks: Sequence[Check]) -> str:
    return f"{sum(each.missing for each in checks) / len(checks):.2f}"


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings)))
