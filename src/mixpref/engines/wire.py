"""HTTP to the servers: one session of aiohttp, whose many errors become few."""

from __future__ import annotations

import email.utils
import errno
import io
import time
from types import TracebackType
from typing import NamedTuple

import aiohttp

from mixpref.errors import MixprefError

_MOST_BYTES = 256 * 2**20
_CONNECT_SECONDS = 10.0
# Servers close idle connections after 5 s (uvicorn); a request on one that is just being closed would be lost.
_KEEP_ALIVE_SECONDS = 3.0
# aiohttp warns of larger bodies that are given as bytes.
_LARGE = 2**20


class Unreachable(Exception):
    """The connection is refused, or there is no such host: nothing was sent."""


class Cut(Exception):
    """No whole reply came: a time-out, a reset connection, a body that ends too early."""


class TooLarge(Exception):
    """The reply is larger than any answer."""


class Reply(NamedTuple):
    status: int
    body: bytes
    retry_after: float | None
    """Seconds that the server asks to wait."""
    location: str
    """Where a redirect points to."""


class Wire:
    """Uses no proxy and no .netrc of the environment, keeps no cookies and follows no redirect."""

    def __init__(self, api_key: str | None, timeout: float) -> None:
        # Bodies are taken as they are: a small one that unpacks to gigabytes would pass any limit.
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._timeout = timeout
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            trust_env=False,
            auto_decompress=False,
        )

    async def post(self, url: str, body: bytes) -> Reply:
        """Raises Unreachable, Cut, TooLarge, and MixprefError where this machine can open no more connections."""
        return await self._send("POST", url, io.BytesIO(body) if len(body) > _LARGE else body, self._timeout)

    async def get(self, url: str, timeout: float) -> Reply:
        """Raises as `post` does."""
        return await self._send("GET", url, None, timeout)

    async def _send(self, method: str, url: str, body: io.BytesIO | bytes | None, seconds: float) -> Reply:
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, _CONNECT_SECONDS))
        try:
            async with self._session.request(method, url, data=body, timeout=timeout, allow_redirects=False) as reply:
                return Reply(
                    reply.status,
                    await _capped(reply),
                    _seconds(reply.headers.get("Retry-After")),
                    reply.headers.get("Location", ""),
                )
        except aiohttp.ClientConnectorError as failure:
            if failure.errno in (errno.EMFILE, errno.ENFILE):
                raise MixprefError(
                    f"no more connections can be opened ({failure.strerror}); lower concurrency or raise `ulimit -n`"
                ) from None
            raise Unreachable(f"cannot be reached ({failure.strerror or failure})") from failure
        except aiohttp.ConnectionTimeoutError as failure:
            raise Cut("takes no connection") from failure
        except TimeoutError as failure:
            raise Cut(f"gave no whole reply in {seconds:g} s") from failure
        except (aiohttp.ClientError, OSError) as failure:
            raise Cut(
                f"broke the connection off ({' '.join(str(failure).split()) or type(failure).__name__})"
            ) from None

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()


async def _capped(reply: aiohttp.ClientResponse) -> bytes:
    pieces, size = [], 0
    async for piece in reply.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > _MOST_BYTES:
            reply.close()
            raise TooLarge(f"its reply is larger than {_MOST_BYTES // 2**20} MiB")
    return b"".join(pieces)


def _seconds(header: str | None) -> float | None:
    """A Retry-After: seconds or a date; None where it is neither."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    except ValueError:
        return None
