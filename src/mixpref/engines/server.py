"""The engine of OpenAI-compatible servers: vLLM, SGLang, LMDeploy, one or many of them.

    engine = ServerEngine("Qwen/Qwen2.5-VL-7B-Instruct", ["http://gpu1:8000/v1", "http://gpu2:8000/v1"])
    for place, responses in engine.answer(requests, Sampling()):
        ...

Two threads work for a call of `answer`: one reads the requests, one talks to the servers in an event loop. The caller's
thread is free to work on the results. Of the requests read and not yet handed over there are at most two a slot, so
that a slot that becomes free finds the next one ready while neither requests nor results pile up.
"""

from __future__ import annotations

import asyncio
import os
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mixpref.engines import exchange
from mixpref.engines.endpoints import Endpoint, Endpoints
from mixpref.engines.exchange import Choice
from mixpref.engines.request import Request, Sampling
from mixpref.errors import MixprefError
from mixpref.records import Response

if TYPE_CHECKING:
    from mixpref.engines.wire import Reply, Wire

# Seconds before another attempt: doubled from one to the other.
FIRST_WAIT, LAST_WAIT = 0.5, 30.0
# A server's Retry-After is followed up to so many seconds.
LONGEST_WAIT = 120.0
PROBE_SECONDS = 10.0
# A request that was under way at so many deaths of servers is the likely cause; later ones count as its failures.
DEATHS = 5

Answer = tuple[int, tuple[Response, ...]]


class ServerEngine:
    """Responses from servers with OpenAI's chat completions.

    model         as the servers know it
    urls          of the servers, each with its path, mostly /v1; all serve the same model
    name          what responses tell of their sampler; None: `model`
    concurrency   requests in flight a server
    timeout       seconds for a whole reply
    retries       of a request after time-outs, cut connections, replies that cannot be read, and the statuses 408, 425,
                  429 and 5xx; with waits that double from 0.5 s to 30 s, shortened at random, or as long as the
                  server's Retry-After asks. Then it is a failed item
    patience      seconds to wait while all servers are gone, before the run stops; None: for ever. A server that is
                  gone costs no item an attempt: it is looked at (GET /models) until it is back
    api_key       None: the environment's OPENAI_API_KEY, or none
    logprobs      ask for the log-probabilities of all tokens: `Response.logprob`. vLLM gives them at temperature 1

    Sample s of a problem is seeded with `exchange.seed_base` + s. Raises MixprefError for a set-up that cannot work.
    """

    def __init__(
        self,
        model: str,
        urls: Sequence[str] | str,
        *,
        name: str | None = None,
        concurrency: int = 64,
        timeout: float = 600.0,
        retries: int = 5,
        patience: float | None = 3600.0,
        api_key: str | None = None,
        logprobs: bool = False,
    ) -> None:
        try:
            import aiohttp  # noqa: F401
        except ImportError:
            raise MixprefError("the engine of servers needs aiohttp: pip install 'mixpref[server]'") from None
        self.urls = list(dict.fromkeys(url.rstrip("/") for url in ([urls] if isinstance(urls, str) else urls)))
        if not self.urls:
            raise MixprefError("the engine of servers needs the URL of a server, such as http://127.0.0.1:8000/v1")
        for url in self.urls:
            if not url.startswith(("http://", "https://")):
                raise MixprefError(f"a server's URL must begin with http:// or https://, not {url!r}")
        if concurrency < 1 or retries < 0 or timeout <= 0 or (patience is not None and patience <= 0):
            raise MixprefError(
                "the engine of servers needs concurrency of 1, retries of 0, or more, and timeout and patience above 0"
            )
        self.model, self.name = model, name or model
        self.concurrency, self.timeout, self.retries, self.patience = concurrency, timeout, retries, patience
        self.api_key = api_key or os.environ.get("OPENAI_API_KEY")
        self.logprobs = logprobs
        self.free_share = 0.0
        """Share of the slots' time of the last call of `answer`, in 0..1, that no request was in flight."""

    def answer(self, requests: Iterable[Request], sampling: Sampling) -> Iterator[Answer]:
        """(place among the requests, its responses) of every request exactly once, in the order of their ends.

        `requests` is read in a thread of its own; what it raises is raised here. Closing the iterator cancels what is
        in flight. Raises MixprefError where no item can be answered: a wrong model, key or URL, servers gone for good.
        """
        run = _Run(self, sampling)
        threads = [
            threading.Thread(target=run.work, name="mixpref-servers", daemon=True),
            threading.Thread(target=run.read, args=(requests,), name="mixpref-requests", daemon=True),
        ]
        try:
            for thread in threads:
                thread.start()
            while (answer := run.answers.get()) is not None:
                run.permits.release()
                yield answer
            if run.failure is not None:
                raise run.failure
        finally:
            run.stop()
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
            self.free_share = run.free_share


