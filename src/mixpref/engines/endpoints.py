"""Which server gets the next request: the least loaded one of those that are there."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from mixpref.errors import MixprefError
from mixpref.progress import say

# Seconds between two looks at a server that is gone: doubled from one to the other.
FIRST_LOOK, LAST_LOOK = 0.25, 15.0


@dataclass(eq=False)
class Endpoint:
    """One server. It counts as gone until it has been seen."""

    url: str
    load: int = 0
    """Requests in flight."""
    up: bool = False
    reason: str = ""
    """Why it was found to be gone."""
    told: bool = False
    """Whether the user knows that it is gone."""
    look: asyncio.Task[str] | None = None
    """The look at it that is under way."""


class Endpoints:
    """Servers, their load and their health, within one event loop.

    probe   looks at a server: why it does not serve, or ""; may raise what ends the run
    fail    is called with what ends the run: a probe's exception, or MixprefError when all servers have been gone for
            `patience` seconds (None: never)
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        concurrency: int,
        patience: float | None,
        probe: Callable[[str], Coroutine[Any, Any, str]],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.all = [Endpoint(url) for url in urls]
        self._concurrency, self._patience = concurrency, patience
        self._probe, self._fail = probe, fail
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[Endpoint]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self._told_all_gone = False
        self._clock = self._loop.time
        self._started = self._since = self._clock()
        self._in_flight, self._busy = 0, 0.0  # requests, and their seconds until `_since`
        for endpoint in self.all:
            self._watch(endpoint)
        self._all_gone()

    async def take(self) -> Endpoint:
        """A slot of the least loaded server; who waits longest gets it first. Ends with `give_back`."""
        waiter: asyncio.Future[Endpoint] = self._loop.create_future()
        self._waiting.append(waiter)
        self._hand_out()
        return await waiter

    def give_back(self, endpoint: Endpoint) -> None:
        """Free the slot."""
        self._count(-1)
        endpoint.load -= 1
        self._hand_out()

    async def alive(self, endpoint: Endpoint) -> bool:
        """Whether the server still serves: looks at it, once for all who ask at a time."""
        if not endpoint.up:
            return False
        if endpoint.look is None or endpoint.look.done():
            endpoint.look = self._spawn(self._probe(endpoint.url))
        if reason := await asyncio.shield(endpoint.look):
            self.down(endpoint, reason)
        return endpoint.up

    def down(self, endpoint: Endpoint, reason: str) -> None:
        """Send nothing more there until it is back."""
        if not endpoint.up:
            return
        endpoint.up, endpoint.reason = False, reason
        self._watch(endpoint)
        self._all_gone()
        self._tell()

    @property
    def free_share(self) -> float:
        """Share of the slots' time, in 0..1, that no request was in flight."""
        self._count(0)
        slots = self._concurrency * len(self.all)
        return 1 - self._busy / max(slots * (self._since - self._started), 1e-9)

    async def close(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hand_out(self) -> None:
        while self._waiting:
            free = [each for each in self.all if each.up and each.load < self._concurrency]
            if not free:
                return
            waiter = self._waiting.popleft()
            # Who waits may have been cancelled.
            if not waiter.done():
                endpoint = min(free, key=lambda each: each.load)
                self._count(1)
                endpoint.load += 1
                waiter.set_result(endpoint)

    def _count(self, change: int) -> None:
        now = self._clock()
        self._busy += self._in_flight * (now - self._since)
        self._in_flight, self._since = self._in_flight + change, now

    def _watch(self, endpoint: Endpoint) -> None:
        self._spawn(self._until_back(endpoint))

    async def _until_back(self, endpoint: Endpoint) -> None:
        wait = FIRST_LOOK
        while reason := await self._probe(endpoint.url):
            endpoint.reason = reason
            self._tell()
            # At times of its own, or many runs would ask a server that just comes up all at once.
            await asyncio.sleep(wait * random.uniform(0.5, 1))
            wait = min(2 * wait, LAST_LOOK)
        endpoint.up = True
        if self._deadline:
            self._deadline.cancel()
            self._deadline = None
        if self._told_all_gone or endpoint.told:
            say(f"{endpoint.url} is back: the run goes on")
        self._told_all_gone = endpoint.told = False
        self._tell()
        self._hand_out()

    def _tell(self) -> None:
        gone = [each for each in self.all if not each.up]
        if not all(each.reason for each in gone):
            return  # the first look at one of them is under way
        if len(gone) < len(self.all):
            for each in gone:
                if not each.told:
                    say(f"{each.url} {each.reason}: the other servers carry on")
        elif not self._told_all_gone:
            self._told_all_gone = True
            limit = "" if self._patience is None else f", for up to {self._patience:g} s"
            say(f"{'; '.join(f'{each.url} {each.reason}' for each in gone)}: the run waits for a server{limit}")
        for each in gone:
            each.told = True

    def _all_gone(self) -> None:
        if self._deadline is None and self._patience is not None and not any(each.up for each in self.all):
            self._deadline = self._loop.call_later(self._patience, self._give_up)

    def _give_up(self) -> None:
        gone = "; ".join(f"{each.url} {each.reason or 'has not answered yet'}" for each in self.all)
        self._fail(
            MixprefError(
                f"no server has answered for {self._patience:g} s ({gone}); start one and give the same command again: "
                "it goes on from here"
            )
        )

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._fail(failure)
