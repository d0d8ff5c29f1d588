"""The engine of servers before a real vLLM: its CPU build, in a virtual environment of its own (`make test-vllm`).

The model is a tiny Qwen2-VL with random weights that is saved here, one character a token.
"""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from tiny_qwen import CONTEXT, save_tiny_qwen, tiny_qwen

from mixpref import world
from mixpref.engines.request import Request, Sampling
from mixpref.engines.server import ServerEngine
from mixpref.engines.transformers import TransformersEngine
from mixpref.records import Problem, Response

pytestmark = pytest.mark.vllm

PYTHON = Path(__file__).parents[2] / ".venv-vllm" / "bin" / "python"
SECONDS = 240
GREEDY = Sampling(temperature=0, max_new_tokens=24)
DRAWN = Sampling(temperature=1.0, top_k=0, max_new_tokens=16)


class Server:
    """A vLLM on a free port, with all its processes in a group of their own."""

    def __init__(self, model: Path, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.model, self.log = model, log
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.model)]
        command += ["--served-model-name", "tiny", "--dtype", "float32", "--enforce-eager", "--host", "127.0.0.1"]
        # Seeded prompts may not be prefilled in pieces: "CPU Generator does not use offset".
        command += ["--port", str(self.port), "--max-model-len", str(CONTEXT), "--no-enable-chunked-prefill"]
        settings = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "HF_HUB_OFFLINE": "1"}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{self.url}/models", timeout=5).close()
                return
            except OSError:
                time.sleep(1)
        raise AssertionError(self.log.read_text()[-3000:])

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if not PYTHON.exists():
        pytest.skip("there is no .venv-vllm: run `make test-vllm`")
    folder = tmp_path_factory.mktemp("vllm")
    running = Server(save_tiny_qwen(folder / "model"), folder / "log")
    try:
        running.wait()
        yield running
    finally:
        running.kill()


@pytest.fixture(scope="module")
def here() -> TransformersEngine:
    """The same model in this process."""
    return TransformersEngine.of(*tiny_qwen(), name="tiny", batch_size=4)


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    """Short questions about pictures of the world, small ones."""
    found = []
    for number, problem in enumerate(world.problems("train", 0, 4)):
        stream = io.BytesIO()
        Image.open(io.BytesIO(problem.images[0])).convert("RGB").resize((256, 256)).save(stream, "PNG")
        found.append(Problem(question=f"How many, {number}?", answer="3", images=(stream.getvalue(),)))
    return found


def ask(engine: ServerEngine | TransformersEngine, requests: list[Request], sampling: Sampling) -> list[list[Response]]:
    answers = dict(engine.answer(requests, sampling))
    return [list(answers[place]) for place in range(len(requests))]


def plain(problem: Problem, **settings: object) -> Request:
    return Request(problem=problem, style="plain", **settings)  # type: ignore[arg-type]


def texts(responses: list[Response]) -> list[str]:
    assert {each.finish for each in responses} <= {"stop", "length"}, responses
    return [each.text for each in responses]


def test_greedy_equals_this_process_token_by_token(
    server: Server, here: TransformersEngine, problems: list[Problem]
) -> None:
    requests = [plain(problem) for problem in problems]
    there = ask(ServerEngine("tiny", server.url, logprobs=True), requests, GREEDY)
    own = ask(here, requests, GREEDY)
    for (one,), (other,) in zip(there, own, strict=True):
        assert (one.text, one.finish, one.tokens) == (other.text, other.finish, other.tokens)
        assert one.logprob == pytest.approx(other.logprob, abs=1e-2)
    assert len({one.text for (one,) in there}) > 1


def test_eight_samples_of_a_picture_and_their_seeds(server: Server, problems: list[Problem]) -> None:
    engine = ServerEngine("tiny", server.url)
    eight, again, other_run = (
        texts(ask(engine, [plain(problems[0], samples=8, seed=seed)], DRAWN)[0]) for seed in (1, 1, 2)
    )
    assert len(eight) == 8
    assert len(set(eight)) > 4
    assert eight == again
    assert not set(eight) & set(other_run)
    neighbours = ask(engine, [plain(problem, samples=8, seed=1) for problem in problems[:2]], DRAWN)
    assert not set(texts(neighbours[0])) & set(texts(neighbours[1]))
    assert [each.sample for each in neighbours[0]] == list(range(8))
    assert len({each.seed for each in neighbours[0]}) == 8


