"""Engines on many machines: units of requests are answered by a pool of Ray actors, each with an engine of its own.

    the machine of the run directory                 any machine of the cluster
    keys           -- Ray Data, one at a time -->    _Worker, which holds an engine
    _Desk, reads   <-- asks for the unit --------
                   --- the unit's requests ----->    answers them
    shards         <-- Ray Data, responses ------

Only keys are queued. A worker asks for its unit when it is free to answer it, so there are never more units in memory
than workers, and no machine but the first needs the files. A worker that is killed, or whose machine is lost, is made
again wherever there is room; its unit is read and answered again.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import math
import os
import pickle
import socket
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mixpref.engines.request import Engine, Request, Sampling, Units
from mixpref.errors import MixprefError
from mixpref.progress import say
from mixpref.records import Response

if TYPE_CHECKING:
    import pyarrow

Result = TypeVar("Result")
Responses = list[tuple[Response, ...]]

TRIES = 4
"""Times that a unit is begun, and that an engine is made, before the deaths of the processes at it are an error."""


def answer_units(
    units: Units,
    keys: Sequence[str],
    make: Callable[[], Engine],
    sampling: Sampling,
    *,
    workers: int,
    cpus: float = 1.0,
    gpus: float = 0.0,
    address: str | None = None,
) -> Iterator[tuple[str, Responses]]:
    """(key, the responses of each of its unit's requests, in their order) of every key once, in any order.

    units, make   are pickled; units are read on this machine only, engines are made by `make()` in the workers
    workers       engines, each with so many `cpus` and `gpus` of its own; fewer work where no more have room
    address       of a cluster to join: "auto" or host:port; None: a Ray of its own, which ends with the iteration.
                  Where this process is connected already, that cluster is used and left as it is.

    Raises MixprefError where Ray is not there, an engine cannot be made, a unit cannot be read or its answering
    raises, or a process dies of one of them again and again. The traceback from the worker is a note of it.
    """
    if workers < 1 or cpus < 0 or gpus < 0:
        raise MixprefError(f"Ray needs 1 worker or more, and no negative cpus or gpus: {workers}, {cpus:g}, {gpus:g}")
    if importlib.util.find_spec("ray") is None:
        raise MixprefError("answering on many machines needs Ray: pip install 'mixpref[ray]'")
    if not keys:
        return
    workers = min(workers, len(keys))
    with _cluster(address, workers, cpus, gpus), _quiet():
        import ray.exceptions

        try:
            with closing(_replies(units, keys, make, sampling, workers, cpus, gpus)) as replies:
                for reply in replies:
                    if isinstance(reply, _Failure):
                        raise reply.error()
                    if reply.begun > 1:
                        say(
                            f"unit {reply.key} was begun {reply.begun} times: its worker was killed or its machine lost"
                        )
                    yield reply.key, reply.responses
        except ray.exceptions.RayError as failure:
            raise MixprefError(
                f"the Ray cluster failed ({_one_line(failure)}); give the same command again when it is up"
            ) from failure


def _replies(
    units: Units,
    keys: Sequence[str],
    make: Callable[[], Engine],
    sampling: Sampling,
    workers: int,
    cpus: float,
    gpus: float,
) -> Generator[_Answered | _Failure, None, None]:
    import ray.data
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk = (
        ray.remote(_Desk)
        .options(num_cpus=0, max_restarts=TRIES, max_task_retries=TRIES, scheduling_strategy=here)
        .remote(units)
    )
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.issue_detectors_config.detectors = []
    # Long units are no standstill.
    context.execution_no_progress_timeout_s = -1
    # Workers, and their tasks, are started again without end, which is Ray Data's way; the desk puts an end to it.
    with ray.data.DataContext.current(context):
        replies = ray.data.from_items([{"key": key} for key in keys], override_num_blocks=len(keys)).map_batches(
            _Worker,
            fn_constructor_args=(make, desk, sampling),
            batch_size=1,
            batch_format="pyarrow",
            # A second key would wait behind a long unit while other workers are free.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=cpus,
            num_gpus=gpus,
        )
    # Nothing is fetched ahead: a reply would wait for the one after it.
    batches: Any = replies.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    with closing(iter(batches)) as tables:
        for table in tables:
            yield from map(pickle.loads, table.column("reply").to_pylist())


class _Desk:
    """Reads the units, on the machine of the run directory, and counts how often each thing was begun."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._making: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()

    def making(self, worker: str) -> _Failure | None:
        """To be asked before an engine is made; a failure where it was asked too often without `made`."""
        self._making[worker] += 1
        if self._making[worker] > TRIES:
            return _Failure(f"the process of a worker died {TRIES} times while it made its engine; {_WHY}")
        return None

    def made(self, worker: str) -> None:
        del self._making[worker]

    def take(self, key: str) -> tuple[int, Sequence[Request] | _Failure]:
        """How often the unit has been taken, and its requests."""
        self._taken[key] += 1
        if self._taken[key] > TRIES:
            return TRIES, _Failure(f"the process of a worker died {TRIES} times at unit {key}; {_WHY}")
        return self._taken[key], _attempt(f"unit {key} cannot be read", lambda: self._units[key])


class _Worker:
    """Holds an engine and answers one unit after the other.

    What goes wrong is passed on as a value: Ray would show it as pages of its own frames, or try it again.
    """

    def __init__(self, make: Callable[[], Engine], desk: Any, sampling: Sampling) -> None:
        self._desk = desk
        self._sampling = sampling
        self._engine = self._made(make)

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        import pyarrow

        replies = [pickle.dumps(self._reply(key)) for key in batch.column("key").to_pylist()]
        return pyarrow.table({"reply": pyarrow.array(replies, pyarrow.binary())})

    def _made(self, make: Callable[[], Engine]) -> Engine | _Failure:
        import ray

        # It stays the same when the process is started again.
        worker = ray.get_runtime_context().get_actor_id()
        if failure := ray.get(self._desk.making.remote(worker)):
            return failure
        engine = _attempt("no engine can be made", make)
        ray.get(self._desk.made.remote(worker))
        return engine

    def _reply(self, key: str) -> _Answered | _Failure:
        import ray

        engine = self._engine
        if isinstance(engine, _Failure):
            return engine
        begun, requests = ray.get(self._desk.take.remote(key))
        if isinstance(requests, _Failure):
            return requests
        responses = _attempt(f"unit {key} cannot be answered", lambda: _answers(engine, requests, self._sampling))
        return responses if isinstance(responses, _Failure) else _Answered(key, responses, begun)


def _answers(engine: Engine, requests: Sequence[Request], sampling: Sampling) -> Responses:
    """The responses to each request, in the requests' order."""
    answers = dict(engine.answer(requests, sampling))
    if sorted(answers) != list(range(len(requests))):
        raise RuntimeError(f"{len(requests)} requests were given, and the engine answered those at {sorted(answers)}")
    return [answers[place] for place in range(len(requests))]


@dataclass(frozen=True)
class _Answered:
    key: str
    responses: Responses
    begun: int
    """How often the unit was begun: once, unless a worker died at it."""


@dataclass(frozen=True)
class _Failure:
    """What went wrong in another process."""

    text: str
    trace: str = ""

    def error(self) -> MixprefError:
        error = MixprefError(self.text)
        if self.trace:
            error.add_note(self.trace)
        return error


def _attempt(what: str, call: Callable[[], Result]) -> Result | _Failure:
    """What the call returns, or how it failed: the driver raises that."""
    try:
        return call()
    except MixprefError as failure:
        return _Failure(str(failure), traceback.format_exc())
    except Exception as failure:
        where = f"{what} on {socket.gethostname()}"
        return _Failure(f"{where}: {type(failure).__name__}: {_one_line(failure)}", traceback.format_exc())


@contextmanager
def _cluster(address: str | None, workers: int, cpus: float, gpus: float) -> Iterator[None]:
    """Connected to a cluster; in the end as it was before."""
    with _environment():
        import ray

        mine = not ray.is_initialized()
        if mine:
            _connect(address, workers, cpus)
    try:
        _check_room(cpus, gpus, wait=not mine or address is not None)
        yield
    finally:
        if mine:
            ray.shutdown()


@contextmanager
def _environment() -> Iterator[None]:
    """What Ray is told by environment variables alone, when it is imported and started; the user's come first."""
    settings = {
        # It would report its use to its makers.
        "RAY_USAGE_STATS_ENABLED": "0",
        # Its compiled part would complain of what Ray Data does on purpose.
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        # It prints the deaths of workers and nodes to stdout, which is for results.
        "RAY_DEDUP_LOGS_SKIP_REGEX": "There are infinite retries|^A worker died|^The node with node id",
    }
    added = {name: value for name, value in settings.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _connect(address: str | None, workers: int, cpus: float) -> None:
    import ray

    silence: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    if address is None:
        # As many as were asked for: a count for Ray, not the cores of the machine.
        count = math.ceil(workers * cpus)
        ray.init(address="local", num_cpus=count, include_dashboard=False, **silence)
        return
    _knock(address)
    try:
        ray.init(address=address, **silence)
    except (ConnectionError, RuntimeError, ValueError) as failure:
        raise MixprefError(
            f"the Ray cluster at {address} cannot be joined ({_one_line(failure)}); "
            "is this machine one of its nodes (ray start --address=...), with the same Ray and Python?"
        ) from failure


def _knock(address: str) -> None:
    """Raises MixprefError where nobody is at an address: Ray itself would try for minutes."""
    if address.startswith("ray://"):
        raise MixprefError(
            f"{address} is for Ray's client, whose machine is none of the cluster's and cannot serve the units; "
            "run this on a machine of the cluster with the address auto"
        )
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS", address)
    if address == "auto":
        # Ray looks for a cluster's processes on this machine.
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise MixprefError(f"a Ray cluster's address is auto or host:port, not {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as failure:
        raise MixprefError(f"no Ray cluster is at {address} ({_one_line(failure)}); is its head node up?") from failure


def _check_room(cpus: float, gpus: float, *, wait: bool) -> None:
    """Raises MixprefError where no machine is large enough for a worker; where others may join, says that it waits."""
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        return
    lacking = f"no machine of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs of a worker"
    if not wait:
        raise MixprefError(f"{lacking}; ask for fewer")
    say(f"{lacking}; waiting for one to join")


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data says nothing on the terminal: what matters is raised."""
    # It would set its log up again.
    importlib.import_module("ray.data")
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _one_line(failure: BaseException) -> str:
    return " ".join(str(failure).split()) or type(failure).__name__


_WHY = "its machine may lack memory, see the logs of Ray"
