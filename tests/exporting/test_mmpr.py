"""What is exported as MMPR reads back equal, and as others read it."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exporting.conftest import PAIRS, PROBLEMS, MakeRun, pair, picture
from mixpref import prompts
from mixpref.exporting.stage import export
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import PreferencePair, Problem
from mixpref.rundir import Run
from mixpref.sources import load, mmpr_row
from mixpref.sources.mmpr import MMPRRows


def test_the_files(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "mmpr", tmp_path / "to")
    meta = json.loads((tmp_path / "to" / "meta.json").read_text())
    assert {name: entry["length"] for name, entry in meta.items()} == {
        "shapes_pairs_vqa_correctness_rules": 3,
        "shapes_pairs_vqa_format_rules": 1,
        "shapes_pairs_vote": 1,
        "shapes_prefix_pair_sr0.25_wo_image": 1,
        "shapes_prefix_pair_sr0.5_wo_image": 1,
    }
    assert meta["shapes_pairs_vote"] == {
        "root": "images",
        "annotation": "annotations/shapes_pairs_vote.jsonl",
        "data_augment": False,
        "repeat_time": 1,
        "length": 1,
    }
    text = (tmp_path / "to" / "annotations" / "shapes_pairs_vqa_correctness_rules.jsonl").read_text()
    # A reader that takes U+2028 and the like for ends of lines finds the same rows.
    first, second, third = (json.loads(line) for line in text.splitlines())
    assert isinstance(first["image"], str)
    assert len(second["image"]) == 2
    assert "image" not in third
    assert first["question"] == "<image>\n" + prompts.ask(PROBLEMS[0], "en")
    assert second["question"] == prompts.ask(PROBLEMS[1], "boxed")
    assert (first["answer_gt"], second["answer_gt"], third["answer_gt"]) == ("3", ["left", "the left"], "B")
    text = (tmp_path / "to" / "annotations" / "shapes_prefix_pair_sr0.5_wo_image.jsonl").read_text()
    assert "answer_gt" not in json.loads(text)


def read_back(folder: Path, problems: dict[str, Problem]) -> list[PreferencePair]:
    """The pairs that the rows are; what else is in them is compared with the problems here."""
    rows = MMPRRows(folder / "meta.json")
    found = []
    for index in range(len(rows)):
        row = rows[index]
        file = rows.sets[row["name"]].annotation
        raw = mmpr_row.read(file.read_bytes().split(b"\n")[row["row"] - 1])
        problem = problems[raw.extra["problem_id"]]
        assert row["prompt"] == prompts.messages(problem, raw.extra["style"])
        assert tuple(Path(path).read_bytes() for path in row["images"]) == problem.images
        assert raw.answer == problem.answer
        [chosen], [rejected] = row["chosen"], row["rejected"]
        names = ("problem_id", "style", "chosen_origin", "rejected_origin")
        made = PreferencePair(
            **{name: raw.extra[name] for name in names},
            chosen=chosen["content"],
            rejected=rejected["content"],
            why=row["why"],
            chosen_complete=row["chosen_complete"],
            rejected_complete=row["rejected_complete"],
        )
        found.append(made)
    return found


def test_every_row_reads_back_equal(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "mmpr", tmp_path / "to")
    found = read_back(tmp_path / "to", {problem.id: problem for problem in PROBLEMS})
    assert sorted(found, key=repr) == sorted(PAIRS, key=repr)


# Whatever text UTF-8 holds, line breaks of all kinds and marks more often than chance has them.
ODD = st.sampled_from(
    ["\n", "\r\n", "\u2028", "\u2029", "\x85", "\x0b", "\0", '"', "\\", "\ufeff", "<image", "é", "答案"]
)
TEXT = st.lists(ODD | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=6).map("".join)
# A mark in a text is another test's affair: such pairs are refused.
FULL = TEXT.filter(lambda text: text.strip() and not any(f"<{mark}>" in text for mark in ("image", "video", "audio")))
PICTURES = st.lists(st.integers(0, 5).map(picture), max_size=3).map(tuple)
ANSWERS = st.none() | st.lists(FULL.map(str.strip).filter(bool), min_size=1, max_size=3).map(tuple)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    images = draw(PICTURES)
    pieces = draw(st.lists(FULL, min_size=1, max_size=1 + len(images)))
    return Problem(question="<image>".join(pieces), answer=draw(ANSWERS), images=images)


@st.composite
def pairs(draw: st.DrawFn, problem: Problem) -> PreferencePair:
    chosen, rejected = draw(st.tuples(FULL, FULL).filter(lambda texts: texts[0] != texts[1]))
    return pair(
        problem,
        chosen=chosen,
        rejected=rejected,
        style=draw(st.sampled_from(prompts.STYLES)),
        why=draw(st.sampled_from(["correctness", "format", "dropout-ntp", "vote", "foreign"])),
        chosen_origin=draw(TEXT),
        rejected_origin=draw(TEXT),
        chosen_complete=draw(st.booleans()),
        rejected_complete=draw(st.booleans()),
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_text_reads_back_equal(data: st.DataObject) -> None:
    asked = data.draw(st.lists(problems(), min_size=1, max_size=3, unique_by=lambda problem: problem.id))
    made = [data.draw(pairs(problem)) for problem in asked for _ in range(data.draw(st.integers(1, 2)))]
    with tempfile.TemporaryDirectory() as folder, Run.open(Path(folder) / "run", Recipe(name="any")) as run:
        run.problems("train").append("00000", asked)
        run.pairs.append("00000", made)
        run.pairs.finish({}, {})
        export(run, "mmpr", Path(folder) / "to")
        found = read_back(Path(folder) / "to", {problem.id: problem for problem in asked})
    assert sorted(found, key=repr) == sorted(made, key=repr)


def test_exported_pairs_are_a_source_of_problems(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "mmpr", tmp_path / "to")
    source = ProblemsRecipe(source="mmpr", path=str(tmp_path / "to" / "meta.json"), held_out=0)
    loaded = load(Recipe(name="again", problems=source))
    found = {(problem.images, problem.answer) for problem in loaded.train}
    assert found == {(problem.images, problem.answer) for problem in PROBLEMS}
    assert (loaded.rows, loaded.merged, loaded.rejected) == (7, 3, ())


def test_pictures_open(make_run: MakeRun, tmp_path: Path) -> None:
    export(make_run(), "mmpr", tmp_path / "to")
    for file in (tmp_path / "to" / "images").iterdir():
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            image.load()
