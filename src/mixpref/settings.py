"""The settings of a recipe: one frozen dataclass a stage.

Defaults are those of the MPO paper (arXiv 2411.10442, section 4 and its released scripts) where it gives any; the
number of samples, the token limit and the batch of sampling are smaller here.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from mixpref import prompts


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
Styles = Literal["en", "zh", "boxed", "zh_boxed", "r1", "zh_r1", "knowledge", "visual", "grounded", "direct", "plain"]
assert set(typing.get_args(Styles)) == set(prompts.STYLES)

# pydantic reads this off the dataclass; unknown keys are mistakes.
STRICT = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class ProblemsRecipe:
    """Where the problems come from."""

    __pydantic_config__ = STRICT

    source: Literal["world", "jsonl", "mmpr"] = "world"
    """world: the built-in generator; jsonl: your own JSON lines and images; mmpr: the questions of an MMPR data set."""
    path: str | None = None
    """jsonl: the file, or a pattern like data/*.jsonl; mmpr: its meta.json. From the folder in which the command is
    run."""
    images: str | None = None
    """jsonl: the folder that the rows' image paths start from; None: the folder of the file itself."""
    train: Count | None = None
    """Problems to sample from and train on; None: all that are not held out. The world needs a number."""
    held_out: Count = 600
    """Problems to measure on, never trained on."""
    families: tuple[str, ...] = ()
    """Only these kinds of problem; empty: all (of the world: all that have a gold answer)."""
    remote_images: bool = False
    """mmpr: fetch images that rows name by http(s) URLs; otherwise such rows are rejected."""

    def __post_init__(self) -> None:
        if self.source == "jsonl" and self.path is None:
            raise ValueError("the source jsonl needs a path: the JSON-lines file")
        if self.source == "mmpr" and self.path is None:
            raise ValueError("the source mmpr needs a path: its meta.json")
        if self.source == "world" and self.train is None:
            raise ValueError("the source world is endless and needs a number of train problems")
        if self.source == "world" and (self.path or self.images):
            raise ValueError("the source world reads no files; with path and images belongs source: jsonl")


@dataclass(frozen=True, kw_only=True)
class SamplingRecipe:
    """How the model answers the training problems."""

    __pydantic_config__ = STRICT

    engine: Literal["transformers", "server"] = "transformers"
    """transformers: the model runs here; server: OpenAI-compatible servers answer (vLLM, SGLang, LMDeploy)."""
    style: Styles = "en"
    """Prompt style of the sampled chains of thought."""
    mix: dict[Styles, Positive] = field(default_factory=dict)
    """Several prompt styles and their weights, in place of style: each question is put in one of them."""
    samples: Count = 8
    """Responses a problem; with adaptive, at most so many."""
    open_style: Styles = "plain"
    """Prompt style of problems without an answer that no judge reads either."""
    open_samples: Count = 1
    """Responses to such a problem; each can make one dropout-ntp pair."""
    adaptive: bool = False
    """Sample in rounds: a problem gets no more once its responses make max_pairs pairs, or where it seems hopeless."""
    round_samples: Count = 4
    """Adaptive: responses a round."""
    give_up: Count = 24
    """Adaptive: a problem with so many responses none of which is right, or none worse, gets no more."""
    temperature: Positive = 1.0
    """Divides the logits; 1 samples from the model as it is."""
    top_k: Whole = 50
    """Only the k likeliest tokens; 0: all."""
    top_p: Annotated[Positive, Field(le=1)] = 1.0
    """Only the likeliest tokens that together have this probability."""
    max_new_tokens: Count = 256
    """Tokens of a response, its end of turn included."""
    batch_size: Count = 16
    """transformers: problems a batch."""
    servers: Annotated[tuple[str, ...], Field(min_length=1)] = ("http://127.0.0.1:8000/v1",)
    """server: the base URLs; several share the load. A key, if one is wanted, is the environment's OPENAI_API_KEY."""
    served_model: str | None = None
    """server: the model's name there; None: the recipe's model."""
    concurrency: Count = 64
    """server: requests in flight at each."""
    timeout: Positive = 600.0
    """server: seconds for a request."""
    retries: Whole = 5
    """server: further attempts at a request that failed for a passing reason."""
    patience: NotNegative = 3600.0
    """server: seconds to wait for servers that are down before the run stops, to be gone on with later."""
    workers: Count | None = None
    """Engines on Ray, for several GPUs or machines; None: one engine in this process."""
    worker_gpus: NotNegative = 0.0
    """Ray: GPUs of each engine."""
    ray: str | None = None
    """Ray: the cluster's address, or auto; None: Ray is started on this machine alone."""


@dataclass(frozen=True, kw_only=True)
class VerifyingRecipe:
    """How answers are judged; by which rule, the problems say themselves."""

    __pydantic_config__ = STRICT

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


Kinds = Literal["correctness", "format", "dropout-ntp"]


@dataclass(frozen=True, kw_only=True)
class PairingRecipe:
    """Which pairs are built of the judged responses."""

    __pydantic_config__ = STRICT

    kinds: Annotated[tuple[Kinds, ...], Field(min_length=1)] = ("correctness", "format")
    """correctness: right against wrong; format: right against an answer that cannot be read; dropout-ntp, for
    problems without an answer: a response against its beginning gone on with blindly."""
    max_pairs: Count = 15
    """Pairs a problem, at most."""
    max_length_gap: Annotated[Positive, Field(le=1)] | None = None
    """Share of the longer one by which the two texts' token counts may differ; None: by any."""
    lengths: Literal["spread", "level"] = "spread"
    """Of many possible pairs, those taken: spread, over all differences in length; level, so that chosen and rejected
    texts are equally long on the whole, which takes away what is learned where long reasoning is the better one."""
    dropout_ratio: Annotated[Share, Field(lt=1)] = 0.5
    """dropout-ntp: share of the response that is kept before it is gone on with without the images."""
    added: tuple[str, ...] = ()
    """JSON-lines files of further pairs: votes on this run's responses, or pairs from elsewhere."""


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """MPO training: L = dpo_weight Lp + bco_weight Lq + sft_weight Lg (arXiv 2411.10442, equation 1)."""

    __pydantic_config__ = STRICT

    pairs: str | None = None
    """An MMPR meta.json to train on, streamed, in place of the run's own pairs."""
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

    __pydantic_config__ = STRICT

    styles: Annotated[tuple[Literal["direct", "cot"], ...], Field(min_length=1)] = ("direct", "cot")
    """direct: asked for the answer alone; cot: asked for a chain of thought."""
    cot_style: Literal["en", "zh", "boxed", "zh_boxed", "r1", "zh_r1"] = "en"
    """Prompt style of the chain of thought."""
    max_new_tokens: Count = 256
    """Tokens of a response, its end of turn included."""
    batch_size: Count = 64
    """Problems a batch."""
    held_out: bool = True
    """Measure on the held-out problems."""
    benchmarks: tuple[str, ...] = ()
    """Benchmarks to measure on as well: m3cot, mathvista, mathvision, mmvet, llava-bench, pope, crpe-relation, mmhal,
    gsm8k, mmlu and others."""
    data: str = "benchmarks"
    """The folder that holds a folder of data for each benchmark, from the one in which the command is run."""
    models: tuple[str, ...] = ()
    """Further models to measure, by directory or hub name."""
    judge: str | None = None
    """Name of the model that judges benchmarks with open answers; None: verifying.judge."""
    judge_url: str | None = None
    """Its OpenAI-compatible server; None: verifying.judge_url."""
    samples: Whole = 0
    """Sampled chains of thought an item, for pass@k, majority votes and best-of-n; 0: none. By sampling.temperature,
    top_k and top_p."""
    engine: Literal["transformers", "server"] = "transformers"
    """transformers: models run here; server: OpenAI-compatible servers answer, with sampling.concurrency and so on."""
    servers: Annotated[tuple[str, ...], Field(min_length=1)] = ("http://127.0.0.1:8000/v1",)
    """server: the base URLs; several share the load."""


OPERATIONAL = (
    tuple(
        f"sampling.{name}"
        for name in ("servers", "concurrency", "timeout", "retries", "patience", "workers", "worker_gpus", "ray")
    )
    + tuple(f"verifying.{name}" for name in ("workers", "memory_mb", "judge_url", "judge_concurrency"))
    + tuple(
        f"evaluation.{name}"
        for name in ("held_out", "benchmarks", "data", "models", "judge", "judge_url", "samples", "engine", "servers")
    )
)
"""Where and how fast the work is done, or what is added to it, and not what is made: a run may go on with others."""
