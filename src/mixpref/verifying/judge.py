"""The judge of open answers: a model behind an OpenAI-compatible endpoint scores responses by a rubric.

What is not a clear score is an error and never a zero: replies are checked strictly (`Rubric.read`), asked for again
where they are unusable, and given up with the reason. Usable replies are kept in a cache, by all that was asked.

    with Judge("gpt-5-mini", rubric="mmhal", cache=Path("judge.sqlite")) as judge:
        judgements = judge.judge_all([(problem, text), ...])
"""

from __future__ import annotations

import base64
import os
import sqlite3
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from mixpref.errors import MixprefError
from mixpref.progress import progress, say
from mixpref.records import Problem, content_hash
from mixpref.verifying.judgement import Judgement
from mixpref.verifying.rubrics import RUBRICS, Rating, Rubric

ASKS = 3
"""Times that an item is asked for before unusable replies make it an error."""

# What servers may refuse to take, and the words of their refusals. Each is left out when it is refused.
_OPTIONAL = {
    "response_format": ("response_format", "json_schema", "structured output", "guided", "grammar"),
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "seed": ("seed",),
    "system role": ("system role", "role 'system'", "system message"),
}
_REASON = 1000  # characters
_QUOTE = 300  # characters


class JudgeFailed(Exception):
    """There is no judgement on one item: the server failed, or its replies are unusable. Says nothing of the answer."""


class _Unusable(Exception):
    """A reply that is no judgement; another one may be."""


