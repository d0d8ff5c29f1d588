"""The indexes of pairs and items: every case is found by what it shows, and by any part of its texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixpref.errors import MixprefError
from mixpref.recipe import Recipe
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.reporting import index as indexing
from mixpref.reporting import index_items as items
from mixpref.reporting import index_pairs as pairs_index
from mixpref.reporting.cases import KINDS, Case, response_of
from mixpref.reporting.index import PAGE_SIZE, Facet, Listing, Query
from mixpref.reporting.index_items import index_items
from mixpref.reporting.index_pairs import index_pairs
from mixpref.reporting.shards import Shards
from mixpref.rundir import Run
from mixpref.store import Artifact
from tests.reporting.conftest import make_pair, make_problem, make_response, write_items

ODD = ("100% sure", "100 sure", "a_b", "axb", 'it\'s "so"', "C:\\new", "图中有四根柱子", "ÄPFEL", "f(x) = [1]", "")


def everything(listing: Listing, **query: Any) -> list[Case]:
    """The cases of all pages."""
    found: list[Case] = []
    total = 1
    while len(found) < total:
        total, some = listing.find(Query(page=len(found) // PAGE_SIZE, **query))
        assert some or not total
        found += some
    return found


def texts(case: Case) -> list[str]:
    """What the two sides say."""
    return ["".join(piece for _, piece in side["parts"]) for side in case["sides"]]


def write(run: Run, problems: Sequence[Problem], pairs: Sequence[PreferencePair]) -> Run:
    """A run of problems and pairs alone, in shards of two."""
    for artifact, records in ((run.problems("train"), problems), (run.pairs, pairs)):
        for start in range(0, len(records), 2):
            artifact.append(f"{start:05d}", records[start : start + 2])  # type: ignore[arg-type]
    return run


@pytest.fixture
def odd_run(tmp_path: Path) -> Run:
    """Pairs whose chosen texts are `ODD`, each of another problem, in several shards."""
    problems = [replace(make_problem(number, "table"), source=f"odd:{number}") for number in range(len(ODD))]
    pairs = [make_pair(problem, text, "something else") for problem, text in zip(problems, ODD, strict=True)]
    return write(Run.open(tmp_path / "odd", Recipe(name="odd")), problems, pairs)


def test_all_pairs_are_there_in_their_order_and_as_they_are(made_run: Run) -> None:
    listing = index_pairs(made_run).listing
    found = everything(listing)
    assert len(found) == len(listing) == 28
    written = made_run.pairs.read()
    assert [texts(case) for case in found] == [[pair.chosen, pair.rejected] for pair in written]
    assert [case["kind"] for case in found] == [pair.why for pair in written]
    assert [case["caption"][-1] for case in found] == [pair.problem_id for pair in written]
    first = found[0]
    assert (first["question"], first["answer"], first["family"]) == ("How high is bar 0?", "0", "chart")
    assert first["pictures"] == [f"/pictures/train/{written[0].problem_id}/0"]
    assert first["sides"][0]["notes"] == ["correct: read as  0", "9 tokens"]


@pytest.mark.parametrize("index", [index_pairs, index_items])
def test_facets_count_what_the_cases_show(made_run: Run, index: Callable[[Run], Any]) -> None:
    listing = index(made_run).listing
    cases = everything(listing)
    facets = listing.facets()
    assert facets.pop("total") == len(cases) > 0
    for name, counts in facets.items():
        assert sum(counts.values()) == len(cases)
        for value, count in counts.items():
            found = everything(listing, values={name: value})
            assert len(found) == count > 0
            assert found == [case for case in cases if case[name] == value]


def test_pairs_facets(made_run: Run) -> None:
    assert index_pairs(made_run).listing.facets() == {
        "kind": {"correctness": 24, "format": 4},
        "family": {"chart": 14, "table": 14},
        # All pairs name sample 1 as rejected, which is wrong.
        "outcome": {"wrong": 28},
        "total": 28,
    }


def test_items_facets(made_run: Run) -> None:
    facets = index_items(made_run).listing.facets()
    # Chains of thought: 0-1 right both times, 2-5 fixed, 6 broken, 7 and 9 wrong, 8 an error; direct: 0 right, 1 fixed.
    assert facets["kind"] == {"fixed": 5, "broken": 1, "both wrong": 10, "both right": 3, "no outcome": 1}
    assert list(facets["kind"]) == list(KINDS)
    assert facets["style"] == {"cot": 10, "direct": 10}
    assert facets["benchmark"] == {"world": 20}
    assert facets["outcome"] == {"correct": 8, "wrong": 11, "error": 1}


def test_filters_hold_together(made_run: Run) -> None:
    listing = index_items(made_run).listing
    found = everything(listing, values={"kind": "fixed", "style": "cot"})
    assert [texts(case) for case in found] == [["base says wrong", "mpo says correct"]] * 4
    assert listing.find(Query(values={"kind": "fixed", "style": "direct"}, text="bar 101"))[0] == 1
    assert listing.find(Query(values={"kind": "fixed", "style": "direct"}, text="bar 102"))[0] == 0
    assert listing.find(Query(values={"kind": "no such kind"})) == (0, [])
    with pytest.raises(KeyError):
        listing.find(Query(values={"colour": "red"}))


def test_pages(made_run: Run) -> None:
    listing = index_pairs(made_run).listing
    pages = [listing.find(Query(page=page)) for page in range(3)]
    assert [(total, len(cases)) for total, cases in pages] == [(28, 20), (28, 8), (28, 0)]
    assert listing.find(Query(page=10**9)) == (28, [])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("100%", ["100% sure"]),
        ("100", ["100% sure", "100 sure"]),
        ("%", ["100% sure"]),
        ("a_b", ["a_b"]),
        ("'s \"", ['it\'s "so"']),
        ("c:\\N", ["C:\\new"]),
        ("\\", ["C:\\new"]),
        ("柱", ["图中有四根柱子"]),
        ("有四根", ["图中有四根柱子"]),
        ("四有", []),
        ("äpfel", ["ÄPFEL"]),
        ("äPFEL", ["ÄPFEL"]),
        (".*", []),
        ("(x) = [", ["f(x) = [1]"]),
        ("' OR 1=1 --", []),
    ],
)
def test_any_part_of_a_text_is_found_as_it_stands(odd_run: Run, text: str, found: list[str]) -> None:
    assert [texts(case)[0] for case in everything(index_pairs(odd_run).listing, text=text)] == found


@pytest.mark.parametrize(
    "text", ["SOMETHING ELSE", "how high is", "odd:", "TABLE"], ids=["rejected", "question", "source", "family"]
)
def test_all_texts_of_a_case_are_searched(odd_run: Run, text: str) -> None:
    assert index_pairs(odd_run).listing.find(Query(text=text))[0] == len(ODD)


def test_choices_answers_and_ids_are_searched(tmp_path: Path) -> None:
    asked = [
        make_problem(1, choices=("an apple", "a pear"), answer="B"),
        make_problem(2, answer=("twenty", "20")),
        make_problem(3, answer=None),
    ]
    run = write(Run.open(tmp_path / "run", Recipe(name="x")), asked, [make_pair(each, "x", "y") for each in asked])
    listing = index_pairs(run).listing
    for text, place in (("A PEAR", 0), ("twenty", 1), (asked[2].id, 2), ("bar 3", 2)):
        (found,) = everything(listing, text=text)
        assert found["caption"][-1] == asked[place].id


def test_answers_to_items_are_searched(made_run: Run) -> None:
    listing = index_items(made_run).listing
    assert listing.find(Query(text="MPO SAYS ERROR"))[0] == 1
    assert listing.find(Query(text="base says"))[0] == 20
    assert listing.find(Query(text="how high is bar 103?"))[0] == 2


def test_a_search_is_done_once(made_run: Run) -> None:
    done = []

    def matching(text: str) -> Any:
        done.append(text)
        return facet.having("a")

    import pyarrow

    facet = Facet.of(pyarrow.array(["a", "b"] * 30))
    listing = Listing({"kind": facet}, facet.codes, matching, lambda numbers: [{"n": number} for number in numbers])
    for page in (0, 1):
        total, cases = listing.find(Query(text="x", page=page))
        assert total == 30
        assert [case["n"] % 2 for case in cases] == [0] * len(cases)
    listing.find(Query(values={"kind": "b"}, text="x"))
    assert done == ["x"]


def test_gaps_of_pairs(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", Recipe(name="x"))
    asked = make_problem(0)
    lengths = [40, 50, 10, 25, 30]
    run.responses.append("00000", [_long(asked, sample, tokens) for sample, tokens in enumerate(lengths)])
    pairs = [_of(make_pair(asked, "yes", "no"), asked, 0, sample) for sample in range(1, 5)]
    blind = _of(make_pair(asked, "yes", "no"), asked, 0, 1, " m dropout-ntp sr0.5 blind")
    write(run, [asked], [*pairs, blind])
    listing = index_pairs(run).listing
    gaps = [-0.2, 0.75, 0.375, 0.25, None]
    assert [case["gap"] for case in everything(listing)] == gaps

    def found(least: float | None, most: float | None) -> list[float | None]:
        return [case["gap"] for case in everything(listing, gap_min=least, gap_max=most)]

    assert found(None, None) == gaps
    assert found(0.25, None) == [0.75, 0.375, 0.25]
    assert found(0.2501, 0.375) == [0.375]
    assert found(None, -0.2) == [-0.2]
    # A gap that is not known lies within no bounds.
    assert found(-1, 1) == gaps[:-1]
    assert found(1e300, None) == found(None, -1e300) == []


def test_a_positive_gap_of_an_item_says_that_training_made_it_longer(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", Recipe(name="x"))
    asked = [make_problem(number) for number in range(3)]
    run.problems("held_out").append("00000", asked)
    for role, lengths in (("base", (10, 20, 20)), ("mpo", (40, 10, 20))):
        path = run.scores_dir / "items" / f"{role}-cot"
        made = [_long(each, 0, tokens) for each, tokens in zip(asked, lengths, strict=True)]
        Artifact(path / "responses", Response).append("00000", made)
        said = [Verdict(outcome="wrong", response_id=each.id) for each in made]
        Artifact(path / "verdicts", Verdict).append("00000", said)
    listing = index_items(run).listing
    for least, most, number in ((0.7, None, 0), (None, -0.1, 1), (0, 0, 2)):
        (case,) = everything(listing, gap_min=least, gap_max=most)
        assert case["caption"][-1] == asked[number].id


def test_outcomes_of_the_rejected(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", Recipe(name="x"))
    asked = make_problem(0)
    made = [_long(asked, sample, 9) for sample in range(4)]
    run.responses.append("00000", made)
    outcomes = ("correct", "unparsed", "wrong")
    said = [Verdict(outcome=each, response_id=made[n].id) for n, each in enumerate(outcomes)]  # type: ignore[arg-type]
    run.verdicts.append("00000", said)
    pairs = [_of(make_pair(asked, "yes", "no"), asked, 0, sample) for sample in (1, 2, 3)]
    cut = replace(_of(make_pair(asked, "yes", "no"), asked, 0, 2), rejected_complete=False)
    elsewhere = replace(make_pair(asked, "yes", "no"), chosen_origin="pairs.jsonl:7", rejected_origin="pairs.jsonl:7")
    write(run, [asked], [*pairs, cut, elsewhere])
    listing = index_pairs(run).listing
    assert [case["outcome"] for case in everything(listing)] == ["unparsed", "wrong", "not judged", "cut", "not judged"]
    assert listing.facets()["outcome"] == {"wrong": 1, "unparsed": 1, "cut": 1, "not judged": 2}
    (only,) = everything(listing, values={"outcome": "unparsed"})
    assert only["sides"][1]["notes"][0].startswith("unparsed")


def test_problems_that_are_gone_do_not_hide_their_pairs(made_run: Run) -> None:
    made_run.problems("train").discard()
    listing = index_pairs(made_run).listing
    assert listing.facets()["family"] == {"": 28}
    total, cases = listing.find(Query(text="final answer: 99"))
    assert total == 12
    assert {tuple(case["pictures"]) for case in cases} == {()}
    # What is known of the texts is known without their problem.
    assert cases[0]["sides"][0]["notes"][0].startswith("correct")


def test_a_run_at_its_start_has_empty_lists(empty_run: Run) -> None:
    for index, facets in ((index_pairs, 3), (index_items, 5)):
        listing = index(empty_run).listing
        found = listing.facets()
        assert found.pop("total") == 0
        assert list(found.values()) == [{}] * facets
        assert listing.find(Query(text="x")) == listing.find(Query()) == (0, [])


def test_items_need_two_models(made_run: Run) -> None:
    for part in (made_run.scores_dir / "items").glob("base-*/*"):
        for file in part.iterdir():
            file.unlink()
    assert len(index_items(made_run).listing) == 0


def test_an_evaluation_that_is_going_on_shows_what_is_judged(made_run: Run) -> None:
    verdicts = Artifact(made_run.scores_dir / "items" / "mpo-cot" / "verdicts", Verdict)
    some = verdicts.read()[:4]
    verdicts.discard()
    verdicts.append("00000", some)
    facets = index_items(made_run).listing.facets()
    # Of the others there is only the first model's answer.
    assert facets["total"] == 20
    assert facets["kind"]["no outcome"] == 6
    assert facets["outcome"]["not judged"] == 6


def test_an_answer_that_is_judged_while_it_is_read_is_no_fault(made_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made_run.scores_dir / "items" / "mpo-cot"
    artifacts = Artifact(path / "responses", Response), Artifact(path / "verdicts", Verdict)
    later = [(artifact, artifact.read()[4:]) for artifact in artifacts]
    for artifact, records in later:
        artifact.append("00000", artifact.read()[: -len(records)])  # type: ignore[arg-type]

    def going_on(artifact: Artifact[Any]) -> Shards[Any]:
        read = Shards(artifact)
        if artifact.path.parent == path:
            while later:
                other, records = later.pop(0)
                other.append("00001", records)  # type: ignore[arg-type]
        return read

    monkeypatch.setattr(items, "Shards", going_on)
    facets = index_items(made_run).listing.facets()
    assert facets["outcome"]["not judged"] == 6


def test_verdicts_that_come_while_pairs_are_read_shift_nothing(made_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = everything(index_pairs(made_run).listing)

    def going_on(artifact: Artifact[Any]) -> Shards[Any]:
        read = Shards(artifact)
        if artifact.path == made_run.verdicts.path:
            # Before all others, by its key.
            made_run.verdicts.append("0", [Verdict(outcome="wrong", response_id="somebody-0")])
        return read

    monkeypatch.setattr(pairs_index, "Shards", going_on)
    assert everything(index_pairs(made_run).listing) == expected


def test_verdicts_on_other_responses_are_refused(made_run: Run) -> None:
    write_items(made_run, "mpo", "cot", [make_problem(200 + number) for number in range(10)], {1})
    path = made_run.scores_dir / "items" / "mpo-cot" / "responses"
    Artifact(path, Response).append("00000", [make_response(make_problem(300), 0, "x")])
    with pytest.raises(MixprefError, match="does not belong to"):
        index_items(made_run)


def test_benchmarks_are_items_with_pictures_of_their_own(made_run: Run) -> None:
    asked = [make_problem(number, "pope") for number in (500, 501)]
    Artifact(made_run.path / "benchmarks" / "pope" / "problems", Problem).append("00000", asked)
    for role in ("base", "mpo"):
        made = [make_response(each, 0, f"{role} on pope", style="direct") for each in asked]
        path = made_run.scores_dir / "items" / f"{role}-direct-pope"
        Artifact(path / "responses", Response).append("00000", made)
        said = [Verdict(outcome="correct", response_id=each.id) for each in made]
        Artifact(path / "verdicts", Verdict).append("00000", said)
    indexed = index_items(made_run)
    assert indexed.listing.facets()["benchmark"] == {"world": 20, "pope": 2}
    cases = everything(indexed.listing, values={"benchmark": "pope"})
    assert [texts(case) for case in cases] == [["base on pope", "mpo on pope"]] * 2
    assert [case["family"] for case in cases] == ["pope", "pope"]
    assert cases[0]["pictures"] == [f"/pictures/-pope/{asked[0].id}/0"]
    assert indexed.questions["-pope"].number(asked[1].id) == 1
    # Rows after those of another set are numbered on.
    assert everything(indexed.listing, text="mpo on pope") == cases


def test_only_the_most_frequent_values_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow

    monkeypatch.setattr(indexing, "MOST_VALUES", 2)
    facet = Facet.of(pyarrow.array(["rare", "b", "a", "a", "b"]))
    assert facet.counts() == {"b": 2, "a": 2}
    assert facet.having("rare").sum() == 1


def _long(problem: Problem, sample: int, tokens: int) -> Response:
    return replace(make_response(problem, sample, f"text {sample}"), tokens=tokens)


def _of(pair: PreferencePair, problem: Problem, chosen: int, rejected: int, sampler: str = " m t=1") -> PreferencePair:
    origins = {"chosen_origin": f"{problem.id}-{chosen} m t=1", "rejected_origin": f"{problem.id}-{rejected}{sampler}"}
    return replace(pair, **origins)


def test_origins_are_read_as_everywhere(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run", Recipe(name="x"))
    asked = make_problem(0)
    run.verdicts.append("00000", [Verdict(outcome="unparsed", response_id=f"{asked.id}-1")])
    name = f"{asked.id}-1"
    origins = ["", " ", f"  {name} m", name, f"{name}\tm", f"{name} m blind", f"{name} m blind ", f"{name} blindly"]
    origins += ["blind", f"x{name}", f"{name}1", f"{name}x", "a file.jsonl:7"]
    pairs = [replace(make_pair(asked, "yes", "no"), rejected_origin=origin) for origin in origins]
    write(run, [asked], pairs)
    known = [case["outcome"] == "unparsed" for case in everything(index_pairs(run).listing)]
    assert known == [response_of(origin) == name for origin in origins]
    assert sum(known) == 4
