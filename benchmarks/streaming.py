"""A million MMPR rows into training batches: `python -m benchmarks.streaming [--rows N] [--pairs N]`.

The rows of `benchmarks/mmpr.py`, with the demo's processor. Streamed: the rows are indexed, an epoch is planned over
all of them, and steps spread evenly over the plan are read, tokenised, their images decoded and collated, as a trainer
takes them; the model itself is left out. Beside it, a data set that reads its rows at the start, on the first of the
same rows only. Each runs in a process of its own and tells seconds to the first batch, pairs a second and the peak of
resident memory, which for streaming must stay below 1 GB; the exit status is 1 where it does not.

A step's examples must be equal in both, which is asserted on the rows that both have.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

STEP = 256
MICRO = 8


@dataclass(frozen=True)
class Settings:
    rows: int = 1_000_000
    pairs: int = 20_480
    """Pairs that are streamed into batches, in steps spread over the whole epoch."""
    whole: int = 20_000
    """Rows of the data set that is read at the start."""
    folder: Path | None = None
    """Of the data, made where it is missing and kept; None: a temporary one."""
    tiny: bool = False
    """2,000 rows: does it run at all?"""
    reader: str | None = None
    """Used by the benchmark itself."""


def main() -> int:
    settings = tyro.cli(Settings, description=__doc__)
    rows, pairs, whole = (2_000, 512, 512) if settings.tiny else (settings.rows, settings.pairs, settings.whole)
    if settings.reader:
        assert settings.folder is not None
        print(json.dumps(read(settings.reader, settings.folder, pairs, whole)))
        return 0
    folder = settings.folder or Path(tempfile.mkdtemp(prefix="mmpr-"))
    try:
        return compare(folder, rows, pairs, whole)
    finally:
        if settings.folder is None:
            shutil.rmtree(folder)


def compare(folder: Path, rows: int, pairs: int, whole: int) -> int:
    from benchmarks.mmpr import make

    if not (folder / "meta.json").exists():
        make(folder, rows)
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {names}; {rows:,} rows")
    print("| data set | rows | first batch after, s | pairs/s | peak RSS, MiB |\n|---|---|---|---|---|", flush=True)
    found: dict[str, dict[str, Any]] = {}
    for reader in ("streamed", "read at the start"):
        command = [sys.executable, "-m", "benchmarks.streaming", "--folder", str(folder), "--reader", reader]
        command += ["--pairs", str(pairs), "--whole", str(whole)]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        row = found[reader] = json.loads(said.splitlines()[-1])
        print(f"| {reader} | {row['rows']:,} | {row['first']:.1f} | {row['rate']:,.0f} | {row['peak']:,} |", flush=True)
    equal = found["streamed"]["examples"] == found["read at the start"]["examples"]
    small = found["streamed"]["peak"] * 2**20 < 1e9
    print(f"examples equal: {equal}; streamed below 1 GB: {small}")
    return 0 if equal and small else 1


def read(reader: str, folder: Path, pairs: int, whole: int) -> dict[str, Any]:
    started = time.perf_counter()
    from transformers import AutoProcessor

    from mixpref.rundir import resolve_model
    from mixpref.sources.mmpr import MMPRRows
    from mixpref.training.config import MPOConfig
    from mixpref.training.data import PairDataset
    from mixpref.training.loading import step_loader
    from mixpref.training.packing import PackedCollator
    from mixpref.training.streaming import StreamedPairs

    processor = AutoProcessor.from_pretrained(resolve_model("embedded"))
    rows: Any = MMPRRows(folder / "meta.json")
    data: Any
    if reader == "streamed":
        data = StreamedPairs(rows, processor)
    else:
        data = PairDataset([rows[place] for place in range(whole)], processor)
    args = MPOConfig(output_dir=str(folder / "none"), use_cpu=True)
    loader = step_loader(data, PackedCollator(processor), args, step_pairs=STEP, micro_pairs=MICRO, seed=0)
    sampler: Any = loader.batch_sampler
    steps = [list(step) for step in sampler]
    taken = steps[:: max(1, len(steps) * STEP // pairs)][: pairs // STEP]
    loader = step_loader(data, PackedCollator(processor), args, step_pairs=STEP, micro_pairs=MICRO, seed=0)
    done, first = 0, 0.0
    begun = time.perf_counter()
    for step in taken:
        for batch in loader.collate_fn(data_of(loader, step)):
            first = first or time.perf_counter() - started
            done += int(batch["counts"].sum())
    rate = done / (time.perf_counter() - begun)
    examples = [[list(data[place].chosen[:5]), data[place].prompt[:50]] for place in range(0, min(whole, 500), 50)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"rows": len(data), "first": first, "rate": rate, "peak": peak, "examples": examples}


def data_of(loader: Any, step: Any) -> Any:
    """What torch's loader would hand to the collator."""
    return loader.dataset.__getitems__(step)


if __name__ == "__main__":
    sys.exit(main())
