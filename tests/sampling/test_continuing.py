import pytest

from mixpref.records import Problem
from mixpref.sampling.continuing import continue_blindly
from mixpref.sampling.stage import sample
from tests.sampling.conftest import Rote, bytes_of

OPEN = [Problem(question=f"Describe {number}.", images=(b"picture",)) for number in range(5)]


@pytest.fixture
def mixed(problems):
    blind = Problem(question="Tell a story.")
    return [problems[0], *OPEN[:2], problems[1], blind, *OPEN[2:], problems[2]]


def test_responses_to_open_problems_are_gone_on_from_blindly(make, mixed):
    run = make(given=mixed, open_samples=2, pairing={"kinds": ("dropout-ntp",)})
    sample(run, Rote())
    engine = Rote()
    continue_blindly(run, engine)
    assert [request.problem for request in engine.requests] == [problem for problem in OPEN for _ in range(2)]
    assert all(request.blind and request.style == "plain" for request in engine.requests)
    texts = {each.id: each.text for each in run.responses}
    for each in run.continuations:
        assert each.prefix
        assert texts[each.id].startswith(each.prefix)
        assert len(each.prefix) < len(texts[each.id])
        assert each.text.startswith(" and so on")
    counts = run.continuations.manifest["counts"]
    assert counts["responses to open problems"] == {"all": 12, "gone on from": 10, "of problems without images": 2}
    assert counts["continuations"] == {"all": 10, "stop": 10}


def test_interrupted_it_ends_in_the_same_bytes(make, mixed):
    runs = []
    for name, stops in (("whole", [None]), ("broken", [2, 1, 4, None])):
        run = make(name, given=mixed, open_samples=2, pairing={"kinds": ("dropout-ntp",)})
        sample(run, Rote())
        for stop in stops:
            try:
                continue_blindly(run, Rote(stop_after=stop))
            except KeyboardInterrupt:
                assert not run.continuations.finished
        runs.append(run)
    assert bytes_of(runs[0].continuations) == bytes_of(runs[1].continuations)
    assert runs[1].continuations.finished


def test_without_a_prefix_the_whole_answer_is_blind(make):
    run = make(given=OPEN, pairing={"kinds": ("dropout-ntp",), "dropout_ratio": 0.0})
    sample(run, Rote())
    engine = Rote()
    continue_blindly(run, engine)
    assert {request.prefix for request in engine.requests} == {""}
    assert len(run.continuations) == 5
