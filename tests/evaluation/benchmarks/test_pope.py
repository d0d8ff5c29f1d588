"""POPE: the official reading and its figures, from the hub's form and from the project's."""

import json
from statistics import fmean

import pytest

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Answer, Item
from mixpref.evaluation.benchmarks import benchmark
from mixpref.evaluation.benchmarks.pope import figure, load, read, says_no
from mixpref.records import Problem, Response

from .pictures import png

CATEGORIES = ("random", "popular", "adversarial")
# One picture; the cat is there and asked for in every category.
QUESTIONS = {
    "random": [("a cat", "yes"), ("a spade", "no")],
    "popular": [("a cat", "yes"), ("a chair", "no")],
    "adversarial": [("a cat", "yes"), ("a mouse", "no")],
}


def rows(category):
    for number, (thing, label) in enumerate(QUESTIONS[category], start=1):
        yield number, f"Is there {thing} in the image?", label


def official(where, below=""):
    (where / "val2014").mkdir(parents=True)
    (where / "val2014" / "made.png").write_bytes(png())
    (where / below).mkdir(exist_ok=True)
    for category in CATEGORIES:
        lines = [
            json.dumps({"question_id": number, "image": "made.png", "text": text, "label": label})
            for number, text, label in rows(category)
        ]
        (where / below / f"coco_pope_{category}.json").write_text("\n".join(lines) + "\n")
    return where


def cells(category, image=True):
    return [
        {
            "id": str(number),
            "question_id": str(number),
            "question": text,
            "answer": label,
            "image_source": "made",
            "image": {"bytes": png(), "path": "made.png"} if image else None,
            "category": category,
        }
        for number, text, label in rows(category)
    ]


def parquet(path, table):
    import pyarrow
    from pyarrow import parquet as files_of

    path.parent.mkdir(parents=True, exist_ok=True)
    files_of.write_table(pyarrow.Table.from_pylist(table), path)


def hub(where):
    for category in CATEGORIES:
        parquet(where / "Full" / f"{category}-00000-of-00001.parquet", cells(category))
    return where


def one_file(where):
    parquet(where / "data" / "test-00000-of-00001.parquet", [row for name in CATEGORIES for row in cells(name)])
    return where


@pytest.mark.parametrize("form", [official, lambda where: official(where, "coco"), hub, one_file])
def test_each_form_gives_the_same_rows(tmp_path, form):
    found = list(load(form(tmp_path / "pope")))
    assert [item.key for _, item in found] == [f"{name}-{number}" for name in CATEGORIES for number in (1, 2)]
    assert [item.groups for _, item in found] == [(f"category: {name}",) for name in CATEGORIES for _ in range(2)]
    assert not any(item.fault for _, item in found)
    problem = found[0][0]
    assert (problem.question, problem.answer, problem.images) == ("Is there a cat in the image?", ("yes",), (png(),))
    # The same question on the same picture is asked once and counts three times.
    assert len({problem.id for problem, _ in found}) == 4


def test_a_full_download_is_not_read_twice(tmp_path):
    assert len(list(load(one_file(hub(tmp_path))))) == 6


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "gone.png"}, "does not exist"),
        ({"image": "../made.png"}, "does not lie in"),
        ({"image": None}, "holds no image"),
        ({"text": " "}, "no text"),
        ({"label": "maybe"}, "neither yes nor no"),
        ({"label": 1}, "its label is 1, and no text"),
    ],
)
def test_a_row_that_cannot_be_asked_stays_with_its_reason(tmp_path, change, why):
    where = official(tmp_path)
    file = where / "coco_pope_popular.json"
    first, second = map(json.loads, file.read_text().splitlines())
    file.write_text(f"{json.dumps(first | change)}\n{json.dumps(second)}\n")
    found = list(load(where))
    assert len(found) == 6
    problem, item = found[2]
    assert problem is None
    assert why in item.fault
    assert (item.key, item.groups) == ("popular-1", ("category: popular",))
    assert [bool(other.fault) for _, other in found] == [False, False, True, False, False, False]


def test_a_category_of_another_name_is_no_fourth_one(tmp_path):
    table = cells("random")
    table[1]["category"] = "frequent"
    parquet(tmp_path / "data" / "test-0.parquet", table)
    (_, good), (_, bad) = load(tmp_path)
    assert not good.fault
    assert "category is frequent" in bad.fault
    assert bad.groups == ()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MixprefError, match=r"there is no folder .*nowhere with a Full.*parquet or data/test"):
        list(load(tmp_path / "nowhere"))
    (official(tmp_path / "two") / "coco_pope_popular.json").unlink()
    with pytest.raises(MixprefError, match=r"holds no coco_pope_popular\.json"):
        list(load(tmp_path / "two"))
    (hub(tmp_path / "hub") / "Full" / "random-00000-of-00001.parquet").unlink()
    with pytest.raises(MixprefError, match=r"holds no Full/random"):
        list(load(tmp_path / "hub"))


