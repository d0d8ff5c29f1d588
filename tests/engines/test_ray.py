from __future__ import annotations

import importlib.util
import itertools
import os
import pickle
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import ray_nodes
from rote import RoteEngine, RoteUnits, breaking, dying, noted, refusing

from mixpref import Problem
from mixpref.engines import ray as engine
from mixpref.engines.ray import answer_units
from mixpref.engines.request import Sampling
from mixpref.errors import MixprefError

ray = pytest.importorskip("ray")

HERE = Path(__file__).parent
CPUS = 4


@pytest.fixture(scope="module")
def local() -> Iterator[None]:
    """Ray in this process, as a user may have it: quicker than one for each test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=CPUS,
            object_store_memory=80_000_000,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield
        ray.shutdown()


def keys(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def here(folder: Path, count: int) -> dict[str, list]:
    """What the engine answers in this process."""
    units, answering = RoteUnits(folder), RoteEngine(folder)
    return {key: engine._answers(answering, units[key], Sampling()) for key in keys(count)}


def run(folder: Path, count: int = 4, workers: int = 2, make=None, units: RoteUnits | None = None, **settings):
    make = make or partial(RoteEngine, folder, **settings)
    return answer_units(units or RoteUnits(folder), keys(count), make, Sampling(), workers=workers)


@pytest.mark.parametrize("workers", [1, 4])
def test_units_are_answered_as_in_this_process(workers, local, tmp_path):
    answered = list(run(tmp_path, count=12, workers=workers))
    assert len(noted(tmp_path, "read")) == 12
    assert len({process for _, process in noted(tmp_path, "begun")}) <= workers
    assert len(answered) == 12
    assert dict(answered) == here(tmp_path, 12)
    assert ray.is_initialized()


def test_more_workers_than_there_is_room_for_wait(local, tmp_path):
    assert dict(run(tmp_path, count=12, workers=CPUS + 2)) == here(tmp_path, 12)


def test_units_are_read_only_as_they_are_answered(local, tmp_path):
    answered = list(run(tmp_path, count=200, units=RoteUnits(tmp_path, size=500_000), seconds=0.01))
    assert len(answered) == 200
    steps = [{"read": 1, "answered": -1}.get(line[0], 0) for line in noted(tmp_path)]
    assert max(itertools.accumulate(steps)) <= 2


def test_a_killed_worker_loses_and_repeats_nothing(local, tmp_path, capsys):
    answered = list(run(tmp_path, count=12, killed_at="5"))
    begun = Counter(key for key, _ in noted(tmp_path, "begun"))
    assert begun["5"] == 2
    assert len(answered) == 12
    assert dict(answered) == here(tmp_path, 12)
    assert capsys.readouterr().err == "unit 5 was begun 2 times: its worker was killed or its machine lost\n"


@pytest.mark.slow
def test_a_unit_that_kills_every_worker_is_an_error(local, tmp_path):
    with pytest.raises(MixprefError, match=r"^the process of a worker died 4 times at unit 2; its machine may lack"):
        list(run(tmp_path, killed_at="2", always=True))
    assert Counter(key for key, _ in noted(tmp_path, "begun"))["2"] == engine.TRIES


@pytest.mark.slow
def test_an_engine_whose_making_kills_the_process_is_an_error(local, tmp_path):
    with pytest.raises(MixprefError, match=r"^the process of a worker died 4 times while it made its engine; its mach"):
        list(run(tmp_path, workers=1, make=dying))


def test_an_engine_that_cannot_be_made_is_told_in_its_own_words(local, tmp_path):
    with pytest.raises(MixprefError) as told:
        list(run(tmp_path, make=refusing))
    assert str(told.value) == "the model tiny cannot be read; give another one"
    assert "in refusing" in told.value.__notes__[0]
    with pytest.raises(MixprefError) as told:
        list(run(tmp_path, make=breaking))
    assert re.fullmatch(r"no engine can be made on \S+: OSError: cannot load the weights", str(told.value))
    assert not noted(tmp_path)


def test_an_engine_that_raises_is_an_error(local, tmp_path):
    with pytest.raises(MixprefError) as told:
        list(run(tmp_path, broken_at="1"))
    assert re.fullmatch(r"unit 1 cannot be answered on \S+: ZeroDivisionError: a defect", str(told.value))
    assert "in answer\n" in told.value.__notes__[0]


def test_an_engine_that_leaves_a_request_out_is_an_error(local, tmp_path):
    # Otherwise a shard without the responses would be written for good.
    with pytest.raises(MixprefError, match=r"2 requests were given, and the engine answered those at \[0\]\n"):
        list(run(tmp_path, silent_at="1"))


def test_a_unit_that_cannot_be_read_is_told_in_its_own_words(local, tmp_path):
    with pytest.raises(MixprefError) as told:
        list(run(tmp_path, units=RoteUnits(tmp_path, damaged="3")))
    assert str(told.value) == "the shard of 3 is damaged; make it again"


def test_workers_end_with_the_iteration(local, tmp_path):
    units = run(tmp_path, count=1000, seconds=0.05)
    next(units)
    units.close()
    end = time.monotonic() + 30
    while any(Path(f"/proc/{process}").exists() for _, process in noted(tmp_path, "begun")):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert len(noted(tmp_path, "answered")) < 1000


def test_no_machine_has_the_gpus(local, capsys):
    with pytest.raises(
        MixprefError, match=r"^no machine of the Ray cluster has the 1 CPUs and 99 GPUs of a worker; ask"
    ):
        engine._check_room(1, 99, wait=False)
    engine._check_room(1, 99, wait=True)
    assert capsys.readouterr().err.endswith("of a worker; waiting for one to join\n")
    engine._check_room(CPUS, 0, wait=False)


def test_answers_are_judged_in_a_worker_as_anywhere(local):
    # Computer algebra ends what hangs by signals and processes, which are not for every thread.
    class Judging:
        def outcomes(self) -> list[str]:
            from mixpref.verifying.pool import Pool
            from mixpref.verifying.verdicts import verify_all

            gold = Problem(question="What is it?", answer="\\frac{3\\pi}{7}")
            answers = ["\\frac{6}{14}\\pi", "\\frac{4\\pi}{7}", "\\sum_{k=1}^{10^9} k^k"]
            with Pool(workers=1, seconds=1.0) as pool:
                return [each.outcome for each in verify_all(((gold, text, "direct") for text in answers), pool=pool)]

    judge = ray.remote(Judging).options(num_cpus=0).remote()
    assert ray.get(judge.outcomes.remote()) == ["correct", "wrong", "error"]
    ray.kill(judge)


def drive(folder: Path, address: str, workers: int, count: int, seconds: float, environment: dict[str, str]):
    command = [sys.executable, HERE / "ray_driver.py", folder, address, str(workers), str(count), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def answers(folder: Path) -> list:
    return pickle.loads((folder / "answers.pickle").read_bytes())


def test_a_ray_of_its_own_ends_and_is_quiet(tmp_path):
    driver = drive(tmp_path, "none", 2, 6, 0, {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"})
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, err
    assert out == ""
    # One line of Ray's compiled part cannot be helped.
    assert [line for line in err.splitlines() if "RAY_BACKEND_LOG_LEVEL" not in line] == []
    assert len(answers(tmp_path)) == 6
    assert dict(answers(tmp_path)) == here(tmp_path, 6)


@pytest.mark.slow
def test_two_nodes_and_one_of_them_killed(tmp_path):
    with ray_nodes.cluster(cpus=2) as cluster:
        (tmp_path / "whole").mkdir()
        driver = drive(tmp_path / "whole", cluster.address, 4, 20, 0.3, cluster.environment)
        out, err = driver.communicate(timeout=120)
        assert (driver.returncode, out) == (0, ""), err
        assert len(answers(tmp_path / "whole")) == 20
        assert dict(answers(tmp_path / "whole")) == here(tmp_path, 20)
        assert all(node.poll() is None for node in cluster.nodes)

        (tmp_path / "torn").mkdir()
        # Long ones, so that the node has some in its hands when it goes.
        driver = drive(tmp_path / "torn", cluster.address, 4, 40, 1.0, cluster.environment)
        while len(noted(tmp_path / "torn", "out")) < 10 and driver.poll() is None:
            time.sleep(0.05)
        second = {str(process) for process in cluster.kill(1)}
        out, err = driver.communicate(timeout=120)
        assert (driver.returncode, out) == (0, ""), err
        begun = noted(tmp_path / "torn", "begun")
        assert second & {process for _, process in begun}
        assert len(begun) > 40
        assert len(answers(tmp_path / "torn")) == 40
        assert dict(answers(tmp_path / "torn")) == here(tmp_path, 40)


def test_nothing_to_do_needs_no_cluster(tmp_path):
    assert list(answer_units(RoteUnits(tmp_path), [], refusing, Sampling(), workers=1, address="127.0.0.1:1")) == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ray://10.0.0.1:10001", "ray://10.0.0.1:10001 is for Ray's client, .* with the address auto$"),
        ("10.0.0.1", "a Ray cluster's address is auto or host:port, not '10.0.0.1'$"),
        ("127.0.0.1:1", r"no Ray cluster is at 127.0.0.1:1 \(.*refused\); is its head node up\?$"),
    ],
)
def test_addresses_where_no_cluster_is(address, told):
    with pytest.raises(MixprefError, match=f"^{told}"):
        engine._connect(address, 1, 1)


def test_without_ray_or_workers(monkeypatch, tmp_path):
    with pytest.raises(MixprefError, match=r"^Ray needs 1 worker or more"):
        list(run(tmp_path, workers=0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MixprefError, match=r"pip install 'mixpref\[ray\]'$"):
        list(run(tmp_path))
