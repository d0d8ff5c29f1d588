"""What the verifier would do to a data set, before anything is spent on it: `mixpref verify RECIPE --audit`.

Three looks: gold answers passed through their own rule, verdicts against labels that somebody else gave, and a few
verdicts to read.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mixpref.errors import MixprefError
from mixpref.records import Outcome, Problem, Response, Verdict
from mixpref.verifying import verify_all
from mixpref.verifying.rules import JUDGED

if TYPE_CHECKING:
    from rich.console import Console

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Judged:
    """A text and the verdict on it; of a gold answer, the text is the answer itself."""

    problem: Problem
    text: str
    verdict: Verdict
    label: bool | None = None
    """What somebody else said of it: right or not."""


def gold_answers(problems: Iterable[Problem]) -> Iterator[Judged]:
    """Every gold answer judged as if it were a response: what its own rule does not accept, no model can answer right.

    Open problems, and those that a judge reads, have none.
    """

    def stated() -> Iterator[tuple[Problem, str]]:
        for problem in problems:
            if problem.rule != JUDGED:
                yield from ((problem, answer) for answer in dict.fromkeys(problem.answer or ()))

    return _verdicts(((problem, answer, "direct", None) for problem, answer in stated()))


def labelled(file: Path) -> Iterator[Judged]:
    """The responses of a JSON-lines file, judged, with the labels that the file gives them.

    A row has question, answer, response and correct (true or false), and may have choices, rule and style.
    Raises MixprefError, naming file and line, for a row that is not so.
    """

    def rows() -> Iterator[tuple[Problem, str, str | None, bool | None]]:
        try:
            # Not splitlines: a JSON text may hold what Python takes for the end of a line, U+2028 for one.
            lines = file.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as reason:
            raise MixprefError(f"the labels {file} cannot be read ({reason})") from None
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _row(line, f"{file}:{number}")

    return _verdicts(rows())


def _row(line: str, place: str) -> tuple[Problem, str, str | None, bool | None]:
    try:
        row: Any = json.loads(line)
    except ValueError as reason:
        raise MixprefError(f"{place}: no valid JSON ({reason})") from None
    needed = ("question", "answer", "response", "correct")
    missing = [key for key in needed if key not in row] if isinstance(row, Mapping) else list(needed)
    if missing:
        raise MixprefError(f"{place}: a labelled row needs {', '.join(needed)}; there is no {', '.join(missing)}")
    if row["correct"] not in (True, False):
        raise MixprefError(f"{place}: correct is {row['correct']!r}; it must be true or false")
    answers = row["answer"] if isinstance(row["answer"], list) else [row["answer"]]
    problem = Problem(
        question=str(row["question"]),
        answer=tuple(map(str, answers)),
        choices=tuple(map(str, row.get("choices") or row.get("options") or ())),
        rule=row.get("rule"),
        source=place,
    )
    return problem, str(row["response"]), row.get("style"), bool(row["correct"])


def _verdicts(rows: Iterable[tuple[Problem, str, str | None, bool | None]]) -> Iterator[Judged]:
    # `verify_all` reads ahead and answers in order.
    ahead: deque[tuple[Problem, str, bool | None]] = deque()

    def items() -> Iterator[tuple[Problem, str, str | None]]:
        for problem, text, style, label in rows:
            ahead.append((problem, text, label))
            yield problem, text, style

    for verdict in verify_all(items()):
        problem, text, label = ahead.popleft()
        yield Judged(problem, text, verdict, label)


def show_gold_answers(judged: Iterable[Judged], console: Console, failures: int = 10) -> bool:
    """Print how many gold answers their own rules accept, by rule, and the first that they do not.

    Returns False where there are gold answers and none of them is accepted.
    """
    from rich.table import Table

    counts: Counter[tuple[str, str]] = Counter()
    failed: list[Judged] = []
    for each in judged:
        counts[each.verdict.rule, each.verdict.outcome] += 1
        if each.verdict.outcome != "correct":
            failed.append(each)
    table = Table(title="Gold answers through their own rule", title_justify="left")
    table.add_column("rule")
    for outcome in OUTCOMES:
        table.add_column(outcome, justify="right")
    for rule in sorted({rule for rule, _ in counts}):
        table.add_row(rule, *(f"{counts[rule, outcome]:,}" for outcome in OUTCOMES))
    console.print(table)
    for each in failed[:failures]:
        console.print(_described(each), markup=False, highlight=False)
    if len(failed) > failures:
        console.print(f"... and {len(failed) - failures:,} more that fail")
    return not failed or len(failed) < counts.total()


def show_confusion(judged: Iterable[Judged], console: Console, disagreements: int = 10) -> None:
    """Print the verdicts against the labels, and the first that contradict each other."""
    from rich.table import Table

    counts: Counter[tuple[bool | None, str]] = Counter()
    against: list[Judged] = []
    for each in judged:
        counts[each.label, each.verdict.outcome] += 1
        if (each.label, each.verdict.outcome) in ((True, "wrong"), (False, "correct")):
            against.append(each)
    table = Table(title="Verdicts against labels", title_justify="left")
    table.add_column("labelled")
    for outcome in OUTCOMES:
        table.add_column(outcome, justify="right")
    for label, name in ((True, "right"), (False, "not right")):
        table.add_row(name, *(f"{counts[label, outcome]:,}" for outcome in OUTCOMES))
    console.print(table)
    total, clear = counts.total(), sum(counts[label, each] for label in (True, False) for each in ("correct", "wrong"))
    agreed = counts[True, "correct"] + counts[False, "wrong"]
    if clear:
        console.print(f"{agreed:,} of {clear:,} clear verdicts agree with the labels; {total - clear:,} are not clear")
    for each in against[:disagreements]:
        console.print(f"labelled {'right' if each.label else 'not right'}, {_described(each)}", markup=False)


def show_sample(
    judged: Iterable[tuple[Response, Verdict]], problems: Iterable[Problem], console: Console, size: int
) -> None:
    """Print `size` verdicts of each outcome, spread over the whole, with question, gold answer and what was read."""
    from mixpref.seeds import derive

    # The smallest hashes are a sample that is the same in every run, whatever the order.
    kept: dict[str, list[tuple[int, Response, Verdict]]] = {outcome: [] for outcome in OUTCOMES}
    for response, verdict in judged:
        best = kept[verdict.outcome]
        best.append((derive(0, response.id), response, verdict))
        best.sort(key=lambda each: each[0])
        del best[size:]
    wanted = {response.problem_id for best in kept.values() for _, response, _ in best}
    found = {problem.id: problem for problem in problems if problem.id in wanted}
    for outcome, best in kept.items():
        for _, response, verdict in best:
            problem = found[response.problem_id]
            console.rule(f"{outcome}, rule {verdict.rule or 'none'}", align="left")
            for name, text in (
                ("question", problem.question.strip()),
                ("options", " | ".join(problem.choices)),
                ("gold", " | ".join(problem.answer or ("none",))),
                ("read", f"{verdict.answer or 'nothing'} ({verdict.detail})"),
                ("response", response.text if len(response.text) <= 400 else f"...{response.text[-400:]}"),
            ):
                if text:
                    console.print(f"{name:9}{text}", markup=False, highlight=False)


def _described(each: Judged) -> str:
    source = f" of {each.problem.source}" if each.problem.source else ""
    text = each.text if len(each.text) <= 200 else f"...{each.text[-200:]}"
    return f"{each.verdict.outcome}: {text!r}{source} ({each.verdict.rule}: {each.verdict.detail})"
