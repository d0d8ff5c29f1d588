"""Pairs of votes: what people or models preferred among this run's own responses to a problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mixpref.records import PreferencePair, Response
from mixpref.sources.unusable import Unusable


@dataclass(frozen=True)
class Vote:
    """One row: which response is the better one."""

    chosen: str
    """A response's id."""
    rejected: str
    by: str = ""
    """Who prefers it; empty: not said."""

    @property
    def problem_id(self) -> str:
        """Raises Unusable where the two are no responses to one problem."""
        ids = {response.rpartition("-")[0] for response in (self.chosen, self.rejected)}
        if len(ids) > 1:
            raise Unusable("different problems", f"{self.chosen} and {self.rejected} answer different problems")
        return ids.pop()


def tally(
    votes: Sequence[Vote], responses: Iterable[Response]
) -> tuple[list[PreferencePair], list[tuple[int, Unusable]]]:
    """The pairs that the majority of the votes on a problem's responses prefers, in the order of their first votes.

    And by their places the votes that are in no pair, each with the reason. A named voter has one voice for a
    preference, a vote without a name always counts. Responses that say the same are one response.
    """
    found = sorted(responses, key=lambda each: (each.finish != "stop", each.sample))
    by_id = {each.id: each for each in found}
    # Of equal texts the first that is complete stands for all.
    first: dict[tuple[str, str], Response] = {}
    for each in found:
        first.setdefault(_said(each), each)
    ballots: dict[frozenset[str], list[tuple[int, Vote, Response, Response]]] = {}
    refused: list[tuple[int, Unusable]] = []
    voices: set[tuple[str, str, str]] = set()
    for place, vote in enumerate(votes):
        try:
            chosen, rejected = _usable(vote, by_id)
            chosen, rejected = first[_said(chosen)], first[_said(rejected)]
            voice = (vote.by, chosen.id, rejected.id)
            if vote.by and voice in voices:
                raise Unusable("repeated vote", f"{vote.by} has voted so before")
        except Unusable as reason:
            refused.append((place, reason))
            continue
        voices.add(voice)
        ballots.setdefault(frozenset((chosen.id, rejected.id)), []).append((place, vote, chosen, rejected))
    pairs: list[PreferencePair] = []
    for ballot in ballots.values():
        chosen, rejected = ballot[0][2:]
        won = [vote for _, vote, winner, _ in ballot if winner.id == chosen.id]
        lost = [vote for _, vote, winner, _ in ballot if winner.id != chosen.id]
        if len(lost) > len(won):
            chosen, rejected, won, lost = rejected, chosen, lost, won
        tied = len(won) == len(lost)
        why = (
            Unusable("contradictory", f"as many votes prefer {chosen.id} to {rejected.id} as the other way round")
            if tied
            else Unusable("outvoted", f"{len(won)} of {len(ballot)} votes prefer {chosen.id} to {rejected.id}")
        )
        refused += [(place, why) for place, _, winner, _ in ballot if tied or winner.id != chosen.id]
        if not tied:
            pairs.append(_pair(chosen, rejected, won, len(ballot)))
    return pairs, sorted(refused, key=lambda each: each[0])


def _usable(vote: Vote, by_id: dict[str, Response]) -> tuple[Response, Response]:
    for each in (vote.chosen, vote.rejected):
        if each not in by_id:
            raise Unusable("unknown response", f"there is no response {each} in this run")
        if by_id[each].finish == "error":
            raise Unusable("no text", f"the response {each} failed")
        if not by_id[each].text.strip():
            raise Unusable("no text", f"the response {each} is empty")
    chosen, rejected = by_id[vote.chosen], by_id[vote.rejected]
    if chosen.style != rejected.style:
        raise Unusable(
            "different styles", f"{chosen.id} was asked in the style {chosen.style}, {rejected.id} in {rejected.style}"
        )
    if _said(chosen) == _said(rejected):
        raise Unusable("identical texts", f"{chosen.id} and {rejected.id} say the same")
    return chosen, rejected


def _pair(chosen: Response, rejected: Response, won: list[Vote], votes: int) -> PreferencePair:
    names = ", ".join(sorted({vote.by for vote in won if vote.by}))
    return PreferencePair(
        problem_id=chosen.problem_id,
        chosen=chosen.prefix + chosen.text,
        rejected=rejected.prefix + rejected.text,
        why="vote",
        style=chosen.style,
        chosen_origin=f"{chosen.id} {chosen.sampler} by {len(won)} of {votes} votes{names and f' ({names})'}",
        rejected_origin=f"{rejected.id} {rejected.sampler}",
        chosen_complete=chosen.finish == "stop",
        rejected_complete=rejected.finish == "stop",
    )


def _said(response: Response) -> tuple[str, str]:
    """The prompt style and the text, whatever its white space."""
    return response.style, " ".join((response.prefix + response.text).split())
