"""The examples of CONTRIBUTING.md do what the text says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from mixpref import recipe as recipes
from mixpref.errors import MixprefError
from mixpref.recipe import ProblemsRecipe, Recipe
from mixpref.records import Problem
from mixpref.verifying import rules, verify

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
    assert found, f"CONTRIBUTING.md has no example {name!r}"
    return found[1]


def module(name: str) -> Any:
    names: dict[str, Any] = {"__name__": f"example_{name}"}
    exec(compile(example(name), f"CONTRIBUTING.md: {name}", "exec"), names)
    return SimpleNamespace(**names)


def test_the_source(tmp_path: Path) -> None:
    file = tmp_path / "questions.csv"
    rows = [f"What is {number} + 1?,{number + 1}" for number in range(8)]
    file.write_text("\n".join(["question,answer", *rows, rows[0], ",5", "Why?,"]) + "\n", encoding="utf-8")
    settings = ProblemsRecipe(source="jsonl", path=str(file), held_out=3, train=4)
    load = module("source").load
    loaded = load(Recipe(name="r", problems=settings))
    train, held_out = ([problem.id for problem in problems] for problems in (loaded.train, loaded.held_out))
    assert (len(train), len(held_out), loaded.unused, loaded.rows) == (4, 3, 1, 11)
    assert not {*train} & {*held_out}
    assert [(row.line, row.kind) for row in loaded.rejected] == [
        (10, "duplicate"),
        (11, "no question"),
        (12, "no answer"),
    ]
    with pytest.raises(MixprefError, match="does not exist"):
        load(Recipe(name="r", problems=replace(settings, path="nowhere.csv")))


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("blue and red", "correct"),
        ("Red, blue", "correct"),
        ("red, green", "wrong"),
        ("red", "wrong"),
        ("red,, blue", "unparsed"),
    ],
)
def test_the_rule(monkeypatch: pytest.MonkeyPatch, answer: str, outcome: str) -> None:
    monkeypatch.setitem(rules.RULES, "items", module("rule").items)
    problem = Problem(question="Which colours are there?", answer="red, blue", rule="items")
    assert verify(problem, f"I look.\nFinal answer: {answer}").outcome == outcome


def test_the_benchmark_file(tmp_path: Path) -> None:
    (benchmark,) = module("benchmark file").BENCHMARKS
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    lines = [
        {"id": f"r{n}", "question": f"What is it, {n}?", "answer": "a cube", "picture": name, "topic": "shapes"}
        for n, name in enumerate(("a.png", "missing.png"))
    ]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (problem, item), (none, fault) = benchmark.load(tmp_path)
    assert (item.key, item.groups, problem.family) == ("r0", ("topic: shapes",), "shapes")
    assert none is None
    assert "does not exist" in fault.fault
    with pytest.raises(MixprefError, match=r"holds no test\.jsonl"):
        next(benchmark.load(tmp_path / ".."))


def test_the_benchmark() -> None:
    benchmark = recipes.parse(example("benchmark"))
    assert benchmark.problems.held_out == 500
    assert benchmark.name == "puzzles"


def test_the_files_and_commands_named_exist() -> None:
    root = Path(__file__).parents[1]
    makefile = (root / "Makefile").read_text()
    for target in re.findall(r"^\$ make ([\w-]+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in ("sources/images.py", "sources/__init__.py", "verifying/rules.py", "recipe.py", "records.py"):
        assert name in TEXT
        assert (root / "src/mixpref" / name).exists()
