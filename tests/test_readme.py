"""The README's map leads to every file, and its commands are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mixpref.cli import _COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = README.partition("## The map")[2].partition("```")[2].partition("```")[0]


def captions() -> dict[str, str]:
    """What the map says of each file and folder, by its path; a folder's path ends with /."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in MAP.strip().splitlines():
        name, caption = re.fullmatch(r" *(\S+) *(.*)", line).groups()  # type: ignore[union-attr]
        depth = (len(line) - len(line.lstrip())) // 2
        above = [*above[:depth], name]
        found["".join(above)] = caption
    return found


@pytest.mark.parametrize("folder", ["src/mixpref", "benchmarks"])
def test_every_file_has_a_caption_and_every_caption_a_file(folder: str) -> None:
    said = captions()
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py") if path.name != "__init__.py"}
    told = {path for path in said if path.startswith(f"{folder}/") and not path.endswith("/")}
    assert there - told == set()
    assert told - there == set()
    assert all(said[path] for path in told)
    assert all((ROOT / path).is_dir() for path in said if path.endswith("/"))


def test_commands_and_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:`|^)make ([a-z][\w-]*)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    named = {word for words in re.findall(r"(?:`|bin/)mixpref ([a-z|]+)", README) for word in words.split("|")}
    assert len(named) > 8
    assert named <= {*_COMMANDS}
