"""HTTP to servers: what is not followed, not unpacked, and not taken without limit."""

from __future__ import annotations

import asyncio
import errno
import time
import zlib
from email.utils import formatdate

import pytest
from aiohttp import web

from mixpref.engines import wire as module
from mixpref.engines.wire import Cut, TooLarge, Unreachable, Wire
from mixpref.errors import MixprefError


def exchange(handler, *, timeout=20.0, body=b"{}", path="/x"):
    """What `post` gives with a server of one handler."""

    async def main():
        app = web.Application(client_max_size=2**30)
        app.router.add_post("/x", handler)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.01)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with Wire("key", timeout) as wire:
                return await wire.post(f"http://127.0.0.1:{runner.addresses[0][1]}{path}", body)
        finally:
            await runner.cleanup()

    return asyncio.run(main())


def test_a_body_beyond_the_limit_is_not_taken(monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 2**20)

    async def endless(request):
        reply = web.StreamResponse()
        await reply.prepare(request)
        while True:
            await reply.write(b"x" * 2**16)

    with pytest.raises(TooLarge, match="larger than 1 MiB"):
        exchange(endless)


def test_a_packed_body_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 2**20)
    packed = zlib.compress(b"x" * 2**24)

    async def bomb(request):
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=packed, headers={"Content-Encoding": "deflate"})

    assert exchange(bomb).body == packed


def test_a_large_request_goes_through():
    async def size(request):
        return web.Response(text=str(len(await request.read())))

    assert exchange(size, body=b"x" * 2**22).body == str(2**22).encode()


def test_the_key_is_sent_and_no_proxy_of_the_environment_is_asked(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    async def key(request):
        return web.Response(text=request.headers["Authorization"])

    assert exchange(key).body == b"Bearer key"


def test_a_slow_reply_is_cut():
    async def slow(request):
        await asyncio.sleep(3600)

    with pytest.raises(Cut, match=r"gave no whole reply in 0\.1 s"):
        exchange(slow, timeout=0.1)


def test_nobody_there_is_unreachable():
    async def main(url):
        async with Wire(None, 20) as wire:
            await wire.get(url, 20)

    with pytest.raises(Unreachable, match="cannot be reached"):
        asyncio.run(main("http://127.0.0.1:9/models"))
    with pytest.raises(Unreachable, match="cannot be reached"):
        asyncio.run(main("http://no-such-host.invalid/models"))


def test_too_many_open_files_are_no_dead_server(monkeypatch):
    async def main():
        async with Wire(None, 20) as wire:
            loop = asyncio.get_running_loop()

            def no_more(*_, **__):
                raise OSError(errno.EMFILE, "Too many open files")

            monkeypatch.setattr(loop, "sock_connect", no_more)
            await wire.get("http://127.0.0.1:9/models", 20)

    with pytest.raises(MixprefError, match="lower concurrency or raise `ulimit -n`"):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7), ("0.5", 0.5), ("-1", 0), ("nan", 0), ("soon", None), (formatdate(0), 0)],
)
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert module._seconds(header) == seconds


def test_retry_after_a_date_to_come():
    assert 50 < module._seconds(formatdate(time.time() + 60)) <= 60
