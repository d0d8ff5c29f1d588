"""The reward that a trained policy itself gives to responses: by it the best of several samples can be chosen.

    r(y) = beta (log pi(y|x) - log pi_0(y|x))              pi the policy, pi_0 the model that its training began from

MPO and DPO train exactly this reward to tell good responses from bad ones (arXiv 2411.10442, equation 7; 2305.18290),
so that a trained policy and its reference are a reward model without another training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from mixpref.progress import say
from mixpref.records import Problem, Response

if TYPE_CHECKING:
    from mixpref.evaluation.forcing import Forced, TeacherForcing

Asked = tuple[Problem, Response]


def implicit_rewards(
    problems_and_responses: Iterable[Asked],
    policy: str | None,
    reference: str,
    *,
    own: bool = True,
    beta: float = 0.1,
    batch_size: int = 8,
    trust_remote_code: bool = False,
) -> Iterator[float | None]:
    """The rewards of responses, in nats times beta, in their order; None where there is none.

    problems_and_responses: each problem with its images.
    policy: directory or hub name; None: the responses are its own samples, and their log-probabilities are theirs.
    reference: that of the model that the policy's training began from; its processor makes the tokens of both.
    own: whether the policy has sampled the responses. Then `Response.logprob` is taken where there is one, and the
        policy is only loaded where it is not; otherwise both models are given the text.
    batch_size: responses of a pass. Those to one problem should stand together: their prompt is computed once.

    A sample's log-probability is of the tokens that were sampled. Where the text has another number of tokens when it
    is read again, it is not comparable to the reference's, and the policy, too, is given the text.

    A response has no reward where its generation failed, where it cannot be put to a model, or where it needs a policy
    and there is none; how many and why is said at the end. Raises ValueError where there is neither policy nor own
    samples, MixprefError where a model cannot be loaded.
    """
    if policy is None and not own:
        raise ValueError("rewards need a policy: name one, or give responses of its own (own=True)")
    return _rewards(problems_and_responses, _Models(policy, reference, trust_remote_code), own, beta, batch_size)


def _rewards(
    asked: Iterable[Asked], models: _Models, own: bool, beta: float, batch_size: int
) -> Iterator[float | None]:
    total = 0
    reasons: list[str] = []
    stream = iter(asked)
    while batch := list(islice(stream, batch_size)):
        references = models.reference(batch)
        policies = models.policy(batch, references, own)
        for under_policy, under_reference in zip(policies, references, strict=True):
            total += 1
            if under_policy.logprob is None or under_reference.logprob is None:
                reasons.append(under_reference.reason or under_policy.reason)
                yield None
            else:
                yield beta * (under_policy.logprob - under_reference.logprob)
    if reasons:
        say(f"reward: {len(reasons)} of {total} responses have none; the first one: {reasons[0]}")


class _Models:
    """The policy and its reference, each loaded when it is first needed."""

    def __init__(self, policy: str | None, reference: str, trust_remote_code: bool) -> None:
        self._names = policy, reference
        self._trust = trust_remote_code
        self._loaded: dict[str, TeacherForcing] = {}

    def reference(self, batch: Sequence[Asked]) -> list[Forced]:
        return self._model(self._names[1])(batch)

    def policy(self, batch: Sequence[Asked], references: Sequence[Forced], own: bool) -> list[Forced]:
        """What the policy says to each response, or said when it sampled it."""
        from mixpref.evaluation.forcing import Forced

        found: dict[int, Forced] = {}
        for place, ((_, response), reference) in enumerate(zip(batch, references, strict=True)):
            if reference.logprob is None:
                found[place] = reference
            elif own and response.logprob is not None and response.tokens == reference.tokens:
                found[place] = Forced(logprob=response.logprob, tokens=response.tokens)
            elif self._names[0] is None:
                told = "tells no log-probability" if response.logprob is None else "has other tokens when read again"
                found[place] = Forced(reason=f"the response {told}, and no policy is named to compute it")
        missing = [place for place in range(len(batch)) if place not in found]
        if missing and self._names[0] is not None:
            found |= zip(missing, self._model(self._names[0])([batch[place] for place in missing]), strict=True)
        return [found[place] for place in range(len(batch))]

    def _model(self, name: str) -> TeacherForcing:
        # torch is loaded with the first model, not with this module.
        from mixpref.evaluation.forcing import TeacherForcing

        if name not in self._loaded:
            self._loaded[name] = TeacherForcing.load(name, trust_remote_code=self._trust)
        return self._loaded[name]
