from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mixpref.errors import MixprefError
from mixpref.verifying import pool as module
from mixpref.verifying import worker
from mixpref.verifying.pool import Pool, Reply, shared

TARGET = "verifying.pool_targets:act"


@pytest.fixture
def pool():
    with Pool(workers=2, seconds=1.0, target=TARGET) as made:
        yield made


def square(number):
    return {"do": "square", "x": number}


def gone(pid, seconds=10.0):
    """Whether a process ends in time; one that nobody has waited for counts as ended."""
    for _ in range(int(seconds * 50) + 1):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_batch_comes_back_in_order(pool):
    assert pool.run(square(3)) == Reply(value=9)
    assert [reply.value for reply in pool.map(square(n) for n in range(200))] == [n**2 for n in range(200)]
    assert pool.map([]) == []


@pytest.mark.parametrize(
    "task",
    ["\ud800", "é 漢 \U0001f600 \u202e\x00\n\r\u2028", "\udcff" * 3, None, True, 0.1, 10**30, [], {},
     [[1, {"a": [None]}]], {"b": 1, "a": "\\"}, "x" * 300_000],
)  # fmt: skip
def test_tasks_and_values_keep_every_character(pool, task):
    assert pool.run(task) == Reply(value=task)


@pytest.mark.parametrize(
    ("task", "failure"),
    [
        ({"do": "spin"}, "took longer than 1 s"),
        ({"do": "spin in C"}, "took longer than 1 s"),
        ({"do": "sleep", "seconds": 30}, "took longer than 1 s"),
        ({"do": "signal", "number": int(signal.SIGSTOP)}, "took longer than 1 s"),
        ({"do": "signal", "number": int(signal.SIGSEGV)}, "the worker crashed (signal 11, SIGSEGV)"),
        ({"do": "signal", "number": int(signal.SIGKILL)}, "the worker crashed (signal 9, SIGKILL)"),
        ({"do": "end", "status": 0}, "the worker ended (exit status 0)"),
        ({"do": "exit"}, "SystemExit: 3"),
        ({"do": "raise", "message": "not \ud800 so"}, "ValueError: not \ud800 so"),
        ({"do": "raise", "message": ""}, "ValueError"),
        ({"do": "raise", "message": "x" * 10**6}, "ValueError: " + "x" * 488 + " .."),
        ({"do": "raise badly"}, "Unspeakable"),
        ({"do": "recurse"}, "RecursionError: maximum recursion depth exceeded"),
        ({"do": "take memory", "bytes": 2**31}, "needed more than 1024 MiB"),
        ({"do": "long", "characters": 2 * 2**20}, "a result of 2097165 bytes is too long to be sent"),
        ({"do": "no JSON"}, "TypeError: Object of type set is not JSON serializable"),
        ({1, 2}, "the task is no JSON: TypeError: Object of type set is not JSON serializable"),
        ({1: 2, "a": 3}, "the task is no JSON: TypeError: '<' not supported between instances of 'str' and 'int'"),
    ],
)
def test_a_failure_is_that_items_failure_alone(pool, task, failure):
    replies = pool.map([square(1), task, *(square(n) for n in range(2, 30))])
    assert replies[1].value is None
    assert replies[1].failure.startswith(failure)
    assert [reply.value for reply in replies[:1] + replies[2:]] == [n**2 for n in range(1, 30)]


def test_values_nested_too_deep_are_failures(pool):
    task: list = []
    for _ in range(100_000):
        task = [task]
    assert "RecursionError" in pool.run(task).failure
    assert pool.run(square(2)).value == 4


def test_output_of_the_target_is_no_reply(pool):
    assert pool.run({"do": "print"}) == Reply(value="")
    assert pool.run(square(2)).value == 4


def test_hanging_items_cost_their_time_and_no_other_items_answer():
    # 1 % of the items hang, far apart.
    tasks = [{"do": "spin", "n": n} if n % 100 == 50 else square(n) for n in range(600)]
    with Pool(workers=2, seconds=1.0, target=TARGET) as pool:
        start = time.monotonic()
        replies = pool.map(tasks)
        took = time.monotonic() - start
        assert len(pool._live) <= 4
    for n, reply in enumerate(replies):
        assert reply == (Reply(failure="took longer than 1 s") if n % 100 == 50 else Reply(value=n**2))
    print(f"{took:.2f} s for 6 hanging items, 2 workers, 1 s")
    # One after the other, without workers that work on, it would be 6 s.
    assert took < 5


