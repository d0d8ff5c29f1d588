"""What meta.json lists, and which lines of its files are taken how often."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mixpref.errors import MixprefError
from mixpref.sources.mmpr import MMPRRows
from mixpref.sources.unusable import Unusable
from sources.conftest import image_bytes
from sources.conftest import mmpr_row as row

Make = Callable[..., Path]


def numbers(rows: MMPRRows) -> list[tuple[str, int]]:
    return [(each["name"], each["row"]) for each in (rows[index] for index in range(len(rows)))]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("m3cot_train_extracted_pairs_vqa_correctness_rules", "correctness"),
        ("m3cot_train_extracted_pairs_vqa_format_rules", "format"),
        ("m3cot_train_extracted_pairs_vqa_direct_rules", "correctness"),
        ("ai2d_prefix_pair_sr0.0_with_image", "dropout-ntp"),
        ("ai2d_prefix_pair_sr0.5_wo_image", "dropout-ntp"),
        ("inat_train2018_merge_en_20240811_sr0.50_wo_image", "dropout-ntp"),
        ("rlaif_v", "foreign"),
    ],
)
def test_the_kind_of_pair_is_in_the_name(make: Make, name: str, why: str) -> None:
    meta = make(**{name: [row(0), row(1, why="vote"), row(2, why="no kind"), row(3, why=["format"])]})
    assert [MMPRRows(meta)[index]["why"] for index in range(4)] == [why, "vote", why, why]
    # The name in meta.json may be another one than the file's.
    entries = json.loads(meta.read_text())
    meta.write_text(json.dumps({"short": entries[name]}))
    assert MMPRRows(meta)[0]["why"] == why


def test_blank_lines_are_no_rows_and_lines_keep_their_numbers(make: Make) -> None:
    meta = make(a=([b"", row(0), b"  \t", b"\r", row(1), b" " * 500, row(2)], {"length": 3}))
    file = meta.parent / "a.jsonl"
    file.write_bytes(file.read_bytes().rstrip() + b"\n\n  ")
    rows = MMPRRows(meta)
    # A line of 500 blanks is looked at only when it is read.
    assert [int(each) for each in rows._taken] == [1, 4, 5, 6]
    assert refusals_of(rows, 2) == "bad JSON"
    assert [rows[index]["row"] for index in (0, 1, 3)] == [2, 5, 7]


def refusals_of(rows: MMPRRows, index: int) -> str:
    with pytest.raises(Unusable) as raised:
        _ = rows[index]
    return raised.value.kind


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b""])
def test_the_last_line_needs_no_end(make: Make, ending: bytes) -> None:
    meta = make(a=[row(0)])
    (meta.parent / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(row(4)).encode() + ending)
    assert numbers(MMPRRows(meta)) == [("a", 1)]
    (meta.parent / "a.jsonl").write_bytes(b"")
    assert len(MMPRRows(meta)) == 0


def test_separators_of_unicode_do_not_end_a_line(make: Make) -> None:
    text = "a\u2028b\u2029c\x85d\x0b\x0ce"
    line = json.dumps(row(0, chosen=text), ensure_ascii=False).encode()
    rows = MMPRRows(make(a=[line, row(1)]))
    assert rows[0]["chosen"][0]["content"] == text
    assert len(rows) == 2


def test_offsets_are_right_whatever_the_size_of_the_chunks(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = make(a=[row(number, chosen="x" * (number * 7 % 50) + "é") for number in range(30)])
    whole = MMPRRows(meta)
    for size in (1, 7, 64, 1000):
        monkeypatch.setattr("mixpref.sources.mmpr_index.CHUNK", size)
        assert list(MMPRRows(meta)) == list(whole)


@pytest.mark.parametrize(
    ("times", "counts"),
    [
        (0, {0: 20}),
        (0.25, {0: 15, 1: 5}),
        (1, {1: 20}),
        (1.5, {1: 10, 2: 10}),
        (3, {3: 20}),
        (2.95, {2: 1, 3: 19}),
    ],
)
def test_repeat_time(make: Make, times: float, counts: dict[int, int]) -> None:
    rows = MMPRRows(make(a=([row(number) for number in range(20)], {"repeat_time": times}), b=[row(99)]))
    found = Counter(numbers(rows))
    assert found.pop(("b", 1)) == 1
    assert len(rows) == round(20 * times) + 1
    assert Counter(found[("a", line)] for line in range(1, 21)) == counts


def test_the_sample_depends_on_seed_and_name_and_grows_with_the_fraction(make: Make) -> None:
    every = [row(number) for number in range(200)]

    def some(times: float, seed: int = 0, name: str = "a") -> set[int]:
        return {line for _, line in numbers(MMPRRows(make(**{name: (every, {"repeat_time": times})}), seed=seed))}

    assert some(0.3) == some(0.3)
    assert len(some(0.3)) == 60
    assert some(0.3) < some(0.6)
    assert len(some(0.3) & some(0.3, seed=1)) < 40
    assert len(some(0.3) & some(0.3, name="b")) < 40
    # Rows of the second half are as likely as those of the first.
    assert 15 < len([line for line in some(0.3) if line > 100]) < 45
    # These rows are in use: another choice would change what is trained on.
    assert sorted(some(0.02)) == [44, 65, 135, 190]


def test_two_data_sets_may_share_a_file(make: Make) -> None:
    meta = make(a=[row(0), row(1)])
    entry = json.loads(meta.read_text())["a"]
    (meta.parent / "other").mkdir()
    (meta.parent / "other" / "0.png").write_bytes(image_bytes(77))
    meta.write_text(json.dumps({"a": entry, "b": {**entry, "root": "other"}}))
    rows = MMPRRows(meta)
    assert numbers_or_refusals(rows) == [("a", 1), ("a", 2), ("b", 1), "missing image"]
    assert rows[2]["images"] == [str(meta.parent / "other" / "0.png")]


def numbers_or_refusals(rows: MMPRRows) -> list[Any]:
    found: list[Any] = []
    for index in range(len(rows)):
        try:
            found.append((rows[index]["name"], rows[index]["row"]))
        except Unusable as refusal:
            found.append(refusal.kind)
    return found


def test_paths_start_from_the_folder_above_as_they_are_released(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = make(a=[row(0)])
    entry = json.loads(meta.read_text())["a"]
    released = {**entry, "root": "mmpr/images", "annotation": "mmpr/a.jsonl"}
    absolute = {**entry, "root": str(meta.parent / "images"), "annotation": str(meta.parent / "a.jsonl")}
    for each in (released, absolute):
        meta.write_text(json.dumps({"a": each}))
        assert MMPRRows(meta)[0]["images"] == [str(meta.parent / "images" / "0.png")]
    monkeypatch.chdir(meta.parent)
    assert len(MMPRRows("meta.json")) == 1


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (3, "the entry of 'a' is 3"),
        ({"annotation": ...}, "annotation of 'a' is None"),
        ({"annotation": "none.jsonl"}, "none.jsonl of 'a' is not there; fetch it, or take 'a' out"),
        ({"annotation": "images"}, "is not there"),
        ({"annotation": ["a.jsonl"]}, "must be a path"),
        ({"root": 3}, "root of 'a' is 3"),
        ({"root": "a\0b"}, "must be a path"),
        ({"repeat_time": -1}, "repeat_time of 'a' is -1"),
        ({"repeat_time": "2"}, "repeat_time of 'a' is '2'"),
        ({"repeat_time": True}, "repeat_time of 'a' is True"),
        ({"repeat_time": float("nan")}, "repeat_time"),
        ({"repeat_time": 1e12}, "repeat_time"),
        ({"length": "3"}, "length of 'a' is '3'"),
        ({"max_dynamic_patch": 1.5}, "max_dynamic_patch of 'a' is 1.5"),
        ({"data_augment": "no"}, "data_augment of 'a' is 'no'"),
    ],
)
def test_what_is_wrong_with_meta_json_is_told(make: Make, entry: Any, expected: str) -> None:
    meta = make(a=[row(0)])
    whole = json.loads(meta.read_text())["a"]
    changed = {key: value for key, value in {**whole, **entry}.items() if value is not ...} if entry != 3 else 3
    meta.write_text(json.dumps({"a": changed}))
    with pytest.raises(MixprefError) as raised:
        MMPRRows(meta)
    assert expected in str(raised.value)
    assert str(meta) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "3", '"a"', "[" * 100_000])
def test_what_is_no_meta_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "meta.json").write_text(text)
    with pytest.raises(MixprefError, match=r"meta\.json"):
        MMPRRows(tmp_path / "meta.json")
    with pytest.raises(MixprefError, match="cannot be read"):
        MMPRRows(tmp_path)


def test_a_length_that_is_not_the_files_is_told_and_the_file_counts(make: Make, capsys: pytest.CaptureFixture) -> None:
    rows = MMPRRows(make(a=([row(0), row(1)], {"length": 5}), b=[row(2)], c=([row(2)], {"root": "nowhere"})))
    assert len(rows) == 4
    said = capsys.readouterr().err
    assert "a.jsonl has 2 rows, not the 5 that meta.json tells" in said
    assert "b.jsonl" not in said
    assert "nowhere; rows of 'c' with images cannot be used" in said
