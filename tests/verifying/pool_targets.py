"""What the workers of `test_pool.py` are made to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HOARD: list[bytearray] = []


def act(task: Any) -> Any:
    """Do what a task {"do": .., ..} says; any other task comes back as it is."""
    if not isinstance(task, dict) or "do" not in task:
        return task
    match task["do"]:
        case "square":
            return task["x"] ** 2
        case "sleep":
            time.sleep(task["seconds"])
            return "slept"
        case "spin in C":
            return (10**10**9) % 7
        case "spin":
            while True:
                pass
        case "raise":
            raise ValueError(task["message"])
        case "raise badly":
            raise Unspeakable
        case "exit":
            sys.exit(3)
        case "end":
            os._exit(task["status"])
        case "signal":
            os.kill(os.getpid(), task["number"])
            time.sleep(60)
        case "recurse":
            return act({"do": "recurse"})
        case "take memory":
            return len(bytearray(task["bytes"]))
        case "keep memory":
            HOARD.append(bytearray(os.urandom(2**20) * task["mebibytes"]))
            return os.getpid()
        case "print":
            print("noise")
            sys.stdout.flush()
            os.write(1, b"+ {}\n")
            subprocess.run(["echo", "more noise"], check=True)
            return sys.stdin.read()
        case "long":
            return "x" * task["characters"]
        case "no JSON":
            return {1, 2}
        case "pid":
            return os.getpid()
        case "mark":
            # A line in a file each time: how often the work was done.
            with open(task["file"], "a") as file:
                file.write("x")
            if "signal" in task:
                os.kill(os.getpid(), task["signal"])
            time.sleep(task.get("seconds", 0))
            return "marked"
        case "die the first time":
            file = Path(task["file"])
            if not file.exists():
                file.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return "lived"
        case "start a child":
            child = subprocess.Popen(["sleep", "60"])
            Path(task["file"]).write_text(str(child.pid))
            time.sleep(60)
        case "where":
            return [sys.path, os.environ.get("OMP_NUM_THREADS"), sys.getrecursionlimit()]
    raise NotImplementedError(task["do"])


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")
