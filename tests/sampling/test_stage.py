import itertools

import pytest

from mixpref.errors import MixprefError
from mixpref.records import Problem
from mixpref.sampling.stage import sample
from mixpref.verifying.stage import verify_responses
from tests.sampling.conftest import Rote, bytes_of


def test_every_problem_gets_its_samples_in_order(make, problems):
    run, engine = make(), Rote(order=-1)
    sample(run, engine)
    responses = run.responses.read()
    assert [(each.problem_id, each.sample) for each in responses] == [
        (problem.id, number) for problem in problems for number in range(4)
    ]
    counts = run.responses.manifest["counts"]
    assert counts["responses"] == counts["stop"] + counts["length"] + counts["error"] == 80
    assert counts["tokens"] == 7 * 80
    assert not (run.path / "sampling").exists()


@pytest.mark.parametrize("engine", ["transformers", "server"])
@pytest.mark.parametrize("adaptive", [False, True])
def test_interrupted_anywhere_it_ends_in_the_same_bytes(make, engine, adaptive):
    settings = {"engine": engine, "adaptive": adaptive, "samples": 8, "round_samples": 3}
    whole = make("whole", **settings)
    sample(whole, Rote())
    broken = make("broken", **settings)
    asked = []
    for stop in itertools.cycle((1, 4, 9)):
        engine_ = Rote(stop_after=stop, order=-1)
        asked.append(engine_)
        try:
            sample(broken, engine_)
            break
        except KeyboardInterrupt:
            assert not broken.responses.finished
    assert len(asked) > 3
    assert bytes_of(whole.responses) == bytes_of(broken.responses)
    if engine == "server":
        total = sum((each.asked for each in asked), start=Rote().asked)
        # What was answered just when the interruption came is not noted yet.
        assert sum(total.values()) - len(total) <= len(asked) * 8


def test_a_server_is_asked_nothing_twice(make):
    run = make(engine="server")
    first, second = Rote(stop_after=7), Rote()
    with pytest.raises(KeyboardInterrupt):
        sample(run, first)
    sample(run, second)
    assert not (set(first.asked) & set(second.asked))
    assert len(first.asked) + len(second.asked) == 80


def test_a_finished_stage_makes_no_engine(make):
    run = make()
    sample(run, Rote())
    engine = Rote()
    sample(run, engine)
    assert engine.made == 0


def test_adaptive_rounds_stop_where_there_is_enough_or_no_hope(make, problems):
    run, engine = make(adaptive=True, samples=16, round_samples=4, give_up=12, pairing={"max_pairs": 4}), Rote()
    sample(run, engine)
    drawn = {problem.family: set() for problem in problems}
    for problem in problems:
        drawn[problem.family].add(sum(each.problem_id == problem.id for each in run.responses))
    # mixed has 2 x 2 after four; the one of `one` is its ninth, with eight wrong before it.
    assert drawn == {"mixed": {4}, "always": {12}, "never": {12}, "one": {12}}
    counts = run.responses.manifest["counts"]
    assert counts["rounds"] == [20, 12, 12]
    assert counts["fates"] == {"all": 20, "enough": 12, "hopeless": 4, "trivial": 4}
    assert max(engine.asked.values()) == 1
    verify_responses(run)
    assert run.verdicts.manifest["counts"]["responses"] == counts["responses"] == 8 * 4 + 12 * 12


def test_rounds_give_the_samples_that_one_round_would(make):
    rounds, fixed = make("rounds", adaptive=True, samples=8, give_up=8, round_samples=3), make("fixed", samples=8)
    sample(rounds, Rote())
    sample(fixed, Rote())
    every = {each.id: each for each in fixed.responses}
    assert all(every[each.id] == each for each in rounds.responses)


def test_open_questions_are_not_adapted(make):
    given = [Problem(question=f"Describe {number}.") for number in range(3)] + [Problem(question="2?", answer="2")]
    run, engine = make(given=given, adaptive=True, open_samples=2), Rote()
    sample(run, engine)
    assert [each.problem_id for each in run.responses][:6] == [problem.id for problem in given[:3] for _ in range(2)]
    assert run.responses.manifest["counts"]["fates"]["open questions"] == 3


def test_failures_are_recorded_and_all_of_them_are_an_error(make, problems):
    broken = [Problem(question=f"broken {number}", answer="1", family="broken") for number in range(3)]
    run = make(given=problems[:2] + broken)
    sample(run, Rote())
    assert run.responses.manifest["counts"]["error"] == 12
    run = make("none", given=broken)
    with pytest.raises(MixprefError, match=r"none of the 3 problems could be put to the model.*no picture"):
        sample(run, Rote())
    assert len(run.responses) == 0


def test_no_problems_is_an_error(make):
    with pytest.raises(MixprefError, match="is empty"):
        sample(make(given=[]), Rote())
