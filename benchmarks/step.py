"""A training step of mixpref against one of TRL: `python -m benchmarks.step [--settings S1 S2] [--repeats 5]`.

A step is forward, loss and backward from collated inputs, without the optimizer. Both sides stand in one process and
take turns, on one thread; what is compared is CPU time, in float32, as the median over the turns of the ratio within a
turn. Before that, in the same process, the losses of all sides must be equal and so must all gradients, with a
reference that is not the policy. Peak memory is measured in a fresh process for each side. TRL is made to work as on a
GPU (`peer_trl`). The ceiling is `arithmetic`'s; settings and model are `models`'s; our sides (`ours`) are `in_step`,
`cached` and, with LoRA, `features`.

Needs `pip install -c constraints.txt -e '.[dev,peers]' peft`. `--tiny` runs all of it on a model of no interest in
seconds. The exit status is 1, with the tensor's name, where the sides are not equal.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
import tyro

from benchmarks.arithmetic import least_work, trl_work
from benchmarks.models import (
    FULL,
    SETTINGS,
    TINY,
    Setting,
    Sizes,
    make_model,
    make_processor,
    make_reference,
    make_rows,
)
from benchmarks.ours import OurSide
from benchmarks.peer_trl import TrlSide

_ONE = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
# glibc, where time is measured: freed memory is kept, as on a GPU. Else the kernel zeroes the pages of every large
# tensor anew, and TRL, whose tensors are larger, pays more for that (a few per cent of a step).
_KEEP = {**_ONE, "MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**35), "MALLOC_TOP_PAD_": str(2**26)}
# Where memory is measured: it goes back at once, so that a peak is what was in use and not what the allocator kept.
_GIVE_BACK = {**_ONE, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Settings:
    settings: tuple[str, ...] = tuple(SETTINGS)
    """Of S1, S2, K8, S1-checkpointing, S1-lora."""
    repeats: int = 5
    """Turns of each side; 0: only compare losses and gradients."""
    memory: bool = True
    tiny: bool = False
    trl_pairs: int = 1
    """Pairs that TRL takes at a time, their gradients accumulated: one needs the least memory."""
    sides: tuple[str, ...] = ()
    """Of trl, in_step, cached, features; none: all that the setting has."""
    output: Path | None = None
    """A file for all that was measured, as JSON."""
    peak: bool = False
    """Print the peak memory of the one side and setting given; what the fresh processes are started with."""


Side = TrlSide | OurSide


def make(side: str, setting: Setting, sizes: Sizes, trl_pairs: int) -> Side:
    """The side with models and inputs of its own."""
    processor = make_processor(sizes)
    policy, rows = make_model(sizes, processor), make_rows(setting, sizes)
    reference = None if setting.lora else make_reference(sizes, processor)
    if side == "trl":
        return TrlSide(policy, reference, processor, rows, setting, sizes, trl_pairs)
    return OurSide(policy, reference, processor, rows, setting, sizes, side)


def sides_of(setting: Setting, wanted: tuple[str, ...]) -> list[str]:
    """`trl` first: the others are compared with it."""
    own = ["trl", "in_step", "cached", *(["features"] if setting.lora else [])]
    return [side for side in own if side in wanted or not wanted]


def compare(sides: dict[str, Side], setting: Setting, sizes: Sizes) -> dict[str, dict[str, float]]:
    """The relative errors of the loss and of the worst gradient of each of our sides, against TRL's.

    Raises AssertionError where inputs, losses or gradients are not equal.
    """
    for name, side in sides.items():
        for ids, scored in side.sequences():
            if (len(ids), scored) != (setting.prompt(sizes) + setting.response, setting.response):
                raise AssertionError(f"{name}: {len(ids)} tokens, {scored} of them scored, are not the setting's")
    losses = {name: _fresh(side) for name, side in sides.items()}
    trl = sides.get("trl")
    if trl is None:
        return {}
    theirs = {name: weight.grad for name, weight in trl.model.named_parameters()}
    largest = max(grad.norm().item() for grad in theirs.values() if grad is not None)
    errors = {}
    for name, side in sides.items():
        if name == "trl":
            continue
        if side.sequences() != trl.sequences() or not torch.equal(side.pixels, trl.pixels()):
            raise AssertionError(f"{name}: tokens or pixels are not TRL's")
        _check_reference(name, side)
        off = abs(losses[name] - losses["trl"]) / abs(losses["trl"])
        worst, where = _worst({n: weight.grad for n, weight in side.model.named_parameters()}, theirs, 1e-4 * largest)
        if not off < 1e-5 or not worst < _TOLERANCE:
            raise AssertionError(f"{name}: the loss is off by {off:.2g}, the gradient of {where} by {worst:.2g}")
        errors[name] = {"loss": losses[name], "loss error": off, "gradient error": worst}
    return errors


@torch.no_grad()
def _check_reference(name: str, side: OurSide) -> None:
    """Where policy and reference are one, half of the loss has no part in the comparison."""
    difference = (side.policy_logps()[0] - side.reference_logps()).abs().min().item()
    if not difference > 1e-2:
        raise AssertionError(f"{name}: a response's log-probability is the reference's but for {difference:.2g}")


def _worst(ours: dict[str, Any], theirs: dict[str, Any], least: float) -> tuple[float, str]:
    """The largest error, relative to the norm of the tensor or, if that is larger, `least`, and its name.

    A bias of keys moves all scores of a row alike: its gradient is nothing but rounding, so some least norm is needed.
    """
    if ours.keys() != theirs.keys():
        raise AssertionError(f"parameters differ: {sorted(ours.keys() ^ theirs.keys())[:4]}")
    errors = []
    for name, grad in theirs.items():
        if (grad is None) != (ours[name] is None):
            raise AssertionError(f"only one side has a gradient of {name}")
        if grad is not None:
            errors.append(((ours[name] - grad).norm().item() / max(grad.norm().item(), least), name))
    return max(errors)


def _fresh(side: Side) -> float:
    """A step without gradients of the step before; its loss."""
    side.model.zero_grad(set_to_none=True)
    return side.step()


def clock(sides: dict[str, Side], repeats: int) -> dict[str, list[float]]:
    """CPU seconds of each turn of each side. Who comes first changes from turn to turn.

    A turn before the first is not counted: memory is still growing in it.
    """
    names = list(sides)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-1 if repeats else 0, repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            sides[name].model.zero_grad(set_to_none=True)
            gc.collect()
            started = time.process_time()
            sides[name].step()
            if turn >= 0:
                seconds[name].append(time.process_time() - started)
    return seconds


def peak_memory(side: Side) -> dict[str, float]:
    """Megabytes that a step needs at its peak, above what is resident between two steps.

    The models, the inputs and the gradients, which are as large on both sides, are there before: a step has been made,
    and its gradients are set to zero in place. Linux's own high-water mark is set back before the step.
    """
    side.step()
    side.model.zero_grad(set_to_none=False)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    side.step()
    weights = list(side.model.parameters())
    return {
        "peak": _status("VmHWM") - before,
        "resident": before,
        "gradients": sum(weight.grad.nbytes for weight in weights if weight.grad is not None) / 1e6,
        "weights": sum(weight.nbytes for weight in weights) / 1e6,
    }


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{name}:"))


def peak_in_fresh_process(side: str, name: str, settings: Settings) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.step", "--peak", "--sides", side, "--settings", name]
    command += ["--trl-pairs", str(settings.trl_pairs), *(["--tiny"] if settings.tiny else [])]
    environment = {name: value for name, value in os.environ.items() if name not in _KEEP} | _GIVE_BACK
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def keep_memory() -> None:
    """Start this program anew where its allocator is not set, which it has to be from the beginning."""
    if any(os.environ.get(name) != value for name, value in _KEEP.items()):
        command = [sys.executable, "-m", "benchmarks.step", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **_KEEP})


def measure(name: str, settings: Settings, sizes: Sizes) -> dict[str, Any]:
    """All of one setting."""
    setting = SETTINGS[name]
    wanted = sides_of(setting, settings.sides)
    sides = {side: make(side, setting, sizes, settings.trl_pairs) for side in wanted}
    errors = compare(sides, setting, sizes)
    seconds = clock(sides, settings.repeats)
    del sides
    gc.collect()
    theirs = trl_work(setting, sizes)
    found: dict[str, Any] = {"setting": name, "sides": {}, "errors": errors}
    found["trl shares"] = {part: getattr(theirs, part) / theirs.total for part in ("language", "vision", "head")}
    for side in wanted:
        work = theirs if side == "trl" else least_work(setting, sizes, side)
        found["sides"][side] = {
            "seconds": seconds[side],
            "gigaflop": work.total / 1e9,
            "ceiling": theirs.total / work.total,
            "memory": peak_in_fresh_process(side, name, settings) if settings.memory else None,
        }
        if "trl" in wanted:
            found["sides"][side]["ratios"] = [a / b for a, b in zip(seconds["trl"], seconds[side], strict=True)]
    return found


def print_times(found: list[dict[str, Any]]) -> None:
    print(
        "\n| setting | side | CPU s a step | times as fast | least - most | ceiling | of it | loss off | gradient off |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for each in found:
        for side, row in each["sides"].items():
            cells = [each["setting"], side, f"{median(row['seconds']):.2f}" if row["seconds"] else "-"]
            if side != "trl" and row.get("ratios"):
                ratio = median(row["ratios"])
                cells += [f"{ratio:.2f}", f"{min(row['ratios']):.2f} - {max(row['ratios']):.2f}"]
                cells += [f"{row['ceiling']:.2f}", f"{ratio / row['ceiling']:.0%}"]
            else:
                cells += ["", "", f"{row['ceiling']:.2f}", ""]
            error = each["errors"].get(side)
            cells += [f"{error[what]:.1e}" for what in ("loss error", "gradient error")] if error else ["", ""]
            print(f"| {' | '.join(cells)} |")
    print("\n| setting | TRL's GFLOP | language | vision | head |\n|---|---|---|---|---|")
    for each in found:
        if "trl" in each["sides"]:
            shares = " | ".join(f"{share:.0%}" for share in each["trl shares"].values())
            print(f"| {each['setting']} | {each['sides']['trl']['gigaflop']:.0f} | {shares} |")


def print_memory(found: list[dict[str, Any]]) -> None:
    print("\n| setting | side | MB above what is loaded | of TRL's | loaded before, MB | of it gradients |")
    print("|---|---|---|---|---|---|")
    for each in found:
        for side, row in each["sides"].items():
            memory, theirs = row["memory"], each["sides"].get("trl", row)["memory"]
            print(
                f"| {each['setting']} | {side} | {memory['peak']:.0f} | {memory['peak'] / theirs['peak']:.2f} "
                f"| {memory['resident']:.0f} | {memory['gradients']:.0f} |"
            )


def main(settings: Settings) -> int:
    if unknown := set(settings.settings) - SETTINGS.keys():
        raise SystemExit(f"there is no setting {', '.join(sorted(unknown))}; there are {', '.join(SETTINGS)}")
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)
    sizes = TINY if settings.tiny else FULL
    if settings.peak:
        (name,), (side,) = settings.settings, settings.sides
        print(json.dumps(peak_memory(make(side, SETTINGS[name], sizes, settings.trl_pairs))))
        return 0
    found = []
    for name in settings.settings:
        try:
            found.append(measure(name, settings, sizes))
        except AssertionError as reason:
            print(f"NOT EQUAL: {name}: {reason}", file=sys.stderr)
            return 1
        print(f"{name}: equal losses and gradients", file=sys.stderr)
    print_times(found)
    if settings.memory:
        print_memory(found)
    versions = ", ".join(f"{package} {version(package)}" for package in ("trl", "transformers", "torch", "peft"))
    print(f"\n{platform.machine()}, one thread, float32, Python {platform.python_version()}, {versions}")
    if settings.output:
        settings.output.write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    chosen = tyro.cli(Settings)
    if not chosen.peak:
        keep_memory()
    sys.exit(main(chosen))
