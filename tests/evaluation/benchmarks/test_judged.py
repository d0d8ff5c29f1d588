"""The judged benchmarks through the stage `evaluate`: scores, what the judge is shown, and judges that fail."""

import json

import pytest
from judge_server import scores

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmarks import benchmark

from .judged import FAULTS, data, measuring
from .pictures import png

REFERENCE = "There are two forks <OR> 2"
KNOWN = "A plate between forks."


def mmvet(where, questions):
    entries = {
        f"v1_{place}": {"imagename": "1.png", "question": question, "answer": REFERENCE, "capability": ["rec"]}
        for place, question in enumerate(questions)
    }
    (where / "mm-vet.json").write_text(json.dumps(entries))


def llava_bench(where, questions):
    asked = [
        {"question_id": place, "image": "1.png", "text": question, "category": "conv"}
        for place, question in enumerate(questions)
    ]
    references = [{"question_id": place, "text": REFERENCE} for place in range(len(questions))]
    for name, rows in {
        "questions": asked,
        "answers_gpt4": references,
        "context": [{"image": "1.png", "caption": KNOWN}],
    }.items():
        (where / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def mmhal(where, questions):
    rows = [
        {
            "question_type": "counting",
            "question_topic": "food",
            "image_id": "1",
            "image_src": "https://pictures.example/4/1.png",
            "image_content": [KNOWN],
            "question": question,
            "gt_answer": REFERENCE,
            "model_answer": "",
        }
        for question in questions
    ]
    (where / "response_template.json").write_text(json.dumps(rows))


PUT = {"mmvet": mmvet, "llava-bench": llava_bench, "mmhal": mmhal}
NAMES = list(PUT)
MARKS = {
    "mmvet": {"good": (0.4,), "fair": (0.1,)},
    "llava-bench": {"good": (10, 8), "fair": (3, 8)},
    "mmhal": {"good": (5,), "fair": (2,)},
}
"""What the judge gives good and fair responses: the response's score and, where it compares, the reference's."""


def made(tmp_path, name, questions):
    """Data of one picture; every question has the answer REFERENCE."""
    where = data(tmp_path, name)
    (where / "images").mkdir()
    (where / "images" / "1.png").write_bytes(png())
    PUT[name](where, questions)


def marks(name, which):
    response, *reference = MARKS[name][which]
    return scores(response, **({"reference_score": reference[0]} if reference else {}))


def by_word(name):
    """Good for responses that say so, fair for all others."""
    return lambda text: marks(name, "good" if "good" in text.partition("<<<RESPONSE")[2] else "fair")


def figure(name, good, fair, unread=0):
    """The figure of so many good, fair and unreadable responses, as the papers define it."""
    total = sum(number * MARKS[name][which][0] for which, number in (("good", good), ("fair", fair)))
    of_one = 8 if name == "llava-bench" else 1
    return total / of_one / (good + fair + unread)


@pytest.mark.parametrize("name", NAMES)
def test_scores_in_both_styles(tmp_path, monkeypatch, name):
    answers = {"How many?": "A good two.", "Which?": "The left one.", "Where?": "On a plate.", "Why?": "A good meal."}
    made(tmp_path, name, answers)
    with measuring(tmp_path, monkeypatch, name, by_word(name)) as measured:
        found = measured.evaluate(answers)
        verdicts = measured.verdicts("direct", name)
        asked = measured.judged()
        assert sorted({(request.style, request.problem.question) for request in measured.asked}) == sorted(
            (style, question) for style in ("plain", "en") for question in answers
        )
    for style in ("direct", "cot"):
        whole = found[name, style]
        assert (whole["n"], whole["errors"], whole["unparsed"]) == (4, 0, 0)
        assert whole["accuracy"] == pytest.approx(figure(name, 2, 2))
        assert whole["low"] < whole["accuracy"] < whole["high"]
        assert (whole["metric"], whole["scale"]) == (benchmark(name).metric, 6.0 if name == "mmhal" else 1.0)
        assert whole["judge"] == f"scripted, rubric {benchmark(name).rubric} version 1"
    assert verdicts["How many?"].scores == MARKS[name]["good"]
    assert verdicts["Which?"].scores == MARKS[name]["fair"]
    # Of a chain of thought the answer alone is judged, so that both styles put the same four to the judge.
    assert len(asked) == 4
    for text in asked:
        assert REFERENCE in text
        assert (KNOWN in text) == (name != "mmvet")


@pytest.mark.parametrize("name", NAMES)
def test_a_chain_of_thought_that_states_no_answer_counts_nothing(tmp_path, monkeypatch, name):
    answers = {"How many?": "A good two.", "Which?": "The left one.", "Why?": ""}
    made(tmp_path, name, answers)
    with measuring(tmp_path, monkeypatch, name, by_word(name), styles=("cot",)) as measured:
        whole = measured.evaluate(answers)[name, "cot"]
        assert len(measured.judged()) == 2
    assert (whole["n"], whole["errors"], whole["unparsed"]) == (3, 0, pytest.approx(1 / 3))
    assert whole["accuracy"] == pytest.approx(figure(name, 1, 1, unread=1))


@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_judgement_is_an_error_and_asked_again_alone(tmp_path, monkeypatch, name):
    answers = {f"{fault}?": f"It {fault}." for fault in FAULTS} | {"fine?": "It is good."}
    made(tmp_path, name, answers)

    def ill(text):
        response = text.partition("<<<RESPONSE")[2]
        return next((reply for fault, reply in FAULTS.items() if f"It {fault}." in response), by_word(name)(text))

    with measuring(tmp_path, monkeypatch, name, ill, styles=("direct",)) as measured:
        first = measured.evaluate(answers)[name, "direct"]
        verdicts = measured.verdicts("direct", name)
        measured.server.requests.clear()
        measured.script = by_word(name)
        second = measured.evaluate(answers)[name, "direct"]
        again = measured.judged()
        measured.server.requests.clear()
        third = measured.evaluate(answers)[name, "direct"]
        assert measured.server.requests == []
        assert len(measured.asked) == len(answers)
    failed = len(FAULTS)
    assert (first["n"], first["errors"]) == (1, failed)
    assert first["accuracy"] == pytest.approx(figure(name, 1, 0))
    for fault, part in {
        "fails": "the judge is ill",
        "rambles": "not one JSON object",
        "encloses": "not one JSON object",
        "exceeds": "not",
        "halves": "not",
        "waits": "no reply in 0.5 s",
    }.items():
        verdict = verdicts[f"{fault}?"]
        assert (verdict.outcome, verdict.score, verdict.scores) == ("error", 0, ())
        assert part in verdict.detail
    assert len(again) == failed
    assert not any("It is good." in text for text in again)
    assert (second["n"], second["errors"]) == (1 + failed, 0)
    assert second["accuracy"] == pytest.approx(figure(name, 1, failed))
    assert third == second


@pytest.mark.parametrize("name", NAMES)
def test_a_judge_that_fails_on_everything_gives_no_score(tmp_path, monkeypatch, name):
    made(tmp_path, name, ["How many?"])
    with measuring(tmp_path, monkeypatch, name, lambda text: FAULTS["rambles"], styles=("direct",)) as measured:
        with pytest.raises(
            MixprefError, match=r"none of the 1 items of .* the first failed with: .* replies of no use"
        ):
            measured.evaluate({"How many?": "Two."})
        measured.script = by_word(name)
        assert measured.evaluate({"How many?": "A good two."})[name, "direct"]["n"] == 1


@pytest.mark.parametrize("name", NAMES)
def test_missing_data_is_named_with_the_command_that_gets_it(tmp_path, monkeypatch, name):
    where = data(tmp_path, name)
    with measuring(tmp_path, monkeypatch, name, by_word(name)) as measured, pytest.raises(MixprefError) as told:
        measured.evaluate({})
    asked = benchmark(name)
    assert str(told.value).startswith(f"{asked.title}: {where} holds no ")
    assert str(told.value).endswith(f"; get it by:\n  {asked.get.format(folder=where)}")


def test_another_judge_judges_anew_what_was_answered_before(tmp_path, monkeypatch):
    answers = {"How many?": "A good two.", "Which?": "The left one."}
    made(tmp_path, "mmvet", answers)
    with measuring(tmp_path, monkeypatch, "mmvet", by_word("mmvet"), styles=("direct",)) as measured:
        measured.evaluate(answers)
    with measuring(tmp_path, monkeypatch, "mmvet", by_word("mmvet"), styles=("direct",), judge="another") as measured:
        whole = measured.evaluate(answers)["mmvet", "direct"]
        assert whole["judge"] == "another, rubric mmvet version 1"
        assert len(measured.judged()) == 2
        assert measured.asked == []


@pytest.mark.parametrize("style", ["direct", "cot"])
def test_an_open_answer_of_many_lines_is_judged_as_a_whole(tmp_path, monkeypatch, style):
    answers = {"What is on it?": "A good list:\n- a plate\n- a fork"}
    made(tmp_path, "mmvet", answers)
    with measuring(tmp_path, monkeypatch, "mmvet", by_word("mmvet"), styles=(style,)) as measured:
        whole = measured.evaluate(answers)["mmvet", style]
        assert (whole["n"], whole["unparsed"]) == (1, 0)
        (said,) = measured.judged()
        assert answers["What is on it?"] in said
