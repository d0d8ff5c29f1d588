"""`mixpref view`: the page of a run with all its pairs and held-out items and with full pictures, on this machine only.

    /                                   the page
    /api/facets                         {"pairs": {"kind": {value: count}, ..., "total": n}, "items": {...}}
    /api/pairs?kind=format&page=2       {"total": n, "page_size": 20, "cases": [...]}; /api/items the same
    /pictures/<set>/<problem id>/<n>    a picture of a problem

Both lists take kind, family, outcome, gap_min, gap_max, text and page, items style and benchmark, too; a parameter that
is empty lets all pass.

The server listens on 127.0.0.1, but a web page from anywhere runs in a browser on the same machine. So only requests
to a host of this machine's own name are answered (or a page could rebind its name to 127.0.0.1 and read along), other
sites may neither embed nor frame anything, and nothing can be changed: there are only GET and HEAD.
"""

from __future__ import annotations

import errno
import json
import math
import re
import sys
import threading
import webbrowser
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.records import content_hash
from mixpref.reporting.index import PAGE_SIZE, Query
from mixpref.reporting.live import LISTS, LiveRun
from mixpref.reporting.page import API, policy

if TYPE_CHECKING:
    from mixpref.rundir import Run

_ADDRESS = "127.0.0.1"
# Any port: the server may be reached through a tunnel.
_HOST = re.compile(r"(?:127\.0\.0\.1|localhost)(?::[0-9]{1,5})?", re.IGNORECASE)
_PICTURE = re.compile(r"/pictures/([^/]+)/([^/]+)/([0-9]{1,4})")
_FACETS = {
    "pairs": ("kind", "family", "outcome"),
    "items": ("kind", "style", "benchmark", "family", "outcome"),
}
_LONGEST_TEXT = 1000
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# For all that is no page: were it shown as one, it could load and run nothing.
_NOTHING = "default-src 'none'; frame-ancestors 'none'; sandbox"


def view(run: Run, *, port: int = 8321, open_browser: bool = False) -> None:
    """Serve the run's page until Ctrl-C, and print its address. port: 0 for any free one.

    Raises MixprefError where the port is taken, or where the run cannot be read.
    """
    with server(run, port) as serving:
        address = f"http://{_ADDRESS}:{serving.server_port}/"
        try:
            print(address, flush=True)
            if sys.stderr.isatty():
                say("view: Ctrl-C ends it")
            if open_browser:
                # Beside: a browser of the terminal ends only when its reader has seen what is served here.
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            serving.serve_forever()
        except KeyboardInterrupt:
            say("view: ended")


def server(run: Run, port: int) -> ThreadingHTTPServer:
    """The server, listening, and everything read that it starts with; `serve_forever` makes it answer."""
    try:
        serving = _Server((_ADDRESS, port), _Handler)
    except (OSError, OverflowError) as reason:
        taken = isinstance(reason, OSError) and reason.errno == errno.EADDRINUSE
        why = "is taken" if taken else f"cannot be had ({getattr(reason, 'strerror', None) or reason})"
        raise MixprefError(
            f"port {port} of {_ADDRESS} {why}; give another --port, or --port 0 for any free one"
        ) from None
    try:
        say(f"view: reading {run.path}")
        serving.live = LiveRun(run)
        serving.live.page()
        serving.live.facets()
    except BaseException:
        serving.server_close()
        raise
    return serving


