"""A recipe: all settings of a run, one frozen dataclass a stage, read from YAML.

Every mistake in a recipe is reported at once, each with its key, what is wrong, and for unknown keys and values the
nearest valid ones. Defaults are those of the MPO paper (arXiv 2411.10442, section 4 and its released scripts) where
it gives any; the number of samples, the token limit and the batch of sampling are smaller here.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from mixpref import prompts
from mixpref.errors import MixprefError


def _no_switch(value: Any) -> Any:
    # YAML reads yes and on as true, and true is the integer 1 in Python.
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number")
    return value


Whole = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_no_switch)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_no_switch)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_no_switch)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_switch)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_no_switch)]
Styles = Literal["en", "boxed", "direct", "plain"]
assert set(typing.get_args(Styles)) == set(prompts.STYLES)

# pydantic reads this off the dataclass; unknown keys are mistakes.
_STRICT = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class ProblemsRecipe:
    """Where the problems come from."""

    __pydantic_config__ = _STRICT

    source: Literal["world", "jsonl"] = "world"
    """world: the built-in generator; jsonl: your own JSON lines and images."""
    path: str | None = None
    """jsonl: the file, or a pattern like data/*.jsonl, from the folder in which the command is run."""
    images: str | None = None
    """jsonl: the folder that the rows' image paths start from; None: the folder of the file itself."""
    train: Count | None = None
    """Problems to sample from and train on; None: all that are not held out. The world needs a number."""
    held_out: Count = 600
    """Problems to measure on, never trained on."""
    families: tuple[str, ...] = ()
    """Only these kinds of problem; empty: all (of the world: all that have a gold answer)."""

    def __post_init__(self) -> None:
        if self.source == "jsonl" and self.path is None:
            raise ValueError("the source jsonl needs a path: the JSON-lines file")
        if self.source == "world" and self.train is None:
            raise ValueError("the source world is endless and needs a number of train problems")
        if self.source == "world" and (self.path or self.images):
            raise ValueError("the source world reads no files; with path and images belongs source: jsonl")


@dataclass(frozen=True, kw_only=True)
class SamplingRecipe:
    """How the model answers the training problems."""

    __pydantic_config__ = _STRICT

    engine: Literal["transformers"] = "transformers"
    """What runs the model."""
    style: Styles = "en"
    """Prompt style of the sampled chains of thought."""
    samples: Count = 8
    """Responses a problem."""
    temperature: Positive = 1.0
    """Divides the logits; 1 samples from the model as it is."""
    top_k: Whole = 50
    """Only the k likeliest tokens; 0: all."""
    top_p: Annotated[Positive, Field(le=1)] = 1.0
    """Only the likeliest tokens that together have this probability."""
    max_new_tokens: Count = 256
    """Tokens of a response, its end of turn included."""
    batch_size: Count = 16
    """Problems a batch."""


@dataclass(frozen=True, kw_only=True)
class VerifyingRecipe:
    """How answers are judged; by which rule, the problems say themselves."""

    __pydantic_config__ = _STRICT

    workers: Count | None = None
    """Processes for computer algebra; None: one a core."""
    seconds: Positive = 5.0
    """Time for the algebra of one answer; what takes longer is an error."""
    memory_mb: Count = 1024
    """MiB of memory of each of those processes."""
    judge: str | None = None
    """Name of the model that reads answers to open questions; None: those questions are errors."""
    judge_url: str = "http://127.0.0.1:8000/v1"
    """Its OpenAI-compatible server. The key, if one is wanted, is the environment variable OPENAI_API_KEY."""
    judge_rubric: Literal["open", "mmvet", "mmhal", "llava"] = "open"
    """What the judge is told to look at; all but mmhal, which also takes known facts, need reference answers."""
    judge_concurrency: Count = 8
    """Requests to the judge at a time; its replies are kept in the run directory, none is asked for twice."""


@dataclass(frozen=True, kw_only=True)
class PairingRecipe:
    """Which pairs are built of the judged responses."""

    __pydantic_config__ = _STRICT

    kinds: Annotated[tuple[Literal["correctness", "format"], ...], Field(min_length=1)] = ("correctness", "format")
    """correctness: right against wrong; format: right against an answer that cannot be read."""
    max_pairs: Count = 15
    """Pairs a problem, at most."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """MPO training: L = dpo_weight Lp + bco_weight Lq + sft_weight Lg (arXiv 2411.10442, equation 1)."""

    __pydantic_config__ = _STRICT

    learning_rate: Positive = 5e-6
    """Highest learning rate of AdamW."""
    batch_size: Count = 256
    """Pairs an optimizer step."""
    micro_batch_size: Count = 8
    """Pairs a forward pass, on each device; any value gives the same step."""
    max_tokens_per_row: Count | None = None
    """Tokens a forward pass, in place of micro_batch_size; None: micro_batch_size counts."""
    max_pairs_per_group: Count | None = None
    """Pairs of one prompt in an optimizer step at most; None: all stay together."""
    step: Literal["shared", "plain"] = "shared"
    """shared: nothing is computed twice; plain: each response is a sequence of its own."""
    reference: Literal["cached", "in_step"] = "cached"
    """cached: the reference's log-probabilities are computed once, before the training; in_step: along with it."""
    freeze: tuple[Literal["vision", "projector", "embeddings", "language"], ...] = ()
    """Parts of the model that are not trained."""
    gradient_checkpointing: bool = False
    """Compute the layers' insides again in the backward pass instead of keeping them: slower, in less memory."""
    epochs: Positive = 1.0
    """Passes over the pairs."""
    weight_decay: NotNegative = 0.05
    """AdamW's decoupled weight decay."""
    warmup_ratio: Share = 0.05
    """Share of all steps in which the learning rate rises from 0."""
    lr_scheduler: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warm-up."""
    max_grad_norm: NotNegative = 1.0
    """Gradients of a larger norm are scaled down to this one; 0: never."""
    beta: Positive = 0.1
    """Scale of the reward: r(y) = beta (log pi(y|x) - log pi_0(y|x))."""
    dpo_weight: NotNegative = 0.8
    """Weight of the preference loss Lp (DPO)."""
    bco_weight: NotNegative = 0.2
    """Weight of the quality loss Lq (BCO)."""
    sft_weight: NotNegative = 1.0
    """Weight of the generation loss Lg: mean NLL a token of the chosen response."""
    max_length: Count | None = None
    """Tokens of prompt and response; a longer pair is left out and counted, never cut. None: no limit."""
    bf16: bool = False
    """Forward and backward in bfloat16; log-probabilities are summed in float32 all the same."""
    logging_steps: Count = 1
    """Optimizer steps between two lines of the training log."""
    save_steps: Count = 50
    """Optimizer steps between two checkpoints; a killed run goes on from the last."""

    def __post_init__(self) -> None:
        if not (self.dpo_weight or self.bco_weight or self.sft_weight):
            raise ValueError("dpo_weight, bco_weight and sft_weight are all 0: there is nothing to train for")


@dataclass(frozen=True, kw_only=True)
class EvaluationRecipe:
    """How models are measured on the held-out problems."""

    __pydantic_config__ = _STRICT

    styles: Annotated[tuple[Literal["direct", "cot"], ...], Field(min_length=1)] = ("direct", "cot")
    """direct: asked for the answer alone; cot: asked for a chain of thought."""
    cot_style: Literal["en", "boxed"] = "en"
    """Prompt style of the chain of thought."""
    max_new_tokens: Count = 256
    """Tokens of a response, its end of turn included."""
    batch_size: Count = 64
    """Problems a batch."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides what a run makes."""

    __pydantic_config__ = _STRICT

    name: Annotated[str, Field(pattern=r"^[\w][\w.-]*$")]
    """Names the run; the default output is runs/NAME."""
    seed: Whole = 0
    """Moves sampling, pairs, training and the choice of the held-out problems."""
    model: Annotated[str, Field(min_length=1)] = "embedded"
    """A directory or hub name of an image-text-to-text model; embedded: the small one in the package."""
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


def difference(one: Recipe, other: Recipe) -> list[str]:
    """One line for each setting that differs: `key: value of one -> value of other`."""
    first, second = dict(_flat(one.to_dict())), dict(_flat(other.to_dict()))
    return [f"{key}: {first[key]!r} -> {second[key]!r}" for key in first if first[key] != second[key]]


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
