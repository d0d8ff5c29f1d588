import json
from dataclasses import replace

import pytest

from mixpref.errors import MixprefError
from mixpref.pairing import stage
from mixpref.pairing.stage import make_pairs
from mixpref.recipe import PairingRecipe, Recipe
from mixpref.records import Problem
from mixpref.rundir import Run
from mixpref.verifying.stage import verify_responses

PROBLEMS = [Problem(question=f"{number} + 1?", answer=str(number + 1), images=(b"picture",)) for number in range(6)]
OPEN = Problem(question="Describe the picture.")


@pytest.fixture
def make(tmp_path, judge):
    """A run with the given responses, judged."""
    opened = []

    def build(responses, name="run", problems=(*PROBLEMS, OPEN), verify=True, seed=0, **pairing):
        run = Run.open(tmp_path / name, Recipe(name="test", seed=seed, pairing=PairingRecipe(**pairing)))
        opened.append(run)
        run.problems("train").append("00000", problems)
        run.problems("train").finish({}, {})
        for index, (problem, texts) in enumerate(responses):
            said = [each.response for each in judge(problem, *texts)]
            said = [replace(each, tokens=len(each.text.split()) + 1) for each in said]
            run.responses.append(f"{index:05d}", said)
        run.responses.finish({}, {})
        if verify:
            verify_responses(run)
        return run

    yield build
    for run in opened:
        run.close()


def mixed(say):
    """One of each fate: two with pairs, all right, none right, wrong that holds the right, failed, open."""
    return [
        (PROBLEMS[0], [say("1"), say("2"), "unclear", say("1") + " "]),
        (PROBLEMS[1], [say("2"), ("It goes on", "length"), say("two and 2")]),
        (PROBLEMS[2], [say("3"), say("03")]),
        (PROBLEMS[3], [say("5"), say("6"), "unclear"]),
        (PROBLEMS[4], [say("5"), say("5 % of x")]),
        (PROBLEMS[5], [("", "error"), ("", "error")]),
        (OPEN, [say("nice")]),
    ]


def test_pairs_are_of_right_against_wrong_and_right_against_unclear(make, say):
    run = make(mixed(say))
    make_pairs(run)
    pairs = run.pairs.read()
    found = {(pair.problem_id, pair.chosen, pair.rejected, pair.why) for pair in pairs}
    one, two = PROBLEMS[0].id, PROBLEMS[1].id
    assert len(pairs) == len(found)
    assert {each for each in found if each[0] == one} == {
        (one, right, worse, why)
        for right in (say("1"), say("1") + " ")
        for worse, why in ((say("2"), "correctness"), ("unclear", "format"))
    }
    assert (two, say("2"), "It goes on", "format") in found
    assert {each[0] for each in found} <= {one, two, PROBLEMS[4].id}
    cut = [pair for pair in pairs if pair.rejected == "It goes on"]
    assert [(pair.chosen_complete, pair.rejected_complete) for pair in cut] == [(True, False)]
    assert all(pair.rejected_complete for pair in pairs if pair not in cut)
    assert cut[0].chosen_origin == f"{two}-0 tiny T=1"
    assert cut[0].rejected_origin == f"{two}-1 tiny T=1"
    assert cut[0].style == "en"


def test_counts_add_up(make, say):
    run = make(mixed(say))
    make_pairs(run)
    counts = run.pairs.manifest["counts"]
    for part in ("problems", "responses", "candidates"):
        assert counts[part]["all"] == sum(count for name, count in counts[part].items() if name != "all"), part
    assert counts["problems"]["all"] == 7
    assert counts["problems"]["without a right response"] == 1
    assert counts["problems"]["without a worse response"] == 1
    assert counts["problems"]["without a judged response"] == 1
    assert counts["problems"]["open questions"] == 1
    assert counts["responses"]["all"] == 17
    assert counts["responses"]["error"] == 3
    assert sum(counts["pairs"].values()) == counts["candidates"]["taken"] == len(run.pairs)


def test_a_problem_has_at_most_max_pairs_of_the_kinds_asked_for(make, say):
    responses = [(problem, [say(str(sample)) for sample in range(8)] + ["unclear"]) for problem in PROBLEMS]
    run = make(responses, name="three", max_pairs=3)
    make_pairs(run)
    assert len(run.pairs) == 18
    assert run.pairs.manifest["counts"]["candidates"]["over max_pairs"] == 6 * 5
    run = make(responses, name="format", kinds=("format",))
    make_pairs(run)
    assert {pair.why for pair in run.pairs} == {"format"}
    run = make(responses, name="correctness", kinds=("correctness",))
    make_pairs(run)
    assert {pair.why for pair in run.pairs} == {"correctness"}
    assert len(run.pairs) == 42


def files(run):
    return {file.name: file.read_bytes() for file in sorted(run.pairs.path.iterdir())}


