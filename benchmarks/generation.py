"""Sampling against transformers' `generate(num_return_sequences=n)`: `python -m benchmarks.generation [--repeats 5]`.

Both sides have the same model of the InternVL architecture in float32 (`models`), stand in one process on one thread
and take turns; what is compared is CPU time, as the median over the turns of the ratio within a turn. Both start from
pictures and texts and end with texts, at temperature 1 with top_k 50.

    forced      8 samples of a prompt with an image, all of 64 tokens
    natural     8 samples of each of 4 prompts, which end with a chance of 1 in 40 at every token, after 192 at last
    kept        the same, with ours made to go on with all rows until the longest ends

Before that, greedy tokens must be equal: 8 rows that share a prompt and the peer's 8, and prompts of different lengths
in one batch, with and without images, and each of them alone with the peer. The exit status is 1 where they are not.
`--tiny` runs all of it on a model of no interest in seconds.
"""

from __future__ import annotations

import io
import platform
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from statistics import median
from typing import Any
from unittest import mock

import torch
import tyro
from PIL import Image
from torch import Tensor

from benchmarks.models import FULL, TINY, Sizes, make_model, make_processor
from mixpref import prompts
from mixpref.engines import decoding
from mixpref.engines.decoding import Decoding
from mixpref.engines.request import Request, Sampling
from mixpref.engines.sampling import SeededSampling
from mixpref.engines.transformers import TransformersEngine
from mixpref.records import Problem

SAMPLES = 8
ENDING = 40
"""Where responses end by themselves, one token of so many is an end."""


@dataclass(frozen=True)
class Settings:
    repeats: int = 5
    """Turns of each side; 0: only compare greedy tokens."""
    tiny: bool = False


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both sides are asked for."""

    problems: tuple[Problem, ...]
    limit: int
    """New tokens of a response, at most."""
    ends: tuple[int, ...] = ()
    """Tokens that end a response; none: all are of the same length."""
    let_go: bool = True
    """Whether ours may go on without the rows that have ended."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Seconds of a side's turn, and the tokens of its responses."""

    cpu: float
    wall: float
    tokens: int


def problem(number: int, sizes: Sizes, tiles: int) -> Problem:
    """A question about a picture of noise that makes so many tiles, that of the whole picture included."""
    draw = random.Random(number)
    width = sizes.tile * max(tiles - 1, 1)
    stream = io.BytesIO()
    Image.frombytes("RGB", (width, sizes.tile), draw.randbytes(3 * width * sizes.tile)).save(stream, "PNG")
    # The questions differ in length: in a batch, all prompts but the longest are padded.
    question = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=sizes.text // 2 + 3 * number))
    return Problem(question=question, images=(stream.getvalue(),) if tiles else ())


class Sides:
    """Both sides on one model."""

    def __init__(self, sizes: Sizes) -> None:
        self.processor = make_processor(sizes)
        self.model = make_model(sizes, self.processor)
        self.engine = TransformersEngine.of(self.model, self.processor, name="benchmark")
        self._forbidden = {*self.engine.forbidden, *self.engine.ends}
        self._pad = self.processor.tokenizer.pad_token_id

    def inputs(self, problems: tuple[Problem, ...]) -> dict[str, Tensor]:
        """What the model is given, made as the peer's users make it."""
        texts = [
            self.processor.apply_chat_template(
                prompts.messages(each, "plain"), add_generation_prompt=True, tokenize=False
            )
            for each in problems
        ]
        images = [[Image.open(io.BytesIO(data)) for data in each.images] for each in problems if each.images]
        made = self.processor(text=texts, images=images or None, padding=True, return_tensors="pt")
        return {name: value for name, value in made.items() if isinstance(value, Tensor)}

    def ours(self, setting: Setting, seed: int) -> int:
        """Tokens of the responses."""
        self.engine.ends = list(setting.ends)
        self.engine.forbidden = sorted(self._forbidden - set(setting.ends))
        requests = [Request(problem=each, style="plain", samples=SAMPLES, seed=seed) for each in setting.problems]
        sampling = Sampling(top_k=50, max_new_tokens=setting.limit)
        share = decoding._LIVE if setting.let_go else -1.0
        with mock.patch.object(decoding, "_LIVE", share):
            answers = [response for _, told in self.engine.answer(requests, sampling) for response in told]
        assert not any(response.error for response in answers)
        return sum(response.tokens for response in answers)

    def theirs(self, setting: Setting, seed: int) -> int:
        torch.manual_seed(seed)
        inputs = self.inputs(setting.problems)
        given: dict[str, Any] = {"num_return_sequences": SAMPLES, "do_sample": True, "temperature": 1.0, "top_k": 50}
        rows = self._generate(inputs, setting.limit, list(setting.ends), **given)
        self.processor.batch_decode(rows, skip_special_tokens=True)
        lengths = torch.full((len(rows),), rows.shape[1])
        ended = torch.isin(rows, torch.tensor(setting.ends, dtype=torch.long))
        lengths = torch.where(ended.any(1), ended.int().argmax(1) + 1, lengths)
        return int(lengths.sum())

    def greedy(self, problems: tuple[Problem, ...], owners: list[int], limit: int) -> Tensor:
        """Ours: tokens [len(owners), limit] of rows that share the problems' prompts."""
        forbidden = sorted(self._forbidden)
        how = Sampling(temperature=0)
        chosen = SeededSampling([0] * len(owners), how, forbidden=forbidden, ends=[])
        steps = Decoding(torch.tensor(owners), chosen, limit=limit, pad=self._pad)
        return self.model.generate(**self.inputs(problems), max_new_tokens=limit, custom_generate=steps)

    def their_greedy(self, one: Problem, samples: int, limit: int) -> Tensor:
        inputs = self.inputs((one,) * samples)
        return self._generate(inputs, limit, [], do_sample=False)

    @torch.inference_mode()
    def _generate(self, inputs: dict[str, Tensor], limit: int, ends: list[int], **given: Any) -> Tensor:
        forbidden = sorted(self._forbidden - set(ends))
        given |= {"eos_token_id": ends, "pad_token_id": self._pad} if ends else {"min_new_tokens": limit}
        out = self.model.generate(**inputs, max_new_tokens=limit, suppress_tokens=forbidden, **given)
        return out[:, inputs["input_ids"].shape[1] :]


