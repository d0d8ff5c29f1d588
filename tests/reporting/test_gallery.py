"""The cases in the file: drawn the same every time, whole, and within their room."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest

from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.reporting import gallery as module
from mixpref.reporting.changes import changes
from mixpref.reporting.gallery import Gallery, gallery
from mixpref.reporting.gather import gather
from mixpref.reporting.page import render
from mixpref.rundir import Run


def drawn(run: Run, **most: int) -> Gallery:
    return gallery(run, changes(run)[1], **most)


def test_a_small_run_is_in_it_whole(made_run: Run) -> None:
    found = drawn(made_run)
    assert (len(found.pairs), len(found.items)) == (28, 20)
    assert len({case["id"] for case in found.items}) == 20
    # 12 training problems and the 10 held-out ones, each picture once.
    assert len(found.pictures) == 22
    assert all(case["pictures"][0] in found.pictures for case in (*found.pairs, *found.items))
    assert {side["notes"][-1] for case in found.pairs for side in case["sides"]} == {"9 tokens"}
    assert Counter(case["kind"] for case in found.pairs) == {"correctness": 24, "format": 4}
    assert {case["outcome"] for case in found.pairs if case["kind"] == "format"} == {"wrong"}


def test_items_have_both_answers_and_the_worst_news_is_not_last(made_run: Run) -> None:
    items = drawn(made_run).items
    kinds = list(dict.fromkeys(case["kind"] for case in items))
    assert kinds == ["fixed", "broken", "both wrong", "both right", "no outcome"]
    fixed = next(case for case in items if case["kind"] == "fixed" and case["style"] == "cot")
    assert ["".join(text for _, text in side["parts"]) for side in fixed["sides"]] == [
        "base says wrong",
        "mpo says correct",
    ]


def test_rare_kinds_are_in_a_small_sample(made_run: Run) -> None:
    found = drawn(made_run, pairs=8, items=16)
    assert (len(found.pairs), len(found.items)) == (8, 16)
    assert {case["kind"] for case in found.pairs} == {"correctness", "format"}
    assert {case["kind"] for case in found.items} == {"fixed", "broken", "both wrong", "both right", "no outcome"}


def test_the_sample_is_the_same_every_time_and_another_with_another_seed(
    made_run: Run, make_run: Callable[..., Run]
) -> None:
    assert drawn(made_run, pairs=6) == drawn(made_run, pairs=6)
    assert drawn(made_run, pairs=6).pairs != drawn(make_run(seed=4), pairs=6).pairs


def test_none_are_drawn_where_none_are_wanted(made_run: Run) -> None:
    assert drawn(made_run, pairs=0, items=0) == Gallery(pairs=[], items=[], pictures={})


def test_a_problem_that_is_gone_does_not_hide_its_pair(made_run: Run) -> None:
    made_run.problems("train").discard()
    made_run.verdicts.discard()
    found = drawn(made_run, items=0)
    assert len(found.pairs) == 28
    assert {case["question"] for case in found.pairs} == {"The problem is no longer in this run directory."}
    assert {case["outcome"] for case in found.pairs} == {"not judged"}
    assert found.pictures == {}


def test_a_blind_continuation_has_no_verdict_of_the_response_it_began_as(
    made_run: Run, problem: Callable[..., Problem], pair: Callable[..., PreferencePair]
) -> None:
    asked = problem(0)
    blind = replace(pair(asked, "a", "b", "dropout-ntp"), rejected_origin=f"{asked.id}-0 made dropout-ntp sr0.5 blind")
    made_run.pairs.append("00000", [blind])
    (case,) = drawn(made_run, items=0).pairs
    assert (case["outcome"], case["gap"]) == ("not judged", None)


def test_the_room_is_kept_to(made_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn(made_run)
    monkeypatch.setattr(module, "BYTES", 6000)
    found = drawn(made_run)
    assert 0 < len(found.pairs) < len(whole.pairs)
    assert {key for case in (*found.pairs, *found.items) for key in case["pictures"]} == {*found.pictures}
    assert [case for case in whole.pairs if case in found.pairs] == found.pairs


def fill(run: Run, problems: int, pairs_each: int, pictures: list[bytes]) -> None:
    """A run of many pairs with long responses, straight from the records."""

    def asked(number: int) -> Problem:
        return Problem(
            question=f"Question {number}?",
            answer=str(number),
            images=(pictures[number % len(pictures)],),
            family=f"family {number % 9}",
        )

    samples = 2 * pairs_each
    told = [" ".join(f"step{n} makes {n * sample}," for n in range(100)) for sample in range(samples)]
    for start in range(0, problems, 500):
        some = [asked(number) for number in range(start, min(problems, start + 500))]
        key = f"{start:06d}"
        run.problems("train").append(key, some)
        texts = {(each.id, sample): told[sample] for each in some for sample in range(samples)}
        responses = [
            Response(
                problem_id=problem_id,
                sample=sample,
                text=text,
                tokens=400 + sample,
                finish="stop",
                seed=0,
                style="en",
                sampler="made",
                logprob=None,
            )
            for (problem_id, sample), text in texts.items()
        ]
        run.responses.append(key, responses)
        run.verdicts.append(
            key,
            [
                Verdict(outcome="wrong" if each.sample % 2 else "correct", answer="1", response_id=each.id)
                for each in responses
            ],
        )
        run.pairs.append(
            key,
            [
                PreferencePair(
                    problem_id=each.id,
                    chosen=texts[each.id, sample],
                    rejected=texts[each.id, sample + 1],
                    why="correctness",
                    style="en",
                    chosen_origin=f"{each.id}-{sample} made",
                    rejected_origin=f"{each.id}-{sample + 1} made",
                )
                for each in some
                for sample in range(0, samples, 2)
            ],
        )


def photographs(count: int, size: int) -> list[bytes]:
    import io

    from PIL import Image

    files = []
    for number in range(count):
        stream = io.BytesIO()
        noise = Image.effect_noise((size, size), 60 + number)
        Image.merge("RGB", (noise, noise.rotate(90), noise.rotate(180))).save(stream, "JPEG", quality=85)
        files.append(stream.getvalue())
    return files


@pytest.mark.parametrize(
    ("problems", "pairs_each", "most"),
    [(300, 4, 90), pytest.param(5000, 10, module.PAIRS, marks=pytest.mark.slow)],
    ids=["1200", "50000"],
)
def test_a_run_of_many_pairs_has_a_light_page(empty_run: Run, problems: int, pairs_each: int, most: int) -> None:
    fill(empty_run, problems, pairs_each, photographs(40, 900))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = gather(empty_run, pairs=most)
    assert found.all_pairs == problems * pairs_each
    assert sum(found.paired.gaps.values()) == problems * pairs_each
    assert 0 < len(found.gallery.pairs) <= most
    assert len(found.gallery.pictures) <= 40
    assert {case["family"] for case in found.gallery.pairs} == {f"family {number}" for number in range(9)}
    text = render(found)
    assert len(text.encode()) < 20_000_000
    assert f"of {problems * pairs_each:,} pairs" in text
    # In KB: texts alone are 200 MB in the larger run.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000
