"""One worker process, seen from its parent: starts it, asks it, ends it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from mixpref.errors import MixprefError
from mixpref.verifying import worker

START = 120.0
"""Seconds that a worker may take to start; a cold network disk is slow."""
SUSPICION = 0.1
"""Share of its time after which an item is suspected to hang, and between two calls that say so."""
# The parent's own search path, not PYTHONPATH: what was put on it while it ran must be found, at the same place.
_PROGRAM = (
    "import sys; target, memory, seconds = sys.argv[1:4]; sys.path[:] = sys.argv[4:]; "
    "from mixpref.verifying.worker import main; main(target, int(memory), float(seconds))"
)
# One thread of arithmetic a worker; one order of sets, so that the same item takes the same way in each worker.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


class Died(Exception):
    """A worker, or the child that does its work, ended. Its exit status is negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    def __str__(self) -> str:
        if self.status >= 0:
            return f"ended (exit status {self.status})"
        try:
            return f"crashed (signal {-self.status}, {signal.Signals(-self.status).name})"
        except ValueError:
            return f"crashed (signal {-self.status})"


class Process:
    """A worker (`worker.py`). One thread at a time may use it; only `kill` is for any.

    Raises MixprefError where the system starts no further process.
    """

    def __init__(self, target: str, memory: int, seconds: float) -> None:
        if not sys.executable:
            raise MixprefError("no workers: sys.executable is empty; set it to the path of a Python interpreter")
        path = [entry for entry in sys.path if isinstance(entry, str)]
        try:
            # In a session of its own Ctrl-C does not reach it. Its standard error is ours until it is ready.
            self._popen = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, target, str(memory), str(seconds), *path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={**os.environ, **_ENVIRONMENT},
                start_new_session=True,
            )
        except OSError as failure:
            raise MixprefError(
                f"cannot start a worker ({failure}); see the limits on processes, open files and memory (ulimit -a)"
            ) from failure
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._stdin, self._stdout = self._popen.stdin, self._popen.stdout
        os.set_blocking(self._stdin.fileno(), False)
        self._writable, self._readable = select.poll(), select.poll()
        self._writable.register(self._stdin, select.POLLOUT)
        self._readable.register(self._stdout, select.POLLIN)
        self._buffer = b""
        self._child: int | None = None

    def ready(self, target: str) -> None:
        """Wait until a child can take a task.

        Raises MixprefError where the worker cannot import its target, Died where it was killed.
        """
        deadline = time.monotonic() + START
        while self._child is None:
            try:
                line = self._receive(deadline)
            except Died as death:
                if death.status < 0:
                    raise
                raise MixprefError(f"a worker {death} while it started; standard error says why") from None
            if line is None:
                raise MixprefError(f"a worker was not ready after {START:g} s; is the machine overloaded?")
            word, _, rest = line.partition(b" ")
            if word == worker.FAILED:
                raise MixprefError(
                    f"a worker cannot load {target}: {json.loads(rest)}; "
                    "install what is missing, or give the workers more memory"
                )
            if word == worker.SERVING:
                self._child = int(rest)

    def ask(self, task: bytes, seconds: float, suspected: Callable[[], None]) -> bytes:
        """The reply to a task, both JSON, of a worker that is `ready`; afterwards it need not be.

        As long as it seems to hang, `suspected` is called again and again: what it wants may not be free at first.
        Raises TimeoutError where it takes longer than `seconds`, Died where the child ended before it replied.
        """
        deadline = time.monotonic() + seconds
        try:
            self._send(worker.MARK + str(self._child).encode() + b" " + task + b"\n", deadline)
        except TimeoutError:
            # Nobody would ever send the rest of the line.
            self.end()
            raise
        while True:
            line = self._receive(min(deadline, time.monotonic() + seconds * SUSPICION))
            if line is None:
                if time.monotonic() >= deadline:
                    self._end_child()
                    raise TimeoutError
                suspected()
                continue
            word, _, rest = line.partition(b" ")
            if word == worker.DIED:
                self._child = None
                raise Died(int(rest))
            if line.endswith(worker.MARK):
                if word == worker.LAST_REPLY:
                    self._child = None
                return rest.removesuffix(worker.MARK)

    def alive(self) -> bool:
        """Whether it still runs. A child that was killed while nothing was asked of it is noted, too."""
        if self._popen.poll() is not None:
            return False
        with suppress(Died):
            while self._child is not None and (line := self._receive(0)) is not None:
                if line.startswith(worker.DIED):
                    self._child = None
            return True
        return False

    def kill(self) -> None:
        """Kill it and what it started, and leave it to its user to `end` it."""
        if self._popen.returncode is None:
            _kill_group(self._popen.pid)
        if self._child is not None:
            _kill_group(self._child)

    def end(self) -> None:
        """Kill it, if it still runs, and free what belongs to it."""
        self.kill()
        self._child = None
        self._popen.wait()
        self._stdin.close()
        self._stdout.close()

    def forget(self) -> None:
        """In a forked child: it is the parent's worker, which must see its input end when the parent dies."""
        self._popen.returncode = 0
        self._stdin.close()
        self._stdout.close()

    def _end_child(self) -> None:
        if self._child is not None:
            _kill_group(self._child)
        self._child = None

    def _send(self, line: bytes, deadline: float) -> None:
        rest = memoryview(line)
        while rest:
            try:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
            except BlockingIOError:
                if not self._writable.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise TimeoutError from None
            except BrokenPipeError:
                raise Died(self._popen.wait()) from None

    def _receive(self, deadline: float) -> bytes | None:
        """The next line, None if it is not there by the deadline. Raises Died where none can come."""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                return line
            if not self._readable.poll(max(0.0, deadline - time.monotonic()) * 1000):
                return None
            part = os.read(self._stdout.fileno(), 2**16)
            if not part:
                raise Died(self._popen.wait())
            self._buffer += part


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
