"""Reading 1,000,000 pairs in the form of MMPR, against `datasets`: `python -m benchmarks.mmpr`.

The data set is made up: four annotation files, about 2 kB a row, half of the rows with one image, some with two, some
with none. Each reader opens it in a process of its own: `MMPRRows` as it is (every row checked, its images looked
at), with a fractional repeat_time; `datasets.load_dataset("json")` (into an Arrow cache), and the same with
`streaming=True`; neither of these two checks anything. Told are the seconds until the first row can be read, rows a
second in random order and in sequence, and the peak of resident memory. Files are in the page cache for all. Most of
the memory of `datasets` is its Arrow file, mapped: the system can take it back.

A sample of rows must be equal everywhere; the exit status is 1 where it is not.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import random
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

FILES = 4
IMAGES = 8
SAMPLE = 1_000
TIMES = 0.5
"""repeat_time of the reading by a sample."""
_READERS = ("mmpr", "mmpr-sampled", "datasets", "datasets-streaming")
_WORDS = [f"{start}{end}" for start in ("an", "tri", "se", "ba", "ra", "to") for end in ("", "gle", "cond", "tal", "r")]


@dataclass(frozen=True)
class Settings:
    """Rows in all; the folder of the data, made where it is missing and kept (None: a temporary one)."""

    rows: int = 1_000_000
    folder: Path | None = None
    tiny: bool = False
    """2,000 rows: does it run at all?"""
    reader: str | None = None
    """Used by the benchmark itself: read with this one and print JSON."""


def main() -> int:
    settings = tyro.cli(Settings, description=__doc__)
    rows = 2_000 if settings.tiny else settings.rows
    if settings.reader:
        assert settings.folder is not None
        print(json.dumps(read(settings.reader, settings.folder)))
        return 0
    folder = settings.folder or Path(tempfile.mkdtemp(prefix="mmpr-"))
    try:
        return compare(folder, rows)
    finally:
        if settings.folder is None:
            shutil.rmtree(folder)


def compare(folder: Path, rows: int) -> int:
    """Make the data, have every reader read it, and print what came of it."""
    if not (folder / "meta.json").exists():
        make(folder, rows)
    size = sum(file.stat().st_size for file in folder.glob("*.jsonl"))
    names = ", ".join(f"{name} {version(name)}" for name in ("datasets", "pyarrow", "numpy"))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {names}")
    print(f"{rows:,} rows in {FILES} files, {size / 1e9:.2f} GB, {size / rows:,.0f} bytes a row", flush=True)
    sums = {}
    for reader in _READERS:
        command = [sys.executable, "-m", "benchmarks.mmpr", "--folder", str(folder), "--reader", reader]
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            print(done.stderr)
            return 1
        found = json.loads(done.stdout.splitlines()[-1])
        sums[reader] = found.pop("sum")
        print(f"{reader:20} " + ", ".join(f"{name} {value:,.1f}" for name, value in found.items()), flush=True)
    whole = {reader: each for reader, each in sums.items() if reader != "mmpr-sampled"}
    equal = len(set(whole.values())) == 1
    print(f"{SAMPLE:,} rows are equal" if equal else f"rows are NOT EQUAL: {whole}")
    return 0 if equal else 1


def make(folder: Path, rows: int) -> None:
    """Annotation files, images and meta.json."""
    from PIL import Image

    rng = random.Random(0)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        stream = io.BytesIO()
        Image.frombytes("RGB", (448, 336), rng.randbytes(448 * 336 * 3)).save(stream, "JPEG")
        (folder / "images" / f"{number}.jpg").write_bytes(stream.getvalue())
    sentences = [" ".join(rng.choices(_WORDS, k=rng.randint(10, 20))).capitalize() + "." for _ in range(5_000)]
    meta = {}
    for place in range(FILES):
        name = f"set{place}_pairs_vqa_correctness_rules"
        count = rows // FILES
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            for _ in range(count):
                file.write(json.dumps(_row(rng, sentences), ensure_ascii=False) + "\n")
        entry = {"root": "images", "annotation": f"{name}.jsonl", "data_augment": False, "repeat_time": 1}
        meta[name] = {**entry, "length": count}
    (folder / "meta.json").write_text(json.dumps(meta))
    sampled = {name: {**entry, "repeat_time": TIMES} for name, entry in meta.items()}
    (folder / "sampled.json").write_text(json.dumps(sampled))


def _row(rng: random.Random, sentences: list[str]) -> dict[str, Any]:
    # Several images only as lists, so that the column has one type to `datasets`.
    images = [f"{rng.randrange(IMAGES)}.jpg" for _ in range(rng.choice((0, 1, 1, 2)))]
    right, wrong = rng.sample(range(1_000), 2)
    chosen, rejected = (" ".join(rng.choices(sentences, k=rng.randint(8, 12))) for _ in range(2))
    return {
        "image": images,
        "question": "<image>\n" * len(images) + " ".join(rng.choices(sentences, k=3)),
        "chosen": f"{chosen}\nFinal answer: {right}",
        "rejected": f"{rejected}\nFinal answer: {wrong}",
        "answer_gt": str(right),
    }


def read(reader: str, folder: Path) -> dict[str, Any]:
    """Figures of one reader: seconds, rows a second, MiB; and a hash of some rows."""
    files = sorted(str(file) for file in folder.glob("*.jsonl"))
    resident_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cache = folder / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    started = time.perf_counter()
    if reader.startswith("mmpr"):
        from mixpref.sources.mmpr import MMPRRows

        rows: Any = MMPRRows(folder / ("meta.json" if reader == "mmpr" else "sampled.json"))
    else:
        import datasets

        streaming = reader == "datasets-streaming"
        options = {} if streaming else {"cache_dir": str(cache)}
        rows = datasets.load_dataset("json", data_files=files, split="train", streaming=streaming, **options)
        if streaming:
            next(iter(rows))
    found: dict[str, Any] = {"ready after (s)": time.perf_counter() - started}
    digest = hashlib.sha256()
    if reader != "datasets-streaming":
        order = list(range(len(rows)))
        random.Random(1).shuffle(order)
        started = time.perf_counter()
        for place in order:
            _ = rows[place]
        found["random rows/s"] = len(order) / (time.perf_counter() - started)
    started = time.perf_counter()
    count = 0
    for place, row in enumerate(rows):
        count += 1
        if place < SAMPLE:
            digest.update(_texts(row).encode())
    found["sequential rows/s"] = count / (time.perf_counter() - started)
    found["rows"] = count
    found["peak resident memory (MiB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    found["of it before (MiB)"] = resident_before / 1024
    shutil.rmtree(cache, ignore_errors=True)
    return {**found, "sum": digest.hexdigest()}


def _texts(row: dict[str, Any]) -> str:
    """What must be equal: question, responses, images."""
    if "prompt" not in row:
        return json.dumps([row["question"], row["chosen"], row["rejected"], row["image"]])
    parts = row["prompt"][0]["content"]
    question = "".join("<image>\n" if part["type"] == "image" else part["text"] for part in parts)
    names = [Path(image).name for image in row["images"]]
    return json.dumps([question, row["chosen"][0]["content"], row["rejected"][0]["content"], names])


if __name__ == "__main__":
    sys.exit(main())
