"""MATH-Vision: both forms of its data, the places of pictures, and options that stand in the picture."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark
from mixpref.evaluation.stage import evaluate, items
from mixpref.prompts import IMAGE, VERBATIM, ask, messages
from mixpref.recipe import EvaluationRecipe, Recipe
from mixpref.rundir import Run, further_roles
from mixpref.verifying import verify

from .pictures import png
from .written import IMAGE as IMAGE_TYPE
from .written import failing, faults, lines, parquet

STYLES = {"direct": VERBATIM, "cot": "en"}
"""What is asked, and the prompt style: the direct text is the benchmark's own."""
LETTERS = ["A", "B", "C", "D", "E"]
NUMBERS = ["1", "2", "3", "4", "$\\frac{5}{2}$"]


def made(number, question, answer, options=(), level=2, subject="logic", image=None):
    return {
        "id": str(number),
        "question": question,
        "options": list(options),
        "answer": answer,
        "solution": None,
        "level": level,
        "subject": subject,
        "image": image or f"images/{number}.png",
    }


def rows():
    return [
        made(1, "How many dots?\n<image1>", "6", subject="counting", level=1),
        made(2, "<image1>\nWhich number comes next?", "E", NUMBERS),
        made(3, "Which piece fits?\n<image1>", "D", LETTERS),
        made(4, "Which sign is it?\n<image1>", "B", ["(A)", "(B)", "(C)", "(D)", "(E)"]),
        made(5, "Turn <image1> until it looks like <image2>. Is <image1> then upright?", "B", ["yes", "no"]),
        made(6, "Which graph is it?", "A", ["<image1>", "<image2>", "<image3>", "<image4>", "<image5>"]),
        made(7, "Which house is red?", "C", ["A", "B", "D", "F", "none of them"]),
        made(8, "What is the area?\n<image1>", "\\frac{\\pi}{2}", level=5, subject="metric geometry - area"),
        made(9, "How many?\n<image1>", None),
        made(10, "How many?\n<image1>", "F", NUMBERS),
        made(11, "How many?\n<image1>", "2", image="images/missing.png"),
        made(12, "", "2"),
    ]


@pytest.fixture
def hub(tmp_path):
    table = [
        row | {"decoded_image": {"bytes": None if row["id"] == "11" else png(), "path": row["image"]}} for row in rows()
    ]
    for split in ("test", "testmini"):
        kept = table if split == "test" else table[:3]
        path = tmp_path / "data" / f"{split}-00000-of-00001-3532b8d3f1b4047a.parquet"
        parquet(path, kept, decoded_image=IMAGE_TYPE)
    return tmp_path


@pytest.fixture
def official(tmp_path):
    (tmp_path / "images").mkdir()
    for row in rows():
        if row["id"] != "11":
            (tmp_path / row["image"]).write_bytes(png())
    # The project's file has null for no options in none of its rows, but others' copies have.
    lines(tmp_path / "test.jsonl", [row | {"options": row["options"] or None} for row in rows()])
    lines(tmp_path / "testmini.jsonl", rows()[:3])
    return tmp_path


def load(where, name="mathvision"):
    return list(benchmark(name).load(where))


@pytest.mark.parametrize("form", ["hub", "official"])
def test_rows_of_both_forms(form, request):
    where = request.getfixturevalue(form)
    found = load(where)
    assert [item.key for _, item in found] == [str(number) for number in range(1, 13)]
    reasons = faults(found)
    assert "image" in reasons.pop("11")
    assert reasons == {
        "9": "it has no answer",
        "10": "it cannot be judged: the gold answer 'F' names 0 of the 5 options",
        "12": "its question is '', and no text",
    }
    assert failing(found) == []
    assert found[0][1].groups == ("subject: counting", "level: 1")
    assert found[8][1].groups == ("subject: logic", "level: 2")
    assert found[7][0].family == "metric geometry - area"
    assert all(problem.rule == "mathvision" and problem.images == (png(),) for problem, _ in found if problem)
    assert [item.key for _, item in load(where, "mathvision-testmini")] == ["1", "2", "3"]


