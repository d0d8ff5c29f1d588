import json

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation import folder
from mixpref.sources.unusable import Unusable

from .benchmarks.pictures import png
from .benchmarks.written import IMAGE, lines, parquet


def test_the_first_pattern_that_matches_counts(tmp_path):
    for name in ("b.json", "a.json", "c.jsonl"):
        (tmp_path / name).write_text("{}")
    assert [path.name for path in folder.files(tmp_path, "*.parquet", "*.json", "*.jsonl")] == ["a.json", "b.json"]
    with pytest.raises(MixprefError, match=r"holds no x or y$"):
        folder.files(tmp_path, "x", "y")
    with pytest.raises(MixprefError, match=r"there is no folder .*none with a x$"):
        folder.files(tmp_path / "none", "x")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('[{"a": 1}, {"a": 2}]', [("0", {"a": 1}), ("1", {"a": 2})]),
        ('{"x": {"a": 1}, "y": {"a": 2}}', [("x", {"a": 1}), ("y", {"a": 2})]),
        ('{"a": 1}\n\n{"a": 2}\n', [("0", {"a": 1}), ("1", {"a": 2})]),
        ('{"a": 1}', [("0", {"a": 1})]),
    ],
)
def test_json_in_all_forms(tmp_path, text, rows):
    (tmp_path / "rows.json").write_text(text)
    assert list(folder.json_rows(tmp_path / "rows.json")) == rows
    assert list(folder.keyed([tmp_path / "rows.json"])) == rows


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1}\n{"a": ', "line 2 is no JSON"),
        (b"[1, 2]", "row 0 is no JSON object"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_files_that_are_no_rows(tmp_path, content, reason):
    (tmp_path / "rows.json").write_bytes(content)
    with pytest.raises(MixprefError, match=reason):
        list(folder.json_rows(tmp_path / "rows.json"))


def test_lines_of_other_alphabets_are_lines(tmp_path):
    # str.splitlines would part the line at U+2028, which JSON allows within a text.
    rows = [{"a": "one\u2028two"}, {"a": "three"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    assert [row for _, row in folder.json_rows(tmp_path / "rows.jsonl")] == rows


def test_parquet_by_columns_and_places(tmp_path):
    parquet(tmp_path / "a.parquet", [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
    parquet(tmp_path / "b.parquet", [{"a": 3, "b": "z"}])
    paths = folder.files(tmp_path, "*.parquet")
    assert list(folder.keyed(paths, ("a", "none"))) == [("0", {"a": 1}), ("1", {"a": 2}), ("2", {"a": 3})]
    # What Git LFS leaves where the file itself was not fetched.
    (tmp_path / "c.parquet").write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(MixprefError, match=r"c\.parquet cannot be read"):
        list(folder.parquet([tmp_path / "c.parquet"]))


def test_images_in_cells_and_beside_them(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    cells = [{"decoded_image": {"bytes": png(), "path": None}}, {"decoded_image": None}]
    parquet(tmp_path / "rows.parquet", cells, decoded_image=IMAGE)
    good, bad = folder.parquet([tmp_path / "rows.parquet"])
    assert folder.row_image(tmp_path, good, "7") == png()
    with pytest.raises(Unusable, match="row 7 holds no image"):
        folder.row_image(tmp_path, bad, "7")
    with pytest.raises(Unusable, match="of row 7 cannot be decoded"):
        folder.embedded({"bytes": png()[:40]}, "7")
    assert folder.row_image(tmp_path, {"image": "a.png"}, "7") == png()
    for name, reason in (("../a.png", "does not lie in"), ("b.png", "does not exist")):
        with pytest.raises(Unusable, match=reason):
            folder.row_image(tmp_path, {"image": name}, "7")


def test_lines_are_written_as_read(tmp_path):
    lines(tmp_path / "rows.jsonl", [{"a": 1}])
    assert list(folder.json_rows(tmp_path / "rows.jsonl")) == [("0", {"a": 1})]
