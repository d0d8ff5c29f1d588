r"""The program of one worker of a `pool.Pool`: calls a function on each task that comes in, until no more can come.

The worker imports the function's module and then forks a child that does the work. When the child dies, another one
takes its place within milliseconds, as warm as the first one was. (A module that starts threads when it is imported
cannot be served so.)

The pool talks with it over standard input and output, line by line. To the worker:

    \x1e PID TASK         a task as JSON for the child PID; a child passes over what was meant for one before it

and from it:

    failed MESSAGE        the function cannot be loaded; MESSAGE is JSON
    serving PID           a child waits for tasks
    + REPLY \x1e          {"value": ..} or {"failure": ..} as JSON; without its end mark it was torn by a kill
    - REPLY \x1e          the same, and the child ends, since it has used up its memory
    died STATUS           the child has ended, negative: by that signal
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

FAILED, SERVING, REPLY, LAST_REPLY, DIED = b"failed", b"serving", b"+", b"-", b"died"
MARK = b"\x1e"
"""No JSON text has it."""
RECURSION = 3000
"""Python's default of 1000 is little for parsers; much more and 8 MB of C stack, the usual limit, may overflow."""
LONGEST_REPLY = 2**20
"""Bytes. Pools remember replies."""
LONGEST_FAILURE = 500
"""Characters."""
GRACE = 1.0
"""Seconds after its limit at which a child that nobody has killed ends by SIGALRM."""
_NO_MORE, _BROKEN = 77, 78
_BETWEEN_LOOKS = 50
"""Tasks between two looks at a child's memory."""


def main(target: str, memory: int, seconds: float) -> None:
    """Serve calls of `target` ("package.module:function") until standard input ends.

    memory   bytes of address space that the process may have, imports included
    seconds  the pool's limit for one task; the pool keeps it, the worker only ends itself if no pool is left to do so
    """
    # The target's own prints and reads must not get between the tasks and the replies.
    tasks, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    try:
        _limit(memory)
        function = _load(target)
    except BaseException as failure:
        _send(replies, FAILED, json.dumps(_described(failure)).encode())
        return
    # From here on failures are in the replies; of libraries' warnings there would be one for each child.
    os.dup2(nothing, 2)
    # What the module made is no garbage: each collection is quicker, and no page is copied only to count references.
    gc.collect()
    gc.freeze()
    while True:
        child = os.fork()
        if not child:
            try:
                # A group of its own, so that what it starts dies with it.
                os.setpgid(0, 0)
                _serve(function, tasks, replies, memory, seconds)
            finally:
                os._exit(_BROKEN)
        with suppress(OSError):
            os.setpgid(child, child)
        _send(replies, SERVING, str(child).encode())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == _NO_MORE:
            return
        # First of all the end of the line that it may have begun.
        _send(replies, b"\n" + DIED, str(status).encode())


def _serve(function: Callable[[Any], Any], tasks: int, replies: int, memory: int, seconds: float) -> None:
    """Answer tasks until there are no more, or memory is used up. Ends the process."""
    mine = MARK + str(os.getpid()).encode()
    no_memory = json.dumps({"failure": f"needed more than {memory // 2**20} MiB"}).encode()
    enough = _resident() + memory // 4
    count = 0
    for line in os.fdopen(tasks, "rb"):
        to, _, task = line.partition(b" ")
        if to != mine:
            continue
        count += 1
        # A child that spins in C code does not see that the pool has died; the kernel ends it even then.
        signal.setitimer(signal.ITIMER_REAL, seconds + GRACE)
        try:
            reply = _call(function, task)
        except MemoryError:
            reply = b""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if not reply or (count % _BETWEEN_LOOKS == 0 and _resident() > enough):
            _send(replies, LAST_REPLY, reply or no_memory, MARK)
            os._exit(0)
        _send(replies, REPLY, reply, MARK)
    os._exit(_NO_MORE)


def _limit(memory: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(RECURSION)
    # What the parent ignores or blocks is inherited.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def _load(target: str) -> Callable[[Any], Any]:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _call(function: Callable[[Any], Any], task: bytes) -> bytes:
    """The reply as JSON. Raises MemoryError, and nothing else."""
    try:
        reply = json.dumps({"value": function(json.loads(task))}).encode()
    except MemoryError:
        raise
    except BaseException as failure:
        return json.dumps({"failure": _described(failure)}).encode()
    if len(reply) > LONGEST_REPLY:
        return json.dumps({"failure": f"a result of {len(reply)} bytes is too long to be sent"}).encode()
    return reply


def _described(failure: BaseException) -> str:
    """Its class and its message; libraries' exceptions have been seen to fail at saying what they are."""
    message = ""
    with suppress(Exception):
        message = str(failure)
    message = f"{type(failure).__name__}: {message}" if message else type(failure).__name__
    return message if len(message) <= LONGEST_FAILURE else message[:LONGEST_FAILURE] + " .."


def _resident() -> int:
    """Bytes of memory in use now; 0 where the system does not say. (The peak is inherited from the parent.)"""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _send(replies: int, *parts: bytes) -> None:
    line = memoryview(b" ".join(parts) + b"\n")
    # A pool that is gone wants no replies; the end of standard input ends the loop.
    with suppress(BrokenPipeError):
        while line:
            line = line[os.write(replies, line) :]
