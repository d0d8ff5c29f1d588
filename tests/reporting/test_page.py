"""The page as a text: what it says, what it escapes, and that it needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from mixpref.records import PreferencePair, Problem, Score, Verdict
from mixpref.reporting.cases import pair_case
from mixpref.reporting.gallery import Gallery
from mixpref.reporting.gather import Findings
from mixpref.reporting.page import commands, render, script
from mixpref.reporting.sampled import Paired, Sampled

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps the tags, the attributes and the texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.scripts[-1] += data
        elif data.strip() and self.open[-1:] != ["style"]:
            self.texts.append(" ".join(data.split()))

    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.tags if "id" in attrs]

    def policy(self) -> str:
        (found,) = (attrs["content"] for _, attrs in self.tags if attrs.get("http-equiv") == "Content-Security-Policy")
        return found or ""


def cases(text: str) -> dict[str, Any]:
    """What the page's script finds."""
    data, _ = Page(text).scripts
    return json.loads(data)


@pytest.fixture(scope="module")
def text(findings: Findings) -> str:
    return render(findings)


def test_every_part_is_there_and_every_link_leads_somewhere(text: str) -> None:
    page = Page(text)
    sections = {attrs.get("id") for tag, attrs in page.tags if tag == "section"}
    assert sections == {"scores", "training", "stages", "pairs", "items", "settings"}
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {f"#{section}" for section in sections}
    said = " ".join(page.texts)
    for expected in (
        "Chain of thought: 30.0 % → 65.0 %",
        "62.0–68.0",
        "This file holds 1 of 55 pairs",
        "This file holds 2 of 600 items",
        "220 10 170 190 10 +35.6",
        "rows.jsonl",
        "seed: 3",
        "pairs/manifest.json",
        "sft on the same pairs: 4 optimizer steps",
    ):
        assert expected in said, expected
    assert [attrs["data-list"] for _, attrs in page.tags if attrs.get("class") == "browser"] == ["pairs", "items"]


def test_the_cases_are_in_the_file_as_they_are(findings: Findings, text: str) -> None:
    assert cases(text) == {
        "pairs": findings.gallery.pairs,
        "items": findings.gallery.items,
        "pictures": findings.gallery.pictures,
    }


def test_the_page_needs_nothing_but_itself(text: str) -> None:
    page = Page(text)
    assert not {"iframe", "object", "form", "base"} & {tag for tag, _ in page.tags}
    # An empty icon keeps the browser from asking a server for one.
    assert [attrs for tag, attrs in page.tags if tag == "link"] == [{"rel": "icon", "href": "data:,"}]
    assert all("src" not in attrs for tag, attrs in page.tags if tag == "script")
    addresses = [attrs[key] for _, attrs in page.tags for key in ("src", "href", "xlink:href") if attrs.get(key)]
    assert addresses
    assert all(each is not None and (each.startswith("#") or each == "data:,") for each in addresses)
    assert all(uri.startswith("data:image/") for uri in cases(text)["pictures"].values())
    assert not re.search(r"@import|url\((?!#)", text)