def test_workers_that_are_killed_from_outside_lose_nothing(pool):
    tasks = [{"do": "sleep", "seconds": 0.01, "n": n} for n in range(200)]
    killed: list[int] = []
    stop = threading.Event()

    def kill():
        while not stop.wait(0.15):
            # In turn the child, the worker itself and both.
            for process in list(pool._live)[:1]:
                for pid in ([process._child], [process._popen.pid], [process._popen.pid, process._child])[
                    len(killed) % 3
                ]:
                    if pid and not gone(pid, 0):
                        killed.append(pid)
                        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    replies = pool.map(tasks)
    stop.set()
    killer.join()
    assert replies == [Reply(value="slept")] * 200
    assert len(killed) > 3
    # Also those that die while nothing is asked of them.
    for n in range(3):
        for process in pool._live:
            os.kill(process._child if n else process._popen.pid, signal.SIGKILL)
        assert pool.run(square(n)).value == n**2


def test_an_item_whose_worker_died_is_tried_again(pool, tmp_path):
    assert pool.run({"do": "die the first time", "file": str(tmp_path / "tried")}).value == "lived"


def test_a_killed_workers_children_die_with_it(pool, tmp_path):
    file = tmp_path / "pid"
    assert "took longer" in pool.run({"do": "start a child", "file": str(file)}).failure
    assert gone(int(file.read_text()))


def test_equal_work_is_done_once(pool, tmp_path):
    file = tmp_path / "marks"
    task = {"do": "mark", "file": str(file), "seconds": 0.2}
    same = dict(reversed(task.items()))
    with ThreadPoolExecutor(8) as threads:
        runs = [threads.submit(pool.run, task) for _ in range(4)]
        maps = [threads.submit(pool.map, [same, square(2), task]) for _ in range(4)]
        assert {run.result().value for run in runs} == {"marked"}
        assert all([reply.value for reply in each.result()] == ["marked", 4, "marked"] for each in maps)
    assert file.read_text() == "x"


def test_failures_are_remembered_but_not_crashes(pool, tmp_path):
    slow = {"do": "mark", "file": str(tmp_path / "slow"), "seconds": 30}
    assert pool.run(slow) == pool.run(slow) == Reply(failure="took longer than 1 s")
    assert (tmp_path / "slow").read_text() == "x"
    dying = {"do": "mark", "file": str(tmp_path / "dying"), "signal": int(signal.SIGKILL)}
    for runs in (1, 2):
        assert "SIGKILL" in pool.run(dying).failure
        assert (tmp_path / "dying").read_text() == "x" * module.TRIES * runs


def test_a_reply_may_be_changed_by_who_gets_it(pool):
    first, second = pool.map([["a"], ["a"]])
    first.value.append("b")
    assert second.value == pool.run(["a"]).value == ["a"]


def test_only_so_many_replies_are_remembered(pool, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 10)
    assert len(pool.map(range(50))) == 50
    assert len(pool._replies) == 10


def test_a_worker_that_has_grown_is_replaced():
    with Pool(workers=1, target=TARGET, memory=2**28) as pool:
        # 80 MiB stay; the first look is after some tasks.
        first = pool.run({"do": "keep memory", "mebibytes": 80}).value
        pool.map(range(worker._BETWEEN_LOOKS))
        assert pool.run({"do": "pid"}).value != first
        assert gone(first)


def test_many_threads_at_once(pool):
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: pool.map([square(n), {"do": "mark", "file": os.devnull}, n]), range(100)))
    assert [[reply.value for reply in each] for each in found] == [[n**2, "marked", n] for n in range(100)]
    assert len(pool._live) <= 2


def test_no_more_workers_than_work_needs(pool):
    assert not pool._live
    for n in range(5):
        pool.run(n)
    assert len(pool._live) == 1


def in_a_daemon(connection):
    with Pool(workers=1, target=TARGET) as pool:
        connection.send([pool.run(square(7)).value, shared().workers])


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_inside_a_daemonic_process(method):
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=in_a_daemon, args=(theirs,), daemon=True)
    process.start()
    assert ours.poll(60)
    assert ours.recv() == [49, len(os.sched_getaffinity(0))]
    process.join()


