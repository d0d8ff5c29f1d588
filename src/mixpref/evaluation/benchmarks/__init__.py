"""The benchmarks by name, a file each. A file is imported only when its benchmark is asked for."""

from __future__ import annotations

import difflib
from importlib import import_module

from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Benchmark

_FILES = {
    "m3cot": "m3cot",
    "mathvista": "mathvista",
    "mathvision": "mathvision",
    "mathvision-testmini": "mathvision",
    "mmvet": "mmvet",
    "llava-bench": "llava_bench",
    "pope": "pope",
    "crpe-existence": "crpe",
    "crpe-relation": "crpe",
    "mmhal": "mmhal",
    "gsm8k": "gsm8k",
    "mmlu": "mmlu",
    "world": "world",
}
PAPER = ("m3cot", "mathvista", "mathvision", "mmvet", "llava-bench", "pope", "crpe-relation", "mmhal")
"""The eight of the MPO paper's table, in its order."""


def folder_name(name: str) -> str:
    """Name of the folder that holds the data of a benchmark; those that come together share one."""
    return _FILES[name]


def names() -> tuple[str, ...]:
    """All benchmarks."""
    return tuple(_FILES)


def benchmark(name: str) -> Benchmark:
    """The benchmark of a name. Raises MixprefError where there is none, with the nearest that is."""
    if name not in _FILES:
        near = difflib.get_close_matches(name, _FILES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_FILES)}"
        raise MixprefError(f"there is no benchmark {name!r}; {hint}")
    module = import_module(f"mixpref.evaluation.benchmarks.{_FILES[name]}")
    found = next(each for each in module.BENCHMARKS if each.name == name)
    assert isinstance(found, Benchmark)
    return found
