"""The page in a browser, from the disk and behind `mixpref view`: what it shows, how it is used, what it never does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mixpref.recipe import Recipe
from mixpref.reporting.gather import gather
from mixpref.reporting.page import render
from mixpref.reporting.stage import report
from mixpref.rundir import Run

from .browser import CHROMIUM, FLAGS, HOSTILE, ITEMS, NARROW, PAIRS, PICTURE, WIDE, Looking, serving, write_run

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the page in a browser: needs playwright (pip install playwright)"
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the page in a browser: needs Chromium (apt install chromium)")
expect = playwright.expect


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(Run.open(tmp_path_factory.mktemp("browser") / "run", Recipe(name="small", seed=3)))


@pytest.fixture(scope="module")
def addresses(run: Run) -> Iterator[dict[str, str]]:
    report(run)
    with serving(run) as address:
        yield {"file": run.report_file.as_uri(), "served": address}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["file", "served"])
def opening(request: pytest.FixtureRequest, chromium: Any, addresses: dict[str, str]) -> Iterator[Looking]:
    look = Looking(chromium, addresses[request.param])
    yield look
    look.close()


@pytest.fixture
def looking(opening: Looking) -> Iterator[Looking]:
    """The page in both its forms. Whatever a test does with it, nothing may go wrong or leave the machine."""
    yield opening
    faults = list(opening.faults)
    opening.again()
    assert faults == []


class Browser:
    """What a reader does with one of the page's two browsers."""

    def __init__(self, page: Any, name: str) -> None:
        self.page = page
        self.name = name
        self.root = page.locator(f'.browser[data-list="{name}"]')
        self.cards = self.root.locator("article.case")

    def choose(self, **values: str) -> None:
        for name, value in values.items():
            self.root.locator(f"#{self.name}-{name}").select_option(value)

    def gap(self, bound: str, value: str) -> None:
        self.root.get_by_label(bound).fill(value)

    def search(self, text: str) -> None:
        self.root.get_by_label("Text").fill(text)

    def expect(self, found: int) -> None:
        """The count says so, and so many cards are there, up to a page of them."""
        total, noun = (PAIRS, "pairs") if self.name == "pairs" else (ITEMS, "items")
        expect(self.root.get_by_role("status")).to_have_text(f"{found} of {total} {noun}")
        expect(self.cards).to_have_count(min(found, 20))

    def told(self, part: str) -> set[str]:
        return {" ".join(text.split()) for text in self.cards.locator(part).all_inner_texts()}


def opened(looking: Looking, name: str = "pairs", fragment: str = "", **settings: Any) -> Browser:
    browser = Browser(looking.open(fragment, **settings), name)
    expect(browser.cards.first).to_be_visible()
    return browser


def test_filters_choose_the_cards_and_work_together(looking: Looking) -> None:
    pairs = opened(looking)
    pairs.expect(48)
    pairs.choose(kind="format")
    pairs.expect(18)
    assert pairs.told(".what") == {"format"}
    pairs.choose(outcome="cut")
    pairs.expect(12)
    assert all("cut at the token limit" in text for text in pairs.told(".side:not(.ok) .notes"))
    pairs.choose(family="几何")
    pairs.expect(6)
    assert all(text.startswith("几何 ·") or "· 几何 ·" in text for text in pairs.told(".source"))
    pairs.choose(kind="", outcome="")
    pairs.expect(16)
    pairs.root.get_by_role("button", name="Clear filters").click()
    pairs.expect(48)
    expect(pairs.root.get_by_role("button", name="Clear filters")).to_be_hidden()


