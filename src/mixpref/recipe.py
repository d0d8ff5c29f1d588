"""A recipe: all settings of a run (`settings.py`), read from YAML.

Every mistake in a recipe is reported at once, each with its key, what is wrong, and for unknown keys and values the
nearest valid ones.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from mixpref.errors import MixprefError
from mixpref.settings import (
    STRICT,
    EvaluationRecipe,
    PairingRecipe,
    ProblemsRecipe,
    SamplingRecipe,
    TrainingRecipe,
    VerifyingRecipe,
    Whole,
)

__all__ = [
    "EvaluationRecipe",
    "PairingRecipe",
    "ProblemsRecipe",
    "Recipe",
    "SamplingRecipe",
    "TrainingRecipe",
    "VerifyingRecipe",
    "built_ins",
    "difference",
    "find",
    "load",
    "parse",
    "to_yaml",
]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run makes."""

    __pydantic_config__ = STRICT

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$")]
    """Names the run; the default output is runs/NAME."""
    seed: Whole = 0
    """Moves sampling, pairs, training and the choice of the held-out problems."""
    model: Annotated[str, Field(min_length=1)] = "embedded"
    """A directory or hub name of an image-text-to-text model; embedded: the small one in the package."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model: only where you trust its authors."""
    problems: ProblemsRecipe = field(default_factory=lambda: ProblemsRecipe(train=1000))
    sampling: SamplingRecipe = field(default_factory=SamplingRecipe)
    verifying: VerifyingRecipe = field(default_factory=VerifyingRecipe)
    pairing: PairingRecipe = field(default_factory=PairingRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)

    def to_dict(self) -> dict[str, Any]:
        """Nested dicts of plain values, tuples as lists; `from_dict` gives an equal recipe back."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any], origin: str = "the recipe") -> Recipe:
        """The recipe of nested dicts. Raises MixprefError with all mistakes; `origin` says in what."""
        return _validate(dict(settings), origin)


def load(source: Path | str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Read a recipe: a YAML file's path, or the name of a built-in recipe.

    overrides: dotted keys ("training.beta") and the values that replace those of the file.
    Raises MixprefError with all mistakes at once.
    """
    file = find(source)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as reason:
        raise MixprefError(f"the recipe {file} cannot be read ({reason})") from None
    return parse(text, overrides, origin=str(source))


def parse(text: str, overrides: Mapping[str, Any] | None = None, origin: str = "the recipe") -> Recipe:
    """As `load`, of YAML text."""
    try:
        settings = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as reason:
        raise MixprefError(f"{origin} is no valid YAML: {' '.join(str(reason).split())}") from None
    if not isinstance(settings, dict):
        raise MixprefError(f"{origin} holds no settings; a recipe is keys and values such as `name: mine`")
    for key, value in (overrides or {}).items():
        *sections, name = key.split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return _validate(settings, origin)


def find(source: Path | str) -> Path:
    """The file of a recipe: the path itself, or that of the built-in recipe of this name.

    Raises MixprefError where there is neither.
    """
    path = Path(source)
    if path.is_file():
        return path
    built_in = built_ins()
    if str(source) in built_in:
        return built_in[str(source)]
    near = difflib.get_close_matches(str(source), built_in, n=1)
    hint = f"did you mean {near[0]}?" if near else f"built-in recipes are {', '.join(built_in) or 'missing'}"
    raise MixprefError(f"there is no recipe {source}: neither a file nor a built-in recipe; {hint}")


def built_ins() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "recipes").glob("*.yaml"))}


def to_yaml(recipe: Recipe) -> str:
    """The recipe with all its settings, defaults included, as YAML in the order of the fields."""
    return yaml.safe_dump(recipe.to_dict(), sort_keys=False, allow_unicode=True)


def flat(recipe: Recipe) -> dict[str, Any]:
    """Every setting by its key as flags and messages write it: `training.learning_rate`."""
    return dict(_flat(recipe.to_dict()))