def test_the_policy_allows_the_page_its_own_script_and_nothing_else(text: str) -> None:
    page = Page(text)
    _, run = page.scripts
    assert run == script()
    digest = base64.b64encode(hashlib.sha256(run.encode()).digest()).decode()
    rules = dict(rule.strip().split(" ", 1) for rule in page.policy().split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'sha256-{digest}'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "connect-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_a_served_page_asks_its_server_for_the_cases(findings: Findings) -> None:
    page = Page(render(findings, served=True))
    assert page.scripts == [script()]
    assert [attrs["content"] for _, attrs in page.tags if attrs.get("name") == "mixpref-api"] == ["/api"]
    assert "connect-src 'self'" in page.policy()
    assert "img-src data: 'self'" in page.policy()
    assert "All 55 pairs of the run." in " ".join(page.texts)
    assert not any(attrs.get("name") == "mixpref-api" for _, attrs in Page(render(findings)).tags)


def test_the_script_puts_text_in_as_text() -> None:
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", script())
    # It stands in the page as it is: nothing in it may end its element.
    assert "</script" not in script()
    assert "<!--" not in script()


def test_the_page_is_the_same_for_the_same_findings(findings: Findings, text: str) -> None:
    assert render(findings) == text


HOSTILE = (
    "</p></article></style></script><!--<script>alert(1)</script><img src=x onerror='alert(1)'>\"'&amp; {{ 7*7 }} "
    "\x00\x1b \ud800"
)


def test_text_from_models_and_data_is_escaped(
    findings: Findings, problem: Callable[..., Problem], pair: Callable[..., PreferencePair]
) -> None:
    asked = problem(9, HOSTILE, question=HOSTILE, choices=(HOSTILE, "b"), answer=HOSTILE, id=HOSTILE)
    verdict = Verdict(outcome="correct", answer=HOSTILE)
    case = pair_case(pair(asked, HOSTILE, "b" + HOSTILE, HOSTILE), asked, verdict, None, (1, 2), [None])
    named = HOSTILE.replace("/", "|")
    hostile = replace(
        findings,
        name=HOSTILE,
        path=HOSTILE,
        recipe=HOSTILE,
        gallery=Gallery(pairs=[case], items=[case]),
        sampled=Sampled(
            finishes={"stop": 1},
            outcomes={HOSTILE: 1},
            families={HOSTILE: {"correct": 1}, "b": {"wrong": 2}},
            tokens={HOSTILE: {1: 1}},
        ),
        paired=Paired(kinds={HOSTILE: 1}, problems=1),
        scores=tuple(
            replace(
                each,
                benchmark=each.benchmark.replace("world", named),
                metric=HOSTILE,
                judge=HOSTILE,
                details=((HOSTILE, 0.5),),
            )
            for each in findings.scores
        ),
        changes=tuple(replace(each, benchmark=HOSTILE, after=HOSTILE) for each in findings.changes),
        rejected=(replace(findings.rejected[0], source_file=HOSTILE, kind=HOSTILE, reason=HOSTILE),),
        manifests={HOSTILE: HOSTILE},
    )
    text = render(hostile)
    page = Page(text)
    assert [attrs.get("type") for tag, attrs in page.tags if tag == "script"] == ["application/json", None]
    assert "img" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert text.count("alert(1)") > 10
    assert "{{ 7*7 }}" in text
    assert not re.search("[\x00\x1b\ud800]", text)
    text.encode()
    cleaned = HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd").replace("\ud800", "\ufffd")
    assert cases(text)["pairs"][0]["question"] == cleaned


def test_a_run_without_anything_has_a_page() -> None:
    page = Page(render(Findings(name="new")))
    assert "Not evaluated yet" in page.texts
    assert {attrs.get("id") for tag, attrs in page.tags if tag == "section"} == {"settings"}


@pytest.mark.parametrize(
    "part",
    [
        "scores",
        "train",
        "held_out",
        "unused",
        "rejected",
        "sampled",
        "paired",
        "gallery",
        "changes",
        "logs",
        "recipe",
        "manifests",
    ],
)
def test_any_part_may_be_missing(findings: Findings, part: str) -> None:
    empty = getattr(Findings(name=""), part)
    Page(render(replace(findings, **{part: empty})))


def test_every_part_names_the_command_that_made_it(findings: Findings) -> None:
    measured = "mixpref evaluate 'runs/my demo' --roles base mpo"
    page = Page(render(replace(findings, path="runs/my demo", measured=measured)))
    said = " ".join(page.texts)
    for command in (
        measured,
        "mixpref train 'runs/my demo'",
        "mixpref train 'runs/my demo' --role sft",
        "mixpref sample 'runs/my demo'",
        "mixpref verify 'runs/my demo'",
        "mixpref pair 'runs/my demo'",
        "mixpref report 'runs/my demo'",
        "mixpref view 'runs/my demo'",
    ):
        assert command in said, command
    heads = [attrs for tag, attrs in page.tags if attrs.get("class") == "made"]
    assert len(heads) >= 10


def test_the_commands_are_the_command_line_s(findings: Findings) -> None:
    from mixpref.cli import _COMMANDS

    named = {command.split()[1] for command in commands(findings).values()}
    assert named - {"view"} <= {*_COMMANDS}


def test_several_benchmarks_have_a_board_and_a_table_each(findings: Findings, score: Callable[..., Score]) -> None:
    more = (
        *findings.scores,
        replace(score("base", "cot", 3.1, "puzzles"), scale=6.0, metric="mean score", judge="judge 1"),
        replace(score("mpo", "cot", 3.5, "puzzles"), scale=6.0, metric="mean score", details=(("hallucinated", 0.25),)),
        score("mpo", "cot", 0.5, "puzzles/task: counting"),
    )
    page = Page(render(replace(findings, scores=more)))
    said = " ".join(page.texts)
    assert "All benchmarks: each one's figure with its 95 % interval" in said
    assert "Mean score, out of 6 with its 95 % interval" in said
    assert "3.50 3.47–3.53" in said
    assert "Judged by judge 1." in said
    assert "hallucinated mpo, CoT 0.250" in said
    assert "task counting 600" in said
    # The board, world, puzzles, its details, fixed and broken.
    assert len([tag for tag, _ in page.tags if tag == "caption"]) == 5


def test_ids_are_unique(text: str) -> None:
    # Tick marks that two plots draw alike share a name and a shape: those are no clash.
    ids = [each for each in Page(text).ids() if not re.fullmatch(r"m[0-9a-f]{10}", each)]
    assert len(ids) == len(set(ids))


def test_what_scrolls_and_what_is_looked_at_has_a_name(text: str) -> None:
    page = Page(text)
    assert all(attrs.get("aria-label") for _, attrs in page.tags if attrs.get("role") in ("region", "img"))
    assert all(attrs.get("role") == "region" for _, attrs in page.tags if attrs.get("class") == "scroll")
    assert any(tag == "noscript" for tag, _ in page.tags)
