"""Runs side by side: what they are called, what of them is compared, and the page."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from html import unescape
from pathlib import Path

import pytest

from mixpref.cli import main
from mixpref.errors import MixprefError
from mixpref.evaluation.benchmark import Item
from mixpref.evaluation.stage import items
from mixpref.recipe import Recipe, TrainingRecipe
from mixpref.records import Problem, Verdict
from mixpref.reporting.comparing import DRAWN, compare_runs, differences, origins, panels, render
from mixpref.reporting.sides import against, labels, read
from mixpref.rundir import Run
from mixpref.store import Artifact

from .conftest import make_problem, make_response, make_score, write_items, write_run

MakeRun = Callable[..., Run]


@pytest.fixture
def make(tmp_path: Path) -> MakeRun:
    """A finished run in a directory, by its recipe."""

    def run(where: str, **recipe: object) -> Run:
        return write_run(Run.open(tmp_path / where, Recipe(**{"name": "small", **recipe})))  # type: ignore[arg-type]

    return run


def text_of(page: str) -> str:
    """What a reader sees of the page, blanks made one."""
    body = re.sub(r"<(style|title)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def reanswer(run: Run, correct: set[int]) -> None:
    """The trained model's chains of thought anew, right on these of the held-out problems."""
    verdicts = run.scores_dir / "items" / "mpo-cot"
    problems = list(run.problems("held_out"))
    for file in verdicts.rglob("*.parquet"):
        file.unlink()
    write_items(run, "mpo", "cot", problems, correct)


def held_out(run: Run, problems: list[Problem]) -> None:
    """Other held-out problems, and the trained model's answers to them."""
    artifact = run.problems("held_out")
    for file in artifact.path.rglob("*"):
        file.unlink()
    artifact.append("00000", problems)
    artifact.finish({"source": "made"}, {})
    for style in ("cot", "direct"):
        for file in (run.scores_dir / "items" / f"mpo-{style}").rglob("*.parquet"):
            file.unlink()
        write_items(run, "mpo", style, problems, {0, 1})


def test_a_name_of_its_own_stands_alone_and_a_shared_one_gets_the_end_of_its_path(tmp_path: Path) -> None:
    where = {"one/here": "demo", "two/here": "demo", "two/there": "demo", "other": "alone"}
    runs = [Run(tmp_path / path, Recipe(name=name)) for path, name in where.items()]
    assert labels(runs) == ["demo (one/here)", "demo (two/here)", "demo (there)", "alone"]


def test_a_run_named_twice_is_refused(tmp_path: Path) -> None:
    runs = [Run(tmp_path / path, Recipe(name="demo")) for path in ("here", "there/../here")]
    with pytest.raises(MixprefError, match="named twice; name each run once"):
        labels(runs)


def test_the_differences_are_the_keys_that_are_not_the_same_in_all(make: MakeRun) -> None:
    runs = [make("a"), make("b", training=TrainingRecipe(learning_rate=3e-7)), make("c", seed=5)]
    found = {each.key: each.values for each in differences(read(runs))}
    usual = json.dumps(TrainingRecipe().learning_rate)
    assert found == {"seed": ("0", "0", "5"), "training.learning_rate": (usual, "3e-07", usual)}


def test_later_runs_are_compared_with_the_first_item_by_item(make: MakeRun) -> None:
    # The first run is right on 0 to 5, and 8 is an error in both.
    first, second = make("a"), make("b")
    reanswer(second, {0, 1, 2, 6, 7, 9})
    cot, direct = against("world", read([first, second]))
    assert (cot.style, cot.roles, cot.comparison.n) == ("cot", ("mpo", "mpo"), 9)
    assert (cot.comparison.fixed, cot.comparison.broken) == (3, 3)
    assert cot.comparison.p == 1
    assert (direct.style, direct.comparison.n, direct.comparison.difference) == ("direct", 10, 0)


def test_items_that_only_one_run_has_are_left_out_and_counted(make: MakeRun) -> None:
    first, second = make("a"), make("b")
    shared = list(first.problems("held_out"))[:4]
    held_out(second, [*shared, *(make_problem(500 + number) for number in range(3))])
    cot = against("world", read([first, second]))[0].comparison
    assert (cot.n, cot.left_out, cot.fixed, cot.broken) == (4, 8, 0, 2)