def test_the_length_gap_is_given_in_per_cent(looking: Looking) -> None:
    pairs = opened(looking)
    # 8 problems have a wrong response half as long as the right one, six of them in two pairs.
    pairs.gap("at least", "50")
    pairs.expect(14)
    assert pairs.told(".side.ok .notes") == {"correct: read as 4 · 20 tokens"}
    assert pairs.told(".side:not(.ok) .notes") == {"wrong: read as 99 · 10 tokens"}
    pairs.gap("at least", "")
    pairs.gap("at most", "-50")
    pairs.expect(16)
    pairs.gap("at least", "-10")
    pairs.gap("at most", "10")
    pairs.expect(18)
    pairs.choose(kind="correctness")
    pairs.expect(0)
    expect(pairs.root).to_contain_text("Nothing matches these filters.")


def test_items_are_filtered_by_what_became_of_them_and_by_style(looking: Looking) -> None:
    found = opened(looking, "items")
    found.expect(24)
    for style, counts in {
        "cot": {"fixed": 4, "broken": 2, "both right": 2, "both wrong": 4},
        "direct": {"fixed": 1, "both right": 2, "both wrong": 9},
    }.items():
        for kind, count in counts.items():
            found.choose(style=style, kind=kind)
            # Two kinds may be as many: the cards themselves say when the new ones are there.
            expect(found.cards.locator(".what")).to_have_text([kind] * count)
            found.expect(count)
    found.choose(style="cot", kind="broken")
    expect(found.cards.locator(".what")).to_have_text(["broken"] * 2)
    assert {label.split()[0] for label in found.told(".side.ok h4")} == {"before"}
    assert {label.split()[0] for label in found.told(".side:not(.ok) h4")} == {"after"}


def test_the_search_reads_questions_and_responses(looking: Looking) -> None:
    pairs = opened(looking)
    # A half word in capitals; one of a question and one of a response; Chinese; and what would be markup.
    for text, count in (
        ("ANNOT SA", 18),
        ("bar 7?", 2),
        ("2001 is 7 high", 2),
        ("柱子高三", 2),
        ("img src=x onerror", 2),
    ):
        pairs.search(text)
        pairs.expect(count)
    pairs.search("no such words")
    pairs.expect(0)


def test_pages_are_turned_by_the_keyboard(looking: Looking) -> None:
    pairs = opened(looking)
    where = pairs.root.locator(".where")
    first = pairs.cards.first.inner_text()
    expect(where).to_have_text("Page 1 of 3")
    expect(pairs.root.get_by_role("button", name="Previous")).to_be_disabled()

    pairs.root.get_by_label("Text").focus()
    tab_to(pairs.page, "Next")
    pairs.page.keyboard.press("Enter")
    expect(where).to_have_text("Page 2 of 3")
    # The reader is at the first of the new cards, and sees where that is.
    expect(pairs.root.get_by_role("region", name="The pairs found")).to_be_focused()
    expect(pairs.root.get_by_role("status")).to_be_in_viewport()
    assert pairs.cards.first.inner_text() != first

    tab_to(pairs.page, "Next")
    pairs.page.keyboard.press("Space")
    expect(where).to_have_text("Page 3 of 3")
    expect(pairs.cards).to_have_count(8)
    expect(pairs.root.get_by_role("button", name="Next")).to_be_disabled()

    tab_to(pairs.page, "Previous")
    pairs.page.keyboard.press("Enter")
    expect(where).to_have_text("Page 2 of 3")
    tab_to(pairs.page, "Previous")
    pairs.page.keyboard.press("Enter")
    expect(where).to_have_text("Page 1 of 3")
    assert pairs.cards.first.inner_text() == first


