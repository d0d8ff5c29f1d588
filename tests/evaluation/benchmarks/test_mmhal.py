"""MMHal-Bench: the forms of its data, ratings of 0 to 6, and the rate of hallucinations."""

import base64
import json

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks.mmhal import figure, load
from mixpref.records import Verdict

from .judged import answered
from .pictures import png

PICTURE = png((0, 0, 200))


def made(question, kind="counting", topic="food", image="12_ab_o.png", **more):
    """A row of the template."""
    return {
        "question_type": kind,
        "question_topic": topic,
        "image_id": "12ab",
        "image_src": f"https://pictures.example/4/{image}",
        "image_content": ["Plate", "Fork"],
        "question": question,
        "gt_answer": "There are 2 forks.",
        "model_answer": "",
        **more,
    }


ROWS = [
    made("How many forks?"),
    made("What colour is the plate?", kind="attribute"),
    made("Where is the knife?", kind="adversarial", topic="indoor"),
]


def project(where, rows=ROWS):
    (where / "images").mkdir(parents=True, exist_ok=True)
    (where / "images" / "12_ab_o.png").write_bytes(PICTURE)
    (where / "response_template.json").write_text(json.dumps(rows))


def test_rows_of_the_template(tmp_path):
    project(tmp_path)
    rows = list(load(tmp_path))
    assert [(problem.question, item.key, item.groups) for problem, item in rows] == [
        ("How many forks?", "0", ("type: counting", "topic: food")),
        ("What colour is the plate?", "1", ("type: attribute", "topic: food")),
        ("Where is the knife?", "2", ("type: adversarial", "topic: indoor")),
    ]
    for problem, _ in rows:
        assert (problem.answer, problem.facts) == (("There are 2 forks.",), "Plate, Fork")
        assert (problem.rule, problem.images) == ("judge", (PICTURE,))


def test_other_folders_give_the_same_rows(tmp_path):
    project(tmp_path / "hub")
    project(tmp_path / "zip" / "test_data")
    inside = [{**row, "image": base64.b64encode(PICTURE).decode()} for row in ROWS]
    (tmp_path / "lines").mkdir()
    file = tmp_path / "lines" / "mmhal-bench_with_image.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in inside))
    expected = list(load(tmp_path / "hub"))
    assert list(load(tmp_path / "zip")) == expected
    assert list(load(tmp_path / "lines")) == expected


@pytest.mark.parametrize("folder", ["images", "test_data/images"])
@pytest.mark.parametrize("name", ["12_ab_o.png", "12ab.jpg", "12ab.png"])
def test_pictures_are_found_in_either_folder_by_address_or_id(tmp_path, folder, name):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / name).write_bytes(PICTURE)
    (tmp_path / "response_template.json").write_text(json.dumps(ROWS))
    assert [problem.images for problem, _ in load(tmp_path)] == [(PICTURE,)] * 3


def test_rows_that_cannot_be_asked_stay_with_their_reasons(tmp_path):
    rows = [
        made("Good?"),
        made("Lost?", image="nowhere.png"),
        made("Broken?", image="broken.png"),
        made(""),
        made("Open?", gt_answer=None),
        made("Outside?", image="..", image_id="../../secret"),
        made("No base64?", image="x", image_src=None) | {"image": "*"},
    ]
    project(tmp_path, rows)
    (tmp_path / "images" / "broken.png").write_bytes(PICTURE[:30])
    found = list(load(tmp_path))
    assert [item.key for _, item in found] == ["0", "1", "2", "3", "4", "5", "6"]
    assert [problem is None for problem, _ in found] == [False, True, True, True, True, True, True]
    reasons = [item.fault for _, item in found]
    for reason, part in zip(
        reasons,
        ("", "nowhere.png", "cannot be decoded", "question", "gt_answer", "does not lie in", "base64"),
        strict=True,
    ):
        assert part in reason
    assert found[1][1].groups == ("type: counting", "topic: food")


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MixprefError, match=r"there is no folder .*none with a response_template\.json"):
        list(load(tmp_path / "none"))


def test_the_figure_is_the_mean_rating_with_the_rate_of_hallucinations():
    ratings = [0, 2, 3, 5, 6]
    verdicts = [Verdict(outcome="correct" if rating >= 3 else "wrong", score=rating / 6) for rating in ratings]
    found = figure(answered(*verdicts))
    assert found.value == pytest.approx(16 / 5)
    assert 0 <= found.low < found.value < found.high <= 6
    assert dict(found.details) == pytest.approx({"hallucination rate": 2 / 5})
    # What cannot be read is rated 0.
    assert figure(answered(*verdicts, Verdict(outcome="unparsed"))).value == pytest.approx(16 / 6)
