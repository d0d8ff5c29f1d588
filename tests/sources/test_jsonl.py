"""JSON-lines data sets: every row comes out once, splits do not overlap, and bad rows stop nobody."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import Problem
from mixpref.sources import Loaded, load
from sources.conftest import image_bytes

Write = Callable[..., Path]


def recipe(path: Path | str, *, seed: int = 0, held_out: int = 2, **more: object) -> Recipe:
    problems = ProblemsRecipe(source="jsonl", path=str(path), held_out=held_out, **more)  # type: ignore[arg-type]
    return Recipe(name="r", seed=seed, problems=problems)


def row(number: int, **more: object) -> dict[str, object]:
    return {"question": f"What is {number} + 1?", "answer": number + 1, "image": f"{number % 10}.png", **more}


def both(loaded: Loaded) -> tuple[list[Problem], list[Problem]]:
    return list(loaded.train), list(loaded.held_out)


def test_rows_become_problems_with_their_images(write_rows: Write) -> None:
    train, held_out = both(load(recipe(write_rows(*map(row, range(6))))))
    assert (len(train), len(held_out)) == (4, 2)
    by_question = {problem.question: problem for problem in train + held_out}
    assert len(by_question) == 6
    problem = by_question["What is 3 + 1?"]
    assert problem.answer == ("4",)
    assert problem.images == (image_bytes(3),)
    assert problem.source == "rows.jsonl:4"


def test_the_split_depends_on_seed_and_content_not_on_the_order_of_rows(write_rows: Write) -> None:
    def held_out(rows: list[dict[str, object]], seed: int) -> set[str]:
        return {problem.id for problem in load(recipe(write_rows(*rows), seed=seed, held_out=10)).held_out}

    rows = [row(number) for number in range(40)]
    assert held_out(rows, 0) == held_out(rows[::-1], 0)
    assert held_out(rows, 0) != held_out(rows, 1)
    # One more row displaces at most one.
    assert len(held_out(rows, 0) & held_out([*rows, row(40)], 0)) >= 9


def test_the_sets_are_disjoint_and_the_number_of_train_problems_is_kept(write_rows: Write) -> None:
    loaded = load(recipe(write_rows(*map(row, range(40))), held_out=10, train=20))
    train, held_out = both(loaded)
    assert (len(train), len(held_out), loaded.unused, loaded.rows) == (20, 10, 10, 40)
    assert not {problem.id for problem in train} & {problem.id for problem in held_out}


def test_bad_rows_are_listed_with_file_and_line_and_nothing_is_lost(write_rows: Write) -> None:
    file = write_rows(
        row(0),
        b"",
        b'{"question": "torn", "ans',
        row(1),
        row(2, image="none.png"),
        row(3, image="broken.jpg"),
        row(4, question=""),
        row(0, answer=99),
        row(5, choices=[1, 2]),
        row(6, image="../outside.png"),
        row(7, answer=None),
        row(8),
    )
    whole = image_bytes(kind="JPEG", size=(200, 200))
    (file.parent / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    loaded = load(recipe(file))
    train, held_out = both(loaded)
    found = {each.line: each.kind for each in loaded.rejected}
    assert found == {
        3: "bad JSON",
        5: "missing image",
        6: "broken image",
        7: "no question",
        8: "duplicate",
        9: "answer outside the choices",
        10: "image outside the folder",
        11: "no answer",
    }
    assert all(each.source_file == str(file) for each in loaded.rejected)
    assert loaded.rejected[4].reason.endswith("as line 1")
    assert {problem.question for problem in train + held_out} == {f"What is {n} + 1?" for n in (0, 1, 8)}
    assert loaded.rows == len(train) + len(held_out) + len(loaded.rejected) + loaded.unused == 11


def test_the_same_question_of_another_picture_is_another_problem(write_rows: Write) -> None:
    rows = [row(1, image=f"{number}.png") for number in range(5)]
    assert load(recipe(write_rows(*rows))).rejected == ()


def test_several_files_by_a_pattern(write_rows: Write) -> None:
    write_rows(*map(row, range(3)), name="a.jsonl")
    file = write_rows(row(3), row(0), name="b.jsonl")
    loaded = load(recipe(file.parent / "*.jsonl"))
    assert loaded.rows == 5
    [duplicate] = loaded.rejected
    assert (duplicate.source_file, duplicate.line) == (str(file), 2)
    assert "a.jsonl, line 1" in duplicate.reason
    assert len({problem.id for split in both(loaded) for problem in split}) == 4


def test_images_may_lie_elsewhere(write_rows: Write, tmp_path: Path) -> None:
    file = write_rows(*(row(number, image="only.png", question=f"q{number}") for number in range(3)))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "only.png").write_bytes(image_bytes(77))
    loaded = load(recipe(file, images=str(tmp_path / "pictures")))
    assert {problem.images for split in both(loaded) for problem in split} == {(image_bytes(77),)}
    with pytest.raises(MixprefError, match=r"problems\.images"):
        load(recipe(file, images=str(tmp_path / "none")))


def test_only_the_families_that_are_asked_for(write_rows: Write) -> None:
    file = write_rows(*(row(number, kind="sum" if number % 2 else "other") for number in range(10)))
    loaded = load(recipe(file, families=("sum",)))
    train, held_out = both(loaded)
    assert Counter(problem.family for problem in train + held_out) == {"sum": 5}
    assert loaded.unused == 5
    with pytest.raises(MixprefError, match=r"problems\.families"):
        load(recipe(file, families=("none",)))


def test_a_byte_order_mark_is_no_bad_json(write_rows: Write) -> None:
    file = write_rows(*map(row, range(3)))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    loaded = load(recipe(file))
    assert loaded.rejected == ()
    assert sum(map(len, both(loaded))) == 3


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], "is empty"),
        ([b"", b"  "], "is empty"),
        ([b"[", b"]"], "no usable row: all 2 are rejected, the first one .*line 1.* no valid JSON"),
        ([row(0), row(1)], "lower problems.held_out"),
    ],
)
def test_a_set_that_leaves_nothing_to_train_on_is_refused(write_rows: Write, rows: list, expected: str) -> None:
    with pytest.raises(MixprefError, match=expected) as raised:
        load(recipe(write_rows(*rows)))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MixprefError, match="does not exist"):
        load(recipe(tmp_path / "none.jsonl"))
    with pytest.raises(MixprefError, match="is a folder"):
        load(recipe(tmp_path))


def test_a_file_that_changes_while_it_is_read_is_noticed(write_rows: Write) -> None:
    file = write_rows(*map(row, range(6)))
    loaded = load(recipe(file))
    (file.parent / "0.png").write_bytes(image_bytes(99))
    (file.parent / "1.png").write_bytes(image_bytes(98))
    os.unlink(file.parent / "2.png")
    with pytest.raises(MixprefError, match="changed while it was read"):
        both(loaded)