def tab_to(page: Any, button: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == button:
            return
    pytest.fail(f"the keyboard does not reach {button}")


def test_the_address_keeps_the_filters_of_both_browsers(looking: Looking) -> None:
    pairs = opened(looking)
    found = Browser(pairs.page, "items")
    pairs.choose(kind="correctness")
    pairs.gap("at most", "50")
    pairs.expect(30)
    pairs.root.get_by_role("button", name="Next").click()
    expect(pairs.root.locator(".where")).to_have_text("Page 2 of 2")
    found.choose(style="cot")
    found.search("mpo says that it is 105")
    found.expect(1)

    pairs.page.reload()
    expect(pairs.root.get_by_role("status")).to_have_text("30 of 48 pairs")
    expect(pairs.root.locator(".where")).to_have_text("Page 2 of 2")
    expect(pairs.cards).to_have_count(10)
    expect(pairs.root.locator("#pairs-kind")).to_have_value("correctness")
    expect(pairs.root.get_by_label("at most")).to_have_value("50")
    found.expect(1)
    expect(found.root.locator("#items-style")).to_have_value("cot")
    expect(found.root.get_by_label("Text")).to_have_value("mpo says that it is 105")

    # As a colleague opens the address.
    again = opened(looking, "items", "#" + pairs.page.url.split("#")[1])
    again.expect(1)
    expect(again.root).to_be_in_viewport()


def test_what_differs_is_marked(looking: Looking) -> None:
    pairs = opened(looking)
    pairs.search("2001 is 7 high")
    pairs.choose(kind="correctness")
    pairs.expect(1)
    assert pairs.told(".side.ok ins") == {"7"}
    assert pairs.told(".side:not(.ok) del") == {"99"}
    pairs.search("柱子高二")
    pairs.expect(2)
    assert (pairs.told("ins"), pairs.told("del")) == ({"二"}, {"三"})
    # Marks are seen, not only there.
    ground = "getComputedStyle(document.querySelector('{} .said {}')).backgroundColor"
    seen = {pairs.page.evaluate(ground.format(".browser", mark)) for mark in ("ins", "del")}
    assert len(seen) == 2
    assert "rgba(0, 0, 0, 0)" not in seen


def test_what_models_and_data_say_is_text(looking: Looking) -> None:
    pairs = opened(looking)
    pairs.search("onerror")
    pairs.expect(2)
    assert pairs.told("h3") == {f"Which one? {HOSTILE}"}
    assert f"A. {HOSTILE}" in pairs.told(".choices li")
    assert pairs.told(".side.ok .said") == {f"{HOSTILE} says 1."}
    assert pairs.page.locator('img[src="x"], [onerror]').count() == 0


def test_light_and_dark(looking: Looking) -> None:
    grounds = []
    for scheme in ("light", "dark"):
        page = opened(looking, color_scheme=scheme).page
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
        ink = page.evaluate("getComputedStyle(document.body).color.match(/\\d+/g).slice(0, 3).map(Number)")
        grounds.append((sum(colour), sum(ink)))
    (light, dark_ink), (dark, light_ink) = grounds
    assert light > 3 * 230 > 3 * 60 > dark
    assert light_ink > 3 * 200 > 3 * 60 > dark_ink


def test_nobody_is_shut_out(looking: Looking) -> None:
    """WCAG 2 A and AA, as far as axe can tell, with everything unfolded."""
    reason = "needs axe (pip install axe-playwright-python)"
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=reason).Axe()
    page = opened(looking, color_scheme="light").page
    unfold(page)
    rules = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}, "resultTypes": ["violations"]}
    for scheme, size in (("light", WIDE), ("dark", WIDE), ("dark", NARROW), ("light", NARROW)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        found = axe.run(page, options=rules).response
        faults = [(each["id"], node["target"]) for each in found["violations"] for node in each["nodes"][:3]]
        assert faults == [], f"{scheme}, {size['width']} pixels wide"
        assert len(found["passes"]) > 10


def unfold(page: Any) -> None:
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")


def test_a_phone_need_not_be_scrolled_sideways(looking: Looking) -> None:
    pairs = opened(looking, viewport=NARROW)
    page = pairs.page
    unfold(page)
    # Words without an end, in a question and in a response.
    for text in ("", "longlonglong", "99999999"):
        pairs.search(text)
        pairs.expect(2 if text else 48)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
        assert page.evaluate("document.body.scrollWidth") <= NARROW["width"]
    # What says of a table what it is, is read without scrolling the table.
    captions = page.locator("caption").evaluate_all("(all) => all.map((one) => one.getBoundingClientRect().right)")
    assert len(captions) >= 2
    assert max(captions) <= NARROW["width"]


def test_without_its_script_the_page_still_tells_the_results(looking: Looking) -> None:
    page = looking.open(java_script_enabled=False)
    expect(page.locator("#scores table").first).to_contain_text("mpo")
    assert page.locator("svg.plot").count() >= 6
    for plot in page.locator("#training svg.plot").all():
        expect(plot).to_be_visible()
    expect(page.locator("#items table")).to_be_visible()
    for name in ("pairs", "items"):
        notice = page.locator(f"#{name} noscript p")
        expect(notice).to_contain_text("let this page run its script")
        expect(notice).to_be_visible()
        assert page.locator(f'.browser[data-list="{name}"]').inner_text() == ""


def test_the_file_holds_small_pictures_and_the_server_gives_them_whole(looking: Looking) -> None:
    pairs = opened(looking)
    pairs.choose(kind="correctness")
    pairs.expect(30)
    pictures = pairs.cards.locator("img")
    # Decoding one that is broken or not there is refused.
    widths = set(
        pictures.evaluate_all("(all) => Promise.all(all.map((one) => one.decode().then(() => one.naturalWidth)))")
    )
    served = looking.address.startswith("http")
    assert widths == {PICTURE[0] if served else 256}
    assert pairs.cards.locator("a[href*='/pictures/']").count() == (pictures.count() if served else 0)
    pairs.search("longlonglong")
    pairs.expect(2)
    expect(pairs.cards.first).to_contain_text("This picture cannot be decoded.")


def test_the_server_has_all_pairs_where_the_file_has_some(
    run: Run, chromium: Any, addresses: dict[str, str], tmp_path: Path
) -> None:
    part = tmp_path / "part.html"
    part.write_text(render(gather(run, pairs=12, items=6)), encoding="utf-8")
    file, served = Looking(chromium, part.as_uri()), Looking(chromium, addresses["served"])
    page = opened(file).page
    expect(page.locator("#pairs").get_by_role("status")).to_have_text("12 of 12 pairs")
    expect(page.locator("#pairs")).to_contain_text("This file holds 12 of 48 pairs")
    expect(page.locator("#items")).to_contain_text("This file holds 6 of 24 items")
    page = opened(served).page
    expect(page.locator("#pairs").get_by_role("status")).to_have_text("48 of 48 pairs")
    expect(page.locator("#pairs")).to_contain_text("All 48 pairs of the run.")
    for look in (file, served):
        look.close()
    assert file.faults + served.faults == []


def test_the_file_asks_for_nothing_and_the_server_for_cases_and_pictures(looking: Looking) -> None:
    pairs = opened(looking)
    pairs.search("2001 is 7")
    pairs.expect(2)
    pairs.search("")
    pairs.expect(48)
    asked = {address for address in looking.requests if not address.startswith("data:")}
    if looking.address.startswith("file:"):
        assert asked == {looking.address}
    else:
        paths = {address.removeprefix(looking.address).split("?")[0].split("/")[0] for address in asked}
        assert paths == {"", "api", "pictures"}


def test_a_server_that_does_not_answer_is_named(run: Run, chromium: Any) -> None:
    with serving(run) as address:
        look = Looking(chromium, address)
        pairs = opened(look)
        pairs.page.context.set_offline(True)
        pairs.choose(kind="format")
        expect(pairs.root.get_by_role("status")).to_contain_text("Is mixpref view still running?")
        pairs.page.context.set_offline(False)
        pairs.choose(kind="correctness")
        pairs.expect(30)
        look.close()
    # The browser itself writes of the failed request; nothing else is amiss.
    assert [fault for fault in look.faults if "ERR_INTERNET_DISCONNECTED" not in fault] == []
