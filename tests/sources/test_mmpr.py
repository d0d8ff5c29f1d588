"""MMPR as its files are: rows to train on, read one by one, and questions to sample from again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixpref import prompts
from mixpref.errors import MixprefError
from mixpref.records import Problem
from mixpref.sources import mmpr
from mixpref.sources.mmpr import MMPRRows
from mixpref.sources.unusable import Unusable
from sources.conftest import image_bytes
from sources.conftest import mmpr_row as row

Make = Callable[..., Path]


def refusals(rows: MMPRRows) -> dict[int, str]:
    """Kinds by the row's place."""
    found = {}
    for index in range(len(rows)):
        try:
            _ = rows[index]
        except Unusable as refusal:
            found[index] = refusal.kind if f", line {index + 1}: " in refusal.reason else refusal.reason
    return found


def test_a_row_is_a_row_to_train_on(make: Make) -> None:
    meta = make(a_pairs_vqa_correctness_rules=([row(3)], {"max_dynamic_patch": 12, "data_augment": True}))
    rows = MMPRRows(meta)
    assert len(rows) == 1
    assert rows[0] == {
        "prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is 3 + 1?"}]}],
        "chosen": [{"role": "assistant", "content": "It is 4."}],
        "rejected": [{"role": "assistant", "content": "I do not know."}],
        "images": [str(meta.parent / "images" / "3.png")],
        "chosen_complete": True,
        "rejected_complete": True,
        "why": "correctness",
        "name": "a_pairs_vqa_correctness_rules",
        "row": 1,
    }
    found = rows.sets["a_pairs_vqa_correctness_rules"]
    assert (found.max_dynamic_patch, found.data_augment) == (12, True)
    with pytest.raises(IndexError):
        _ = rows[1]
    assert rows[-1] == rows[:1][0] == rows[0]


@pytest.mark.parametrize(
    ("question", "images", "parts"),
    [
        ("q\n", ["0.png"], [None, "q\n"]),
        ("<image>\nq", ["0.png"], [None, "q"]),
        ("a <image> b <image>", ["0.png", "1.png"], ["a ", None, " b ", None]),
        ("<image><image>\n q", ["0.png", "1.png"], [None, None, " q"]),
        ("x <image> y", ["0.png", "1.png"], [None, "x ", None, " y"]),
        ("text only", None, ["text only"]),
        ("text only", ..., ["text only"]),
        ("text only", [], ["text only"]),
        (
            "Answer the question using a single word or phrase.",
            None,
            ["Answer the question using a single word or phrase."],
        ),
    ],
)
def test_marks_are_the_images_places_and_the_text_stands_as_it_is(
    make: Make, question: str, images: Any, parts: list[str | None]
) -> None:
    rows = MMPRRows(make(a=[row(0, question=question, image=images)]))
    content = rows[0]["prompt"][0]["content"]
    assert content == [{"type": "image"} if part is None else {"type": "text", "text": part} for part in parts]
    names = images if isinstance(images, list) else []
    assert rows[0]["images"] == [str(next(iter(rows.sets.values())).root / name) for name in names]


@pytest.mark.parametrize("question", ["<image>\nWhich?", "Which?", "a <image>\n<image> b"])
def test_content_is_what_prompts_make_of_a_problem(make: Make, question: str) -> None:
    problem = Problem(question=question, images=(image_bytes(0), image_bytes(1)))
    rows = MMPRRows(make(a=[row(0, question=prompts.ask(problem, "en"), image=["0.png", "1.png"])]))
    assert rows[0]["prompt"] == prompts.messages(problem, "en")


