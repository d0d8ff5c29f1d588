"""A server with the interface of OpenAI's chat completions on 127.0.0.1, whose replies and faults a test sets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SOON = {"retry-after-ms": "5"}
"""Headers of a fault that is to be tried again at once: tests need not wait out the client's back-off."""


@dataclass(frozen=True)
class Reply:
    """What the server does with one request."""

    status: int = 200
    body: Any = None
    """Sent as JSON; bytes as they are."""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    """Seconds before the reply."""
    hang_up: bool = False
    """Close the connection without a reply."""


def says(content: Any, *, finish: str = "stop", refusal: str | None = None, wait: float = 0.0) -> Reply:
    """A reply of the model; anything but a text or None is said as JSON."""
    text = content if isinstance(content, str | None) else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "scripted", "choices": [choice]}
    return Reply(body=body, wait=wait)


def scores(score: Any, reason: str = "because", **more: Any) -> Reply:
    """A well-formed judgement."""
    return says({"reason": reason, **more, "score": score})


def fails(status: int, message: str = "no", *, code: str | None = None, param: str | None = None) -> Reply:
    """A fault, after which the client may try again soon."""
    return Reply(status, {"error": {"message": message, "code": code, "param": param, "type": "fault"}}, SOON)


class JudgeServer:
    """Serves while its `with` block runs.

    The script is a function of a request's JSON, or the replies in order, of which the last one is repeated.
    """

    def __init__(self, script: Callable[[dict[str, Any]], Reply] | Iterable[Reply]) -> None:
        replies = None if callable(script) else list(script)
        self.requests: list[dict[str, Any]] = []
        """The JSON of all requests, in the order of their arrival."""
        lock = threading.Lock()

        def reply_to(request: dict[str, Any]) -> Reply:
            with lock:
                self.requests.append(request)
                if replies is None:
                    assert callable(script)
                    return script(request)
                return replies.pop(0) if len(replies) > 1 else replies[0]

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or every second reply waits 40 ms for the client's delayed ACK

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                reply = reply_to(request)
                time.sleep(reply.wait)
                self.close_connection = reply.hang_up
                if reply.hang_up:
                    return
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **reply.headers}
                try:
                    self.send_response(reply.status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass  # the client has timed out

            def log_message(self, format: str, *arguments: Any) -> None:
                """Tests read their output; a line for every request is none of it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> JudgeServer:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
