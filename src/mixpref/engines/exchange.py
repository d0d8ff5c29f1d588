"""What is said to an OpenAI-compatible server, and what its answers mean: pure functions, no network.

Fields beyond OpenAI's own are those that vLLM, SGLang and LMDeploy share. All settings of sampling are sent, also where
they change nothing: a server fills what is missing from the model's generation_config.json.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass
from typing import Any

from mixpref import prompts
from mixpref.engines.blind import without_images
from mixpref.engines.request import Request, Sampling
from mixpref.errors import MixprefError
from mixpref.records import Finish, Response
from mixpref.seeds import derive

_FORMATS = {
    b"\x89PNG": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}
_QUOTE = 300  # characters


class BrokenAnswer(Exception):
    """A reply that is no answer, such as cut JSON; another attempt may give one."""


@dataclass(frozen=True)
class Choice:
    """One sample as the server gave it, or why there is none."""

    text: str = ""
    tokens: int = 0
    finish: Finish = "error"
    logprob: float | None = None
    error: str = ""


def seed_base(request: Request) -> int:
    """The seed of the problem's sample 0; sample s has this + s, in 31 bits.

    Servers seed child i of a request with seed + i. So the samples are the same in one request or in rounds, and those
    of neighbouring run seeds have none in common.
    """
    return derive(request.seed, request.problem.id) % 2**30


def conversation(request: Request) -> list[dict[str, Any]]:
    """The messages: images as data URLs at their places; the prefix as a last turn of the assistant, to go on from.

    Raises ValueError where marks and images do not agree, or an image is of no known format.
    """
    problem = without_images(request.problem) if request.blind else request.problem
    turns = prompts.messages(problem, request.style)
    parts = turns[0]["content"]
    if problem.images:
        images = iter(problem.images)
        turns[0]["content"] = [_image(next(images)) if part["type"] == "image" else part for part in parts]
    else:
        # Plain text is what templates of text-only models take, too.
        turns[0]["content"] = "".join(part["text"] for part in parts)
    if request.prefix:
        turns.append({"role": "assistant", "content": request.prefix})
    return turns


def payload(request: Request, sampling: Sampling, *, model: str, first: int = 0, logprobs: bool = False) -> bytes:
    """The body that asks for all samples but the `first` ones. Raises ValueError as `conversation` does."""
    samples = request.samples - first
    turns = conversation(request)
    fields: dict[str, Any] = {
        "model": model,
        "messages": turns,
        "n": samples,
        "seed": seed_base(request) + request.first + first,
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
        "repetition_penalty": 1.0,
    }
    if not sampling.greedy:
        fields |= {"top_p": sampling.top_p, "top_k": sampling.top_k or -1, "min_p": 0.0}
    if request.prefix:
        fields |= {"continue_final_message": True, "add_generation_prompt": False}
    if logprobs:
        fields["logprobs"] = True
    elif samples > 1:
        # `usage` tells the sum over the choices only.
        fields["return_token_ids"] = True
    return json.dumps(fields).encode()


def choices(body: bytes, wanted: int) -> list[Choice]:
    """The first `wanted` choices of a reply, in the order of their indices, or as many as there are: at least one.

    Their tokens are counted where the server sends token ids or log-probabilities. Else `usage` tells them: of a lone
    choice exactly, of several as their rounded mean. Raises BrokenAnswer, and MixprefError where the server keeps a
    part of the text to itself.
    """
    reply = _object(body)
    found = reply.get("choices")
    if not isinstance(found, list) or not found:
        raise BrokenAnswer(f"its reply holds no choices ({quote(body)})")
    if not all(isinstance(choice, dict) and isinstance(choice.get("message"), dict) for choice in found):
        raise BrokenAnswer("its reply holds a choice without a message")
    if all(isinstance(choice.get("index"), int) for choice in found):
        found.sort(key=lambda choice: choice["index"])
    usage = reply.get("usage")
    total = usage.get("completion_tokens") if isinstance(usage, dict) else None
    mean = round(total / len(found)) if isinstance(total, int) else 0
    return [_choice(choice, mean) for choice in found[:wanted]]


def response(request: Request, sampling: Sampling, name: str, sample: int, choice: Choice) -> Response:
    """The record of one sample."""
    return Response(
        problem_id=request.problem.id,
        sample=sample,
        text=choice.text,
        tokens=choice.tokens,
        finish=choice.finish,
        seed=seed_base(request) + sample,
        style=request.style,
        sampler=sampling.describe(name),
        logprob=choice.logprob,
        prefix=request.prefix,
        error=choice.error,
    )


def model_names(body: bytes) -> list[str]:
    """The names in a reply to GET /models. Raises BrokenAnswer."""
    found = _object(body).get("data")
    if not isinstance(found, list):
        raise BrokenAnswer("its list of models cannot be read")
    return [str(model["id"]) for model in found if isinstance(model, dict) and "id" in model]


def quote(body: bytes) -> str:
    """What a server says of an error, in one short line: OpenAI's form, FastAPI's, or the body as it is."""
    try:
        reply = _object(body)
    except BrokenAnswer:
        told: Any = body.decode(errors="replace")
    else:
        error = reply.get("error", reply)
        told = error if not isinstance(error, dict) else error.get("message", error.get("detail", error))
    return _short(str(told))


def _choice(choice: dict[str, Any], mean: int) -> Choice:
    message = choice["message"]
    if message.get("reasoning") or message.get("reasoning_content"):
        raise MixprefError("the server splits the reasoning off its texts; start it without a reasoning parser")
    if message.get("refusal"):
        return Choice(error=f"the model refuses: {_short(str(message['refusal']))}")
    text = "" if message.get("content") is None else message["content"]
    if not isinstance(text, str):
        raise BrokenAnswer("its reply holds a text that is none")
    logprobs = _logprobs(choice)
    ids = choice.get("token_ids")
    tokens = len(ids) if isinstance(ids, list) else len(logprobs) if logprobs is not None else mean
    finish = choice.get("finish_reason")
    if finish not in ("stop", "length"):
        return Choice(error=f"the server ended it with finish_reason {finish}")
    total = math.fsum(logprobs) if logprobs is not None else None
    # A lone half of a surrogate pair goes into no file.
    return Choice(text.encode(errors="replace").decode(), tokens, finish, total)


def _logprobs(choice: dict[str, Any]) -> list[float] | None:
    logprobs = choice.get("logprobs")
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    found = [token.get("logprob") if isinstance(token, dict) else None for token in content]
    told = [float(each) for each in found if isinstance(each, int | float) and math.isfinite(each)]
    return told if len(told) == len(found) else None


def _object(body: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        raise BrokenAnswer(f"its reply is no JSON ({len(body)} bytes)") from None
    if not isinstance(reply, dict):
        raise BrokenAnswer("its reply is no object of JSON")
    return reply


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _QUOTE else f"{line[:_QUOTE]} ..."


def _image(image: bytes) -> dict[str, Any]:
    webp = image[:4] == b"RIFF" and image[8:12] == b"WEBP"
    avif = image[4:8] == b"ftyp" and image[8:12] in (b"avif", b"avis")
    kind = "webp" if webp else "avif" if avif else None
    kind = kind or next((kind for start, kind in _FORMATS.items() if image.startswith(start)), None)
    if kind is None:
        raise ValueError("an image is neither PNG, JPEG, WebP, GIF, BMP, TIFF nor AVIF")
    url = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}
