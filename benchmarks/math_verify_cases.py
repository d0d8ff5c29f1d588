"""The rule `math` on math-verify's own test cases: `python -m benchmarks.math_verify_cases [--sdist FILE]`.

The cases are read out of the tests of math-verify's source distribution, which are neither imported nor run. Each has
a gold text, a predicted text and whether math-verify takes one for the other; both texts are often whole responses, so
that the style `any` finds what they state. `unparsed` counts as not accepted.

Prints how many cases agree, and those that do not, by cause: `DELIBERATE` says why the verifier keeps its own view.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro

from mixpref import verify
from mixpref.records import Problem
from mixpref.verifying.extract import extract

VERSION = "0.9.0"


@dataclass(frozen=True)
class Settings:
    sdist: Path | None = None
    """math-verify's source distribution (.tar.gz), or the folder that it was unpacked to; none: it is downloaded."""
    every: bool = False
    """Also print the cases that agree."""


@dataclass(frozen=True)
class Case:
    """What one row of a parametrized test expects."""

    test: str
    gold: str
    text: str
    accepted: bool


def cases(folder: Path) -> Iterator[Case]:
    """The rows of all tests that are parametrized by gold, pred and what is expected of them."""
    for file in sorted(folder.glob("tests/test_*.py")):
        for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            for decorator in function.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.parametrize":
                    yield from _rows(f"{file.name}::{function.name}", *decorator.args)


def _rows(test: str, columns: ast.expr, rows: ast.expr) -> Iterator[Case]:
    names = [name.strip() for name in ast.literal_eval(columns).split(",")]
    expected = next((name for name in ("expected", "result") if name in names), None)
    if "gold" not in names or "pred" not in names or expected is None or not isinstance(rows, ast.List):
        return
    for row in rows.elts:
        try:
            values = dict(zip(names, ast.literal_eval(row), strict=True))
        except ValueError:
            # A row that is computed, such as by math.sqrt.
            continue
        yield Case(test, values["gold"], values["pred"], bool(values[expected]))


def outcome(case: Case) -> tuple[str, str]:
    """The verdict on a case, and why."""
    gold = extract(case.gold, "any").answer if "\\boxed" in case.gold or len(case.gold) > 200 else case.gold
    if gold is None:
        return "error", "the gold text states no answer"
    # What follows the end of the turn is no response.
    verdict = verify(Problem(question="", answer=(gold,), rule="math"), case.text.partition("<|im_start|>")[0])
    return verdict.outcome, verdict.detail


def main(settings: Settings) -> int:
    """Print the comparison. Returns 1 where a case differs that is not listed as deliberate."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = _unpacked(settings.sdist or _download(Path(temporary)), Path(temporary))
        found = list(cases(folder))
    if not found:
        print("no cases; is this math-verify's source distribution?", file=sys.stderr)
        return 1
    differing: dict[str, list[str]] = {}
    agreeing = 0
    for case in found:
        said, detail = outcome(case)
        expected = "accepted" if case.accepted else "refused"
        row = f"{case.gold[-80:]!r} | {case.text[-80:]!r} | {expected} | {said}: {detail}"
        if (said == "correct") == case.accepted:
            agreeing += 1
            if settings.every:
                print("agrees", row)
            continue
        differing.setdefault(_cause(case), []).append(row)
    for cause, rows in sorted(differing.items()):
        print(f"\n{cause}: {len(rows)}")
        for row in rows:
            print(f"  {row}")
    print(
        f"\n{len(found)} cases: {agreeing} agree, {len(found) - agreeing} differ, {len(differing.get('OPEN', ()))} open"
    )
    return int("OPEN" in differing)


def _download(folder: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--dest",
        str(folder),
    ]
    subprocess.run([*command, f"math-verify=={VERSION}"], check=True)
    return next(folder.glob("*.tar.gz"))


def _unpacked(sdist: Path, folder: Path) -> Path:
    if sdist.is_dir():
        return sdist
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return next(path for path in folder.iterdir() if path.is_dir())


_BOXES = "of several boxes the last one counts"
_COMMA = "1,22 is a list or no number: a comma is no decimal point"
_ROUNDED = "a fraction is exact: no rounded decimal is equal to it"
_PERCENT = "28 is 28 % only where the question asks for a percentage"
_SIDES = "sides of one equation that differ: it states two things"
_MATRIX = "sums and products of matrices are not worked out"
_SENTENCE = "a sentence about something else than the answer, or one that takes a number back"
_BROKEN = "broken LaTeX"
DELIBERATE = (
    ("1000.99", "1000,99", _COMMA),
    ("1,22", "1.22", _COMMA),
    ("2.74", "2,74", _COMMA),
    ("0,111", "0.111", _COMMA),
    ("1000.99", "not", _SENTENCE),
    ("$2/3$", "the probability that Alice wins", _SENTENCE),
    ("$100%$", "increases by 100%", _SENTENCE),
    ("$12$", "there are 12 distinct", _SENTENCE),
    ("$3$", "started growing Sphere 3 hours ago", _SENTENCE),
    ("$9$", "\n", "formatting, such as a line break, never changes the verdict"),
    ("$28\\%$", "28", _PERCENT),
    ("$x = 11$", "= 7 =11", _SIDES),
    ("$10/9$", "\\frac{1}{2} \\$ =", _SIDES),
    ("$z = 1 + 1 = 2$", "3+3 = 2", _SIDES),
    ("\\zzz", "", _BROKEN),
    ("\x0c", "\x0c", _BROKEN),
    ("W(n)", "orW", _BROKEN),
    ("pmatrix", "\\end{pmatrix} + \\begin", _MATRIX),
    ("pmatrix", "\\end{pmatrix} \\begin", _MATRIX),
    ("\\frac{1}{12}", "0.0833", _ROUNDED),
    ("\\frac{1}{3}\\\\ ", "0.33", _ROUNDED),
    ("\\frac{8}{3}", "2.6667", _ROUNDED),
    ("x \\in [-2,7]", "\\le x", "an inequality and its interval are one statement, whichever is the gold one"),
    ("(37,3,3,13)", "(3,17,3,7), (17,3,3,7)", "a value is listed twice"),
    ("$f(x)$", "$f(y)$", "math-verify takes all variables for one here, on request"),
    ("1 - \\frac{1}", "1 + \\frac{1}", "1 + 1/e is not 1 - 1/e"),
)
"""(part of the gold text, part of the predicted one, why the verifier differs from math-verify)."""


def _cause(case: Case) -> str:
    if any(text.count("\\boxed") > 1 for text in (case.gold, case.text)):
        return _BOXES
    found = (why for gold, text, why in DELIBERATE if gold in case.gold and text in case.text)
    return next(found, "OPEN")


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings, description=__doc__)))