def test_the_same_recipe_gives_the_same_bytes_also_after_an_interruption(make, say, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 2)
    responses = [(problem, [say(str(sample)) for sample in range(8)] + ["unclear"]) for problem in PROBLEMS]
    whole, again = make(responses, name="whole", max_pairs=3), make(responses, name="again", max_pairs=3)
    make_pairs(whole)
    real, calls = stage._append, []

    def interrupted(run, index, pairs, done):
        if index == 2:
            raise KeyboardInterrupt
        real(run, index, pairs, done)
        calls.append(index)

    monkeypatch.setattr(stage, "_append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_pairs(again)
    assert not again.pairs.finished
    monkeypatch.setattr(stage, "_append", real)
    make_pairs(again)
    assert calls == [0, 1]
    assert files(again) == files(whole)
    assert len(files(whole)) == 4

    other = make(responses, name="other", max_pairs=3, seed=1)
    make_pairs(other)
    assert files(other) != files(whole)


def test_problems_without_responses_are_counted(make, say):
    run = make([(PROBLEMS[2], [say("3"), say("4")])])
    make_pairs(run)
    counts = run.pairs.manifest["counts"]["problems"]
    assert counts == {"all": 7, "open questions": 1, "with pairs": 1, "without a judged response": 5}


@pytest.mark.parametrize(
    ("texts", "fate", "remedy"),
    [
        (["Final answer: 99"] * 2, "5 without a right response", "raise sampling.max_new_tokens"),
        (["So.\nFinal answer: 98", "So.\nFinal answer: 99"], "5 without a right response", "easier problems"),
        ([("", "error")], "5 without a judged response", "errors in verdicts/"),
    ],
)
def test_no_pair_at_all_is_refused_with_the_counts_and_a_remedy(make, texts, fate, remedy):
    run = make([(problem, texts) for problem in PROBLEMS[:5]], problems=PROBLEMS[:5])
    with pytest.raises(MixprefError) as refused:
        make_pairs(run)
    assert "\n" not in str(refused.value)
    assert fate in str(refused.value)
    assert remedy in str(refused.value)
    assert not run.pairs.finished


def test_all_right_is_refused_with_a_remedy(make, say):
    run = make([(problem, [say(problem.answer[0])]) for problem in PROBLEMS], problems=PROBLEMS)
    with pytest.raises(MixprefError, match=r"6 without a worse response.*harder problems"):
        make_pairs(run)


def test_incomplete_verdicts_are_refused(make, say):
    run = make([(PROBLEMS[0], [say("1"), say("2")])], verify=False)
    with pytest.raises(MixprefError, match="run `mixpref verify` first"):
        make_pairs(run)


def test_pairs_of_lengths_too_far_apart_are_left_out_and_counted(make, say):
    long = "So " * 40 + say("3")
    responses = [(PROBLEMS[0], [say("1"), long, say("2")]), (PROBLEMS[1], [say("2"), long])]
    run = make(responses, max_length_gap=0.2)
    make_pairs(run)
    assert [pair.rejected for pair in run.pairs] == [say("2")]
    counts = run.pairs.manifest["counts"]
    assert counts["candidates"] == {"all": 3, "taken": 1, "over max_length_gap": 2}
    assert counts["problems"]["of lengths too far apart"] == 1
    assert counts["lengths"]["all"]["pairs"] == 1


def continued(run, problem, sample, prefix, text, finish="stop"):
    response = next(each for each in run.responses if each.id == f"{problem.id}-{sample}")
    return replace(response, text=text, prefix=prefix, finish=finish, tokens=2)


def test_open_problems_make_pairs_with_blind_continuations(make):
    answers = [("A red cup. It is full.", "stop"), ("A cup.", "stop"), ("A cup is", "length")]
    run = make([(OPEN, answers)], kinds=("dropout-ntp",))
    with pytest.raises(MixprefError, match="run `mixpref continue` first"):
        make_pairs(run)
    made = [
        continued(run, OPEN, 0, "A red cup.", " It is blue and empty.", "length"),
        continued(run, OPEN, 1, "A", " cup."),
    ]
    run.continuations.append("00000", made)
    run.continuations.finish({}, {})
    make_pairs(run)
    (pair,) = run.pairs
    assert (pair.chosen, pair.rejected) == ("A red cup. It is full.", "A red cup. It is blue and empty.")
    assert (pair.why, pair.chosen_complete, pair.rejected_complete) == ("dropout-ntp", True, False)
    assert "blind" in pair.rejected_origin
    counts = run.pairs.manifest["counts"]
    assert counts["candidates"] == {"all": 2, "taken": 1, "equal to the chosen": 1}
    assert counts["pairs"] == {"dropout-ntp": 1}
    assert counts["problems"] == {"all": 7, "with pairs": 1, "without a judged response": 6}


def test_votes_and_pairs_from_elsewhere_are_added(make, say, tmp_path):
    responses = [(PROBLEMS[0], [say("1"), say("2"), say("4")]), (OPEN, ["A cup.", "A house."])]
    rows = [
        {"chosen": f"{OPEN.id}-1", "rejected": f"{OPEN.id}-0", "by": "ann"},
        {"problem_id": PROBLEMS[1].id, "chosen": say("2"), "rejected": say("9"), "origin": "a teacher"},
        {"problem_id": "nobody", "chosen": "a", "rejected": "b"},
    ]
    file = tmp_path / "added.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = make(responses, added=(str(file),), max_pairs=1)
    make_pairs(run)
    pairs = run.pairs.read()
    assert [(pair.problem_id, pair.why) for pair in pairs] == [
        (PROBLEMS[0].id, "correctness"), (OPEN.id, "vote"), (PROBLEMS[1].id, "foreign"),
    ]  # fmt: skip
    assert (pairs[1].chosen, pairs[1].rejected) == ("A house.", "A cup.")
    assert pairs[2].chosen_origin == "a teacher"
    counts = run.pairs.manifest["counts"]
    assert counts["added"]["rows"] == 3
    assert counts["added"]["in pairs"] == 2
    assert counts["problems"] == {"all": 7, "with pairs": 3, "without a judged response": 4}
    assert counts["lengths"]["of unknown length"] == 1
    (rejected,) = map(json.loads, (run.pairs.path / "rejected.jsonl").read_text().splitlines())
    assert rejected["line"] == 3
