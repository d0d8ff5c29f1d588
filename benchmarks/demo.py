"""The demo's claim, over several seeds: `python -m benchmarks.demo [--seeds 0 1 2] [--output runs/benchmark]`.

Runs `mixpref demo --compare` for each seed (a finished run is only read), measures wall time and peak memory of the
whole process tree, and prints the tables of docs/benchmarks.md as Markdown. Each expectation that does not hold is
named, and the exit status is then 1.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import tyro

ROLES = ("base", "sft", "dpo", "mpo")


@dataclass(frozen=True)
class Settings:
    seeds: tuple[int, ...] = (0, 1, 2)
    output: Path = Path("runs/benchmark")
    compare: bool = True
    """Train the baselines too; without, the time is that of the plain demo."""


def run(seed: int, settings: Settings) -> Path:
    """One demo, with its seconds and peak resident gigabytes left in `timing.json`."""
    folder = settings.output / f"seed-{seed}"
    if (folder / "timing.json").exists():
        return folder
    command = [sys.executable, "-m", "mixpref.cli", "demo", "--seed", str(seed), "--output", str(folder)]
    started = time.time()
    process = subprocess.Popen([*command, *(["--compare"] if settings.compare else [])])
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(process.returncode)
    timing = {"seconds": round(time.time() - started, 1), "gigabytes": round(peak / 1e9, 2)}
    (folder / "timing.json").write_text(json.dumps(timing))
    return folder


def _resident(pid: int) -> int:
    """Resident bytes of a process and its descendants (Linux)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return (int(lines[0].split()[1]) * 1024 if lines else 0) + sum(_resident(int(child)) for child in children)


def scores(folder: Path) -> dict[tuple[str, str], dict]:
    """The overall Score records of a run by (model, style)."""
    records = [record for file in sorted((folder / "scores").glob("*.json")) for record in json.loads(file.read_text())]
    return {(r["model"], r["style"]): r for r in records if r["benchmark"] == "world"}


def main(settings: Settings) -> int:
    folders = {seed: run(seed, settings) for seed in settings.seeds}
    found = {seed: scores(folder) for seed, folder in folders.items()}
    print("\n| seed | model | direct | chain of thought | 95 % interval | unparsed (CoT) | n |")
    print("|---|---|---|---|---|---|---|")
    for seed, table in found.items():
        for role in ROLES:
            if (role, "cot") in table:
                cot, direct = table[role, "cot"], table[role, "direct"]
                print(
                    f"| {seed} | {role} | {100 * direct['accuracy']:.1f} | {100 * cot['accuracy']:.1f} "
                    f"| {100 * cot['low']:.1f} - {100 * cot['high']:.1f} | {100 * cot['unparsed']:.1f} % | {cot['n']} |"
                )
    for role in ROLES:
        tables = [table for table in found.values() if (role, "cot") in table]
        if tables:
            direct, cot = (100 * mean(t[role, style]["accuracy"] for t in tables) for style in ("direct", "cot"))
            print(f"| mean | {role} | {direct:.1f} | {cot:.1f} | | | |")
    print("\n| seed | seconds | peak memory, GB |\n|---|---|---|")
    for seed, folder in folders.items():
        timing = json.loads((folder / "timing.json").read_text())
        print(f"| {seed} | {timing['seconds']:.0f} | {timing['gigabytes']:.2f} |")
    print(f"\n{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}")
    broken = [f"seed {seed}: {what}" for seed, table in found.items() for what in expectations(table)]
    broken += over_seeds(found)
    for what in broken:
        print(f"NOT MET: {what}")
    return 1 if broken else 0


def expectations(table: dict[tuple[str, str], dict]) -> list[str]:
    """What one run claims, as the claims that do not hold."""
    base, after = table["base", "cot"], table["mpo", "cot"]
    claims = {
        "at least 600 held-out problems": base["n"] + base["errors"] >= 600,
        "base: chain of thought below direct": base["accuracy"] < table["base", "direct"]["accuracy"],
        "mpo: chain of thought above direct, before and after": after["accuracy"]
        > max(table[role, "direct"]["accuracy"] for role in ("base", "mpo")),
        "gain of at least 8.7 points": after["accuracy"] - base["accuracy"] >= 0.087,
        "intervals apart": after["low"] > base["high"],
        "60 % or more": after["accuracy"] >= 0.6,
        "unparsed share no higher than before": after["unparsed"] <= base["unparsed"],
    }
    return [claim for claim, holds in claims.items() if not holds]


def over_seeds(found: dict[int, dict[tuple[str, str], dict]]) -> list[str]:
    """What the mean over the seeds claims of the baselines."""
    if not all(("sft", "cot") in table for table in found.values()):
        return []
    means = {role: mean(table[role, "cot"]["accuracy"] for table in found.values()) for role in ("mpo", "sft", "dpo")}
    claims = {
        "mpo at least as good as sft": means["mpo"] >= means["sft"],
        "mpo better than dpo": means["mpo"] > means["dpo"],
    }
    return [f"mean: {claim}" for claim, holds in claims.items() if not holds]


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings)))
