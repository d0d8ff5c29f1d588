"""Judging 100,000 responses, 32 a problem, against math-verify called once for each: `python -m benchmarks.verify`.

The responses are chains of thought that end in a box. Number problems and their chains are GSM8K's model solutions
where `--data` (or MIXPREF_TEST_DATA) has them, else made up; expression problems (fractions, roots, intervals, sets,
points, polynomials) are made up. Answers are right or wrong, and written as models write them.

math-verify reads and compares every response in this one process, with each gold answer parsed once only. mixpref
judges the same texts by `verify_all`, with its processes for algebra (`--workers`, one a core) started beforehand. Both
take turns, chunk by chunk; what is compared is wall-clock time, as the ratio of the sums. Verdicts must be equal
wherever both give one: the exit status is 1 where they are not.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import tyro

from mixpref.records import Problem
from mixpref.verifying import verify_all
from mixpref.verifying.pool import Pool

SAMPLES = 32
EXPRESSIONS = 0.4
"""Share of the problems whose answer is an expression."""


@dataclass(frozen=True)
class Settings:
    """Responses in all, the chunks in which both sides take turns, and where GSM8K is."""

    responses: int = 100_000
    chunks: int = 10
    workers: int | None = None
    data: Path | None = Path(os.environ["MIXPREF_TEST_DATA"]) if os.environ.get("MIXPREF_TEST_DATA") else None
    tiny: bool = False


@dataclass(frozen=True)
class Case:
    """A problem, and the chains of thought and answers that its responses are made of."""

    problem: Problem
    chains: tuple[str, ...]
    right: tuple[str, ...]
    wrong: tuple[str, ...]


def main() -> int:
    settings = tyro.cli(Settings, description=__doc__)
    responses = 1_600 if settings.tiny else settings.responses
    chunks = 2 if settings.tiny else settings.chunks
    rng = random.Random(0)
    per_chunk = responses // SAMPLES // chunks
    numbers = list(gsm8k(settings.data)) or [sums(rng) for _ in range(1000)]
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    versions = ", ".join(f"{name} {version(name)}" for name in ("math-verify", "sympy"))
    print(f"{machine}; Python {platform.python_version()}, {versions}")
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    ours, theirs, disagreements = 0.0, 0.0, 0
    outcomes: Counter[tuple[str, str]] = Counter()
    distinct = 0
    with Pool(settings.workers) as pool:
        # The processes start and import sympy.
        list(verify_all([(Problem(question="?", answer="\\sqrt{2}"), "So \\boxed{\\sqrt{8}/2}", "boxed")], pool=pool))
        for chunk in range(chunks):
            cases = [expression(rng) if rng.random() < EXPRESSIONS else rng.choice(numbers) for _ in range(per_chunk)]
            texts = [(case.problem, response(case, rng), "boxed") for case in cases for _ in range(SAMPLES)]
            distinct += len({(problem.id, text.rpartition("\\boxed")[2]) for problem, text, _ in texts})
            started = time.perf_counter()
            verdicts = list(verify_all(texts, pool=pool))
            ours += time.perf_counter() - started
            started = time.perf_counter()
            peers = [judged for case in range(0, len(texts), SAMPLES) for judged in peer(texts[case : case + SAMPLES])]
            theirs += time.perf_counter() - started
            for (problem, text, _), verdict, other in zip(texts, verdicts, peers, strict=True):
                outcomes[verdict.outcome, other] += 1
                if {"correct": "wrong", "wrong": "correct"}.get(verdict.outcome) == other:
                    disagreements += 1
                    if disagreements <= 20:
                        stated = text.rpartition("\\boxed")[2]
                        print(f"NOT EQUAL: gold {problem.answer}, stated {stated}: {verdict.outcome} against {other}")
            print(
                f"{(chunk + 1) * per_chunk * SAMPLES:,} responses: mixpref {ours:.1f} s, math-verify {theirs:.1f} s, "
                f"ratio {theirs / ours:.1f}; resident memory {resident():.0f} MiB",
                flush=True,
            )
    total = per_chunk * SAMPLES * chunks
    print(f"{distinct:,} of {total:,} (problem, answer) are different")
    print(f"mixpref {total / ours:,.0f} responses a second, math-verify {total / theirs:,.0f}")
    for (one, other), count in sorted(outcomes.items()):
        print(f"  mixpref {one:9} math-verify {other:9} {count:,}")
    print("verdicts are equal wherever both give one" if not disagreements else f"{disagreements} are NOT EQUAL")
    return 1 if disagreements else 0


def peer(texts: list[tuple[Problem, str, str]]) -> Iterator[str]:
    """math-verify's verdicts on the responses to one problem."""
    import math_verify

    answer = (texts[0][0].answer or ("",))[0]
    gold = math_verify.parse(f"${answer}$")
    for _, text, _ in texts:
        stated = math_verify.parse(text)
        yield ("correct" if math_verify.verify(gold, stated) else "wrong") if stated and gold else "unparsed"


