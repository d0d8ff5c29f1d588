"""The last stage: a run directory in, `report.html` in it out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixpref.progress import say
from mixpref.reporting.gather import gather
from mixpref.reporting.page import render
from mixpref.store import write_text

if TYPE_CHECKING:
    from mixpref.rundir import Run


def report(run: Run) -> Path:
    """Write the page of the run as it is now, and return its path. Parts that no stage has made are left out."""
    write_text(run.report_file, render(gather(run)))
    say(f"report: {run.report_file}")
    return run.report_file
