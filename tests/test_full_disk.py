"""A disk that is really full: the run stops with one line, and goes on to the same bytes when there is room."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = """
set -e
mount -t tmpfs -o size=220k small "$1"
"$2" "$3" "$1/run" && exit 9
mount -o remount,size=30m "$1"
"$2" "$3" "$1/run"
cat "$1/run/responses/part-"* | sha256sum
"""
SAMPLE = """
import sys
sys.path.insert(0, {tests!r})
from mixpref.cli import main
from mixpref.sampling import stage
from functools import partial
from scripted import ScriptedEngine
stage.sample = partial(stage.sample, engine_factory=ScriptedEngine)
sys.exit(main(["sample", {recipe!r}, "--output", sys.argv[1]]))
"""
RECIPE = """
name: full
problems: {source: jsonl, path: %s, held_out: 2}
sampling: {samples: 16, batch_size: 8}
"""


def test_a_run_stops_on_a_full_disk_and_goes_on(tmp_path: Path) -> None:
    space = ["unshare", "--mount", "--map-root-user"]
    small = tmp_path / "small"
    small.mkdir()
    try:
        able = subprocess.run(
            [*space, "mount", "-t", "tmpfs", "-o", "size=100k", "small", str(small)], capture_output=True
        ).returncode
    except FileNotFoundError:
        able = 1
    if able:
        pytest.skip("this machine lets nobody mount a small disk")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"question": "What is {n} + 1?", "answer": "{n + 1}"}}\n' for n in range(240)))
    recipe, script = tmp_path / "full.yaml", tmp_path / "sample.py"
    recipe.write_text(RECIPE % rows)
    script.write_text(SAMPLE.format(tests=str(Path(__file__).parent), recipe=str(recipe)))
    process = subprocess.run(
        [*space, "sh", "-c", SMALL, "sh", str(small), sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr
    told = [line for line in process.stderr.splitlines() if line.startswith("mixpref:")]
    assert len(told) == 1
    assert "the disk is full; make room and give the same command again" in told[0]
    assert "sample: 3808 responses to 238 problems" in process.stderr
    whole = subprocess.run([sys.executable, str(script), str(tmp_path / "whole")], capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    parts = sorted((tmp_path / "whole" / "responses").glob("part-*"))
    import hashlib

    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    assert process.stdout.split()[0] == digest