def gsm8k(data: Path | None) -> Iterator[Case]:
    """Real problems with the chains and answers of four models each."""
    file = data / "gsm8k" / "example_model_solutions.jsonl" if data else None
    if file is None or not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        gold = row["ground_truth"].rpartition("A:")[2].strip()
        chains, wrong = [], []
        for solution in (value for value in row.values() if isinstance(value, dict)):
            chain, _, answer = solution["solution"].rpartition("A:")
            chains.append(chain)
            if not solution["is_correct"]:
                wrong.append(answer.strip())
        slips = tuple(filter(str.isdigit, wrong)) or (str(int(gold.replace(",", "")) + 1),)
        yield Case(Problem(question=row["question"], answer=gold), tuple(chains), (gold,), slips)


def sums(rng: random.Random) -> Case:
    """A made-up number problem."""
    one, other = rng.randint(12, 4000), rng.randint(12, 4000)
    chain = f"There are {one} in the first row and {other} in the second, so {one} + {other} = {one + other}.\n" * 3
    wrong = tuple(str(one + other + step) for step in (-100, -10, -1, 1, 10))
    problem = Problem(question=f"How much are {one} and {other}?", answer=str(one + other))
    return Case(problem, (chain,), (str(one + other),), wrong)


def expression(rng: random.Random) -> Case:
    """A made-up problem whose answer is an expression, with spellings of it and expressions that are others."""
    a, b, c = rng.sample(range(2, 30), 3)
    # A fraction in lowest terms, so that no wrong one is equal to it.
    p, q = rng.choice([(1, 2), (2, 3), (3, 4), (5, 6), (7, 8), (4, 9), (11, 12)])
    kind = rng.randrange(7)
    if kind == 0:
        right = (f"\\frac{{{p}}}{{{q}}}", f"\\dfrac{{{p}}}{{{q}}}", f"{p}/{q}", f"\\frac{{{2 * p}}}{{{2 * q}}}")
        wrong = (f"\\frac{{{p}}}{{{q + 1}}}", f"-\\frac{{{p}}}{{{q}}}", f"\\frac{{{q}}}{{{p}}}", f"{p + 1}/{q}")
    elif kind == 1:
        right = (f"{a}\\sqrt{{7}}", f"{a} \\sqrt{{7}}", f"\\sqrt{{{7 * a * a}}}", f"{a}\\cdot\\sqrt{{7}}")
        wrong = (f"{a + 1}\\sqrt{{7}}", f"{a}\\sqrt{{11}}", f"-{a}\\sqrt{{7}}", f"\\sqrt{{{7 * a}}}", f"{7 * a}")
    elif kind == 2:
        right = (f"({a}, -{b})", f"\\left({a}, -{b}\\right)", f"({a},-{b})")
        wrong = (f"(-{b}, {a})", f"({a}, {b})", f"({a + 1}, -{b})")
    elif kind == 3:
        right = (f"[{a}, {a + b})", f"\\left[{a}, {a + b}\\right)", f"[{a},{a + b})")
        wrong = (f"({a}, {a + b})", f"[{a}, {a + b}]", f"[{a}, {a + b + 1})", f"({a}, {a + b}]")
    elif kind == 4:
        right = (f"{a}x^2 + {b}x + {c}", f"{c} + {b}x + {a}x^2", f"{a}x^{{2}}+{b}x+{c}")
        wrong = (f"{a}x^2 + {b}x - {c}", f"{a}x^2 + {b}x", f"{b}x^2 + {a}x + {c}")
    elif kind == 5:
        right = (f"\\frac{{{a}\\pi}}{{31}}", f"\\frac{{{a}}}{{31}}\\pi", f"{a}\\pi/31")
        wrong = (f"\\frac{{{a + 1}\\pi}}{{31}}", f"{a}\\pi", f"-\\frac{{{a}\\pi}}{{31}}", f"\\frac{{{a}}}{{31}}")
    else:
        right = (f"\\{{{a}, {b}\\}}", f"\\{{{b}, {a}\\}}", f"\\left\\{{{a}, {b}\\right\\}}")
        wrong = (f"\\{{{a}\\}}", f"\\{{{a}, {b + 30}\\}}", f"\\{{-{a}, {b}\\}}")
    chain = (
        f"We set up the equation from the figure, where the side is {a} and the height {b}. Substituting $x = {c}$ "
        f"gives $\\frac{{{a}}}{{{b}}} + {c}$, and simplifying both sides we get what was asked for.\n"
    ) * 3
    return Case(Problem(question=f"What is it for {a}, {b}, {c}?", answer=right[0]), (chain,), right, wrong)


def response(case: Case, rng: random.Random) -> str:
    answer = rng.choice(case.right if rng.random() < 0.5 else case.wrong)
    # Chains differ from sample to sample: a text is never the same twice.
    return f"{rng.choice(case.chains)}(Attempt {rng.randrange(10**6)}.) Answer: $\\boxed{{{answer}}}$"


def resident() -> float:
    """MiB of resident memory of this process and its children."""
    lines = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=True).stdout
    rows = [tuple(map(int, line.split())) for line in lines.splitlines()]
    family = {os.getpid()}
    for _ in range(3):
        family |= {pid for pid, parent, _ in rows if parent in family}
    return sum(size for pid, _, size in rows if pid in family) / 1024


if __name__ == "__main__":
    sys.exit(main())
