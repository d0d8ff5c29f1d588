import pickle
from collections import Counter

import pytest

from mixpref.records import Problem
from mixpref.sampling.plan import Ask, Plan, first_asks, style_of


def test_units_hold_the_requests_in_order(make, problems, tmp_path):
    run = make()
    plan = Plan(tmp_path / "plan", run.problems("train"), 6, seed=5)
    plan.write(Ask(number=number, style="en", first=2, samples=3) for number in range(20))
    assert plan.keys() == ["00000", "00001", "00002", "00003"]
    again = pickle.loads(pickle.dumps(plan))
    requests = [request for key in ("00000", "00001", "00002", "00003") for request in again[key]]
    assert [request.problem for request in requests] == problems
    assert {(request.first, request.samples, request.seed, request.style) for request in requests} == {(2, 3, 5, "en")}
    assert list(requests[0].numbers) == [2, 3, 4]


def test_a_plan_that_was_torn_is_made_anew(make, tmp_path):
    run = make()
    plan = Plan(tmp_path / "plan", run.problems("train"), 6, seed=5)
    plan.asks.append("00007", [Ask(number=3, style="en")])
    plan.write([Ask(number=1, style="zh")])
    assert plan.finished
    assert plan.asks.read() == [Ask(number=1, style="zh")]


def test_open_questions_are_asked_in_their_own_way(make):
    closed, open_ = Problem(question="2 + 2?", answer="4"), Problem(question="Describe it.")
    run = make(given=[closed, open_], open_style="plain", open_samples=2)
    asks = list(first_asks(run, 8))
    assert asks == [Ask(number=0, style="en", samples=8), Ask(number=1, style="plain", samples=2)]


def test_styles_are_mixed_by_their_weights_and_stay_with_their_problem():
    mix = {"zh": 1.0, "en": 3.0}
    styles = {str(number): style_of(str(number), "boxed", mix, 0) for number in range(4000)}
    assert Counter(styles.values())["en"] == pytest.approx(3000, abs=120)
    assert styles == {name: style_of(name, "boxed", dict(reversed(mix.items())), 0) for name in styles}
    assert styles != {name: style_of(name, "boxed", mix, 1) for name in styles}
    assert style_of("1", "boxed", {}, 0) == "boxed"
