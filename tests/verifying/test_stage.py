from dataclasses import replace

import pytest

from mixpref.errors import MixprefError
from mixpref.recipe import Recipe
from mixpref.records import Problem, Response
from mixpref.rundir import Run
from mixpref.verifying import stage
from mixpref.verifying.lookup import Lookup
from mixpref.verifying.stage import verify_responses


def response(problem, sample, text, finish="stop", style="en", error=""):
    return Response(
        problem_id=problem.id, sample=sample, text=text, tokens=len(text), finish=finish, seed=sample, style=style,
        sampler="test", logprob=-1.0, error=error,
    )  # fmt: skip


PROBLEMS = [Problem(question=f"{number} + 1?", answer=str(number + 1), images=(b"picture",)) for number in range(5)]
OPEN = Problem(question="Describe the picture.")


@pytest.fixture
def run(tmp_path):
    with Run.open(tmp_path / "run", Recipe(name="test")) as run:
        yield run


def fill(run, responses, problems=(*PROBLEMS, OPEN)):
    run.problems("train").append("00000", problems)
    run.problems("train").finish({}, {})
    for index in range(0, len(responses), 3):
        run.responses.append(f"{index:05d}", responses[index : index + 3])
    run.responses.finish({}, {})


def test_every_response_gets_one_verdict_and_the_counts_add_up(run):
    first, second = PROBLEMS[:2]
    responses = [
        response(first, 0, "0 + 1 = 1.\nFinal answer: 1"),
        response(first, 1, "0 + 1 = 2.\nFinal answer: 2"),
        response(first, 2, "0 + 1", finish="length"),
        response(first, 3, "", finish="error", error="ValueError: a broken picture"),
        response(second, 0, "1 + 1 = 2.\nFinal answer: 2", finish="length"),
        response(second, 1, "1 + 1 = 2.\nAnswer: \\boxed{2}", style="boxed"),
        response(OPEN, 0, "A picture.\nFinal answer: nice"),
    ]
    fill(run, responses)
    verify_responses(run)
    verdicts = run.verdicts.read()
    assert [verdict.response_id for verdict in verdicts] == [each.id for each in responses]
    outcomes = [verdict.outcome for verdict in verdicts]
    assert outcomes == ["correct", "wrong", "unparsed", "error", "correct", "correct", "error"]
    assert verdicts[3].detail == "no response: ValueError: a broken picture"
    counts = run.verdicts.manifest["counts"]
    assert counts == {
        "responses": 7, "correct": 3, "wrong": 1, "unparsed": 1, "error": 2, "cut at the token limit": 2,
        "errors for want of an answer or a judge": 1,
    }  # fmt: skip


def test_an_interrupted_stage_goes_on_and_ends_with_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "BATCH", 4)
    responses = [
        response(problem, sample, f"So.\nFinal answer: {sample}") for problem in PROBLEMS for sample in range(3)
    ]
    fill(run, responses)
    judged = []
    real = stage.verdicts_on

    def interrupted(answered, *settings):
        if len(judged) == 8:
            raise KeyboardInterrupt
        judged.extend(each.id for _, each in answered)
        return real(answered, *settings)

    monkeypatch.setattr(stage, "verdicts_on", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verify_responses(run)
    assert not run.verdicts.finished
    judged.append("")
    verify_responses(run)
    # Two shards of four were whole.
    assert judged == [each.id for each in responses[:8]] + [""] + [each.id for each in responses[8:]]

    with Run.open(tmp_path / "other", Recipe(name="test")) as other:
        fill(other, responses)
        verify_responses(other)
        files = sorted(file.name for file in run.verdicts.path.iterdir())
        assert files == sorted(file.name for file in other.verdicts.path.iterdir())
        for name in files:
            assert (run.verdicts.path / name).read_bytes() == (other.verdicts.path / name).read_bytes()


def test_a_finished_stage_is_not_done_again(run, monkeypatch):
    fill(run, [response(PROBLEMS[0], 0, "So.\nFinal answer: 1")])
    verify_responses(run)
    monkeypatch.setattr(stage, "fill", None)
    verify_responses(run)


def test_incomplete_responses_are_refused(run):
    with pytest.raises(MixprefError, match="run `mixpref sample` first"):
        verify_responses(run)


def test_verdicts_on_other_responses_are_refused(run):
    fill(run, [response(PROBLEMS[0], 0, "So.\nFinal answer: 1")])
    other = response(PROBLEMS[1], 0, "So.\nFinal answer: 1")
    run.verdicts.append("00000", stage.verdicts_on([(PROBLEMS[1], other)]))
    with pytest.raises(MixprefError, match="does not belong to"):
        stage.fill(run, PROBLEMS, run.responses, run.verdicts, description="test")


def test_lookup_reads_no_further_than_asked_and_keeps_no_images():
    read = []

    def reading():
        for problem in PROBLEMS:
            read.append(problem.id)
            yield problem

    find = Lookup(reading())
    assert find[PROBLEMS[0].id] == replace(PROBLEMS[0], images=())
    assert find[PROBLEMS[0].id].answer == ("1",)
    assert len(read) == 1
    # In another order, too.
    assert find[PROBLEMS[3].id].answer == ("4",)
    assert find[PROBLEMS[1].id].answer == ("2",)
    assert [problem.id for problem in find.remaining()] == [PROBLEMS[2].id, PROBLEMS[4].id]


def test_lookup_refuses_what_is_no_problem_of_the_run():
    with pytest.raises(MixprefError, match="not among the problems"):
        Lookup(PROBLEMS)["0123"]
