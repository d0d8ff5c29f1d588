"""A run made for looking at, and a Chromium that looks: every test of the page in a browser begins with these."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from PIL import Image

from mixpref.evaluation.stage import items
from mixpref.records import PreferencePair, Problem, Response, Verdict
from mixpref.reporting.server import server
from mixpref.rundir import Run

from .conftest import make_pair, make_problem, make_response, make_score

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without the sandbox it runs as root, too; the others keep it from calling its maker.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}

HOSTILE = "</script><img src=x onerror=alert(1)><!-- <script>alert(2)</script>"
FAMILIES = ("chart", "table", "几何")
PICTURE = 400, 300
"""Width and height of the problems' pictures: more than the file's small ones have."""
PAIRS, ITEMS = 48, 24

# Of 12 held-out problems, by number, those that were answered rightly.
_RIGHT = {
    ("base", "cot"): {0, 1, 2, 3},
    ("mpo", "cot"): {2, 3, 4, 5, 6, 7},
    ("base", "direct"): {0, 1},
    ("mpo", "direct"): {0, 1, 2},
}


def write_run(run: Run) -> Run:
    """24 problems of three families with three samples each and 48 pairs; 12 held-out problems, answered in two styles.

    Problem 1 attacks the page wherever it can, problem 2 is Chinese, and problem 3 has words without an end.
    """
    train = [_problem(number) for number in range(24)]
    held_out = [_problem(100 + number) for number in range(12)]
    for split, problems in (("train", train), ("held_out", held_out)):
        artifact = run.problems(split)  # type: ignore[arg-type]
        artifact.append("00000", problems)
        artifact.finish({"source": "made"}, {"rows": 36, "unused": 0})

    responses: list[Response] = []
    verdicts: list[Verdict] = []
    pairs: list[PreferencePair] = []
    for number, problem in enumerate(train):
        made = _samples(number, problem)
        responses += made
        verdicts += (
            Verdict(outcome=outcome, answer=answer, response_id=response.id)  # type: ignore[arg-type]
            for (outcome, answer), response in zip(
                (("correct", "4"), ("wrong", "99"), ("unparsed", "")), made, strict=True
            )
        )
        good, wrong, other = (response.text for response in made)
        # 24 + 6 pairs of one kind, 18 of the other: of these 12 were cut, 6 have no answer that can be read.
        pairs += [make_pair(problem, good, wrong)] * (2 if number < 6 else 1)
        if number >= 6:
            odd = make_pair(problem, good, other, "format")
            origin = f"{problem.id}-2 made"
            pairs.append(replace(odd, rejected_origin=origin, rejected_complete=made[2].finish != "length"))
    for artifact, records in ((run.responses, responses), (run.verdicts, verdicts), (run.pairs, pairs)):
        artifact.append("00000", records)  # type: ignore[arg-type]
        artifact.finish({}, {})

    log = [
        {"step": step, "loss": 2 / step, "rewards/chosen": step / 10, "rewards/rejected": -step / 10, "delta": 0.1}
        for step in range(1, 9)
    ]
    run.model_dir("mpo").mkdir()
    (run.model_dir("mpo") / "training_log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    for (model, style), right in _RIGHT.items():
        _write_answers(run, model, style, held_out, right)
    for model in ("base", "mpo"):
        scores = [make_score(model, style, len(_RIGHT[model, style]) / 12, n=12) for style in ("direct", "cot")]
        scores += [replace(each, benchmark=f"world/{family}", n=4) for each in scores for family in FAMILIES]
        (run.scores_dir / f"{model}.json").write_text(json.dumps([asdict(score) for score in scores]))
    return run


def _problem(number: int) -> Problem:
    more: dict[str, Any] = {"images": (_picture(number),)}
    if number == 1:
        more |= {"question": f"Which one? {HOSTILE}", "choices": (HOSTILE, "4"), "answer": "B"}
    if number == 2:
        more |= {"question": "图中的柱子有多高？"}
    if number == 3:
        more |= {"question": "How long is " + "long" * 200 + "?", "images": (_picture(3), b"no picture")}
    return make_problem(number, FAMILIES[number % 3], **more)


def _picture(number: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", PICTURE, (10 * number % 256, 90, 120)).save(stream, "PNG")
    return stream.getvalue()


def _samples(number: int, problem: Problem) -> list[Response]:
    """A right one of 20 tokens; a wrong one of 10 for 8 problems and of 40 for the others; one without an answer."""
    texts = [f"The bar of 2001 is {number} high.", "The bar of 2001 is 99 high.", "I cannot say how high it is."]
    if number == 1:
        texts = [f"{HOSTILE} says {number}.", f"{HOSTILE} says 99.", "No."]
    if number == 2:
        texts = ["图中的柱子高二米。", "图中的柱子高三米。", "不知道。"]
    if number == 3:
        texts[1] = "9" * 600
    cut = "length" if number % 3 else "stop"
    tokens = (20, 10 if number < 8 else 40, 20)
    return [
        replace(make_response(problem, sample, text, finish), tokens=many)
        for sample, (text, finish, many) in enumerate(zip(texts, ("stop", "stop", cut), tokens, strict=True))
    ]


def _write_answers(run: Run, model: str, style: str, problems: list[Problem], right: set[int]) -> None:
    responses, verdicts = [], []
    for number, problem in enumerate(problems):
        answer = str(100 + number) if number in right else "99"
        responses.append(make_response(problem, 0, f"{model} says that it is {answer}.", style=style))
        outcome = "correct" if number in right else "wrong"
        verdicts.append(Verdict(outcome=outcome, answer=answer, response_id=responses[-1].id))  # type: ignore[arg-type]
    for artifact, records in zip(items(run, model, style), (responses, verdicts), strict=True):
        artifact.append("00000", records)  # type: ignore[arg-type]


@contextmanager
def serving(run: Run) -> Iterator[str]:
    """The address of the run's page while a server answers there."""
    with server(run, 0) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{one.server_port}/"
        finally:
            one.shutdown()
            thread.join()


