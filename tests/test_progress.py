"""Progress: nothing but lines of status where there is no terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from mixpref import progress as module
from mixpref.progress import progress, say


def test_quiet_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("sample", 3) as advance:
        advance()
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_a_line_of_status_goes_to_stderr_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold] " + "word " * 60)
    assert capsys.readouterr() == ("", "[bold] " + "word " * 60 + "\n")


def test_a_terminal_shows_count_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    monkeypatch.setattr(module, "_console", lambda: console)
    with progress("sample", 10, done=4) as advance:
        advance(3)
        say("a line above the bar")
    shown = screen.getvalue()
    assert "sample" in shown
    assert "7/10" in shown
    assert "a line above the bar" in shown


def test_a_failure_within_passes_through() -> None:
    with pytest.raises(KeyError), progress("x", 1):
        raise KeyError
