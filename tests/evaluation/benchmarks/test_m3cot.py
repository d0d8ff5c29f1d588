"""M3CoT: both forms of its data, contexts, and rows without an image."""

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark
from mixpref.prompts import ask
from mixpref.verifying import verify

from .pictures import png
from .written import IMAGE, failing, faults, lines, parquet

CHOICES = ["the left kite", "the right kite", "both", "neither"]


def made(number, answer="B", choices=CHOICES, context="", domain="science", topic="natural-science"):
    return {
        "id": f"made-{number}",
        "category": "Physics",
        "image_id": f"picture-{number}",
        "question": f"Made question {number}?",
        "choices": choices,
        "context": context,
        "answer": answer,
        "rationale": "The string is shorter.",
        "split": "test",
        "domain": domain,
        "topic": topic,
    }


def rows():
    return [
        made(1),
        made(2, "D", context="The wind blows from the left.\n", domain="commonsense", topic="physical-commonsense"),
        made(3, "A", ["one", "two"], context=" "),
        made(4, "C", ["one", "two"]),
        made(5, None),
        made(6),
        made(7, "AB"),
        made(8, "A", []),
    ]


PICTURELESS, BROKEN = "made-3", "made-6"


@pytest.fixture
def hub(tmp_path):
    pictures = {PICTURELESS: None, BROKEN: {"bytes": png()[:40], "path": "x.png"}}
    table = [row | {"image": pictures.get(row["id"], {"bytes": png(), "path": None})} for row in rows()]
    parquet(tmp_path / "data" / "test-00000-of-00002.parquet", table[:4], image=IMAGE)
    parquet(tmp_path / "data" / "test-00001-of-00002.parquet", table[4:], image=IMAGE)
    # Those are not asked.
    parquet(tmp_path / "data" / "train-00000-of-00001.parquet", table[:1], image=IMAGE)
    return tmp_path


@pytest.fixture
def official(tmp_path):
    (tmp_path / "data" / "images").mkdir(parents=True)
    table = []
    for row in rows():
        name = f"data/images/{row['id']}.png"
        table.append(row | {"image": None if row["id"] == PICTURELESS else name})
        if row["id"] not in (PICTURELESS, BROKEN):
            (tmp_path / name).write_bytes(png())
    table[0]["image_path"] = table[0].pop("image")
    lines(tmp_path / "data" / "test.jsonl", table)
    return tmp_path


def load(where):
    return list(benchmark("m3cot").load(where))


@pytest.mark.parametrize("form", ["hub", "official"])
def test_rows_of_both_forms(form, request):
    found = load(request.getfixturevalue(form))
    assert [item.key for _, item in found] == [f"made-{number}" for number in range(1, 9)]
    reasons = faults(found)
    assert "cannot be decoded" in reasons[BROKEN] or "does not exist" in reasons[BROKEN]
    assert {key: reason for key, reason in reasons.items() if key != BROKEN} == {
        "made-4": "its answer 'C' is none of its choices A, B",
        "made-5": "its answer None is none of its choices A, B, C, D",
        "made-7": "its answer 'AB' is none of its choices A, B, C, D",
        "made-8": "its answer 'A' is none of its choices (none)",
    }
    assert failing(found) == []
    assert [problem.images for problem, _ in found[:3]] == [(png(),), (png(),), ()]
    assert found[1][1].groups == ("domain: commonsense", "topic: physical-commonsense")
    assert found[3][1].groups == ("domain: science", "topic: natural-science")
    assert found[1][0].family == "physical-commonsense"
    assert found[0][0].rule == "choice"


def test_the_context_belongs_to_the_question(hub):
    first, second, third = (problem for problem, _ in load(hub)[:3])
    assert first.question == "Made question 1?"
    assert second.question == "Context: The wind blows from the left.\nMade question 2?"
    assert third.question == "Made question 3?"
    assert ask(second, "direct").splitlines()[2:] == [
        "A. the left kite",
        "B. the right kite",
        "C. both",
        "D. neither",
        "Answer with the option's letter from the given choices directly.",
    ]


def test_the_letter_is_matched(hub):
    problem = load(hub)[0][0]
    assert verify(problem, "B", "direct").outcome == "correct"
    assert verify(problem, "C", "direct").outcome == "wrong"
    assert verify(problem, "It flies. Final answer: B", "en").outcome == "correct"
    assert verify(problem, "A or B", "direct").outcome == "unparsed"


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MixprefError, match=r"holds no data/test-\*.parquet or test.jsonl"):
        load(tmp_path)
    with pytest.raises(MixprefError, match="there is no folder"):
        load(tmp_path / "nowhere")