class Judge:
    """Judges responses by asking a model. May be shared by threads; each process opens its own.

    model, base_url   as the server knows them; None: OpenAI's server, or that of the environment's OPENAI_BASE_URL
    api_key           None: the environment's OPENAI_API_KEY, or none for a local server
    rubric            a name of `rubrics.RUBRICS`, or a rubric
    retries           of a request, after time-outs, failed connections, the statuses 408, 409, 429 and 5xx; with waits
                      that double from 0.5 s to 8 s, shortened at random, or as long as the server's Retry-After asks
    seconds           without a byte from the server, after which a request has timed out
    concurrency       requests at a time in `judge_all`
    cache             an SQLite file, which several processes may share; None: in memory, for this judge only
    max_tokens        of a reply, the thoughts of a thinking model included; a cut reply is unusable
    images            send the problems' images, too, and not the texts alone

    Raises MixprefError for a set-up that cannot work. Time-outs and retries are those of the package `openai`.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        rubric: str | Rubric = "open",
        retries: int = 5,
        seconds: float = 60.0,
        concurrency: int = 8,
        cache: Path | None = None,
        temperature: float = 0.0,
        max_tokens: int = 2048,
        images: bool = False,
    ) -> None:
        try:
            import openai
        except ImportError:
            raise MixprefError("a judge of open answers needs openai: pip install 'mixpref[server]'") from None
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise MixprefError(f"base_url must begin with http:// or https://, not {base_url!r}")
        if concurrency < 1 or retries < 0 or seconds <= 0 or max_tokens < 1:
            raise MixprefError(
                "a judge needs concurrency and max_tokens of 1, retries of 0, and seconds above 0, or more"
            )
        if isinstance(rubric, str) and rubric not in RUBRICS:
            raise MixprefError(f"there is no rubric {rubric!r}; the rubrics are {', '.join(RUBRICS)}")
        self.rubric = RUBRICS[rubric] if isinstance(rubric, str) else rubric
        self.model = model
        self._openai = openai
        self._client = openai.OpenAI(
            api_key=api_key or os.environ.get("OPENAI_API_KEY") or "none",
            base_url=base_url,
            timeout=seconds,
            max_retries=retries,
        )
        self.base_url = str(self._client.base_url)
        self._seconds, self._retries, self._concurrency = seconds, retries, concurrency
        self._temperature, self._max_tokens, self._images = temperature, max_tokens, images
        self._cache = _Cache(cache)
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Rating]] = {}
        self._left_out: frozenset[str] = frozenset()
        self._answered = False
        self._held_to_schema = False

    @property
    def settings(self) -> dict[str, Any]:
        """What the judgements depend on, as values of JSON."""
        return {
            "judge": self.model,
            "judge's server": self.base_url,
            "rubric": f"{self.rubric.name} version {self.rubric.version}",
            "temperature": self._temperature,
            "max_tokens": self._max_tokens,
            "images": self._images,
        }

    def judge(self, problem: Problem, text: str) -> Judgement:
        """The judgement on a response: correct or wrong by the rubric, its score in 0..1; unparsed if it is blank.

        Raises JudgeFailed where the model gives no usable judgement, ValueError where the problem has nothing to judge
        by, and MixprefError where nothing can be judged: a wrong key, model or address, a cache that cannot be used.
        An item that another thread is asking for is waited for, not asked for again.
        """
        if not text.strip():
            return Judgement("unparsed", "the response is blank")
        key, prompts = self._prepared(problem, text)
        with self._lock:
            under_way = self._under_way.get(key)
            mine = self._under_way.setdefault(key, Future())
        if under_way is not None:
            return self._judgement(under_way.result())
        try:
            mine.set_result(self._cached(key) or self._asked(key, prompts, problem.images if self._images else ()))
        except BaseException as failure:
            mine.set_exception(failure)
            raise
        finally:
            with self._lock:
                del self._under_way[key]
        return self._judgement(mine.result())

    def judge_all(self, items: Iterable[tuple[Problem, str]]) -> list[Judgement | Exception]:
        """For every item, in order, its judgement or the exception that `judge` raises on it. Equal items share one.

        Raises MixprefError where nothing can be judged; the replies until then are in the cache.
        """
        items = list(items)
        places: dict[str, list[int]] = {}
        results: dict[int, Judgement | Exception] = {}
        for place, (problem, text) in enumerate(items):
            try:
                places.setdefault(self._prepared(problem, text)[0], []).append(place)
            except Exception as failure:
                results[place] = failure
        stopped = threading.Event()

        def judged(problem: Problem, text: str) -> Judgement:
            if stopped.is_set():
                raise JudgeFailed("the run was stopped")
            try:
                return self.judge(problem, text)
            except MixprefError:
                stopped.set()
                raise

        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="judge")
        try:
            asked = {pool.submit(judged, *items[equal[0]]): equal for equal in places.values()}
            with progress("judge", len(asked)) as advance:
                for done in as_completed(asked):
                    try:
                        result: Judgement | Exception = done.result()
                    except MixprefError:
                        raise
                    except Exception as failure:
                        result = failure
                    results |= dict.fromkeys(asked[done], result)
                    advance()
        finally:
            # What is under way ends by itself; nothing more is asked after a wrong key or an interrupt.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
        return [results[place] for place in range(len(items))]

    def close(self) -> None:
        """Close connections and cache."""
        self._client.close()
        self._cache.close()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepared(self, problem: Problem, text: str) -> tuple[str, tuple[str, str]]:
        """The key in the cache: a hash of all that decides the reply. And the texts of the request."""
        images = problem.images if self._images else ()
        prompts = self.rubric.request(problem, text, images=self._images)
        sampling = (str(self._temperature), str(self._max_tokens))
        rubric = (self.rubric.name, self.rubric.version, str(self.rubric.schema))
        return content_hash(self.base_url, self.model, *sampling, *rubric, *prompts, *images), prompts

    def _judgement(self, rating: Rating) -> Judgement:
        rubric = self.rubric
        against = "" if rating.reference is None else f", the reference {rating.reference:g}"
        return Judgement(
            "correct" if rubric.right(rating) else "wrong",
            f"{_short(rating.reason, _REASON)} [{rating.score:g} of {rubric.low:g} to {rubric.high:g}{against}; "
            f"rubric {rubric.name} version {rubric.version}; judge {self.model}]",
            score=rubric.share(rating),
            scores=(rating.score,) if rating.reference is None else (rating.score, rating.reference),
        )

    def _cached(self, key: str) -> Rating | None:
        reply = self._cache.get(key)
        try:
            return None if reply is None else self.rubric.read(reply)
        except ValueError:
            return None

    def _asked(self, key: str, prompts: tuple[str, str], images: tuple[bytes, ...]) -> Rating:
        pictures = [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
        system, user = prompts
        unusable = _Unusable()
        for seed in range(ASKS):
            # At temperature 0 another seed changes nothing, but another text does.
            again = f"\n\nThe last reply was of no use: {unusable}. Keep to the form." if seed else ""
            try:
                reply = self._reply(system, user + again, pictures, seed)
                rating = self.rubric.read(reply)
            except _Unusable as failure:
                unusable, reply = failure, ""
            except ValueError as failure:
                unusable = _Unusable(failure)
            else:
                self._cache.put(key, reply)
                return rating
        quoted = f": {_short(reply, _QUOTE)!r}" if reply else ""
        raise JudgeFailed(f"{self.model} gave {ASKS} replies of no use; of the last one, {unusable}{quoted}")

    def _reply(self, system: str, user: str, pictures: list[dict[str, Any]], seed: int) -> str:
        """The text of one reply that is whole. Raises _Unusable, JudgeFailed or MixprefError."""
        try:
            completion = self._completion(system, user, pictures, seed)
        except self._openai.APIResponseValidationError as failure:
            raise _Unusable(f"it is not what the interface promises ({failure})") from failure
        except self._openai.APIError as failure:
            raise self._failed(failure) from failure
        except ValueError as failure:
            raise _Unusable("its body is not JSON") from failure
        # The client checks no types: a server's or a proxy's page may come back as anything.
        choices = getattr(completion, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(choice, "message", None)
        if message is None:
            raise _Unusable("it holds no message")
        if getattr(message, "refusal", None):
            raise _Unusable(f"it refuses: {_short(str(message.refusal), _QUOTE)!r}")
        finish = getattr(choice, "finish_reason", None)
        if finish == "length":
            raise _Unusable(f"it is cut at max_tokens = {self._max_tokens}")
        if finish == "content_filter":
            raise _Unusable("it is withheld by a content filter")
        if not isinstance(message.content, str) or not message.content.strip():
            raise _Unusable("it holds no text")
        return message.content

    def _completion(self, system: str, user: str, pictures: list[dict[str, Any]], seed: int) -> Any:
        """The server's answer to a request without what the server is known to refuse."""
        left_out = self._left_out
        while True:
            try:
                completion = self._client.chat.completions.create(
                    **self._arguments(system, user, pictures, seed, left_out)
                )
            except (self._openai.BadRequestError, self._openai.UnprocessableEntityError) as failure:
                refused = self._refused(failure, left_out)
                if refused is None:
                    raise
                left_out |= {refused}
                continue
            with self._lock:
                self._answered = True
                self._held_to_schema |= "response_format" not in left_out
                # Only what helped is remembered: an item may have been refused for its own sake, its length or content.
                for refused in sorted(left_out - self._left_out):
                    say(f"judge: {self.base_url} refuses {refused} for {self.model}; it is left out from now on")
                self._left_out |= left_out
            return completion

    def _arguments(
        self, system: str, user: str, pictures: list[dict[str, Any]], seed: int, left_out: frozenset[str]
    ) -> dict[str, Any]:
        merged = "system role" in left_out
        text = f"{system}\n\n{user}" if merged else user
        content = [*pictures, {"type": "text", "text": text}] if pictures else text
        messages = [] if merged else [{"role": "system", "content": system}]
        schema = {"name": "judgement", "strict": True, "schema": self.rubric.schema}
        optional = {
            "response_format": {"type": "json_schema", "json_schema": schema},
            "temperature": self._temperature,
            "max_tokens": self._max_tokens,
            "seed": seed,
        }
        arguments: dict[str, Any] = {name: value for name, value in optional.items() if name not in left_out}
        if "max_tokens" in left_out:
            arguments["max_completion_tokens"] = self._max_tokens
        return {"model": self.model, "messages": [*messages, {"role": "user", "content": content}], **arguments}

    def _refused(self, failure: Any, left_out: frozenset[str]) -> str | None:
        """What of the request the server refuses to take, as far as its message tells."""
        if failure.param in _OPTIONAL and failure.param not in left_out:
            return str(failure.param)
        message = str(failure.message).lower()
        for name, words in _OPTIONAL.items():
            if name not in left_out and any(word in message for word in words):
                return name
        # The newest part of the interface is the first to suspect, until it has once been taken.
        return "response_format" if "response_format" not in left_out and not self._held_to_schema else None

    def _failed(self, failure: Any) -> Exception:
        """The exception for a request that failed for good: MixprefError where all others will fail as well."""
        openai, server = self._openai, f"the judge {self.model} at {self.base_url}"
        if isinstance(failure, openai.APITimeoutError):
            return JudgeFailed(f"{server} gave no reply in {self._seconds:g} s, {self._retries + 1} times")
        if isinstance(failure, openai.APIConnectionError):
            cause = f"{server} cannot be reached ({failure.__cause__ or failure})"
            # A server that was there may come back; one that never was makes every item wait for nothing.
            return JudgeFailed(cause) if self._answered else MixprefError(f"{cause}; start it, or correct base_url")
        status = getattr(failure, "status_code", None)
        cause = f"{server} answers {status or 'with an error'}: {_short(str(failure.message), _QUOTE)}"
        if status == 401 or (status == 403 and not self._answered):
            return MixprefError(f"{cause}; set OPENAI_API_KEY to a key that it accepts")
        if status == 402 or failure.code == "insufficient_quota":
            return MixprefError(f"{cause}; the account has no credit left")
        if status == 404:
            return MixprefError(f"{cause}; correct the model's name or base_url, which mostly ends with /v1")
        return JudgeFailed(cause)