def test_two_rounds_of_four_are_one_of_eight(server: Server, problems: list[Problem]) -> None:
    engine = ServerEngine("tiny", server.url)
    rounds = [plain(problems[0], samples=4, first=first, seed=3) for first in (0, 4)]
    first, second = ask(engine, rounds, DRAWN)
    (whole,) = ask(engine, [plain(problems[0], samples=8, seed=3)], DRAWN)
    assert texts(first) + texts(second) == texts(whole)
    assert [each.seed for each in (*first, *second)] == [each.seed for each in whole]


def test_log_probs_are_at_temperature_one(server: Server, here: TransformersEngine, problems: list[Problem]) -> None:
    cold = replace(DRAWN, temperature=0.5)
    ((said,),) = ask(ServerEngine("tiny", server.url, logprobs=True), [plain(problems[0], seed=5)], cold)
    assert said.logprob is not None
    # By the model in this process: the prompt, the picture and the text in one pass.
    model, processor = here.model, here.processor
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": problems[0].question}]}],
        add_generation_prompt=True,
        tokenize=False,
    )
    picture = Image.open(io.BytesIO(problems[0].images[0]))
    inputs = processor(text=[prompt + said.text], images=[picture], return_tensors="pt")
    with torch.inference_mode():
        logits = model(**inputs).logits[0].log_softmax(-1)
    ids = inputs["input_ids"][0]
    written = len(said.text)
    total = sum(logits[place - 1, ids[place]].item() for place in range(len(ids) - written, len(ids)))
    if said.finish == "stop":
        total += logits[-1, processor.tokenizer.eos_token_id].item()
    assert said.logprob == pytest.approx(total, abs=2e-2)


def test_a_cut_answer_goes_on_with_the_picture_as_it_did(server: Server, problems: list[Problem]) -> None:
    engine = ServerEngine("tiny", server.url)
    wholes = [whole for (whole,) in ask(engine, [plain(problem) for problem in problems], GREEDY)]
    cuts = [whole.text[: len(whole.text) // 2].rstrip() for whole in wholes]
    requests = [plain(problem, prefix=cut) for problem, cut in zip(problems, cuts, strict=True)]
    left = [replace(GREEDY, max_new_tokens=24 - len(cut)) for cut in cuts]
    for request, sampling, whole in zip(requests, left, wholes, strict=True):
        ((rest,),) = ask(engine, [request], sampling)
        assert rest.prefix + rest.text == whole.text
    # Without the picture it goes on otherwise, as this process does as well.
    blind = [replace(request, blind=True) for request in requests]
    unseen = [rest.text for (rest,) in ask(engine, blind, GREEDY)]
    assert unseen != [whole.text[len(cut) :] for whole, cut in zip(wholes, cuts, strict=True)]


def test_blind_is_blind_here_and_there(server: Server, here: TransformersEngine, problems: list[Problem]) -> None:
    requests = [plain(problem, prefix="It is", blind=True) for problem in problems]
    there, own = ask(ServerEngine("tiny", server.url), requests, GREEDY), ask(here, requests, GREEDY)
    assert [one.text for (one,) in there] == [one.text for (one,) in own]
    same_without = [plain(replace(problem, images=()), prefix="It is") for problem in problems]
    assert [one.text for (one,) in ask(ServerEngine("tiny", server.url), same_without, GREEDY)] == [
        one.text for (one,) in there
    ]


def test_a_prompt_that_is_too_long_is_a_failed_item(server: Server, problems: list[Problem]) -> None:
    long = Problem(question="x" * (CONTEXT + 1), answer="1")
    (bad,), (good,) = ask(ServerEngine("tiny", server.url), [plain(long), plain(problems[0])], GREEDY)
    assert bad.finish == "error"
    assert str(CONTEXT) in bad.error
    assert good.finish != "error"


def test_a_server_that_is_killed_and_comes_back_costs_no_item(server: Server, problems: list[Problem]) -> None:
    engine = ServerEngine("tiny", server.url, concurrency=2)
    requests = [plain(problem, samples=4, seed=seed) for problem in problems for seed in range(3)]
    before = [texts(each) for each in ask(engine, requests, DRAWN)]
    found: dict[int, list[Response]] = {}
    for place, responses in engine.answer(requests, DRAWN):
        found[place] = list(responses)
        if len(found) == 4:
            server.kill()
            server.start()
    assert [texts(found[place]) for place in range(len(requests))] == before