def test_after_a_fork_each_side_has_workers_of_its_own(pool):
    mine = pool.run({"do": "pid"}).value
    child = os.fork()
    if not child:
        try:
            theirs = pool.run({"do": "pid"}).value
            pool.close()
            os._exit(0 if theirs not in (mine, None) and gone(theirs) else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert not gone(mine, 0.1)
    assert pool.run(square(6)).value == 36
    assert len(pool._live) == 1


def test_a_fork_in_the_middle_of_work(pool):
    running = threading.Thread(target=pool.map, args=([{"do": "sleep", "seconds": 0.6, "n": n} for n in range(2)],))
    running.start()
    while len(pool._live) < 2:
        time.sleep(0.01)
    with pool._lock, module._lock:
        child = os.fork()
        if not child:
            try:
                os._exit(0 if pool.run(square(6)).value == 36 and shared() else 1)
            finally:
                os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    running.join()
    assert pool.run(square(8)).value == 64


PROGRAM = """
import os, signal, sys, threading, time
sys.path.insert(0, {tests!r})
from mixpref.verifying.pool import Pool
pool = Pool(workers=1, seconds=0.5, target={target!r})
print(pool.run({{"do": "pid"}}).value, flush=True)
{then}
"""


@pytest.mark.parametrize(
    "then",
    [
        "",
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        # Nobody is left to kill the worker.
        "threading.Thread(target=pool.run, args=({'do': 'spin in C'},), daemon=True).start(); time.sleep(0.2)\n"
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
    ids=["end", "_exit", "killed", "killed at work"],
)
def test_no_worker_outlives_its_parent(then, tmp_path):
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]), target=TARGET, then=then)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stderr == ""
    assert gone(int(done.stdout))


def test_what_the_parent_can_import_the_worker_can(tmp_path, monkeypatch):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "only_here.py").write_text("def double(x):\n    return 2 * x\n")
    # A module of the user's, in the current directory, that the worker must not take for the library's.
    (tmp_path / "json.py").write_text("raise ImportError")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    with Pool(workers=1, target="only_here:double") as pool:
        assert pool.run(21).value == 42


def test_the_workers_surroundings(pool, monkeypatch):
    path, threads, recursion = pool.run({"do": "where"}).value
    assert path == sys.path
    assert threads == "1"
    assert recursion == worker.RECURSION


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:f", "cannot load no_such_module:f: ModuleNotFoundError: No module named 'no_such_module'"),
        ("verifying.pool_targets:nothing", "has no attribute 'nothing'"),
        ("verifying.pool_targets", "cannot load"),
    ],
)
def test_workers_that_cannot_start_stop_everything(target, message, monkeypatch):
    with Pool(workers=2, target=target) as pool:
        with pytest.raises(MixprefError, match="install what is missing") as caught:
            pool.map(range(1000))
        assert message in str(caught.value)
        assert not pool._live
        monkeypatch.setattr(module, "Process", None)
        with pytest.raises(MixprefError, match="cannot load"):
            pool.run(1)


def test_too_little_memory_to_start():
    with Pool(workers=1, target=TARGET, memory=2**20) as pool, pytest.raises(MixprefError):
        pool.run(1)


def test_no_interpreter_and_no_processes(pool, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(MixprefError, match="cannot start a worker"):
        pool.run(1)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(MixprefError, match=r"sys\.executable is empty"):
        pool.run(1)
    monkeypatch.undo()
    assert pool.run(1).value == 1


def test_systems_and_limits_that_cannot_be(monkeypatch):
    for wrong in ({"workers": 0}, {"seconds": 0}, {"memory": -1}):
        with pytest.raises(ValueError, match="must be positive"):
            Pool(**wrong)
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(MixprefError, match="Linux or macOS"):
        Pool()


def test_a_closed_pool(pool):
    waiting = ThreadPoolExecutor(1).submit(pool.run, {"do": "sleep", "seconds": 0.9})
    while not pool._live:
        time.sleep(0.01)
    pids = [pid for process in pool._live for pid in (process._popen.pid, process._child) if pid]
    pool.close()
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        waiting.result()
    with pytest.raises(RuntimeError, match="closed"):
        pool.run(1)
    assert all(map(gone, pids))
    assert not pool._live


def test_a_pool_that_nobody_has_ends_its_workers():
    pool = Pool(workers=1, target=TARGET)
    pid = pool.run({"do": "pid"}).value
    del pool
    assert gone(pid)


def test_an_interrupt_stops_the_work(tmp_path):
    program = PROGRAM.format(
        tests=str(Path(__file__).parents[1]),
        target=TARGET,
        then="pool.seconds = 20\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n    pool.run({'do': 'sleep', 'seconds': 10})\n"
        "except KeyboardInterrupt:\n    print(pool.run({'do': 'square', 'x': 3}).value)",
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.split()[1] == "9"


def test_the_shared_pool():
    assert shared() is shared()
    assert shared().target == module.TARGET
    before = shared()
    before.close()
    assert shared() is not before


def test_descriptors_do_not_pile_up(pool):
    pool.map(range(10))
    before = len(os.listdir("/proc/self/fd"))
    for n in range(3):
        pool.run({"do": "end", "status": n})
    pool.run(square(2))
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    assert json.loads(module._failure("x")) == {"failure": "x"}