class _Cache:
    """Replies by key in an SQLite file. Every write is a transaction: a killed process leaves a sound file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            if path is not None:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path or ":memory:", timeout=60, isolation_level=None, check_same_thread=False)
            self._run("CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)")
        except (sqlite3.Error, OSError) as failure:
            raise self._broken(failure) from failure

    def get(self, key: str) -> str | None:
        rows = self._run("SELECT reply FROM replies WHERE key = ?", key)
        return rows[0][0] if rows else None

    def put(self, key: str, reply: str) -> None:
        self._run("INSERT OR REPLACE INTO replies VALUES (?, ?)", key, reply)

    def close(self) -> None:
        with self._lock:
            self._base.close()

    def _run(self, statement: str, *values: str) -> list[Any]:
        try:
            with self._lock:
                return self._base.execute(statement, values).fetchall()
        except sqlite3.Error as failure:
            raise self._broken(failure) from failure

    def _broken(self, failure: Exception) -> MixprefError:
        return MixprefError(f"the judge's cache {self._path} cannot be used ({failure}); move it away or name another")


def _data_url(image: bytes) -> str:
    """An image's file as a data URL. Raises ValueError for a format that judges do not take."""
    webp = image[:4] == b"RIFF" and image[8:12] == b"WEBP"
    kinds = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif"}
    kind = "webp" if webp else next((kind for start, kind in kinds.items() if image.startswith(start)), None)
    if kind is None:
        raise ValueError("an image is neither PNG, JPEG, WebP nor GIF, and the judge takes no other")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _short(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[:characters]} ..."
