"""The stage: a page on the disk, whole, the same each time; and as a browser sees it, where there is one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mixpref.reporting.stage import report
from mixpref.rundir import Run

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


def test_the_page_is_written_into_the_run(made_run: Run) -> None:
    assert report(made_run) == made_run.report_file
    text = made_run.report_file.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.rstrip().endswith("</html>")
    assert "data:image/png;base64," in text
    assert not list(made_run.path.glob("*.tmp"))


def test_the_same_run_gives_the_same_page(made_run: Run) -> None:
    first = report(made_run).read_bytes()
    assert report(made_run).read_bytes() == first


def test_a_run_at_its_very_start_has_a_page(empty_run: Run) -> None:
    assert "Not evaluated yet" in report(empty_run).read_text(encoding="utf-8")


def test_a_run_that_was_only_sampled_has_a_page(made_run: Run) -> None:
    for part in (made_run.verdicts, made_run.pairs):
        part.discard()
    for folder in (made_run.scores_dir, made_run.model_dir("mpo")):
        shutil.rmtree(folder)
    text = report(made_run).read_text(encoding="utf-8")
    assert 'id="stages"' in text
    assert 'id="scores"' not in text
    assert 'id="pairs"' not in text


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no chromium here")
@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_is_never_wider_than_the_window(made_run: Run, tmp_path: Path, width: int) -> None:
    text = report(made_run).read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    probe = "<script>document.body.dataset.widths = [document.documentElement.scrollWidth, innerWidth]</script></body>"
    page = tmp_path / "probe.html"
    page.write_text(text.replace("</body>", probe), encoding="utf-8")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += f" --disable-component-update --disable-sync --user-data-dir={tmp_path / 'browser'} --dump-dom"
    assert BROWSER
    done = subprocess.run(
        [BROWSER, *flags.split(), f"--window-size={width},2000", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r'data-widths="(\d+),(\d+)"', done.stdout)
    assert found
    assert int(found[1]) <= int(found[2])