def test_a_copy_of_the_repository(official):
    (official / "data").mkdir()
    (official / "test.jsonl").rename(official / "data" / "test.jsonl")
    assert len(faults(load(official))) == 4


def test_one_mark_is_the_pictures_place_and_several_are_references(official):
    questions = {item.key: problem.question for problem, item in load(official) if problem}
    assert questions["1"] == f"How many dots?\n{IMAGE}"
    assert questions["2"] == f"{IMAGE}\nWhich number comes next?"
    assert questions["5"] == "Turn <image1> until it looks like <image2>. Is <image1> then upright?"
    assert questions["6"] == "Which graph is it?"


@pytest.mark.parametrize("style", ["en", "direct", "plain"])
def test_every_prompt_shows_the_picture_once(official, style):
    for problem, item in load(official):
        if problem is not None:
            content = messages(problem, style)[0]["content"]
            assert [part["type"] for part in content].count("image") == 1, item.key
            assert item.direct.count(IMAGE) <= 1
    asked = {item.key: messages(problem, style)[0]["content"] for problem, item in load(official) if problem}
    # In the middle of the text; else before it, with the references in the text.
    if style == "plain":
        assert [part["type"] for part in asked["1"]] == ["text", "image"]
    assert [part["type"] for part in asked["6"]] == ["image", "text"]
    assert "C. <image3>" in asked["6"][1]["text"]


def test_options_that_are_only_letters_are_left_to_the_picture(official):
    problems = {item.key: (problem, item) for problem, item in load(official) if problem}
    for key, right, wrong in (("3", "D", "A"), ("4", "B", "E")):
        problem, item = problems[key]
        assert problem.choices == ()
        assert "A" not in ask(problem, "plain")
        assert item.direct.splitlines()[-3:] == [IMAGE, "", "Answer the question using a single word or phrase."]
        for text in (right, f"({right})", f"{right}.", right.lower(), f"The answer is {right}."):
            assert verify(problem, text, "direct").outcome == "correct"
        assert verify(problem, wrong, "direct").outcome == "wrong"
    # Four letters and a text: not A to E, and so worth telling.
    assert problems["7"][0].choices == ("A", "B", "D", "F", "none of them")


def test_the_direct_text_is_the_official_one(official):
    assert load(official)[1][1].direct == (
        f"{IMAGE}\nWhich number comes next?\n(A) 1\n(B) 2\n(C) 3\n(D) 4\n(E) $\\frac{{5}}{{2}}$\n\n"
        "Answer the question using a single word or phrase."
    )


def test_the_official_text_reaches_the_model_as_it_is(official):
    for problem, item in load(official):
        if problem is not None:
            assert ask(replace(problem, question=item.direct, choices=()), VERBATIM) == item.direct


@pytest.mark.parametrize("name", ["mathvision", "mathvision-testmini"])
def test_what_is_missing_is_named(name, tmp_path):
    split = name.partition("-")[2] or "test"
    with pytest.raises(MixprefError, match=rf"holds no data/{split}-\*.parquet or {split}.jsonl"):
        load(tmp_path, name)
    assert f'--include "data/{split}-*"' in benchmark(name).get.format(folder="there")


def test_a_missing_folder_and_a_split_that_is_not_there(hub, tmp_path):
    with pytest.raises(MixprefError, match="there is no folder"):
        load(tmp_path / "nowhere")
    (hub / "data" / "testmini-00000-of-00001-3532b8d3f1b4047a.parquet").unlink()
    with pytest.raises(MixprefError, match=r"holds no data/testmini-"):
        load(hub, "mathvision-testmini")


def test_rows_come_before_later_ones_are_read(hub, official):
    """Both stand in one folder: parquet files first, the second of which is broken; then JSON lines."""
    (hub / "data" / "test-00001-of-00002.parquet").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    rows_of = benchmark("mathvision").load(hub)
    assert [next(rows_of)[1].key for _ in range(12)] == [str(number) for number in range(1, 13)]
    with pytest.raises(MixprefError, match=r"test-00001-of-00002.parquet cannot be read"):
        next(rows_of)
    for path in (hub / "data").iterdir():
        path.unlink()
    rows_of = benchmark("mathvision").load(official)
    assert next(rows_of)[1].fault == ""
    (official / "images" / "2.png").unlink()
    assert "image" in next(rows_of)[1].fault


