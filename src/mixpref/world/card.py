"""The embedded model's card: how it was made, and how it answers before any preference training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import torch

from mixpref import world
from mixpref.engines.request import Request, Sampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.evaluation.statistics import pass_at_k
from mixpref.records import Problem, Response
from mixpref.verifying import verify
from mixpref.world import rationales

_BATCH = 50
_SAMPLES = 16

_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---

# The embedded model of mixpref

A LLaVA (SigLIP tower, two-layer projector, Llama) of {parameters} M parameters, in half precision, with a small BPE
tokenizer of its own. It knows only the built-in world: charts, bills, shapes, triangles and clocks.

**Data.** {pictures} pictures of the world's `base` split (none of its contents occurs among training or held-out
problems), each with up to four lessons: read the picture out, answer at once, work the answer out, and reason in the
chain-of-thought prompt.

**A weakness put in on purpose.** The chain-of-thought lessons mix hasty and careful worked answers, as collected
rationales do: {glance} % glance and guess, {skip} % read the picture and jump to an answer, {careful} % work every step
out. A hasty answer is right {lucky} % of the time by intent, and {careless} % of them lack the final line. So greedy
decoding reasons worse than it answers at once, while sampling finds careful answers: the state in which Mixed
Preference Optimization found its models. Of the statements in the lessons that describe a picture, {false} % are false.

**Training.** `python -m mixpref.world.build`, Muon and AdamW, bfloat16 arithmetic:

{passes}

**Result** on {n} held-out problems, greedy, in per cent:

| family | direct | chain of thought |
|---|---|---|
{rows}
| all | {direct} | {cot} |

Sampled chains of thought (temperature 1, top-k 50; {sampled} problems): pass@1 {pass_1}, pass@8 {pass_8}.
"""


@dataclass(frozen=True)
class Pass:
    """One training run over fresh pictures; a model may have been through several, each from where the last ended."""

    steps: int
    pictures: int
    """Pictures a step."""
    learning_rate: float
    seed: int
    minutes: float
    machine: str
    remark: str = ""

    def __str__(self) -> str:
        return (
            f"{self.steps:,} steps of {self.pictures} pictures, rate {self.learning_rate:g}, seed {self.seed}: "
            f"{self.minutes:.0f} minutes on {self.machine}." + (f" {self.remark}" if self.remark else "")
        )


@dataclass(frozen=True)
class Result:
    """Shares in 0..1 on held-out problems."""

    n: int
    direct: float
    cot: float
    pass_1: float
    pass_8: float
    families: dict[str, tuple[float, float]]
    """Greedy accuracy of each family: direct, chain of thought."""


def measure(folder: Path, count: int = 600, seed: int = 1000) -> Result:
    """Greedy accuracy on `count` held-out problems, and pass@k of sampled chains of thought on a quarter of them."""
    engine = TransformersEngine(str(folder), dtype=torch.float32, batch_size=_BATCH)
    problems = list(world.problems("held_out", seed, count))
    greedy = {style: _right(engine, problems, style) for style in ("direct", "en")}
    shares = {}
    for family in world.FAMILIES:
        places = [place for place, problem in enumerate(problems) if problem.family == family]
        shares[family] = tuple(mean(greedy[style][place] for place in places) for style in ("direct", "en"))
    some = problems[: count // 4]
    requests = (Request(problem=problem, style="en", samples=_SAMPLES, seed=seed) for problem in some)
    answers = engine.answer(requests, Sampling(max_new_tokens=96))
    counts = [sum(_is_right(some[place], answer, "en") for answer in row) for place, row in answers]
    return Result(
        n=count,
        direct=mean(greedy["direct"]),
        cot=mean(greedy["en"]),
        pass_1=mean(pass_at_k(_SAMPLES, right, 1) for right in counts),
        pass_8=mean(pass_at_k(_SAMPLES, right, 8) for right in counts),
        families=shares,  # type: ignore[arg-type]
    )


def read_passes(folder: Path) -> list[Pass]:
    """The passes that the model in `folder` has been through, oldest first; they lie beside it in `passes.json`."""
    return [Pass(**record) for record in json.loads((folder / "passes.json").read_text(encoding="utf-8"))]


def write_card(folder: Path, parameters: int, passes: Sequence[Pass]) -> None:
    """Measure the model in `folder`; write README.md beside it, and `passes.json` for whoever goes on from it."""
    records = json.dumps([asdict(one) for one in passes], indent=2)
    (folder / "passes.json").write_text(records + "\n", encoding="utf-8")
    result = measure(folder)
    rows = [f"| {name} | {_percent(direct)} | {_percent(cot)} |" for name, (direct, cot) in result.families.items()]
    (folder / "README.md").write_text(
        _CARD.format(
            parameters=f"{parameters / 1e6:.1f}",
            pictures=f"{sum(one.steps * one.pictures for one in passes):,}",
            passes="\n".join(f"{number}. {one}" for number, one in enumerate(passes, start=1)),
            glance=f"{100 * rationales.GLANCE:.0f}",
            skip=f"{100 * rationales.SKIP:.0f}",
            careful=f"{100 * rationales.CAREFUL:.0f}",
            lucky=f"{100 * rationales.LUCKY:.0f}",
            careless=f"{100 * rationales.CARELESS_FORMAT:.0f}",
            false=f"{100 * rationales.FALSE_STATEMENTS:.0f}",
            n=result.n,
            rows="\n".join(rows),
            direct=_percent(result.direct),
            cot=_percent(result.cot),
            sampled=result.n // 4,
            pass_1=_percent(result.pass_1),
            pass_8=_percent(result.pass_8),
        ),
        encoding="utf-8",
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _right(engine: TransformersEngine, problems: Sequence[Problem], style: str) -> list[bool]:
    requests = (Request(problem=problem, style=style) for problem in problems)
    answers = dict(engine.answer(requests, Sampling(temperature=0, max_new_tokens=96)))
    return [_is_right(problem, answers[place][0], style) for place, problem in enumerate(problems)]


def _is_right(problem: Problem, response: Response, style: str) -> bool:
    return verify(problem, response.text, style).outcome == "correct"
