"""Adaptive sampling against a fixed number: `python -m benchmarks.adaptive [--max-pairs 4] [--output DIR]`.

The demo's recipe with up to 32 samples a question, once all of them for every question and once in rounds; then both
are trained and evaluated. Told are the tokens, the questions with pairs, the pairs, and the accuracy of the models. The
samples of a question are the same ones in both, as far as they go. Prints a table of docs/benchmarks.md; the exit
status is 1 where an expectation does not hold.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from mixpref import pipeline, recipe
from mixpref.recipe import Recipe
from mixpref.rundir import Run

SAMPLES = 32


@dataclass(frozen=True)
class Settings:
    max_pairs: int = 4
    """Pairs a question at the most, the demo's number by default."""
    train: int | None = None
    """Questions; None: the demo's."""
    evaluate: bool = True
    """Train and evaluate as well."""
    seed: int = 0
    output: Path = Path("runs/adaptive")


def settings_of(settings: Settings, adaptive: bool) -> Recipe:
    changes: dict[str, Any] = {
        "seed": settings.seed,
        "sampling.samples": SAMPLES,
        "sampling.adaptive": adaptive,
        "pairing.max_pairs": settings.max_pairs,
    }
    # As many rows in a batch: 4 problems with 32 samples, 32 with a round of 4.
    changes["sampling.batch_size"] = 32 if adaptive else 4
    if settings.train:
        changes["problems.train"] = settings.train
    return recipe.load("demo", changes)


def main(settings: Settings) -> int:
    found: dict[str, dict[str, Any]] = {}
    for name in ("fixed", "adaptive"):
        started = time.process_time()
        with Run.open(settings.output / name, settings_of(settings, name == "adaptive")) as run:
            for stage in ("problems", "sample", "verify", "pair"):
                pipeline.run_stage(run, stage)
            seconds = time.process_time() - started
            sampled, paired = run.responses.manifest["counts"], run.pairs.manifest["counts"]
            found[name] = {
                "tokens": sampled["tokens"],
                "responses": sampled["responses"],
                "rounds": sampled.get("rounds", []),
                "fates": sampled.get("fates", {}),
                "questions": paired["problems"]["with pairs"],
                "pairs": sum(paired["pairs"].values()),
                "CPU s": seconds,
            }
            if settings.evaluate:
                pipeline.run_stage(run, "train", roles=("mpo",))
                pipeline.run_stage(run, "evaluate", roles=("mpo",))
                scores = json.loads((run.scores_dir / "mpo.json").read_text())
                found[name] |= {score["style"]: score for score in scores if score["benchmark"] == "world"}
    fixed, adaptive = found["fixed"], found["adaptive"]
    print(f"\nmax_pairs {settings.max_pairs}, rounds {adaptive['rounds']}, fates {adaptive['fates']}\n")
    print("| sampling | tokens | share | responses | questions with pairs | pairs | CPU s | CoT % | 95 % |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, row in found.items():
        score = row.get("cot")
        accuracy = (
            f"{100 * score['accuracy']:.1f} | {100 * score['low']:.1f} - {100 * score['high']:.1f}"
            if score
            else "- | -"
        )
        print(
            f"| {name} | {row['tokens']:,} | {row['tokens'] / fixed['tokens']:.3f} | {row['responses']:,} "
            f"| {row['questions']} | {row['pairs']:,} | {row['CPU s']:.0f} | {accuracy} |"
        )
    claims = {
        "at most 40 % of the tokens": adaptive["tokens"] <= 0.4 * fixed["tokens"],
        "99 % of the pairs": adaptive["pairs"] >= 0.99 * fixed["pairs"],
    }
    if settings.evaluate:
        claims["accuracies within each other's interval"] = (
            adaptive["cot"]["low"] <= fixed["cot"]["accuracy"] <= adaptive["cot"]["high"]
            and fixed["cot"]["low"] <= adaptive["cot"]["accuracy"] <= fixed["cot"]["high"]
        )
    for claim, holds in claims.items():
        if not holds:
            print(f"NOT MET: {claim}")
    return 0 if all(claims.values()) else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings)))
