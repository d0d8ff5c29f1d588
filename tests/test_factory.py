"""The pair factory as a whole: the same pairs, byte for byte, whoever works on them and however often they are killed.

Questions with and without answers go through sampling in rounds, verdicts, blind continuations and pairs. A server
answers by rote: rightly, wrongly, without end, as question and seed have it.
"""

from __future__ import annotations

import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import FakeServer, number, prompt
from PIL import Image

HERE = Path(__file__).parent
KILLS = 5


def text(messages: list[dict[str, Any]], seed: int | None) -> str:
    asked = prompt(messages)
    drawn = number(asked, seed)
    words = " ".join(f"step{drawn >> 3 * place & 7}" for place in range(drawn % 7 + 2))
    found = re.search(r"(\d+) \+ (\d+)", asked)
    if messages[-1]["role"] == "assistant":
        return f" then {words}."
    if not found:
        return f"I see {words}. There is {drawn % 9} of them, too."
    right = int(found[1]) + int(found[2])
    # Easy questions and hard ones.
    said = right if drawn % 10 < right % 11 else right + drawn % 5 + 1
    return words if drawn % 13 == 0 else f"{words}\nFinal answer: {said}"


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer(text=text, latency=0.04, spread=0.9, keep=False) as running:
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 30, 30)).save(stream, "PNG")
    (folder / "red.png").write_bytes(stream.getvalue())
    rows: list[dict[str, Any]] = [
        {"question": f"What is {place} + {place * 7 % 31}?", "answer": str(place + place * 7 % 31)}
        for place in range(150)
    ]
    rows += [{"question": f"Describe picture {place}.", "image": "red.png"} for place in range(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def recipe(folder: Path, data: Path, server: FakeServer, verifiers: int, **sampling: Any) -> Path:
    settings = {
        "name": "factory",
        "model": "fake",
        "problems": {"source": "jsonl", "path": str(data / "rows.jsonl"), "held_out": 10},
        "sampling": {
            "engine": "server",
            "servers": [server.url],
            "concurrency": 4 * verifiers,
            "adaptive": True,
            "samples": 8,
            "round_samples": 2,
            "mix": {"en": 2, "plain": 1},
            **sampling,
        },
        "verifying": {"workers": verifiers},
        "pairing": {"kinds": ["correctness", "format", "dropout-ntp"], "max_pairs": 4, "max_length_gap": 0.9},
    }
    file = folder / f"workers-{verifiers}-{'-'.join(map(str, sampling))}.yaml"
    file.write_text(json.dumps(settings))
    return file


def started(recipe: Path, output: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(HERE / "factory.py"), str(recipe), str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def finished(recipe: Path, output: Path, **environment: str) -> None:
    process = started(recipe, output, **environment)
    _, said = process.communicate()
    assert process.returncode == 0, said


def pairs(output: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((output / "pairs").iterdir())}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: Path, server: FakeServer) -> dict[str, bytes]:
    """What one worker makes without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    finished(recipe(folder, data, server, 1), folder / "run")
    manifest = json.loads((folder / "run" / "pairs" / "manifest.json").read_text())
    kinds = manifest["counts"]["pairs"]
    assert set(kinds) == {"correctness", "format", "dropout-ntp"}
    assert min(kinds.values()) > 10
    for part in ("problems", "responses", "candidates"):
        counts = manifest["counts"][part]
        assert counts["all"] == sum(count for name, count in counts.items() if name != "all"), part
    return pairs(folder / "run")


def test_four_workers_make_the_same_pairs(
    whole: dict[str, bytes], tmp_path: Path, data: Path, server: FakeServer
) -> None:
    finished(recipe(tmp_path, data, server, 4), tmp_path / "run")
    assert pairs(tmp_path / "run") == whole


def test_five_kills_at_random_moments_change_nothing_and_little_is_asked_twice(
    whole: dict[str, bytes], tmp_path: Path, data: Path, server: FakeServer
) -> None:
    before = server.counts["requests"]
    finished(recipe(tmp_path, data, server, 1), tmp_path / "quiet")
    needed = server.counts["requests"] - before
    moments = random.Random(os.environ.get("PYTEST_SEED", 7))
    file, output = recipe(tmp_path, data, server, 1), tmp_path / "run"
    before = server.counts["requests"]
    for _ in range(KILLS):
        process = started(file, output)
        # Not before it has begun: a process that is killed while it starts loses nothing.
        while not (output / "sampling").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0.05, 1.0))
        assert process.poll() is None, f"ended before it could be killed: {process.communicate()}"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    finished(file, output)
    assert pairs(output) == whole
    # Asked again is what was under way, at most `concurrency` requests a kill; and each start asks for the model.
    assert server.counts["requests"] - before <= needed + KILLS * 4


def test_a_second_process_is_refused(tmp_path: Path, data: Path, server: FakeServer) -> None:
    file, output = recipe(tmp_path, data, server, 1), tmp_path / "run"
    first = started(file, output)
    while not (output / "sampling").exists():
        assert first.poll() is None
        time.sleep(0.01)
    second = started(file, output)
    _, said = second.communicate()
    assert second.returncode == 2
    assert f"process {first.pid} is working in {output}" in said
    first.kill()
    first.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_one_node_of_ray_makes_the_same_pairs(
    whole: dict[str, bytes], tmp_path: Path, data: Path, server: FakeServer, workers: int
) -> None:
    pytest.importorskip("ray")
    finished(recipe(tmp_path, data, server, 1, workers=workers), tmp_path / "run")
    assert pairs(tmp_path / "run") == whole


@pytest.mark.slow
def test_two_nodes_of_ray_make_the_same_pairs(
    whole: dict[str, bytes], tmp_path: Path, data: Path, server: FakeServer
) -> None:
    pytest.importorskip("ray")
    from tests.engines.ray_nodes import cluster

    with cluster(cpus=1) as nodes:
        file = recipe(tmp_path, data, server, 1, workers=2, ray=nodes.address)
        finished(file, tmp_path / "run", **nodes.environment)
    assert pairs(tmp_path / "run") == whole
