"""Rows of votes and pairs from elsewhere: each comes out once, as a pair or with a reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpref.errors import MixprefError
from mixpref.pairing import foreign
from mixpref.pairing.foreign import Foreign
from mixpref.records import PreferencePair, Problem, Response, Verdict

PROBLEMS = [Problem(question=f"Which is {number}?") for number in range(3)]
TWICE = [Problem(question="What is it?", images=(image,)) for image in (b"one", b"two")]
ALL = [*PROBLEMS, *TWICE]
ONE = PROBLEMS[0].id


def responses(problem: Problem, style: str = "zh") -> list[tuple[Response, Verdict]]:
    made = (
        Response(
            problem_id=problem.id, sample=sample, text=f"text {sample}", tokens=9, finish="stop", seed=0, style=style,
            sampler="tiny", logprob=None,
        )
        for sample in range(3)
    )  # fmt: skip
    return [(each, Verdict(outcome="wrong")) for each in made]


def given_pair(**more: Any) -> dict[str, Any]:
    return {"problem_id": ONE, "chosen": "good", "rejected": "bad", **more}


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Foreign]:
    def make(text: str | bytes, name: str = "added.jsonl") -> Foreign:
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return foreign.read([str(file)], ((problem.id, problem.question) for problem in ALL), "en")

    return make


def walked(rows: Foreign) -> list[PreferencePair]:
    return [pair for problem in ALL for pair in rows.of(problem, responses(problem))]


def told(rows: Foreign) -> list[tuple[int, str]]:
    return [(each.line, each.kind) for each in rows.rejected()]


def test_votes_and_pairs_come_with_their_problem(read: Callable[..., Foreign]) -> None:
    two = PROBLEMS[1]
    rows = read(
        lines(
            given_pair(question="ignored", why="correctness", style="boxed", origin="a set\nof mine"),
            {"question": two.question, "chosen": "good", "rejected": "bad"},
            {"chosen": f"{ONE}-0", "rejected": f"{ONE}-1", "by": "ann"},
            {"problem_id": two.id, "chosen": f"{two.id}-2", "rejected": f"{two.id}-1"},
        )
    )
    assert told(rows) == [(1, "not asked for"), (2, "not asked for"), (3, "not asked for"), (4, "not asked for")]
    voted, first = rows.of(PROBLEMS[0], responses(PROBLEMS[0]))
    assert (first.chosen, first.rejected, first.why, first.style) == ("good", "bad", "correctness", "boxed")
    assert (first.chosen_origin, first.rejected_origin, first.problem_id) == ("a set of mine", "a set of mine", ONE)
    assert (voted.chosen, voted.rejected, voted.why) == ("text 0", "text 1", "vote")
    assert voted.chosen_origin == f"{ONE}-0 tiny by 1 of 1 votes (ann)"
    voted, second = rows.of(two, responses(two))
    assert (second.why, second.style, second.chosen_origin) == ("foreign", "zh", "added.jsonl:2")
    assert (voted.chosen, voted.rejected) == ("text 2", "text 1")
    assert rows.rejected() == []
    assert rows.of(PROBLEMS[2], responses(PROBLEMS[2])) == []
    assert rows.counts() == {
        "rows": 4, "in pairs": 4, "pairs": {"correctness": 1, "foreign": 1, "vote": 2}, "rejected": {},
    }  # fmt: skip


def test_pairs_need_no_responses_but_votes_do(read: Callable[..., Foreign]) -> None:
    rows = read(lines(given_pair(), {"chosen": f"{ONE}-0", "rejected": f"{ONE}-1"}))
    (pair,) = rows.of(PROBLEMS[0], [])
    assert (pair.chosen, pair.style) == ("good", "en")
    assert told(rows) == [(2, "unknown response")]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("{", "bad JSON"),
        ("[1]", "bad JSON"),
        ("[" * 100_000, "bad JSON"),
        (b"\xff", "bad JSON"),
        ({"rejected": "bad", "problem_id": ONE}, "missing key"),
        ({"chosen": "good", "problem_id": ONE}, "missing key"),
        (given_pair(chosen=3), "wrong type"),
        (given_pair(chosen=["good"]), "wrong type"),
        (given_pair(problem_id=3), "wrong type"),
        (given_pair(rejected="half \ud83d"), "wrong type"),
        (given_pair(rejected=" "), "no text"),
        (given_pair(rejected=" good\n"), "identical texts"),
        (given_pair(chosen="a <image> b"), "image mark"),
        (given_pair(rejected="a <image> b"), "image mark"),
        (given_pair(why="taste"), "unknown why"),
        (given_pair(style="rhyme"), "unknown style"),
        (given_pair(problem_id="nowhere"), "unknown problem"),
        ({"chosen": "good", "rejected": "bad"}, "no problem"),
        ({"chosen": "good", "rejected": "bad", "question": "Which is 9?"}, "unknown question"),
        ({"chosen": "good", "rejected": "bad", "question": TWICE[0].question}, "ambiguous question"),
        ({"chosen": f"{ONE}-0", "rejected": f"{PROBLEMS[1].id}-0"}, "different problems"),
        ({"chosen": "nowhere-0", "rejected": "nowhere-1"}, "unknown problem"),
        ({"chosen": "-0", "rejected": "-1"}, "no problem"),
        ({"chosen": f"{ONE}-0", "rejected": f"{ONE}-9"}, "unknown response"),
        ({"chosen": f"{ONE}-0", "rejected": f"{ONE}-1", "by": 3}, "wrong type"),
        ({"chosen": f"{ONE}-0", "rejected": f"{ONE}-0"}, "identical texts"),
    ],
)
def test_a_row_that_makes_no_pair_is_rejected_with_line_and_reason(
    read: Callable[..., Foreign], row: Any, kind: str
) -> None:
    text = row if isinstance(row, bytes) else row.encode() if isinstance(row, str) else json.dumps(row).encode()
    rows = read(b"\n" + text + b"\n" + lines(given_pair()).encode())
    assert [pair.chosen for pair in walked(rows)] == ["good"]
    assert told(rows) == [(2, kind)]
    (rejected,) = rows.rejected()
    assert rejected.source_file.endswith("added.jsonl")
    assert rejected.reason
    assert rows.counts()["in pairs"] == 1


def test_a_pair_whose_texts_look_like_ids_needs_its_own_problem_to_be_a_vote(read: Callable[..., Foreign]) -> None:
    texts = {"chosen": "F-16", "rejected": "F-15"}
    rows = read(lines(given_pair(**texts), {"question": PROBLEMS[1].question, **texts}))
    assert [(pair.chosen, pair.why) for pair in walked(rows)] == [("F-16", "foreign")] * 2


def test_equal_pairs_are_one_and_contradictory_ones_none(read: Callable[..., Foreign]) -> None:
    rows = read(
        lines(
            given_pair(),
            given_pair(chosen=" good"),
            given_pair(chosen="one", rejected="other"),
            given_pair(chosen="other", rejected="one "),
            given_pair(problem_id=PROBLEMS[1].id),
        )
    )
    assert [pair.chosen for pair in walked(rows)] == ["good", "good"]
    assert told(rows) == [(2, "duplicate"), (3, "contradictory"), (4, "contradictory")]


def test_a_byte_order_mark_and_other_line_ends_are_no_hindrance(read: Callable[..., Foreign]) -> None:
    text = b"\xef\xbb\xbf" + lines(given_pair(), given_pair(chosen="better")).replace("\n", "\r\n").encode()
    assert [pair.chosen for pair in walked(read(text.rstrip()))] == ["good", "better"]


def test_rows_of_one_problem_come_in_their_order_from_all_files(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text(lines(given_pair(chosen="3")))
    (tmp_path / "a[1].jsonl").write_text(
        lines(given_pair(chosen="1"), {"question": PROBLEMS[0].question, "chosen": "2", "rejected": "bad"})
    )
    names = [str(tmp_path / "a[1].jsonl"), str(tmp_path / "*.jsonl")]
    rows = foreign.read(names, [(problem.id, problem.question) for problem in ALL], "en")
    assert [pair.chosen for pair in walked(rows)] == ["1", "2", "3"]
    assert rows.counts()["rows"] == 3


def test_rejections_come_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(lines(given_pair(problem_id="nowhere"), {"chosen": "x"}, given_pair()))
    rows = foreign.read([str(tmp_path / "b"), str(tmp_path / "a")], [(ONE, "?")], "en")
    walked(rows)
    found = [(Path(each.source_file).name, each.line) for each in rows.rejected()]
    assert found == [("b", 1), ("b", 2), ("a", 1), ("a", 2), ("a", 3)]


def test_without_a_usable_row_the_problems_are_not_read(read: Callable[..., Foreign], tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    rows = foreign.read([str(tmp_path / "empty.jsonl")], (pytest.fail("read") for _ in range(1)), "en")
    assert rows.counts() == {"rows": 0, "in pairs": 0, "pairs": {}, "rejected": {}}
    assert foreign.read([], [], "en").of(PROBLEMS[0], []) == []


@pytest.mark.parametrize(("name", "what"), [("none.jsonl", "does not exist"), (".", "is a folder")])
def test_a_missing_file_is_an_error(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(MixprefError, match=rf"pairing\.added: .*{what}; name a JSON-lines file"):
        foreign.read([str(tmp_path / name)], [], "en")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "added.jsonl"
    file.write_text("{}")
    file.chmod(0)
    with pytest.raises(MixprefError, match="cannot be read"):
        foreign.read([str(file)], [], "en")


def test_a_file_that_changes_or_goes_while_it_is_read_is_an_error(read: Callable[..., Foreign], tmp_path: Path) -> None:
    rows = read(lines(given_pair()))
    (tmp_path / "added.jsonl").write_text(lines(given_pair(chosen="new")))
    with pytest.raises(MixprefError, match="line 1, changed while it was read; run again"):
        rows.of(PROBLEMS[0], [])
    rows = read(lines(given_pair()))
    (tmp_path / "added.jsonl").unlink()
    with pytest.raises(MixprefError, match="cannot be read"):
        rows.of(PROBLEMS[0], [])


IDS = st.sampled_from([problem.id for problem in ALL] + ["nowhere", ""])
ROWS = st.one_of(
    st.builds(
        lambda one, other, first, second: {"chosen": f"{one}-{first}", "rejected": f"{other}-{second}"},
        IDS, IDS, st.integers(0, 3), st.integers(0, 3),
    ),
    st.builds(
        lambda id, chosen, rejected: {"problem_id": id, "chosen": chosen, "rejected": rejected},
        IDS, st.sampled_from("abc "), st.sampled_from("abc "),
    ),
    st.builds(
        lambda question: {"question": question, "chosen": "a", "rejected": "b"},
        st.sampled_from([problem.question for problem in ALL] + ["?"]),
    ),
    st.dictionaries(st.sampled_from(["chosen", "rejected", "question", "by"]), st.none() | st.integers() | st.text()),
)  # fmt: skip


@given(st.lists(ROWS, max_size=15), st.sets(st.integers(0, len(ALL) - 1)))
def test_each_row_comes_out_once(tmp_path_factory: pytest.TempPathFactory, rows: list[dict], asked: set[int]) -> None:
    file = tmp_path_factory.mktemp("rows") / "added.jsonl"
    file.write_text(lines(*rows))
    found = foreign.read([str(file)], [(problem.id, problem.question) for problem in ALL], "en")
    pairs = [pair for number in asked for pair in found.of(ALL[number], responses(ALL[number]))]
    rejected = [each.line for each in found.rejected()]
    assert len(set(rejected)) == len(rejected)
    votes = sum(int(pair.chosen_origin.split(" by ")[1].split()[0]) for pair in pairs if pair.why == "vote")
    assert votes + sum(pair.why != "vote" for pair in pairs) + len(rejected) == len(rows)
    assert found.counts()["in pairs"] == len(rows) - len(rejected)
