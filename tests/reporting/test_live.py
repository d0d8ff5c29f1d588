"""A run that is looked at while it changes: what was made is kept as long as it is true, and no longer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixpref.errors import MixprefError
from mixpref.reporting import live
from mixpref.reporting.index import Query
from mixpref.reporting.live import LiveRun
from mixpref.rundir import Run
from tests.reporting.conftest import make_pair, make_problem, make_response, write_run


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of the page and of the lists, what was made, every time."""
    done: list[str] = []

    def counting(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **more: Any) -> Any:
            done.append(name)
            return make(*given, **more)

        return counted

    for name in ("gather", "index_pairs", "index_items"):
        monkeypatch.setattr(live, name, counting(name, getattr(live, name)))
    return done


def test_nothing_is_made_twice_of_the_same(made_run: Run, made: list[str]) -> None:
    looking = LiveRun(made_run)
    for _ in range(2):
        looking.page()
        looking.facets()
        looking.find("pairs", Query(text="final"))
        looking.find("items", Query())
        looking.picture("train", made_run.problems("train").read()[0].id, 0)
    # What the page does not show.
    (made_run.path / "report.html").write_text("a report")
    (made_run.model_dir("mpo") / "weights.bin").write_bytes(b"weights")
    looking.facets()
    assert sorted(made) == ["gather", "index_items", "index_pairs"]


def test_only_what_has_changed_is_made_anew(made_run: Run, made: list[str]) -> None:
    looking = LiveRun(made_run)

    def anew() -> list[str]:
        made.clear()
        looking.page()
        looking.facets()
        return sorted(made)

    assert anew() == ["gather", "index_items", "index_pairs"]
    log = made_run.model_dir("mpo") / "training_log.jsonl"
    log.write_text(log.read_text() + '{"step": 4, "loss": 0.1}\n')
    assert anew() == ["gather"]
    problem = made_run.problems("train").read()[0]
    made_run.responses.append("00001", [make_response(problem, 9, "one more")])
    assert anew() == ["gather", "index_pairs"]
    made_run.problems("held_out").append("00001", [make_problem(300)])
    assert anew() == ["gather", "index_items"]
    made_run.pairs.discard()
    assert anew() == ["gather", "index_pairs"]
    assert looking.facets()["pairs"]["total"] == 0


def test_a_run_is_followed_from_nothing_to_its_end(empty_run: Run) -> None:
    looking = LiveRun(empty_run)
    assert [counts["total"] for counts in looking.facets().values()] == [0, 0]
    assert looking.find("pairs", Query()) == (0, [])
    assert looking.picture("train", "nobody", 0) is None
    problem = make_problem(70)
    empty_run.problems("train").append("00000", [problem])
    assert looking.find("pairs", Query()) == (0, [])
    assert looking.picture("train", problem.id, 0) == ("image/png", problem.images[0])
    empty_run.pairs.append("00000", [make_pair(problem, "one", "other")])
    total, (case,) = looking.find("pairs", Query(text="other"))
    assert (total, case["question"]) == (1, problem.question)
    write_run(empty_run)
    assert [counts["total"] for counts in looking.facets().values()] == [28, 20]


def test_one_list_that_cannot_be_read_leaves_the_other(made_run: Run) -> None:
    looking = LiveRun(made_run)
    (made_run.pairs.path / "part-00001.parquet").write_bytes(b"no parquet")
    problem = made_run.problems("held_out").read()[0]
    with pytest.raises(MixprefError, match=r"part-00001\.parquet cannot be read"):
        looking.find("pairs", Query())
    assert looking.find("items", Query())[0] == 20
    assert looking.picture("held_out", problem.id, 0) == ("image/png", problem.images[0])


def test_files_may_go_while_they_are_looked_at(made_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = made_run.model_dir("mpo") / "checkpoint-100"
    checkpoint.mkdir()
    walk = os.walk

    def removed_meanwhile(root: Path) -> Any:
        yield from walk(root)
        yield str(checkpoint), [], ["config.json"]
        checkpoint.rmdir()

    looking = LiveRun(made_run)
    page = looking.page()
    monkeypatch.setattr(live.os, "walk", removed_meanwhile)
    assert looking.page() == page
