"""Runs work that may hang, crash or take all memory in processes that can be killed.

    with Pool(target="mixpref.verifying.algebra:compare") as pool:
        replies = pool.map(tasks)

An item that fails is that item's failure and no other's. `Pool` needs no importable `__main__`, forks nothing of its
caller's and uses no signals, so it works from threads, daemonic processes such as Ray's, and notebooks.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any
from weakref import WeakSet

from mixpref.errors import MixprefError
from mixpref.verifying.process import Died, Process

__all__ = ["Pool", "Reply", "shared"]

TARGET = "mixpref.verifying.algebra:compare"
TRIES = 3
"""Workers that an item may take with it before it is the item that fails: something else may have killed the first."""
KEPT = 2**16
"""Replies that a pool remembers."""
_CLOSED = "the pool is closed"


@dataclass(frozen=True)
class Reply:
    """What came of a task: a value, or the reason why there is none, with the limit that it broke."""

    value: Any = None
    failure: str = ""


class Pool:
    """Calls one function in other processes, with limits on time and memory.

    workers  items at work at once; by default as many as this process has CPUs
    seconds  wall-clock time that an item may take in a worker that is ready; one that takes longer is killed
    memory   bytes of address space of each worker, what the function's module itself needs included
    target   the function, as "package.module:function": it takes and returns what JSON can say

    Workers start when they are first needed. All methods may be called from several threads at once. In a forked child
    the pool begins anew, with workers of its own. Equal tasks are done once, and up to `KEPT` replies are remembered.

    Raises MixprefError where workers cannot run on this system, ValueError for limits that are not positive.
    """

    def __init__(
        self, workers: int | None = None, seconds: float = 5.0, memory: int = 2**30, target: str = TARGET
    ) -> None:
        if os.name != "posix":
            raise MixprefError(
                f"killable processes need Linux or macOS, this system is {os.name!r}; use WSL or a container"
            )
        self.workers = _cpus() if workers is None else workers
        if self.workers < 1 or seconds <= 0 or memory <= 0:
            raise ValueError(f"{workers=}, {seconds=}, {memory=}: all must be positive")
        self.seconds, self.memory, self.target = seconds, memory, target
        self._closed = False
        self._live: set[Process] = set()
        self._begin()
        _POOLS.add(self)

    def _begin(self) -> None:
        """Also in a forked child, whose parent goes on with the workers; locks may be held by threads it lacks."""
        for process in self._live:
            process.forget()
        self._live = set()
        self._lock = threading.Lock()
        self._idle: list[Process] = []
        self._slots = threading.Semaphore(self.workers)
        self._suspects = 0
        self._pending: dict[bytes, Future[bytes]] = {}
        self._replies: OrderedDict[bytes, bytes] = OrderedDict()
        self._broken = ""

    def run(self, task: Any) -> Reply:
        """The reply to one task; waits for it.

        Raises MixprefError where no worker can start, RuntimeError where the pool is closed.
        """
        return self.map([task])[0]

    def map(self, tasks: Iterable[Any]) -> list[Reply]:
        """The replies to tasks, in their order. All workers are busy as long as there is work for them.

        Raises what `run` raises.
        """
        encoded = [_encode(task) for task in tasks]
        replies: dict[bytes | str, bytes] = {}
        with self._lock:
            for text in dict.fromkeys(encoded):
                if isinstance(text, str):
                    replies[text] = _failure(text)
                elif (known := self._recall(_key(text))) is not None:
                    replies[text] = known
        todo = [text for text in dict.fromkeys(encoded) if isinstance(text, bytes) and text not in replies]
        if len(todo) == 1:
            replies[todo[0]] = self._once(todo[0])
        elif todo:
            # Twice as many threads as workers: for those that wait on items that have become suspect.
            with ThreadPoolExecutor(min(2 * self.workers, len(todo)), "mixpref-pool") as threads:
                replies.update(zip(todo, threads.map(self._once, todo), strict=True))
        # Each task gets a value of its own: callers may change it.
        return [Reply(**json.loads(replies[text])) for text in encoded]

    def close(self) -> None:
        """End all workers; calls that still wait raise RuntimeError. A second call does nothing."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            for process in self._live:
                process.kill()
            self._live.clear()
        for process in idle:
            process.end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Nothing is there to be closed where __init__ raised.
        if hasattr(self, "_broken"):
            self.close()

    def _recall(self, key: bytes) -> bytes | None:
        """A remembered reply. The caller holds the lock."""
        if key not in self._replies:
            return None
        self._replies.move_to_end(key)
        return self._replies[key]

    def _once(self, task: bytes) -> bytes:
        """The reply to a task, waiting for the thread that is at work on an equal one, if there is one."""
        key = _key(task)
        while True:
            with self._lock:
                if (known := self._recall(key)) is not None:
                    return known
                theirs = self._pending.get(key)
                if theirs is None:
                    mine = self._pending[key] = Future()
            if theirs is None:
                break
            with suppress(CancelledError):
                return theirs.result()
        lasting, reply = False, b""
        try:
            lasting, reply = self._work(task)
        finally:
            with self._lock:
                del self._pending[key]
                if lasting:
                    self._replies[key] = reply
                    if len(self._replies) > KEPT:
                        self._replies.popitem(last=False)
            if reply:
                mine.set_result(reply)
            else:
                mine.cancel()
        return reply

    def _work(self, task: bytes) -> tuple[bool, bytes]:
        """Whether the reply would be the same another time, and the reply."""
        self._slots.acquire()
        suspect = False

        def suspected() -> None:
            # An item that takes long probably hangs until it is killed. Meanwhile its slot serves other items, at most
            # twice as many as there are workers.
            nonlocal suspect
            if suspect:
                return
            with self._lock:
                if self._suspects == self.workers:
                    return
                self._suspects += 1
            suspect = True
            self._slots.release()

        lasting, reply = False, b""
        try:
            for _ in range(TRIES):
                process = self._take()
                try:
                    lasting, reply = self._ask(process, task, suspected)
                except BaseException:
                    self._drop(process)
                    raise
                self._give_back(process)
                if lasting:
                    break
        finally:
            if suspect:
                with self._lock:
                    self._suspects -= 1
            else:
                self._slots.release()
        return lasting, reply

    def _ask(self, process: Process, task: bytes, suspected: Callable[[], None]) -> tuple[bool, bytes]:
        try:
            return True, process.ask(task, self.seconds, suspected)
        except TimeoutError:
            return True, self._too_long()
        except Died as death:
            if death.status == -signal.SIGALRM:
                return True, self._too_long()
            return False, _failure(f"the worker {death}")

    def _too_long(self) -> bytes:
        return _failure(f"took longer than {self.seconds:g} s")

    def _take(self) -> Process:
        """A worker that is ready."""
        for _ in range(TRIES):
            process = self._waiting() or self._start()
            try:
                process.ready(self.target)
                return process
            except Died:
                self._drop(process)
            except MixprefError as failure:
                # It is no item's fault, and thousands of attempts would not help.
                self._broken = str(failure)
                self._drop(process)
                raise
            except BaseException:
                self._drop(process)
                raise
        raise MixprefError(f"{TRIES} workers were killed while they started; is there enough memory?")

    def _waiting(self) -> Process | None:
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process.alive():
                    return process
                self._live.discard(process)
                process.end()
        return None

    def _start(self) -> Process:
        if self._broken:
            raise MixprefError(self._broken)
        process = Process(self.target, self.memory, self.seconds)
        with self._lock:
            if not self._closed:
                self._live.add(process)
                return process
        process.end()
        raise RuntimeError(_CLOSED)

    def _give_back(self, process: Process) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(process)
                return
        process.end()
        raise RuntimeError(_CLOSED)

    def _drop(self, process: Process) -> None:
        with self._lock:
            self._live.discard(process)
        process.end()
        if self._closed:
            raise RuntimeError(_CLOSED)


def shared() -> Pool:
    """The pool of this process, with the default settings; it is made at the first call and closed at exit."""
    global _shared
    with _lock:
        if _shared is None or _shared._closed:
            _shared = Pool()
        return _shared


def _cpus() -> int:
    # Jobs and containers are often bound to a few of the machine's CPUs.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _encode(task: Any) -> bytes | str:
    """A task as a line, or why it cannot be one. Lone surrogates, which UTF-8 cannot say, are escaped."""
    try:
        return json.dumps(task, ensure_ascii=True, sort_keys=True).encode()
    except Exception as failure:
        return f"the task is no JSON: {type(failure).__name__}: {failure}"


def _key(task: bytes) -> bytes:
    return blake2b(task, digest_size=16).digest()


def _failure(text: str) -> bytes:
    return json.dumps({"failure": text}).encode()


_POOLS: WeakSet[Pool] = WeakSet()
_shared: Pool | None = None
_lock = threading.Lock()


def _in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for pool in list(_POOLS):
        pool._begin()


@atexit.register
def _at_exit() -> None:
    for pool in list(_POOLS):
        pool.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