def test_rows_of_a_benchmark_that_ask_the_same_count_each_and_are_told_apart_by_what_they_ask(make: MakeRun) -> None:
    asked = [make_problem(700 + number) for number in range(3)]
    sides = []
    for where, third in (("a", asked[2]), ("b", make_problem(999))):
        run = make(where)
        problems = [*asked[:2], third]
        # The keys are the same in both, though the last row asks something else.
        rows = [("0", asked[0]), ("1", asked[0]), ("2", asked[1]), ("3", third)]
        stored = Artifact(run.path / "benchmarks" / "riddles" / "problems", Problem)
        stored.append("00000", problems)
        artifact = Artifact(run.path / "benchmarks" / "riddles" / "items", Item)
        artifact.append("00000", [Item(key=key, problem_id=problem.id) for key, problem in rows])
        answers = items(run, "mpo", "cot", "riddles")
        right = where == "b"
        responses = [make_response(problem, 0, "yes", style="cot") for problem in problems]
        verdicts = [
            Verdict(outcome="correct" if right else "wrong", answer="1", response_id=response.id)
            for response in responses
        ]
        answers[0].append("00000", responses)
        answers[1].append("00000", verdicts)
        score = make_score("mpo", "cot", float(right), benchmark="riddles", n=4)
        (run.scores_dir / "riddles.json").write_text(json.dumps([asdict(score)]))
        sides.append(run)
    (cot,) = against("riddles", read(sides))
    assert (cot.comparison.n, cot.comparison.fixed, cot.comparison.left_out) == (3, 3, 2)


def test_runs_without_a_common_item_are_said_to_have_none(make: MakeRun) -> None:
    first, second = make("a", name="first"), make("b", name="second")
    held_out(second, [make_problem(500 + number) for number in range(10)])
    sides = read([first, second])
    assert {each.comparison.n for each in against("world", sides)} == {0}
    page = text_of(render(sides))
    assert "second and first have no items in common (CoT)" in page
    assert "Item by item" not in page


def test_the_best_trained_model_stands_for_a_run_and_the_base_only_for_one_without(make: MakeRun) -> None:
    first, second = make("a"), make("b")
    (second.scores_dir / "mpo.json").unlink()
    one, two = read([first, second])
    assert [side.standing("world").model for side in (one, two)] == ["mpo", "base"]  # type: ignore[union-attr]
    assert one.standing("pope") is None
    assert {each.roles for each in against("world", [one, two])} == {("mpo", "base")}


def test_a_plot_has_a_line_a_run_and_says_which_runs_it_leaves_out(make: MakeRun) -> None:
    runs = [make(f"run{number}", name=f"n{number}") for number in range(DRAWN + 1)]
    sides = read(runs)
    loss, margin = panels(sides)
    assert "Loss" in loss
    assert "Reward margin" in margin
    for name in ("n0", "n3"):
        assert f"{name} runs from 1 to 0.3333" in loss
    assert "n4" not in loss
    page = text_of(render(sides))
    assert "The plots show the first 4 of them." in page
    assert "The plots show" not in text_of(render(sides[:DRAWN]))


