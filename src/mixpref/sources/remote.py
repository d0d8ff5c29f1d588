"""Files that rows name by URL, fetched only where the user has said so."""

from __future__ import annotations

import http.client
import time
import urllib.request

from mixpref.sources.images import MAX_BYTES
from mixpref.sources.unusable import Unusable

SECONDS = 30.0
"""For a file, all in all."""
_CHUNK = 2**16


def is_url(name: str) -> bool:
    """Whether a row names a file on the web."""
    return name.lower().startswith(("http://", "https://"))


def fetch(url: str, seconds: float = SECONDS) -> bytes:
    """The file at an http(s) URL, at most `images.MAX_BYTES` long. Raises Unusable where it cannot be had in time."""
    until = time.monotonic() + seconds
    data = bytearray()
    try:
        with _opener().open(urllib.request.Request(url, headers={"User-Agent": "mixpref"}), timeout=seconds) as answer:
            # The time-out of a socket is for each of its reads: a server could send a byte a second.
            while chunk := answer.read1(_CHUNK):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise Unusable("image too large", f"{url} has more than {MAX_BYTES:,} bytes")
                if time.monotonic() > until:
                    raise TimeoutError(f"it takes more than {seconds:g} s")
            missing = answer.length
    except (OSError, http.client.HTTPException, ValueError) as reason:
        said = " ".join(str(reason).split()) or type(reason).__name__
        raise Unusable("missing image", f"{url} cannot be fetched ({said})") from None
    if missing:
        raise Unusable("missing image", f"{url} cannot be fetched (the connection broke {missing} bytes early)")
    return bytes(data)


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https, and nothing else that a redirection may name: no file, no ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
