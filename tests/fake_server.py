"""A server with OpenAI's chat completions on 127.0.0.1, without a model: it answers by rote, and fails on demand.

    with FakeServer(faults=0.2) as server: ServerEngine("fake", server.url)
    python tests/fake_server.py --port 8000 --latency 0.05 --slots 64 --faults 0.2 --seed 0

Choice i of a request depends on its messages and on seed + i alone, as with vLLM. Faults depend on the request and on
how often it has come, so that a run's faults are the same in any order of its requests.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

FAULTS = ("timeout", "429", "500", "broken", "cut", "reset", "empty")
"""No reply, two statuses, broken JSON, half a body, a closed connection, and an answer without text."""


def number(*parts: Any) -> int:
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=6).digest(), "big")


def prompt(messages: list[dict[str, Any]]) -> str:
    """All text of a conversation."""
    texts = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts += [part["text"] for part in parts if part["type"] == "text"]
    return "\n".join(texts)


def by_rote(messages: list[dict[str, Any]], seed: int | None) -> str:
    """A text of one to nine words."""
    words = number(prompt(messages), seed)
    return " ".join(f"word{words >> 4 * place & 15}" for place in range(words % 9 + 1))


@dataclass(frozen=True)
class Scripted:
    """A reply in place of the usual one."""

    status: int = 200
    body: Any = None
    """Sent as JSON; bytes as they are."""
    headers: Mapping[str, str] = field(default_factory=dict)


class FakeServer:
    """Serves in a thread while its `with` block runs, or between `start` and `kill`, time and again on the same port.

    latency   seconds of an answer, in one of `slots` (None: endless) that it needs; others queue
    spread    the share by which latencies differ from `latency`, evenly up and down
    faults    share of the requests that fail, evenly in all `kinds`
    text      the answer: a function of messages and seed
    script    looks at a request first: a reply in place of the usual one, or None
    most      choices a request at the most: a server that does not know n has 1
    edit      changes a usual reply, as JSON, by request and reply
    """

    def __init__(
        self,
        *,
        model: str = "fake",
        port: int = 0,
        latency: float = 0.0,
        spread: float = 0.0,
        slots: int | None = None,
        faults: float = 0.0,
        kinds: Sequence[str] = FAULTS,
        seed: int = 0,
        retry_after: str = "0",
        text: Callable[[list[dict[str, Any]], int | None], str] = by_rote,
        script: Callable[[dict[str, Any]], Scripted | None] = lambda request: None,
        edit: Callable[[dict[str, Any], dict[str, Any]], None] = lambda request, reply: None,
        most: int | None = None,
        api_key: str | None = None,
        keep: bool = True,
    ) -> None:
        self.models = [model]
        self.models_status = 200
        """The status of GET /v1/models."""
        self.port, self.latency, self.spread, self.slots = port, latency, spread, slots
        self.faults, self.kinds, self.seed, self.retry_after = faults, kinds, seed, retry_after
        self.text, self.script, self.edit, self.most, self.api_key = text, script, edit, most, api_key
        self.requests: list[dict[str, Any]] = []
        """The JSON of all requests, if `keep`."""
        self.headers: list[dict[str, str]] = []
        self.counts: Counter[str] = Counter()
        """Requests, answers, looks at the models, aborted requests, and each kind of fault."""
        self.in_flight = self.most_in_flight = 0
        self._keep = keep
        self._times: Counter[int] = Counter()
        self._busy = 0.0  # slot seconds
        self._first = self._last = self._since = 0.0
        self._transports: set[asyncio.Transport] = set()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def stats(self) -> dict[str, Any]:
        """Its view: `free` is the share of the slots' time, from the first request to the last, without a request."""
        span = self._last - self._first
        slots = self.slots or max(1, self.most_in_flight)
        free = 1 - self._busy / (span * slots) if span else 1.0
        return {"counts": dict(self.counts), "most_in_flight": self.most_in_flight, "span": span, "free": free}

    def start(self) -> None:
        """Listen; when this returns, it does. A port of 0 becomes one that is free, and stays."""
        ready = threading.Event()
        failures: list[BaseException] = []

        async def serve() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            runner = await self._listen()
            ready.set()
            await self._stop.wait()
            await self._hang_up(runner)

        def work() -> None:
            try:
                asyncio.run(serve())
            except BaseException as failure:
                failures.append(failure)
            finally:
                ready.set()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()
        ready.wait()
        if failures:
            raise failures[0]

    def kill(self) -> None:
        """Stop at once: connections are reset, and new ones refused."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def __enter__(self) -> FakeServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    async def _listen(self) -> web.AppRunner:
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/stats", self._stats)
        # A handler ends when its client has gone, as vLLM aborts such requests.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        assert runner.addresses
        self.port = runner.addresses[0][1]
        self._free = asyncio.Semaphore(self.slots) if self.slots else None
        return runner

    async def _hang_up(self, runner: web.AppRunner) -> None:
        for site in list(runner.sites):
            await site.stop()
        for transport in self._transports:
            transport.abort()
        await runner.cleanup()
        self._transports.clear()
        self.in_flight = 0

    async def _list(self, request: web.Request) -> web.StreamResponse:
        self.counts["models"] += 1
        if (refused := self._unauthorised(request)) is not None:
            return refused
        if self.models_status != 200:
            return _error(self.models_status, "loading")
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.stats())

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self._transports.add(request.transport)
        self._count(1)
        try:
            return await self._answer(request)
        except asyncio.CancelledError:
            self.counts["aborted"] += 1
            raise
        finally:
            self._transports.discard(request.transport)  # type: ignore[arg-type]
            self._count(-1)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        asked = json.loads(body)
        self.counts["requests"] += 1
        if self._keep:
            self.requests.append(asked)
            self.headers.append(dict(request.headers))
        if (refused := self._unauthorised(request)) is not None:
            return refused
        if (scripted := self.script(asked)) is not None:
            told = scripted.body if isinstance(scripted.body, bytes) else json.dumps(scripted.body).encode()
            headers = {"Content-Type": "application/json", **scripted.headers}
            return web.Response(status=scripted.status, body=told, headers=headers)
        if asked["model"] not in self.models:
            return _error(404, f"The model `{asked['model']}` does not exist.")
        fault = self._fault(body)
        if fault:
            self.counts[fault] += 1
        if fault == "timeout":
            await asyncio.sleep(3600)
        if self._free is None:
            await self._work(body)
        else:
            async with self._free:
                await self._work(body)
        return await self._reply(request, asked, fault)

    async def _work(self, body: bytes) -> None:
        if self.latency:
            away = 2 * number(body) / 2**48 - 1 if self.spread else 0
            await asyncio.sleep(self.latency * (1 + self.spread * away))

    async def _reply(self, request: web.Request, asked: dict[str, Any], fault: str) -> web.StreamResponse:
        if fault == "429":
            return _error(429, "too many requests", {"Retry-After": self.retry_after})
        if fault == "500":
            return _error(500, "an accident")
        told = json.dumps(self._completion(asked, empty=fault == "empty")).encode()
        if fault == "broken":
            return web.Response(body=told[:-20], content_type="application/json")
        if fault in ("cut", "reset"):
            assert request.transport is not None
            if fault == "cut":
                head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n\r\n"
                request.transport.write(head.encode() + told[: len(told) // 2])  # type: ignore[attr-defined]
                request.transport.close()
            else:
                request.transport.abort()  # type: ignore[attr-defined]
            raise asyncio.CancelledError
        self.counts["answers"] += 1
        return web.Response(body=told, content_type="application/json")

    def _completion(self, asked: dict[str, Any], *, empty: bool = False) -> dict[str, Any]:
        n = min(asked.get("n", 1), self.most or 10**6)
        seed = asked.get("seed")
        texts = [
            "" if empty else self.text(asked["messages"], None if seed is None else seed + place) for place in range(n)
        ]
        choices = []
        for place, text in enumerate(texts):
            words = [*text.split(), "<end>"]
            choice = {"index": place, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            if asked.get("logprobs"):
                choice["logprobs"] = {"content": [{"token": word, "logprob": -0.5} for word in words]}
            if asked.get("return_token_ids"):
                choice["token_ids"] = list(range(len(words)))
            choices.append(choice)
        tokens = sum(len(text.split()) + 1 for text in texts)
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": choices,
            "usage": {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1},
        }
        self.edit(asked, reply)
        return reply

    def _fault(self, body: bytes) -> str:
        if not self.faults:
            return ""
        asked = number(body)
        self._times[asked] += 1
        drawn = number(self.seed, asked, self._times[asked]) / 2**48
        return self.kinds[int(drawn / self.faults * len(self.kinds))] if drawn < self.faults else ""

    def _unauthorised(self, request: web.Request) -> web.StreamResponse | None:
        if self.api_key is None or request.headers.get("Authorization") == f"Bearer {self.api_key}":
            return None
        return _error(401, "no such key")

    def _count(self, change: int) -> None:
        now = time.perf_counter()
        self._busy += min(self.in_flight, self.slots or self.in_flight) * (now - self._since)
        self._first = self._first or now
        self._since = self._last = now
        self.in_flight += change
        self.most_in_flight = max(self.most_in_flight, self.in_flight)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status, headers=headers)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="fake")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--spread", type=float, default=0.0)
    parser.add_argument("--slots", type=int)
    parser.add_argument("--faults", type=float, default=0.0)
    parser.add_argument("--kinds", nargs="+", default=FAULTS, choices=FAULTS)
    parser.add_argument("--seed", type=int, default=0)
    settings = parser.parse_args()
    server = FakeServer(**vars(settings), keep=False)

    async def serve() -> None:
        await server._listen()
        # Who started it reads where it listens.
        print(server.url, flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