class _Run:
    """One call of `answer`: what its three threads share."""

    def __init__(self, engine: ServerEngine, sampling: Sampling) -> None:
        self.engine, self.sampling = engine, sampling
        self.answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        """Answers as they come, at last None."""
        self.permits = threading.Semaphore(2 * engine.concurrency * len(engine.urls))
        """One for each request that may yet be read."""
        self.failure: BaseException | None = None
        self.free_share = 0.0
        self._stopped = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._end: asyncio.Future[None] = self._loop.create_future()
        self._all_read = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._endpoints: Endpoints
        self._wire: Wire

    def read(self, requests: Iterable[Request]) -> None:
        """Read requests as permits allow."""
        try:
            numbered = enumerate(requests)
            while True:
                self.permits.acquire()
                if self._stopped.is_set():
                    return
                if (item := next(numbered, None)) is None:
                    return self._call(self._read_to_the_end)
                self._call(self._begin, *item)
        except BaseException as failure:  # it belongs into the caller's thread
            self._call(self._finish, failure)

    def work(self) -> None:
        """Talk to the servers until all is answered, or something stops the run."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as failure:  # it belongs into the caller's thread
            self.failure = failure
        finally:
            self.answers.put(None)

    def stop(self) -> None:
        """End both threads; for the caller's thread."""
        self._stopped.set()
        self.permits.release()
        self._call(self._finish)

    def _call(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do it in the event loop."""
        with suppress(RuntimeError):  # the loop has come to its end
            self._loop.call_soon_threadsafe(work, *arguments)

    async def _serve(self) -> None:
        from mixpref.engines.wire import Wire

        engine = self.engine
        async with Wire(engine.api_key, engine.timeout) as self._wire:
            self._endpoints = Endpoints(
                engine.urls,
                concurrency=engine.concurrency,
                patience=engine.patience,
                probe=self._probe,
                fail=self._finish,
            )
            try:
                await self._end
            finally:
                self.free_share = self._endpoints.free_share
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)
                await self._endpoints.close()

    def _begin(self, place: int, request: Request) -> None:
        if self._end.done():
            return
        task = self._loop.create_task(self._answer(place, request))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            self._finish(failure)
        elif self._all_read and not self._tasks:
            self._finish()

    def _read_to_the_end(self) -> None:
        self._all_read = True
        if not self._tasks:
            self._finish()

    def _finish(self, failure: BaseException | None = None) -> None:
        if self._end.done():
            return
        if failure is None:
            self._end.set_result(None)
        else:
            self._end.set_exception(failure)

    async def _answer(self, place: int, request: Request) -> None:
        if self.sampling.greedy and request.samples > 1:
            raise ValueError(f"greedy decoding gives one response, not {request.samples}")
        choices: list[Choice] = []
        # A server may give fewer choices than it is asked for; some always give one.
        while (missing := request.samples - len(choices)) > 0:
            try:
                body = exchange.payload(
                    request,
                    self.sampling,
                    model=self.engine.model,
                    first=len(choices),
                    logprobs=self.engine.logprobs,
                )
            except ValueError as reason:
                choices += [Choice(error=str(reason))] * missing
                continue
            try:
                choices += await self._choices(body, missing)
            except _Failed as reason:
                choices += [Choice(error=str(reason))] * missing
        numbered = zip(request.numbers, choices, strict=True)
        told = [exchange.response(request, self.sampling, self.engine.name, *each) for each in numbered]
        self.answers.put((place, tuple(told)))

    async def _choices(self, body: bytes, wanted: int) -> list[Choice]:
        """One to `wanted` choices, after as many attempts as it takes. Raises _Failed."""
        from mixpref.engines.wire import Unreachable

        failures = deaths = 0
        while True:
            endpoint = await self._endpoints.take()
            try:
                return await self._attempt(endpoint, body, wanted)
            except Unreachable as reason:
                self._endpoints.down(endpoint, str(reason))
                continue
            except _Again as reason:
                failure = reason
                if reason.suspicious and not await self._endpoints.alive(endpoint):
                    deaths += 1
                    if deaths <= DEATHS:
                        continue
            finally:
                self._endpoints.give_back(endpoint)
            failures += 1
            if failures > self.engine.retries:
                raise _Failed(f"{failures} attempts failed, the last because {endpoint.url} {failure}")
            # Waiting takes no slot.
            wait = min(FIRST_WAIT * 2 ** (failures - 1), LAST_WAIT) * random.uniform(0.5, 1)
            if failure.after is not None:
                wait = min(max(wait, failure.after), LONGEST_WAIT)
            await asyncio.sleep(wait)

    async def _attempt(self, endpoint: Endpoint, body: bytes, wanted: int) -> list[Choice]:
        """Raises Unreachable, _Again, _Failed, and MixprefError for what no other request would fare better with."""
        from mixpref.engines.wire import Cut, TooLarge

        url = endpoint.url
        try:
            reply = await self._wire.post(f"{url}/chat/completions", body)
        except Cut as reason:
            raise _Again(str(reason), suspicious=True) from None
        except TooLarge as reason:
            raise _Failed(f"{url}: {reason}") from None
        if reply.status == 200:
            try:
                return exchange.choices(reply.body, wanted)
            except exchange.BrokenAnswer as reason:
                raise _Again(f"cannot be understood: {reason}") from None
        self._refuse(url, reply)
        said = f"answers {reply.status}: {exchange.quote(reply.body)}"
        if reply.status in (404, 405):
            names = await self._model_names(url)
            known = f"the server has {_named(names)}" if names else "correct the URL, which mostly ends with /v1"
            raise MixprefError(f"{url} {said}; asked for the model {self.engine.model!r}: {known}")
        if reply.status in (408, 425, 429) or reply.status >= 500:
            raise _Again(said, suspicious=reply.status >= 500, after=reply.retry_after)
        raise _Failed(f"{url} {said}")

    async def _probe(self, url: str) -> str:
        """Why the server does not serve, or "". Raises MixprefError where it never will."""
        from mixpref.engines.wire import Cut, TooLarge, Unreachable

        try:
            reply = await self._wire.get(f"{url}/models", PROBE_SECONDS)
        except (Unreachable, Cut, TooLarge) as reason:
            return str(reason)
        # A key may be good for answers only, and a server need not tell its models.
        if reply.status in (403, 404, 405, 501):
            return ""
        self._refuse(url, reply)
        if reply.status != 200:
            return f"answers {reply.status}: {exchange.quote(reply.body)}"
        try:
            names = exchange.model_names(reply.body)
        except exchange.BrokenAnswer as reason:
            return f"cannot be understood: {reason}"
        if self.engine.model not in names:
            raise MixprefError(f"{url} has no model {self.engine.model!r}; it has {_named(names)}")
        return ""

    async def _model_names(self, url: str) -> list[str]:
        from mixpref.engines.wire import Cut, TooLarge, Unreachable

        try:
            reply = await self._wire.get(f"{url}/models", PROBE_SECONDS)
            return exchange.model_names(reply.body) if reply.status == 200 else []
        except (Unreachable, Cut, TooLarge, exchange.BrokenAnswer):
            return []

    def _refuse(self, url: str, reply: Reply) -> None:
        """Raises MixprefError for replies that all requests would get."""
        if 300 <= reply.status < 400:
            raise MixprefError(f"{url} redirects to {reply.location or 'nowhere'}; give the URL that it leads to")
        if reply.status in (401, 403):
            said = exchange.quote(reply.body)
            raise MixprefError(f"{url} answers {reply.status}: {said}; set OPENAI_API_KEY to a key that it accepts")


class _Failed(Exception):
    """A request is given up, and why."""


class _Again(Exception):
    """An attempt failed that may be made again. Suspicious: the server may be gone."""

    def __init__(self, reason: str, *, suspicious: bool = False, after: float | None = None) -> None:
        super().__init__(reason)
        self.suspicious, self.after = suspicious, after


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (", ".join(names[:10]) or "none") + more
