"""Which server is next, and what happens while servers are gone; looks at them are scripted."""

from __future__ import annotations

import asyncio

import pytest

from mixpref.engines import endpoints as module
from mixpref.engines.endpoints import Endpoints
from mixpref.errors import MixprefError


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(module, "FIRST_LOOK", 0.01)
    monkeypatch.setattr(module, "LAST_LOOK", 0.02)


class Servers:
    """What looks at servers find, by URL; and what ended the run."""

    def __init__(self, *urls):
        self.urls, self.reasons, self.looks, self.failures = urls, {}, [], []

    async def look(self, url):
        self.looks.append(url)
        await asyncio.sleep(0.005)
        reason = self.reasons.get(url, "")
        if isinstance(reason, Exception):
            raise reason
        return reason

    def endpoints(self, concurrency=2, patience=None):
        return Endpoints(
            self.urls, concurrency=concurrency, patience=patience, probe=self.look, fail=self.failures.append
        )


def run(work):
    async def main():
        await asyncio.wait_for(work, 20)

    asyncio.run(main())


def test_the_least_loaded_server_is_next_and_none_gets_more_than_it_may():
    async def work():
        servers = Servers("a", "b")
        ends = servers.endpoints()
        while not all(each.up for each in ends.all):
            await asyncio.sleep(0.005)
        taken = [await ends.take() for _ in range(4)]
        assert [each.url for each in taken] == ["a", "b", "a", "b"]
        fifth = asyncio.create_task(ends.take())
        await asyncio.sleep(0.02)
        assert not fifth.done()
        freed = next(each for each in taken if each.url == "b")
        ends.give_back(freed)
        assert await fifth is freed
        for each in taken:
            ends.give_back(each)
        assert [each.load for each in ends.all] == [0, 0]
        await ends.close()

    run(work())


def test_who_waits_longest_is_next():
    async def work():
        ends = Servers("a").endpoints(concurrency=1)
        endpoint = await ends.take()
        order = []

        async def wait(name):
            taken = await ends.take()
            order.append(name)
            ends.give_back(taken)

        tasks = [asyncio.create_task(wait(name)) for name in range(3)]
        await asyncio.sleep(0)
        ends.give_back(endpoint)
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2]
        await ends.close()

    run(work())


def test_who_waits_no_more_gets_nothing():
    async def work():
        ends = Servers("a").endpoints(concurrency=1)
        endpoint = await ends.take()
        gone, staying = asyncio.create_task(ends.take()), asyncio.create_task(ends.take())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        ends.give_back(endpoint)
        assert await staying is endpoint
        assert endpoint.load == 1
        await ends.close()

    run(work())


def test_one_look_serves_all_who_ask(capsys):
    async def work():
        servers = Servers("a")
        ends = servers.endpoints(concurrency=9)
        endpoint = await ends.take()
        servers.looks.clear()
        assert await asyncio.gather(*(ends.alive(endpoint) for _ in range(9))) == [True] * 9
        assert servers.looks == ["a"]
        servers.reasons["a"] = "is on fire"
        assert await asyncio.gather(*(ends.alive(endpoint) for _ in range(9))) == [False] * 9
        await ends.close()

    run(work())
    assert capsys.readouterr().err == "a is on fire: the run waits for a server\n"


def test_a_server_that_is_gone_gets_nothing_until_it_is_back(capsys):
    async def work():
        servers = Servers("a", "b")
        ends = servers.endpoints(concurrency=9)
        while not all(each.up for each in ends.all):
            await asyncio.sleep(0.005)
        a = ends.all[0]
        servers.reasons["a"] = "is gone"
        ends.down(a, "cannot be reached")
        ends.down(a, "cannot be reached")
        assert {(await ends.take()).url for _ in range(5)} == {"b"}
        servers.reasons.clear()
        while not a.up:
            await asyncio.sleep(0.005)
        assert (await ends.take()) is a
        await ends.close()

    run(work())
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["a cannot be reached: the other servers carry on", "a is back: the run goes on"]


def test_all_servers_gone_is_told_once_and_so_is_the_first_one_back(capsys):
    async def work():
        servers = Servers("a", "b")
        servers.reasons = {"a": "answers 503", "b": "cannot be reached"}
        ends = servers.endpoints(patience=60)
        waiting = asyncio.create_task(ends.take())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert servers.looks.count("a") > 2
        del servers.reasons["a"]
        assert (await waiting).url == "a"
        await ends.close()
        assert not servers.failures

    run(work())
    assert capsys.readouterr().err.splitlines() == [
        "a answers 503; b cannot be reached: the run waits for a server, for up to 60 s",
        "a is back: the run goes on",
    ]


def test_patience_ends_with_servers_reasons_and_remedy():
    async def work():
        servers = Servers("a", "b")
        servers.reasons = {"a": "answers 503", "b": "cannot be reached"}
        ends = servers.endpoints(patience=0.1)
        while not servers.failures:
            await asyncio.sleep(0.01)
        (failure,) = servers.failures
        assert isinstance(failure, MixprefError)
        assert str(failure) == (
            "no server has answered for 0.1 s (a answers 503; b cannot be reached); start one and give the same "
            "command again: it goes on from here"
        )
        await ends.close()

    run(work())


def test_patience_begins_anew_when_a_server_was_back():
    async def work():
        servers = Servers("a")
        ends = servers.endpoints(patience=0.8)
        endpoint = await ends.take()
        for _ in range(4):
            servers.reasons["a"] = "is gone"
            ends.down(endpoint, "is gone")
            await asyncio.sleep(0.25)
            servers.reasons.clear()
            while not endpoint.up:
                await asyncio.sleep(0.005)
        assert not servers.failures
        await ends.close()

    run(work())


def test_what_a_look_raises_ends_the_run():
    async def work():
        servers = Servers("a")
        failure = MixprefError("no such model")
        servers.reasons["a"] = failure
        ends = servers.endpoints()
        while not servers.failures:
            await asyncio.sleep(0.005)
        assert servers.failures == [failure]
        await ends.close()

    run(work())


def test_the_free_share_counts_slots_without_a_request():
    async def work():
        ends = Servers("a").endpoints(concurrency=4)
        now = 100.0
        ends._started = ends._since = now
        ends._clock = lambda: now
        one, other = await ends.take(), await ends.take()
        now = 106.0
        ends.give_back(one)
        now = 110.0
        # Two of four slots were free for 6 s, three of them for 4 s.
        assert ends.free_share == pytest.approx((2 * 6 + 3 * 4) / 40)
        ends.give_back(other)
        await ends.close()

    run(work())
