"""The page as a text: what it says, what it escapes, and that it needs nothing but itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mixpref.records import Problem, Score, Verdict
from mixpref.reporting.gather import Findings, ShownPair
from mixpref.reporting.page import bars, headline, render, training_plots

VOID = {"meta", "img", "br", "hr", "input", "link"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and keeps the tags, the attributes and the texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1:] != ["style"]:
            self.texts.append(" ".join(data.split()))

    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.tags if "id" in attrs]


def plain(text: str) -> str:
    return " ".join(Page(text).texts)


@pytest.fixture(scope="module")
def text(findings: Findings) -> str:
    return render(findings)


def test_every_part_is_there_and_every_link_leads_somewhere(text: str) -> None:
    page = Page(text)
    sections = {attrs.get("id") for tag, attrs in page.tags if tag == "section"}
    assert sections == {"scores", "training", "stages", "pairs", "changes", "settings"}
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} == {f"#{section}" for section in sections}
    said = " ".join(page.texts)
    for expected in (
        "Chain of thought: 30.0 % → 65.0 %",
        "62.0–68.0",
        "1 of 50",
        "How high is bar 4?",
        "Fixed in chain of thought (1 of 220, drawn at random)",
        "Broken in chain of thought (1 of 10, drawn at random)",
        "rows.jsonl",
        "seed: 3",
        "pairs/manifest.json",
        "sft on the same pairs: 4 optimizer steps",
    ):
        assert expected in said, expected


def test_the_page_needs_nothing_but_itself(text: str) -> None:
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    addresses = [attrs[key] for _, attrs in page.tags for key in ("src", "href", "xlink:href") if attrs.get(key)]
    assert addresses
    assert all(each is not None and each.startswith(("data:image/", "#")) for each in addresses)
    assert not re.search(r"@import|url\((?!#)", text)
    assert "default-src 'none'" in text


def test_the_page_is_the_same_for_the_same_findings(findings: Findings, text: str) -> None:
    assert render(findings) == text


HOSTILE = (
    "</p></article></style><script>alert(1)</script><img src=x onerror='alert(1)'>\"'&amp; {{ 7*7 }} \x00\x1b \ud800"
)


def test_text_from_models_and_data_is_escaped(findings: Findings, problem: Callable[..., Problem]) -> None:
    shown = findings.gallery[0]
    asked = problem(9, HOSTILE, question=HOSTILE, choices=(HOSTILE, "b"), answer=HOSTILE, id="9")
    hostile = replace(
        findings,
        name=HOSTILE,
        recipe=HOSTILE,
        gallery=(
            ShownPair(
                pair=replace(shown.pair, chosen=HOSTILE, rejected=HOSTILE, why=HOSTILE),  # type: ignore[arg-type]
                problem=asked,
                chosen=Verdict(outcome="correct", answer=HOSTILE),
                rejected=None,
            ),
        ),
        pairs={HOSTILE: 1},
        scores=tuple(
            replace(each, benchmark=each.benchmark.replace("world", HOSTILE.replace("/", "|")))
            for each in findings.scores
        ),
        rejected=(replace(findings.rejected[0], source_file=HOSTILE, kind=HOSTILE, reason=HOSTILE),),
        manifests={HOSTILE: HOSTILE},
    )
    text = render(hostile)
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert text.count("alert(1)") > 10
    assert "{{ 7*7 }}" in text
    assert not re.search("[\x00\x1b\ud800]", text)
    text.encode()


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
        "finishes",
        "outcomes",
        "solved",
        "pairs",
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


def test_problems_may_have_no_picture_or_many_or_a_broken_one(
    findings: Findings, problem: Callable[..., Problem]
) -> None:
    good = problem(1).images[0]
    shown = findings.gallery[0]
    cases = [(), (good, good, good), (good, b"no picture"), None]
    page = Page(
        render(
            replace(
                findings,
                changes=(),
                gallery=tuple(
                    replace(shown, problem=None if images is None else problem(1, images=images)) for images in cases
                ),
            )
        )
    )
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 4
    assert page.texts.count("This picture cannot be decoded.") == 1
    assert "The problem is no longer in this run directory." in page.texts


def test_the_right_choice_is_marked(text: str) -> None:
    right = [attrs for tag, attrs in Page(text).tags if tag == "li" and attrs.get("class") == "right"]
    assert len(right) == 2  # the same problem, fixed and broken
    assert "B. 7" in plain(text)


def test_responses_say_how_they_were_read_and_whether_they_were_cut(findings: Findings) -> None:
    shown = findings.gallery[0]
    cut = replace(shown, pair=replace(shown.pair, rejected_complete=False))
    said = plain(render(replace(findings, gallery=(cut,))))
    assert "correct: read as 4" in said
    assert "wrong: read as 5 · cut at the token limit" in said


def test_the_headline_says_how_sure_it_is(findings: Findings) -> None:
    title, lines = headline(findings)
    assert title.replace("\u00a0", " ") == "Chain of thought: 30.0 % → 65.0 %"
    said = " ".join(lines).replace("\u00a0", " ")
    assert "+35.0 points on 600 held-out problems" in said
    assert "27.0–33.0 and 62.0–68.0, do not overlap" in said
    assert "was 10.0 points below the direct answer; after it, it is 20.0 points above" in said
    assert "1.0 % before, 1.0 % after" in said


def test_the_headline_does_not_boast(score: Callable[..., Score]) -> None:
    worse = Findings(name="", scores=(score("base", "cot", 0.30), score("mpo", "cot", 0.28)))
    said = " ".join(headline(worse)[1])
    assert "−2.0 points" in said
    assert "overlap: by these alone, the difference may be chance" in said
    assert "direct answer" not in said


def test_the_headline_without_a_pair_of_models(score: Callable[..., Score]) -> None:
    assert headline(Findings(name=""))[0] == "Not evaluated yet"
    assert headline(Findings(name="", scores=(score("base", "cot", 0.3),)))[0].startswith("base: CoT 30.0")
    mixed = Findings(name="", scores=(score("base", "cot", 0.3), score("mpo", "direct", 0.4)))
    assert headline(mixed)[0] == "No common scores"
    direct = Findings(name="", scores=(score("base", "direct", 0.3), score("dpo", "direct", 0.4)))
    assert headline(direct)[0].startswith("The direct answer: 30.0")


def test_bars_add_up(findings: Findings) -> None:
    made = {bar.name: bar for bar in bars(findings)}
    assert {name: bar.total for name, bar in made.items()} == {
        "Problems": 614,
        "Responses": 80,
        "Verdicts": 80,
        "Pairs": 55,
    }
    assert all(bar.total == sum(count for _, count, _ in bar.parts) for bar in made.values())


def test_pass_at_k_is_the_mean_over_the_problems_with_so_many_samples(text: str) -> None:
    # k = 1: (4 x 0/8 + 4 x 4/8 + 1 x 6/6) / 9; k = 8: (4 x 0 + 4 x 1) / 8, without the problem of 6 samples.
    assert "pass@k runs from 33.3 % to 50.0 %" in text
    assert "0: 4, 1: 0, 2: 0, 3: 0, 4: 4, 5: 0, 6: 1" in text


def test_a_response_without_an_answer_says_why(findings: Findings) -> None:
    shown = replace(findings.gallery[0], rejected=Verdict(outcome="unparsed", detail="two answers"))
    assert "unparsed: two answers" in plain(render(replace(findings, gallery=(shown,))))


def test_training_plots_leave_out_what_was_not_logged() -> None:
    assert len(training_plots([{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5, "rewards/margins": 0.1}])) == 2
    assert training_plots([{"step": 1, "loss": None, "delta": "much"}]) == []


def test_several_benchmarks_have_a_table_each(findings: Findings, score: Callable[..., Score]) -> None:
    more = (*findings.scores, score("base", "cot", 0.2, "puzzles"), score("mpo", "cot", 0.3, "puzzles"))
    page = Page(render(replace(findings, scores=more)))
    assert {"world", "puzzles"} <= set(page.texts)
    assert len([tag for tag, _ in page.tags if tag == "caption"]) == 3


def test_ids_are_unique(text: str) -> None:
    # Tick marks that two plots draw alike share a name and a shape: those are no clash.
    ids = [each for each in Page(text).ids() if not re.fullmatch(r"m[0-9a-f]{10}", each)]
    assert len(ids) == len(set(ids))


def test_what_the_trainer_logs_is_what_is_drawn() -> None:
    from mixpref.reporting.page import PANELS
    from mixpref.training.metrics import MEANS

    drawn = {key for _, lines, _ in PANELS for key, _ in lines}
    assert drawn == {*MEANS, "delta", "grad_norm", "learning_rate"}