class _Server(ThreadingHTTPServer):
    # Requests that are under way do not hold up the end.
    daemon_threads = True
    block_on_close = False
    live: LiveRun

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that has gone away is nothing to tell of; anything else is."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Refusal(Exception):
    """An answer other than what was asked for, with its reason."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "mixpref"
    sys_version = ""
    # Seconds after which a connection that asks nothing is closed.
    timeout = 60
    server: _Server

    def do_GET(self) -> None:
        try:
            host = self.headers.get("Host", "")
            if not _HOST.fullmatch(host.strip()):
                raise _Refusal(HTTPStatus.FORBIDDEN, f"this server is 127.0.0.1 or localhost, not {host!r}")
            path, _, query = self.path.partition("?")
            self._answer(path, query)
        except _Refusal as refusal:
            self._refuse(refusal.status, str(refusal))
        except MixprefError as mistake:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(mistake))
        except (ConnectionError, TimeoutError):
            # The reader has gone, or takes nothing any more.
            self.close_connection = True
        except Exception as mistake:
            # As Python writes it: an address may hold what a terminal would obey.
            say(f"view: {self.path!r}: {mistake!r}")
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, f"this should not happen: {mistake!r}")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        # Whatever the body is, it is not read.
        self.close_connection = True
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "there are only GET and HEAD", {"Allow": "GET, HEAD"})

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_CONNECT = do_POST

    def _answer(self, path: str, query: str) -> None:
        live = self.server.live
        if path == "/":
            page = live.page().encode()
            rules = f"{policy(served=True)}; frame-ancestors 'none'"
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", page, {"Content-Security-Policy": rules})
        elif path == f"{API}/facets":
            self._send_json(HTTPStatus.OK, live.facets())
        elif path in _LISTS:
            name = _LISTS[path]
            total, cases = live.find(name, _read_query(query, name))
            self._send_json(HTTPStatus.OK, {"total": total, "page_size": PAGE_SIZE, "cases": cases})
        elif named := _PICTURE.fullmatch(path):
            # Names are looked up among those of the run: no part of an address ever becomes a path.
            self._send_picture(live.picture(unquote(named[1]), unquote(named[2]), int(named[3])))
        else:
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is no such page; the run's is /")

    def _send_picture(self, picture: tuple[str, bytes] | None) -> None:
        if picture is None:
            raise _Refusal(HTTPStatus.NOT_FOUND, "there is no such picture, or none that can be decoded")
        kind, image = picture
        tag = f'"{content_hash(image)}"'
        cached = {"Cache-Control": "private, max-age=3600", "ETag": tag}
        if self.headers.get("If-None-Match") == tag:
            self._send(HTTPStatus.NOT_MODIFIED, kind, b"", cached)
        else:
            self._send(HTTPStatus.OK, kind, image, cached)

    def _send_json(self, status: HTTPStatus, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, "application/json", json.dumps(value).encode(), headers)

    def _refuse(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> None:
        self._send_json(status, {"error": reason}, headers)

    def _send(self, status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        all_headers = {
            "Content-Type": kind,
            # Of what has not changed, the length is not nothing.
            **({} if status == HTTPStatus.NOT_MODIFIED else {"Content-Length": str(len(body))}),
            "Cache-Control": "no-store",
            "Content-Security-Policy": _NOTHING,
            **({"Connection": "close"} if self.close_connection else {}),
            **_HEADERS,
            **(headers or {}),
        }
        self.send_response(status)
        for name, value in all_headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses itself: a malformed request, an unknown method."""
        self.close_connection = True
        self._refuse(HTTPStatus(code), message or HTTPStatus(code).phrase)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not logged."""


_LISTS = {f"{API}/{name}": name for name in LISTS}


def _read_query(query: str, name: str) -> Query:
    """The parameters of a request for cases of a list. Raises _Refusal where one is unknown, twice there, or wrong."""
    try:
        given = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as reason:
        raise _wrong(f"the parameters cannot be read ({reason})") from None
    names = [key for key, _ in given]
    known = (*_FACETS[name], "gap_min", "gap_max", "text", "page")
    for key in names:
        if key not in known:
            raise _wrong(f"there is no parameter {key!r}; there are {', '.join(known)}")
        if names.count(key) > 1:
            raise _wrong(f"{key} is given twice")
    values = {key: value for key, value in given if value}
    text = values.get("text", "").strip()
    if len(text) > _LONGEST_TEXT:
        raise _wrong(f"text: at most {_LONGEST_TEXT} characters")
    page = values.get("page", "0")
    if not re.fullmatch(r"[0-9]{1,9}", page):
        raise _wrong(f"page: {page!r} is no whole number from 0")
    return Query(
        values={key: values[key] for key in _FACETS[name] if key in values},
        gap_min=_share(values, "gap_min"),
        gap_max=_share(values, "gap_max"),
        text=text,
        page=int(page),
    )


def _share(values: Mapping[str, str], key: str) -> float | None:
    if key not in values:
        return None
    try:
        share = float(values[key])
    except ValueError:
        share = math.nan
    if not math.isfinite(share):
        raise _wrong(f"{key}: {values[key]!r} is no number; a gap is a share between -1 and 1")
    return share


def _wrong(reason: str) -> _Refusal:
    return _Refusal(HTTPStatus.BAD_REQUEST, reason)
