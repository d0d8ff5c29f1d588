"""Recipes: defaults, reading, and above all what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixpref import recipe
from mixpref.errors import MixprefError
from mixpref.recipe import Recipe


def refusal(text: str) -> str:
    with pytest.raises(MixprefError) as raised:
        recipe.parse(text)
    return str(raised.value)


def test_the_defaults_are_the_papers() -> None:
    training = Recipe(name="r").training
    assert (training.dpo_weight, training.bco_weight, training.sft_weight, training.beta) == (0.8, 0.2, 1.0, 0.1)
    assert (training.learning_rate, training.batch_size, training.weight_decay) == (5e-6, 256, 0.05)
    assert Recipe(name="r").pairing.max_pairs == 15
    assert (Recipe(name="r").sampling.top_k, Recipe(name="r").sampling.top_p) == (50, 1.0)


def test_yaml_and_dicts_give_the_recipe_back() -> None:
    one = recipe.parse("{name: r, seed: 3, problems: {train: 5, families: [chart]}, training: {max_length: 7}}")
    assert one.problems.families == ("chart",)
    assert recipe.parse(recipe.to_yaml(one)) == one
    assert Recipe.from_dict(one.to_dict()) == one


def test_numbers_as_people_write_them() -> None:
    # YAML takes 1e-6, without a point, for a text.
    assert recipe.parse("{name: r, training: {learning_rate: 1e-6}}").training.learning_rate == 1e-6
    assert recipe.parse("{name: r, training: {beta: 1}}").training.beta == 1.0


def test_all_mistakes_are_told_at_once_with_the_nearest_names() -> None:
    said = refusal(
        "name: r\nseeed: 1\nlearning_rate: 1\n"
        "problems: {source: jsnl, train: 0}\n"
        "sampling: {samples: 0, top_p: 1.5, temperature: 0, max_new_token: 3}\n"
        "training: {betta: 1, dpo_weight: -1}\n"
        "pairing: {kinds: [corectness]}\n"
    )
    lines = [line.strip() for line in said.splitlines()]
    assert lines[0] == "11 mistakes in the recipe:"
    assert len(lines) == 12
    for expected in (
        "seeed: there is no such key; did you mean seed?",
        "learning_rate: there is no such key; did you mean training.learning_rate?",
        "problems.source: 'jsnl' is not 'world', 'jsonl' or 'mmpr'; did you mean jsonl?",
        "problems.train: 0 must be greater than or equal to 1",
        "sampling.samples: 0 must be greater than or equal to 1",
        "sampling.top_p: 1.5 must be less than or equal to 1",
        "sampling.temperature: 0 must be greater than 0",
        "sampling.max_new_token: there is no such key; did you mean sampling.max_new_tokens?",
        "training.betta: there is no such key; did you mean training.beta?",
        "training.dpo_weight: -1 must be greater than or equal to 0",
        "pairing.kinds.0: 'corectness' is not 'correctness', 'format' or 'dropout-ntp'; did you mean correctness?",
    ):
        assert expected in lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1", "name: is missing"),
        ("", "holds no settings"),
        ("just a text", "holds no settings"),
        ("name: [", "no valid YAML"),
        ("name: a\nname: b", "name is given twice"),
        ("name: a\ntraining: {beta: 1, beta: 2}", "beta is given twice"),
        ("name: a/b", "letters, digits"),
        ("name: ..", "letters, digits"),
        ("name: 5", "name: 5 must be a valid string"),
        ("{name: r, problems: {source: jsonl}}", "needs a path"),
        ("{name: r, problems: {source: world}}", "needs a number of train problems"),
        ("{name: r, problems: {train: 4, path: x}}", "reads no files"),
        ("{name: r, training: {dpo_weight: 0, bco_weight: 0, sft_weight: 0}}", "all 0"),
        ("{name: r, training: {learning_rate: .nan}}", "finite"),
        ("{name: r, training: {beta: .inf}}", "finite"),
        ("{name: r, sampling: {samples: yes}}", "true is no number"),
        ("{name: r, sampling: {samples: 2.5}}", "sampling.samples: 2.5"),
        ("{name: r, sampling: {samples: many}}", "sampling.samples: 'many'"),
        ("{name: r, sampling: 3}", "sampling: 3 is no section"),
        ("{name: r, pairing: {kinds: []}}", "pairing.kinds: is empty"),
        ("{name: r, seed: -1}", "seed: -1"),
    ],
)
def test_each_mistake_is_one_line(text: str, expected: str) -> None:
    said = refusal(text)
    assert expected in said
    assert "\n" not in said


def test_a_key_that_is_near_nothing_lists_what_there_is() -> None:
    assert "there are kinds, max_pairs" in refusal("{name: r, pairing: {zzz: 1}}")


def test_an_empty_section_means_its_defaults() -> None:
    assert recipe.parse("name: r\ntraining:\n") == Recipe(name="r")


def test_overrides_replace_and_are_checked_like_the_file() -> None:
    assert recipe.parse("name: r", {"training.beta": 0.5, "seed": 9}).training.beta == 0.5
    with pytest.raises(MixprefError, match=r"training\.beta: -1"):
        recipe.parse("name: r", {"training.beta": -1})


def test_the_difference_is_one_line_a_key() -> None:
    one = Recipe(name="r")
    other = recipe.parse("{name: r, seed: 1, training: {beta: 0.2}}")
    assert recipe.difference(one, one) == []
    assert recipe.difference(one, other) == ["seed: 0 -> 1", "training.beta: 0.1 -> 0.2"]


def test_built_in_recipes_are_valid_and_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"demo", "own-data"} <= set(recipe.built_ins())
    for name in recipe.built_ins():
        assert recipe.load(name).name == name
    with pytest.raises(MixprefError, match="did you mean demo"):
        recipe.load("demmo")
    with pytest.raises(MixprefError, match="neither a file nor a built-in"):
        recipe.load("some/where.yaml")


def test_a_file_is_named_in_what_is_wrong_with_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: r\nsampling: {sample: 3}\n")
    with pytest.raises(MixprefError, match=r"mine\.yaml: sampling\.sample: .* did you mean sampling\.samples"):
        recipe.load(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(MixprefError, match="cannot be read"):
        recipe.load(file)