@pytest.mark.parametrize(
    ("text", "no"),
    [
        ("No, there isn't.", True),
        ("no dog, but a cat", True),
        ("There is not. Yes", True),
        ("No", True),
        ("Well, no, there is none. Yes.", True),
        ("Yes. No doubt.", False),
        ("I know it", False),
        ("Nothing", False),
        # As the official script has it: these are none of its three words.
        ("Not at all", False),
        ("NO", False),
        ("No!", False),
        ("No\nthere is none", False),
        ("There isn't one.", False),
        ("", False),
    ],
)
def test_the_official_reading(text, no):
    assert says_no(text) is no
    problem = Problem(question="Is there a dog in the image?", answer="no")
    verdict = read(problem, text, "direct")
    assert (verdict.answer, verdict.outcome) == (("no", "correct") if no else ("yes", "wrong"))
    assert verdict.score == no


@pytest.mark.parametrize(
    ("text", "style", "answer"),
    [
        ("I do not see it at first, but there it is.\nFinal answer: Yes", "en", "yes"),
        ("There is a cat.\nFinal answer: **No**", "en", "no"),
        ("There is a cat.\n**Final answer:** No, there is no dog.", "en", "no"),
        ("Seen.\nFinal answer: No\nI am sure of it.", "en", "no"),
        ("Final answer: No", "en", "no"),
        ("Final answer: No. Wait.\nFinal answer: Yes", "en", "yes"),
        ("There is a cat. It is not a dog, no.", "en", "yes"),
        ("No dog is to be seen. So the answer would be yes", "en", "no"),
        ("It is a cat. So \\boxed{No}", "boxed", "no"),
        ("<think>No dog, no.</think> There is one: \\boxed{\\text{Yes}}", "r1", "yes"),
        ("<think>No dog, no.</think>There is one", "r1", "yes"),
        # Asked directly, all of the response is read, statement or not.
        ("A cat. Final answer: No", "direct", "yes"),
        ("A cat. Final answer: No", "plain", "yes"),
    ],
)
def test_of_a_chain_of_thought_the_stated_answer_is_read(text, style, answer):
    verdict = read(Problem(question="Is there a dog?", answer=answer), text, style)
    assert (verdict.answer, verdict.outcome) == (answer, "correct")


def answered(category, label, said, number=0):
    problem = Problem(question=f"Is there a thing {number}?", answer=label)
    response = Response(
        problem_id=problem.id, sample=0, text=said, tokens=1, finish="stop", seed=0, style="direct", sampler="made",
        logprob=None,
    )  # fmt: skip
    item = Item(problem_id=problem.id, key=str(number), groups=(f"category: {category}",))
    return Answer(item=item, problem=problem, response=response, verdict=read(problem, said, "direct"))


def counted(category, true_positive, false_positive, true_negative, false_negative):
    return (
        [answered(category, "yes", "Yes")] * true_positive
        + [answered(category, "no", "Yes")] * false_positive
        + [answered(category, "no", "No")] * true_negative
        + [answered(category, "yes", "No")] * false_negative
    )


def test_figures_of_one_category_by_hand():
    # Precision 6/8, recall 6/10, F1 = 2 (0.75)(0.6) / 1.35 = 2/3; 14 of 20 right, 8 of 20 yes.
    found = figure(counted("random", 6, 2, 8, 4))
    assert found.value == pytest.approx(2 / 3)
    assert dict(found.details) == pytest.approx(
        {"accuracy": 0.7, "precision": 0.75, "recall": 0.6, "yes share": 0.4, "F1, random": 2 / 3}
    )
    assert found.low < 2 / 3 < found.high


def test_the_figure_is_the_mean_of_the_categories_not_of_all_items():
    # F1 is 2/3, 1 and 2 (1/2)(1) / (3/2) = 2/3, on 20, 4 and 2 items.
    found = figure(counted("random", 6, 2, 8, 4) + counted("popular", 2, 0, 2, 0) + counted("adversarial", 1, 1, 0, 0))
    details = dict(found.details)
    assert found.value == pytest.approx(fmean([2 / 3, 1, 2 / 3]))
    assert details["accuracy"] == pytest.approx(fmean([0.7, 1, 0.5]))
    assert details["yes share"] == pytest.approx(fmean([0.4, 0.5, 1]))
    assert details["precision"] == pytest.approx(fmean([0.75, 1, 0.5]))
    assert details["recall"] == pytest.approx(fmean([0.6, 1, 1]))
    assert (details["F1, popular"], details["F1, adversarial"]) == pytest.approx((1, 2 / 3))


@pytest.mark.parametrize(("true_negative", "false_negative"), [(3, 0), (0, 2), (3, 2)])
def test_where_nobody_says_yes_nothing_is_divided_by_zero(true_negative, false_negative):
    found = figure(counted("random", 0, 0, true_negative, false_negative))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert dict(found.details)["precision"] == 0


def test_the_interval_is_the_same_in_every_run_and_in_any_order():
    answers = counted("random", 30, 10, 40, 20) + counted("popular", 20, 20, 30, 30)
    first, second = figure(answers), figure(answers[::-1])
    assert first == second
    assert first.value == pytest.approx((2 / 3 + 4 / 9) / 2)
    assert 0.4 < first.low < first.value < first.high < 0.7
    # Ten times the items, about a third of the width.
    many = figure(answers * 10)
    assert (many.high - many.low) == pytest.approx((first.high - first.low) / 10**0.5, rel=0.15)


def test_the_benchmark_is_complete():
    pope = benchmark("pope")
    assert pope.get.format(folder="F").endswith("--local-dir F")
    assert (pope.read, pope.figure, pope.rubric, pope.scale) == (read, figure, "", 1)
    assert dict(pope.styles) == {"direct": "direct", "cot": "en"}
