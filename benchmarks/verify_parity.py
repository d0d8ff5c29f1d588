"""The verifier against judgements that others made: `python -m benchmarks.verify_parity [--data DIR]`.

Needs real data (see `tests/verifying`), in DIR or in the folder that MIXPREF_TEST_DATA names:

    gsm8k       the 5,276 model solutions of OpenAI's grade-school-math with `is_correct`: the text after "A:" under
                the rule that the verifier picks itself
    mathvista   stored extractions of models' outputs with `true_false`, under the rule `mathvista`; rows whose stored
                prediction is null although the official rule reads a number in them are known to be bad
    mathvision  each gold answer of testmini under its own rule `mathvision`

Prints a line for each and every judgement that differs. The exit status is 1 where one does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from mixpref import verify
from mixpref.records import Problem, Verdict


@dataclass(frozen=True)
class Settings:
    data: Path | None = None
    """Folder of the real data sets; none: MIXPREF_TEST_DATA."""


@dataclass(frozen=True)
class Row:
    """One answer with what others said of it."""

    problem: Problem
    text: str
    """A response in the form of the style `en`."""
    right: bool
    known_bad: bool = False


def gsm8k(data: Path) -> Iterator[Row]:
    for row in _lines(data / "gsm8k" / "example_model_solutions.jsonl"):
        problem = Problem(question=row["question"], answer=row["ground_truth"].rpartition("A:")[2].strip())
        for solution in (value for value in row.values() if isinstance(value, dict)):
            reasoning, _, answer = solution["solution"].rpartition("A:")
            yield Row(problem, f"{reasoning}Final answer: {answer}", solution["is_correct"])


def mathvista(data: Path, outputs: Path) -> Iterator[Row]:
    questions = json.loads((data / "mathvista" / "testmini.json").read_text(encoding="utf-8"))
    for key, output in json.loads(outputs.read_text(encoding="utf-8")).items():
        question = questions[key]
        problem = Problem(
            question=question["question"],
            answer=question["answer"],
            choices=tuple(question["choices"] or ()),
            rule="mathvista",
        )
        bad = output["prediction"] is None and _is_number(output["extraction"])
        yield Row(problem, f"So.\nFinal answer: {output['extraction']}", output["true_false"], bad)


def mathvision(data: Path) -> Iterator[Row]:
    for row in _lines(data / "mathvision" / "testmini.jsonl"):
        problem = Problem(
            question=row["question"], answer=row["answer"], choices=tuple(row["options"]), rule="mathvision"
        )
        yield Row(problem, f"So.\nFinal answer: {row['answer']}", True)


def compare(name: str, rows: Iterator[Row]) -> bool:
    """Print how many judgements are reproduced, and the others. Whether all are but those known to be bad."""
    judged: list[tuple[Row, Verdict]] = []
    start = time.perf_counter()
    for row in rows:
        judged.append((row, verify(row.problem, row.text, "en")))
    seconds = time.perf_counter() - start
    good = [(row, verdict) for row, verdict in judged if not row.known_bad]
    others = [
        (row, verdict)
        for row, verdict in good
        if verdict.outcome == "error" or (verdict.outcome == "correct") != row.right
    ]
    print(
        f"{name}: {len(good) - len(others)} of {len(good)} judgements reproduced, {len(judged) - len(good)} more known "
        f"to be bad; {1e6 * seconds / max(len(judged), 1):.0f} us a row"
    )
    for row, verdict in others:
        print(
            f"  {'right' if row.right else 'wrong'} there, {verdict.outcome} here: {verdict.answer} ({verdict.detail})"
        )
    return bool(good) and not others


def main(settings: Settings) -> int:
    folder = settings.data or os.environ.get("MIXPREF_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        print("give the folder of the real data sets: --data DIR, or MIXPREF_TEST_DATA", file=sys.stderr)
        return 2
    data = Path(folder)
    same = [compare("GSM8K", gsm8k(data))]
    for outputs in sorted((data / "mathvista" / "outputs").glob("*.json")):
        same.append(compare(f"MathVista, {outputs.stem}", mathvista(data, outputs)))
    same.append(compare("MATH-Vision testmini, gold answers", mathvision(data)))
    return 0 if all(same) else 1


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _is_number(text: str) -> bool:
    try:
        return float(text) == float(text)
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings, description=__doc__)))
