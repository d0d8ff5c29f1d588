"""A Ray cluster of two nodes on this machine, as child processes: no node of anybody else's is touched."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 90


@dataclass
class Cluster:
    """The first node is the head, whose machine the driver is on."""

    address: str
    environment: dict[str, str]
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def kill(self, node: int) -> list[int]:
        """Kill a node with all its processes at once. Returns their ids."""
        killed = descendants(self.nodes[node].pid)
        for process in killed:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.nodes[node].wait()
        return killed


@contextmanager
def cluster(cpus: int) -> Iterator[Cluster]:
    """Two nodes with so many CPUs each."""
    # Paths of sockets may have 107 characters, so that no test's own folder will do.
    folder = Path(tempfile.mkdtemp(prefix="ray"))
    (folder / "token").write_text("0123456789abcdef" * 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        # A lost node is noticed in seconds.
        "RAY_health_check_initial_delay_ms": "0",
        "RAY_health_check_period_ms": "1000",
    }
    made = Cluster(address, environment)
    head = [
        "--head",
        f"--port={address.rpartition(':')[2]}",
        "--include-dashboard=false",
        "--node-ip-address=127.0.0.1",
    ]
    other = [f"--address={address}", "--node-ip-address=127.0.0.2"]
    try:
        for number, arguments in enumerate([head, other]):
            log = folder / f"node{number}.log"
            made.nodes.append(_start(arguments, cpus, folder, log, environment))
            _until_up(made.nodes[-1], log)
        yield made
    finally:
        for node in reversed(range(len(made.nodes))):
            made.kill(node)
        shutil.rmtree(folder, ignore_errors=True)


def _start(
    arguments: list[str], cpus: int, folder: Path, log: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, "--block", f"--num-cpus={cpus}"]
    command += ["--object-store-memory=80000000", f"--temp-dir={folder}", "--disable-usage-stats", "--num-gpus=0"]
    with open(log, "wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


def _until_up(node: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS
    while "Ray runtime started" not in (said := log.read_text(errors="replace")):
        if node.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"a node did not start: {said}")
        time.sleep(0.2)


def descendants(process: int) -> list[int]:
    """A process and all those that it has started, the last ones first."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name, which may hold anything) state parent ...
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(status.parent.name))
    found, todo = [], [process]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found[::-1]