class Looking:
    """Opens the page as a reader would, and keeps what a reader should never see.

    faults: errors in the console or of scripts, dialogs, and requests to anywhere but the page's own place.
    """

    def __init__(self, browser: Any, address: str) -> None:
        self.address = address
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._browser = browser
        self._contexts: list[Any] = []
        self._usual = self._page(viewport=WIDE)

    def open(self, fragment: str = "", **settings: Any) -> Any:
        """The page, opened anew. settings: as for Playwright's `new_context`; with any, in a window of its own."""
        page = self._page(**{"viewport": WIDE, **settings}) if settings else self._usual
        # From the same address with another fragment, nothing would be loaded.
        page.goto("about:blank")
        page.goto(self.address + fragment)
        return page

    def again(self) -> None:
        """As if nothing had been done yet. A window costs half a second: the usual one is kept."""
        for context in self._contexts[1:]:
            context.close()
        del self._contexts[1:]
        self.faults.clear()
        self.requests.clear()

    def close(self) -> None:
        for context in self._contexts:
            context.close()

    def _page(self, **settings: Any) -> Any:
        context = self._browser.new_context(**settings)
        context.set_default_timeout(10_000)
        self._contexts.append(context)
        context.on("request", self._asked)
        context.on("dialog", self._dialog)
        context.on("console", lambda said: said.type == "error" and self.faults.append(f"console: {said.text}"))
        context.on("weberror", lambda error: self.faults.append(f"script: {error.error}"))
        return context.new_page()

    def _asked(self, request: Any) -> None:
        self.requests.append(request.url)
        own = self.address if self.address.startswith("http") else "file:"
        if not request.url.startswith((own, "data:")):
            self.faults.append(f"request: {request.url}")

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()