@pytest.fixture(scope="module")
def testmini(data):
    where = data / "mathvision"
    if not where.exists():
        pytest.skip(f"{where} is missing")
    return where


def test_the_real_testmini(testmini):
    where = testmini
    found = load(where, "mathvision-testmini")
    assert len(found) == len({item.problem_id for _, item in found}) == 304
    assert faults(found) == {}
    assert failing(found) == []
    assert len({item.groups[0] for _, item in found}) == 16
    assert {item.groups[1] for _, item in found} == {f"level: {level}" for level in range(1, 6)}
    # 73 rows of letters, and six of letters in parentheses, have their options in the picture.
    texts = (where / "testmini.jsonl").read_text(encoding="utf-8").splitlines()
    listed = {row["id"]: "".join(row["options"]) for row in map(json.loads, texts)}
    dropped = Counter(listed[item.key] for problem, item in found if listed[item.key] and not problem.choices)
    assert dropped == {"ABCDE": 73, "(A)(B)(C)(D)(E)": 5, "A)B)C)D)E)": 1}
    assert sum(problem.question.count(IMAGE) for problem, _ in found) == 245


def test_the_embedded_model_on_real_rows(testmini, tmp_path):
    """The stage as `mixpref evaluate` runs it, on the first twelve rows: asked both ways, judged, counted by groups."""
    where = tmp_path / "data" / "mathvision"
    where.mkdir(parents=True)
    (where / "images").symlink_to(testmini / "images")
    chosen = (testmini / "testmini.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:12]
    (where / "testmini.jsonl").write_text("".join(chosen), encoding="utf-8")
    settings = EvaluationRecipe(
        held_out=False, benchmarks=("mathvision-testmini",), models=("embedded",), data=str(where.parent),
        max_new_tokens=16, batch_size=4,
    )  # fmt: skip
    run = Run.open(tmp_path / "run", Recipe(name="test", evaluation=settings))
    try:
        (role,) = further_roles(run)
        evaluate(run, (role,))
        found = json.loads((run.scores_dir / f"{role}.json").read_text())
        answered = {style: [list(each) for each in items(run, role, style, "mathvision-testmini")] for style in STYLES}
    finally:
        run.close()
    rows_of = load(where, "mathvision-testmini")
    problems = {problem.id: problem for problem, _ in rows_of}
    sizes = Counter(f"mathvision-testmini/{group}" for _, item in rows_of for group in item.groups)
    sizes["mathvision-testmini"] = len(chosen)
    for style, prompt in STYLES.items():
        responses, _ = answered[style]
        assert {response.problem_id for response in responses} == set(problems)
        assert len(responses) == 12
        assert {response.style for response in responses} == {prompt}
        assert all(response.finish in ("stop", "length") and 0 < response.tokens <= 16 for response in responses)
        outcomes = {each.problem_id: verify(problems[each.problem_id], each.text, prompt).outcome for each in responses}
        right = {problem_id for problem_id, outcome in outcomes.items() if outcome == "correct"}
        of_style = {score["benchmark"]: score for score in found if score["style"] == style}
        assert {name: score["n"] for name, score in of_style.items()} == sizes
        assert all(score["errors"] == 0 for score in of_style.values())
        assert of_style["mathvision-testmini"]["accuracy"] == len(right) / 12
        assert of_style["mathvision-testmini"]["unparsed"] == Counter(outcomes.values())["unparsed"] / 12
        for group in {group for _, item in rows_of for group in item.groups}:
            of_group = [item.problem_id in right for _, item in rows_of if group in item.groups]
            score = of_style[f"mathvision-testmini/{group}"]
            assert score["accuracy"] == sum(of_group) / len(of_group)
