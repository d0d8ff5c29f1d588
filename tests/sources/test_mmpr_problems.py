"""The questions of MMPR as problems: every row comes out once, and pairs of one question are one problem."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixpref import prompts
from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import Problem
from mixpref.rundir import Run
from mixpref.sources import load
from mixpref.sources.mmpr_row import bare_question
from mixpref.sources.stage import load_problems
from sources.conftest import image_bytes
from sources.conftest import mmpr_row as row

Make = Callable[..., Path]


def recipe(meta: Path, *, seed: int = 0, held_out: int = 1, **more: Any) -> Recipe:
    return Recipe(
        name="r", seed=seed, problems=ProblemsRecipe(source="mmpr", path=str(meta), held_out=held_out, **more)
    )


def problems(recipe: Recipe) -> dict[str, Problem]:
    loaded = load(recipe)
    found = [*loaded.train, *loaded.held_out]
    assert loaded.rows == len(found) + loaded.unused + len(loaded.rejected) + loaded.merged
    return {problem.question: problem for problem in found}


def test_questions_become_problems(make: Make) -> None:
    rows = [
        row(0, answer_gt=["1", 2, 2.50]),
        row(1, answer_gt=...),
        row(2, image=["2.png", "3.png"], answer_gt=7),
        row(3, image=..., answer_gt=" 4 "),
        row(4, answer_gt=[]),
    ]
    found = problems(recipe(make(first=rows)))
    assert found["What is 0 + 1?"] == Problem(
        question="What is 0 + 1?",
        answer=("1", "2", "2.5"),
        images=(image_bytes(0),),
        source="first.jsonl:1",
        family="first",
    )
    assert [each.answer for each in found.values()].count(None) == 2
    assert found["What is 2 + 1?"].images == (image_bytes(2), image_bytes(3))
    assert (found["What is 3 + 1?"].images, found["What is 3 + 1?"].answer) == ((), ("4",))


def test_pairs_of_one_question_are_one_problem(make: Make) -> None:
    first = [row(0), row(0, chosen="1 it is."), row(1, answer_gt=...), row(0, image="1.png")]
    other = [row(0), row(1, answer_gt="2"), row(0, answer_gt="0"), row(0, image="copy.png"), row(2)]
    meta = make(first=first, other=other)
    (meta.parent / "images" / "copy.png").write_bytes(image_bytes(0))
    loaded = load(recipe(meta))
    found = [*loaded.train, *loaded.held_out]
    assert sorted((problem.question, problem.source) for problem in found) == [
        ("What is 0 + 1?", "first.jsonl:1"),
        ("What is 0 + 1?", "first.jsonl:4"),
        ("What is 1 + 1?", "other.jsonl:2"),
        ("What is 2 + 1?", "other.jsonl:5"),
    ]
    assert {problem.answer for problem in found} == {("1",), ("2",), ("3",)}
    assert (loaded.rows, loaded.merged, loaded.unused) == (9, 4, 0)
    [conflict] = loaded.rejected
    assert (conflict.kind, conflict.line) == ("other answer", 3)
    assert conflict.source_file.endswith("other.jsonl")
    assert "first.jsonl, line 1" in conflict.reason


@pytest.mark.parametrize("style", ["en", "zh", "boxed", "r1", "visual"])
def test_the_prompt_of_a_style_is_taken_off(make: Make, style: str) -> None:
    plain = Problem(question="How many?\nCount {x}.")
    asked = prompts.ask(plain, style)
    rows = [
        row(0, question=asked),
        row(1, question=f"<image>\n{asked}"),
        row(2, image=["1.png", "2.png"], question=f"<image>\n<image>\n{asked}"),
    ]
    loaded = load(recipe(make(a=rows)))
    found = {problem.question for problem in (*loaded.train, *loaded.held_out)}
    assert found == {plain.question, f"<image>\n{plain.question}", f"<image>\n<image>\n{plain.question}"}
    # The prompt alone is no question in a prompt.
    before = prompts.ask(Problem(question="\0"), style).removesuffix("\0")
    assert bare_question(before) == before


def test_bad_rows_are_rejected_once_each(make: Make) -> None:
    rows = [row(0), row(1, image="none.png"), row(2, image="none.png"), row(3, answer_gt=[["x"]]), b"{", row(4)]
    meta = make(a=rows)
    loaded = load(recipe(meta))
    assert [(each.line, each.kind) for each in loaded.rejected] == [
        (2, "missing image"),
        (3, "missing image"),
        (4, "wrong type"),
        (5, "bad JSON"),
    ]
    assert loaded.rows == 6
    assert sum(1 for _ in (*loaded.train, *loaded.held_out)) == 2


def test_families_are_data_sets(make: Make) -> None:
    meta = make(a=[row(0), row(1)], b=[row(2), row(3), b"{"])
    loaded = load(recipe(meta, families=("a",)))
    assert {problem.family for problem in (*loaded.train, *loaded.held_out)} == {"a"}
    assert (loaded.rows, loaded.unused, loaded.rejected) == (5, 3, ())
    with pytest.raises(MixprefError, match=r"problems\.families"):
        load(recipe(meta, families=("c",)))


def test_held_out_questions_stay_held_out_when_rows_are_added(make: Make) -> None:
    def held_out(rows: list[Any], seed: int = 0) -> set[str]:
        return {problem.question for problem in load(recipe(make(a=rows), seed=seed, held_out=10)).held_out}

    rows = [row(number) for number in range(40)]
    assert held_out(rows) == held_out(rows[::-1]) == held_out([row(number, answer_gt=...) for number in range(40)])
    assert len(held_out(rows) & held_out([*rows, row(40)])) >= 9
    assert held_out(rows) != held_out(rows, seed=1)


def test_remote_images_of_problems(make: Make, server: str) -> None:
    meta = make(a=[row(0), row(1, image=f"{server}/good.png")])
    assert [each.kind for each in load(recipe(meta, held_out=0)).rejected] == ["remote image"]
    found = problems(recipe(meta, held_out=0, remote_images=True))
    assert found["What is 1 + 1?"].images == (image_bytes(5),)


def test_a_change_between_the_two_readings_is_noticed(make: Make) -> None:
    meta = make(a=[row(number) for number in range(3)])
    loaded = load(recipe(meta, held_out=0))
    (meta.parent / "images" / "1.png").write_bytes(image_bytes(99))
    with pytest.raises(MixprefError, match="changed while it was read"):
        list(loaded.train)


def test_counts_of_a_run_add_up(make: Make, tmp_path: Path) -> None:
    meta = make(a=[row(number % 4, chosen=str(number)) for number in range(10)] + [b"{"])
    with Run.open(tmp_path / "run", recipe(meta)) as run:
        load_problems(run)
        assert run.problems("train").manifest["counts"] == {
            "rows": 11,
            "train": 3,
            "held_out": 1,
            "unused": 0,
            "rejected": {"all": 1, "bad JSON": 1},
            "merged": 6,
        }
