"""Raw MathVista outputs of two models against the official judgement: `python -m benchmarks.mathvista_raw`.

The official pipeline lets GPT-4 find the answer in a response and judges that. Here the response as it is goes to
`mixpref.verify` in the style `any`, by the rule `mathvista`. Both agree where both call it right or neither does.

Many official judgements are chance: of "N/A" or "cannot be determined" the choice with the least edit distance is
taken for the answer. Rows whose official extraction names no choice are counted apart, right or wrong.
The style's patterns were written with these outputs at hand: the figures are no measure on unseen outputs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from mixpref import verify
from mixpref.records import Problem, Verdict

MODELS = ("output_bard", "output_gpt4_2shot_solution")
CHANCE = "the official extraction names no choice; the nearest one by edit distance was right"
UNREAD = "no answer was read in the response"
NOT_SAID = "the response refuses or says nothing of the answer, and the extraction gives one"
OTHER = "another answer was read than the official extraction"
FALSE_RIGHT = "right here, wrong by the official judgement"
_REFUSES = re.compile(
    r"cannot|can't|can not|not provide|n't provide|impossible|insufficient|not enough"
    r"|none of|not (?:possible|available|given)|without (?:specific|additional|further|the|more|a|any)",
    re.IGNORECASE,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("MIXPREF_TEST_DATA"), help="holds mathvista/")
    parser.add_argument("--examples", type=int, default=3, help="disagreements shown of each cause")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("give --data or set MIXPREF_TEST_DATA to the folder that holds mathvista/")
    folder = arguments.data / "mathvista"
    questions = json.loads((folder / "testmini.json").read_text(encoding="utf-8"))
    for model in MODELS:
        outputs = json.loads((folder / "outputs" / f"{model}.json").read_text(encoding="utf-8"))
        compare(model, questions, outputs, arguments.examples)


def compare(model: str, questions: dict[str, Any], outputs: dict[str, Any], examples: int) -> None:
    """Print one model's agreement, its confusion, and its disagreements by cause."""
    confusion: Counter[tuple[str, bool]] = Counter()
    named = named_agree = 0
    causes: defaultdict[str, list[str]] = defaultdict(list)
    for key, output in outputs.items():
        row = questions[key]
        problem = Problem(
            question=row["question"],
            answer=str(row["answer"]),
            choices=tuple(row["choices"] or ()),
            rule="mathvista",
        )
        verdict = verify(problem, output["response"], "any")
        official = bool(output["true_false"])
        confusion[verdict.outcome, official] += 1
        if not by_chance(problem, output):
            named += 1
            named_agree += (verdict.outcome == "correct") == official
        if (verdict.outcome == "correct") != official:
            causes[cause(problem, output, verdict)].append(
                f"{key}: gold {row['answer']!r}, official extraction {output['extraction']!r}, here {verdict.outcome} "
                f"{verdict.answer[:80]!r}; ends in {output['response'][-100:]!r}"
            )
    rows = confusion.total()
    disagree = sum(map(len, causes.values()))
    print(f"{model}: {rows - disagree} of {rows} agree; {named_agree} of {named} where the official one is no chance")
    for outcome in ("correct", "wrong", "unparsed", "error"):
        print(
            f"    {outcome:9} official right {confusion[outcome, True]:4}  official wrong {confusion[outcome, False]:4}"
        )
    for name, found in sorted(causes.items(), key=lambda item: -len(item[1])):
        if found:
            print(f"  {len(found):4} {name}")
            for example in found[:examples]:
                print(f"         {example}")


def cause(problem: Problem, output: dict[str, Any], verdict: Verdict) -> str:
    """Why the verdict and the official judgement differ."""
    if verdict.outcome == "error":
        return f"error: {verdict.detail}"
    if verdict.outcome == "correct":
        return FALSE_RIGHT
    if by_chance(problem, output):
        return CHANCE
    if _REFUSES.search(output["response"][-400:]):
        return NOT_SAID
    return UNREAD if verdict.outcome == "unparsed" else OTHER


def by_chance(problem: Problem, output: dict[str, Any]) -> bool:
    """Whether the official extraction is neither a letter nor a choice's text, so that the nearest choice was taken."""
    if not problem.choices:
        return False
    extraction = str(output["extraction"] or "").strip()
    texts = {"".join(choice.casefold().split()) for choice in problem.choices}
    letter = re.fullmatch(r"[A-Z]|.*\([A-Za-z]\).*", extraction, re.DOTALL)
    return not letter and "".join(extraction.casefold().split()) not in texts


if __name__ == "__main__":
    main()