def difference(one: Recipe, other: Recipe, *, but: Collection[str] = ()) -> list[str]:
    """One line for each setting that differs, but for those named: `key: value of one -> value of other`."""
    first, second = flat(one), flat(other)
    keys = [key for key in dict.fromkeys((*first, *second)) if key not in but]
    # A mapping's own keys need not be in both.
    return [f"{key}: {first.get(key)!r} -> {second.get(key)!r}" for key in keys if first.get(key) != second.get(key)]


class _Loader(yaml.SafeLoader):
    """YAML, but a key given twice is a mistake instead of the last one winning silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _validate(settings: dict[str, Any], origin: str) -> Recipe:
    # A section whose every key is commented out is null in YAML: it means the defaults.
    settings = {key: value for key, value in settings.items() if value is not None or key not in _sections()}
    try:
        return TypeAdapter(Recipe).validate_python(settings)
    except ValidationError as mistakes:
        errors: list[dict[str, Any]] = [dict(each) for each in mistakes.errors(include_url=False)]
    # A list whose items are wrong counts as too short as well: say it once.
    inner = {error["loc"][:-1] for error in errors}
    found = [_mistake(error) for error in errors if error["type"] != "too_short" or error["loc"] not in inner]
    if len(found) == 1:
        raise MixprefError(f"{origin}: {found[0]}")
    raise MixprefError(f"{len(found)} mistakes in {origin}:" + "".join(f"\n  {each}" for each in found))


def _mistake(error: dict[str, Any]) -> str:
    """One mistake that pydantic found, in our words: `key: what is wrong; what would be right`."""
    place = tuple(str(part) for part in error["loc"])
    key, given, kind = ".".join(place), error["input"], error["type"]
    if kind == "unexpected_keyword_argument":
        return f"{key}: there is no such key{_nearest_key(place)}"
    if kind == "missing":
        return f"{key}: is missing and has no default"
    if kind == "literal_error":
        valid = error["ctx"]["expected"]
        near = difflib.get_close_matches(str(given), valid.replace("'", "").replace(" or ", ", ").split(", "), n=1)
        return f"{key}: {given!r} is not {valid}" + (f"; did you mean {near[0]}?" if near else "")
    if kind == "dataclass_type":
        return f"{key}: {given!r} is no section; it holds keys and values"
    if kind == "string_pattern_mismatch":
        return f"{key}: {given!r} may have letters, digits, - _ and . only, a letter or digit first"
    if kind == "too_short":
        return f"{key}: is empty"
    if kind == "value_error":
        return f"{key}: {error['ctx']['error']}"
    what = error["msg"].replace("Input should be", "must be")
    return f"{key}: {given!r} {what}" if what.startswith("must") else f"{key}: {given!r}: {what}"


def _nearest_key(place: tuple[str, ...]) -> str:
    """A hint at the valid key that is meant: the nearest in the same section, else in any other."""
    *section, name = place
    keys = [key for key, _ in _keys()]
    prefix = ".".join(section) + "." if section else ""
    here = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    here = [key for key in here if "." not in key]
    anywhere = {key.rpartition(".")[2]: key for key in keys}
    if near := difflib.get_close_matches(name, here, n=1):
        return f"; did you mean {prefix}{near[0]}?"
    if near := difflib.get_close_matches(name, anywhere, n=1, cutoff=0.75):
        return f"; did you mean {anywhere[near[0]]}?"
    return f"; there are {', '.join(here)}"


def _sections() -> dict[str, Any]:
    hints = typing.get_type_hints(Recipe)
    return {key: hint for key, hint in hints.items() if dataclasses.is_dataclass(hint)}


def _keys() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    """All keys of a recipe, dotted, sections included."""
    sections = _sections()
    for each in dataclasses.fields(Recipe):
        yield each.name, each
        for inner in dataclasses.fields(sections[each.name]) if each.name in sections else ():
            yield f"{each.name}.{inner.name}", inner


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