def compare(sides: Sides, sizes: Sizes, limit: int) -> None:
    """Raises AssertionError where greedy tokens differ."""
    mixed = (problem(1, sizes, 3), problem(2, sizes, 0), problem(3, sizes, 1), problem(4, sizes, 4))
    alone = [sides.their_greedy(each, 1, limit)[0] for each in mixed]
    together = sides.greedy(mixed, list(range(len(mixed))), limit)
    for number, (one, other) in enumerate(zip(together, alone, strict=True)):
        assert torch.equal(one, other), f"prompt {number} of the batch: {one.tolist()} against {other.tolist()}"
    shared = sides.greedy(mixed[:1], [0] * SAMPLES, limit)
    assert torch.equal(shared, sides.their_greedy(mixed[0], SAMPLES, limit)), "rows that share a prompt"
    owners = [0, 0, 0, 1, 2, 2]
    unequal = sides.greedy(mixed[:3], owners, limit)
    assert torch.equal(unequal, torch.stack([alone[owner] for owner in owners])), "unequal numbers of samples"


def settings_of(sizes: Sizes, tiny: bool) -> dict[str, Setting]:
    some = tuple(problem(number, sizes, 3) for number in range(4))
    ends = tuple(sorted(random.Random(0).sample(range(sizes.vocabulary), sizes.vocabulary // ENDING)))
    limit = 16 if tiny else 192
    return {
        "forced": Setting(problems=some[:1], limit=8 if tiny else 64),
        "natural": Setting(problems=some, limit=limit, ends=ends),
        "kept": Setting(problems=some, limit=limit, ends=ends, let_go=False),
    }


def clocked(work: Callable[[Setting, int], int], setting: Setting, seed: int) -> Turn:
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work(setting, seed)
    return Turn(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall, tokens=tokens)


def clock(sides: Sides, setting: Setting, repeats: int) -> Iterator[tuple[Turn, Turn]]:
    """Turns of (ours, theirs), after one to warm up; every turn samples anew."""
    for seed in range(repeats + 1):
        turns = clocked(sides.ours, setting, seed), clocked(sides.theirs, setting, seed)
        if seed:
            yield turns


def main(settings: Settings) -> int:
    torch.set_num_threads(1)
    sizes = TINY if settings.tiny else FULL
    sides = Sides(sizes)
    try:
        compare(sides, sizes, 8 if settings.tiny else 64)
    except AssertionError as reason:
        print(f"NOT EQUAL: {reason}", file=sys.stderr)
        return 1
    print("greedy tokens are equal", flush=True)
    print("\n| setting | prompt | tokens | generate CPU s | ours CPU s | times as fast | least - most | wall |")
    print("|---|---|---|---|---|---|---|---|")
    for name, setting in settings_of(sizes, settings.tiny).items() if settings.repeats else ():
        longest = sides.inputs(setting.problems)["input_ids"].shape[1]
        turns = list(clock(sides, setting, settings.repeats))
        ratios = [theirs.cpu / ours.cpu for ours, theirs in turns]
        walls = [theirs.wall / ours.wall for ours, theirs in turns]
        tokens = " / ".join(str(sum(turn[side].tokens for turn in turns) // len(turns)) for side in (1, 0))
        cells = [name, str(longest), tokens, *(f"{median(turn[side].cpu for turn in turns):.2f}" for side in (1, 0))]
        cells += [f"{median(ratios):.2f}", f"{min(ratios):.2f} - {max(ratios):.2f}", f"{median(walls):.2f}"]
        print(f"| {' | '.join(cells)} |", flush=True)
    versions = ", ".join(f"{package} {version(package)}" for package in ("transformers", "torch"))
    print(f"\n{platform.machine()}, one thread, float32, Python {platform.python_version()}, {versions}")
    return 0


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings, description=__doc__)))