def test_a_learning_rate_is_drawn_in_a_power_of_ten_that_the_title_names(make: MakeRun) -> None:
    runs = [make("a", name="one"), make("b", name="two")]
    for run, rate in zip(runs, (5e-6, 8e-6), strict=True):
        log = [{"step": step, "learning_rate": rate / step} for step in (1, 2)]
        (run.model_dir("mpo") / "training_log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    (rates,) = panels(read(runs))
    assert "<figcaption>Learning rate, in 1e-6</figcaption>" in rates
    assert "one runs from 5 to 2.5; two runs from 8 to 4" in rates


def test_long_names_are_numbers_in_plots_and_the_page_says_whose(make: MakeRun) -> None:
    sides = read([make("a", name="a-rather-long-name-of-a-run"), make("b", name="short")])
    page = text_of(render(sides))
    assert "In plots, run 1 is a-rather-long-name-of-a-run; run 2 is short." in page
    assert "run 1 runs from 1 to 0.3333; run 2 runs from" in panels(sides)[0]


def test_the_page_has_every_part_with_its_command(make: MakeRun) -> None:
    first, second = make("a", name="first"), make("b", name="second", seed=5)
    reanswer(second, set(range(8)))
    for run, version in ((first, "1.0"), (second, "2.0")):
        manifest = {"model": f"{run.path}/model", "versions": {"torch": version, "python": "3.11"}}
        (run.model_dir("mpo") / "manifest.json").write_text(json.dumps(manifest))
    page = render(read([first, second]))
    seen = text_of(page)
    for section in ("What the recipes do differently", "Scores", "Training", "Sampling and pairs", "Versions"):
        assert section in seen
    for stage in (f"report {first.path} {second.path}", f"evaluate {first.path} --roles base mpo"):
        assert f"mixpref {stage}" in seen
    for stage in ("train", "sample"):
        for run in (first, second):
            assert f"mixpref {stage} {run.path}" in seen
    assert "second against first, chain of thought on world: +22.2 points on the same 9 items" in seen
    assert "60.0 %" in seen
    # 48 responses each, of 9 tokens: 12 right, 21 wrong, 14 unreadable, 1 failed; 28 pairs.
    assert "second 48 25.0 43.8 29.2 2.1 9.0 28" in seen
    assert [each.key for each in origins(read([first, second]))] == ["model: torch version"]
    assert "<details>" in page


def test_the_page_runs_nothing_fetches_nothing_and_escapes_what_it_is_told(make: MakeRun) -> None:
    hostile = "<script>alert(1)</script>"
    first, second = make("a", name="first"), make("b", name="second")
    score = replace(make_score("mpo", "cot", 0.5), benchmark=f"<b>{hostile}", metric=hostile)
    (second.scores_dir / "other.json").write_text(json.dumps([asdict(replace(score, model=hostile))]))
    (second.model_dir("mpo") / "manifest.json").write_text(json.dumps({"model": hostile}))
    (first.model_dir("mpo") / "manifest.json").write_text('{"model": "<img src=x>"}')
    page = render([replace(side, label=f"{side.label} {hostile}") for side in read([first, second])])
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert unescape(page).count(hostile) >= 4
    assert "default-src 'none'" in unescape(page)
    assert "script-src" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", page)
    assert "url(http" not in page


def test_runs_that_made_nothing_yet_have_a_page(make: MakeRun, empty_run: Run) -> None:
    alone = text_of(render(read([empty_run, Run.open(empty_run.path.parent / "bare", Recipe(name="bare"))])))
    assert "None of these runs is evaluated yet: empty, bare." in alone
    assert "problems.train 12" in alone
    assert "Sampling and pairs" not in alone
    assert "Training" not in alone
    beside = text_of(render(read([empty_run, make("a", name="made")])))
    assert "Not measured: empty." in beside
    assert "Item by item" not in beside


def test_a_run_in_the_middle_of_its_stages_shows_what_it_has(make: MakeRun) -> None:
    first, second = make("a", name="first"), make("b", name="second")
    for file in second.verdicts.path.rglob("*"):
        file.unlink()
    (second.model_dir("mpo") / "training_log.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    (second.scores_dir / "mpo.json").unlink()
    page = text_of(render(read([first, second])))
    assert "second 48 – – – – 9.0 28" in page
    assert "second: mpo, 1 optimizer steps." in page


def test_the_command_writes_the_file(
    make: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make("a"), make("b")
    monkeypatch.chdir(tmp_path)
    assert main(["report", "a", "b", "--to", "pages/x.html"]) == 0
    assert capsys.readouterr().out.strip() == str(Path("pages/x.html"))
    page = Path("pages/x.html").read_text(encoding="utf-8")
    assert "small (a) and small (b)" in page
    assert "mixpref report a b --to pages/x.html" in page


def test_a_file_that_cannot_be_written_is_told(make: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    runs = [make("a"), make("b")]
    for to in (tmp_path / "taken", tmp_path / "taken" / "file" / "x.html"):
        with pytest.raises(MixprefError, match=r"cannot be written .*; name another file by --to"):
            compare_runs(runs, to)
