"""A server of a run on a free port, and who asks it: every test over HTTP begins with these."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from mixpref.reporting.server import server
from mixpref.rundir import Run

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers by their names in small letters, body."""


class Client:
    """Asks a server as plainly as can be: nothing is made tidy on the way."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str, **parameters: Any) -> Any:
        """What is answered to a request that is in order."""
        status, headers, body = self.ask(f"{path}?{urlencode(parameters)}" if parameters else path)
        assert (status, headers["content-type"]) == (200, "application/json"), body
        return json.loads(body)

    def refusal(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        """Status and reason of an answer that is one of refusal."""
        status, found, body = self.ask(path, method, **headers)
        assert found["content-type"] == "application/json"
        return status, json.loads(body)["error"] if body else ""


@contextmanager
def running(run: Run) -> Iterator[Client]:
    """A server of the run on a free port; it ends however the test ends."""
    with server(run, 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Client(made.server_port)
        finally:
            made.shutdown()
            thread.join()
