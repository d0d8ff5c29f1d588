"""What a run tells the person before the terminal: bars with rate and time left, and lines of status.

Everything goes to stderr, so that stdout holds results only. Bars are drawn on a terminal and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@cache
def _console() -> Console:
    """One console for bars and lines: a line said beneath a bar must push it down, not tear it."""
    from rich.console import Console

    return Console(stderr=True)


@contextmanager
def progress(description: str, total: int, done: int = 0) -> Iterator[Callable[..., None]]:
    """Show the progress of `total` units of work, `done` of which an earlier run has finished.

    Yields `advance(n=1)`. Rate and time left count only what this run does itself. Draws nothing where stderr is not
    a terminal.
    """
    console = _console()
    if not console.is_terminal:
        yield lambda n=1: None
        return

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as Bar
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Bar) -> Text:
            # `finished_speed` is the mean over everything, the units of earlier runs included, so it is not used.
            return Text("" if task.speed is None else f"{task.speed:,.1f}/s", style="progress.data.speed")

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(description, total=total, completed=done)

        def advance(n: int = 1) -> None:
            bars.advance(task, n)

        yield advance


def say(text: str) -> None:
    """Print a line of status to stderr, on a terminal or not."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)