def test_bad_rows_are_told_when_they_are_read(make: Make, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(image_bytes())
    bad: dict[Any, str] = {
        b"{": "bad JSON",
        b"[1]": "bad JSON",
        b'{"question": "\xff"}': "bad JSON",
        b"[" * 100_000: "bad JSON",
        b"__import__('os').system('true')": "bad JSON",
        json.dumps(row(0, question=...)).encode(): "no question",
        json.dumps(row(0, question=" ")).encode(): "no question",
        json.dumps(row(0, chosen=...)).encode(): "no chosen",
        json.dumps(row(0, rejected=None)).encode(): "no rejected",
        json.dumps(row(0, rejected="It is 1.")).encode(): "equal responses",
        json.dumps(row(0, question=3)).encode(): "wrong type",
        json.dumps(row(0, chosen=["a"])).encode(): "wrong type",
        json.dumps(row(0, chosen="\ud800")).encode(): "wrong type",
        json.dumps(row(0, image=3)).encode(): "wrong type",
        json.dumps(row(0, image={"path": "0.png"})).encode(): "wrong type",
        json.dumps(row(0, image=["0.png", None])).encode(): "wrong type",
        json.dumps(row(0, image="['0.png']")).encode(): "missing image",
        json.dumps(row(0, image="none.png")).encode(): "missing image",
        json.dumps(row(0, image="../../secret.png")).encode(): "image outside the folder",
        json.dumps(row(0, image="/etc/passwd")).encode(): "image outside the folder",
        json.dumps(row(0, image=["0.png", "../meta.json"])).encode(): "image outside the folder",
        json.dumps(row(0, image="https://127.0.0.1/0.png")).encode(): "remote image",
        json.dumps(row(0, image="file:///etc/passwd")).encode(): "missing image",
        json.dumps(row(0, question="<image><image>")).encode(): "more marks than images",
        json.dumps(row(0, image="long.png")).encode(): "image too long",
    }
    meta = make(a=[*bad, row(0)])
    (meta.parent / "images" / "long.png").write_bytes(image_bytes(size=(500, 2)))
    assert refusals(MMPRRows(meta)) == dict(enumerate(bad.values()))


def test_a_row_that_is_too_large_is_not_read(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmpr, "MAX_ROW", 1000)
    assert refusals(MMPRRows(make(a=[row(0), row(1, chosen="x" * 2000), row(2)]))) == {1: "row too large"}


def test_rows_go_to_other_processes(make: Make) -> None:
    rows = MMPRRows(make(a=[row(number) for number in range(5)]))
    before = list(rows)
    again = pickle.loads(pickle.dumps(rows))
    assert list(again) == before
    assert len(pickle.dumps(rows)) < 10_000


def test_forked_processes_do_not_disturb_each_other(make: Make) -> None:
    from torch.utils.data import DataLoader

    rows = MMPRRows(make(a=[row(number, chosen=f"It is {number}." * 500) for number in range(40)]))
    _ = rows[0]
    loader = DataLoader(rows, batch_size=None, num_workers=2, shuffle=True)  # type: ignore[arg-type, var-annotated]
    found = {each["row"]: each["chosen"][0]["content"] for each in loader}
    assert found == {number + 1: f"It is {number}." * 500 for number in range(40)}


def test_a_file_that_changes_is_noticed(make: Make) -> None:
    meta = make(a=[row(0), row(1)])
    rows = MMPRRows(meta)
    make(a=[row(10), row(1), row(2)])
    with pytest.raises(MixprefError, match="has changed since it was indexed"):
        _ = rows[0]
    (meta.parent / "a.jsonl").unlink()
    with pytest.raises(MixprefError, match="cannot be read any more"):
        _ = rows[0]


def test_remote_images_are_fetched_only_where_it_is_allowed(make: Make, server: str) -> None:
    wanted = {
        "good.png": None,
        "moved.png": None,
        "gone.png": "missing image",
        "bad.png": "broken image",
        "torn.png": "missing image",
        "file.png": "missing image",
        "endless.png": "image too large",
        "a b.png": "missing image",
    }
    meta = make(a=[row(0, image=f"{server}/{name}") for name in wanted])
    assert set(refusals(MMPRRows(meta)).values()) == {"remote image"}
    rows = MMPRRows(meta, remote_images=True)
    assert refusals(rows) == {place: kind for place, kind in enumerate(wanted.values()) if kind}
    assert rows[0]["images"] == [image_bytes(5)]
