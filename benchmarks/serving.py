"""Keeping a server busy: `python -m benchmarks.serving`.

A server without a model, in a process of its own, gives every answer after 50 ms in one of 64 slots: at best 1,280
requests a second. The engine keeps 64 requests in flight, and once more 80, so that the server has a few to go on with
while answers travel. The peer is a loop of the same HTTP client that sends 64 requests, awaits them all, and sends the
next 64. All take turns, each against a fresh server. Then the same with answers of 0 to 100 ms, and at last the engine
against a server at which a fifth of the requests fail in all ways.

Free is the share of the slots' time without a request: as the server sees it, from the first request to the last
answer, and as the engine does. CPU is that of the client's whole process. The exit status is 1 where a request is lost
or answered twice, or an answer under faults is another one.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import tyro

from mixpref.engines import exchange
from mixpref.engines.request import Request, Sampling
from mixpref.engines.server import ServerEngine
from mixpref.records import Problem, Response

LATENCY = 0.05
SERVER = Path(__file__).parent.parent / "tests" / "fake_server.py"


@dataclass(frozen=True)
class Settings:
    """Requests of a round, rounds of each side, slots of the server, and the share of faults in the last part."""

    requests: int = 10_000
    rounds: int = 3
    slots: int = 64
    faults: float = 0.2
    tiny: bool = False


@dataclass(frozen=True)
class Round:
    """What one side did in one round."""

    seconds: float
    cpu: float
    server: dict[str, Any]
    free: float | None = None
    """The engine's own view."""


def main() -> int:
    settings = tyro.cli(Settings, description=__doc__)
    number = 500 if settings.tiny else settings.requests
    rounds = 1 if settings.tiny else settings.rounds
    versions = f"Python {platform.python_version()}, aiohttp {version('aiohttp')}"
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {versions}")
    ideal = settings.slots / LATENCY
    print(f"{number:,} requests a round, {settings.slots} slots, {ideal:,.0f} requests a second at best")
    slots = settings.slots
    sides: dict[str, Callable[[str, int], Round]] = {
        f"mixpref, {slots} in flight": lambda url, number: ours(url, number, slots),
        f"mixpref, {slots * 5 // 4} in flight": lambda url, number: ours(url, number, slots * 5 // 4),
        f"gather in batches of {slots}": lambda url, number: batches(url, number, slots),
    }
    for title, spread in (("50 ms", 0.0), ("0 to 100 ms", 1.0)):
        found: dict[str, list[Round]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, run in sides.items():
                with server(slots, "--spread", str(spread)) as url:
                    found[side].append(run(url, number))
        for side, results in found.items():
            tell(f"{title}, {side}", results, number, ideal)
    return under_faults(number, settings)


def tell(title: str, results: list[Round], number: int, ideal: float) -> None:
    rate = statistics.median(number / each.seconds for each in results)
    rates = ", ".join(f"{number / each.seconds:,.0f}" for each in results)
    free = statistics.median(each.server["free"] for each in results)
    own = [each.free for each in results if each.free is not None]
    cpu = 1000 * statistics.median(each.cpu for each in results) / number
    view = f", {statistics.median(own):.1%} as the engine sees it" if own else ""
    print(f"{title}: {rate:,.0f} requests a second, {rate / ideal:.1%} of the best (rounds: {rates});")
    print(f"  slots free {free:.1%} as the server sees it{view}; CPU {cpu:.2f} ms a request", flush=True)


def ours(url: str, number: int, concurrency: int) -> Round:
    engine = ServerEngine("fake", url, concurrency=concurrency)
    started, cpu = time.perf_counter(), time.process_time()
    answered = sum(1 for _ in engine.answer(requests(number), Sampling()))
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert answered == number
    return Round(seconds, cpu, stats(url), engine.free_share)


def batches(url: str, number: int, slots: int) -> Round:
    """The peer: 64 requests at a time, each batch as a whole."""

    async def one(session: aiohttp.ClientSession, request: Request) -> exchange.Choice:
        body = exchange.payload(request, Sampling(), model="fake")
        async with session.post(f"{url}/chat/completions", data=body) as reply:
            return exchange.choices(await reply.read(), 1)[0]

    async def run() -> int:
        asked = list(requests(number))
        answered = 0
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            for start in range(0, number, slots):
                batch = asked[start : start + slots]
                answered += len(await asyncio.gather(*(one(session, request) for request in batch)))
        return answered

    started, cpu = time.perf_counter(), time.process_time()
    answered = asyncio.run(run())
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    assert answered == number
    return Round(seconds, cpu, stats(url))


def under_faults(number: int, settings: Settings) -> int:
    """The same answers from a server with faults as from one without; 1 where they are not."""

    def answers(url: str) -> list[tuple[int, tuple[Response, ...]]]:
        engine = ServerEngine("fake", url, concurrency=settings.slots, timeout=2.0)
        return list(engine.answer(requests(number), Sampling()))

    with server(settings.slots) as url:
        sound = dict(answers(url))
    with server(settings.slots, "--faults", str(settings.faults)) as url:
        started = time.perf_counter()
        told = answers(url)
        seconds = time.perf_counter() - started
        counts = stats(url)["counts"]
    ends = Counter(place for place, _ in told)
    once = len(ends) == number and set(ends.values()) == {1}
    responses = [(sound[place][0], responses[0]) for place, responses in told]
    failed = [other for _, other in responses if other.finish == "error"]
    empty = sum(other.finish != "error" and not other.text for _, other in responses)
    equal = sum(one == other for one, other in responses)
    differing = len(responses) - len(failed) - empty - equal
    print(f"{settings.faults:.0%} faults: {number:,} requests in {seconds:.1f} s; the server counts")
    print("  " + ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())))
    print(
        f"  every request ended once: {'yes' if once else 'NO'}; {equal:,} answers as without faults, {empty:,} empty "
        f"(as the server gave them), {len(failed):,} failed for good, {differing:,} differ"
    )
    for reason, count in Counter(each.error for each in failed).most_common(3):
        print(f"  {count} x {reason}")
    return 0 if once and not differing else 1


def requests(number: int) -> Iterator[Request]:
    for place in range(number):
        yield Request(problem=Problem(question=f"How much are {place} and {place + 1}?"), style="en")


@contextmanager
def server(slots: int, *arguments: str) -> Iterator[str]:
    """The URL of a fresh server in a process of its own."""
    command = [sys.executable, str(SERVER), "--latency", str(LATENCY), "--slots", str(slots), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as reply:
        return json.load(reply)


if __name__ == "__main__":
    sys.exit(main())
