"""How long chosen and rejected texts are: a model may learn to write long or short from pairs that differ in length."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mixpref.records import Why


@dataclass
class _Sums:
    pairs: int = 0
    chosen: int = 0
    rejected: int = 0
    longer: int = 0
    shorter: int = 0

    def summary(self) -> dict[str, Any]:
        if not self.pairs:
            return {"pairs": 0}
        return {
            "pairs": self.pairs,
            "chosen": round(self.chosen / self.pairs, 2),
            "rejected": round(self.rejected / self.pairs, 2),
            "gap": round((self.chosen - self.rejected) / self.pairs, 2),
            "chosen longer": round(self.longer / self.pairs, 4),
            "chosen shorter": round(self.shorter / self.pairs, 4),
        }


@dataclass
class Lengths:
    """Sums over pairs as they come; the order of the pairs changes nothing."""

    _kinds: dict[str, _Sums] = field(default_factory=dict)
    _unknown: int = 0

    def add(self, why: Why, chosen: int | None, rejected: int | None) -> None:
        """Count a pair with the tokens of its texts; None where they are not known, as of texts from elsewhere."""
        if chosen is None or rejected is None:
            self._unknown += 1
            return
        sums = self._kinds.setdefault(why, _Sums())
        sums.pairs += 1
        sums.chosen += chosen
        sums.rejected += rejected
        sums.longer += chosen > rejected
        sums.shorter += chosen < rejected

    def summary(self) -> dict[str, Any]:
        """Of all pairs and of each kind: mean tokens of chosen and rejected, their mean gap (chosen - rejected), and
        the shares of the pairs whose chosen text is the longer or the shorter one. Values of JSON.

        `of unknown length` counts the pairs that are in none of this.
        """
        every = _Sums(
            *(sum(getattr(sums, name) for sums in self._kinds.values()) for name in _Sums.__dataclass_fields__)
        )
        found = {"all": every.summary(), **{why: self._kinds[why].summary() for why in sorted(self._kinds)}}
        return found | ({"of unknown length": self._unknown} if self._unknown else {})

    def told(self) -> str:
        """The same of all pairs in a line."""
        found = self.summary()["all"]
        if not found["pairs"]:
            return "the lengths of chosen and rejected are not known"
        return (
            f"chosen have {found['chosen']:.0f} tokens, rejected {found['rejected']:.0f} on average; the chosen one is "
            f"longer in {100 * found['chosen longer']:.0f} % of the pairs, shorter in "
            f"{100 * found['chosen shorter']:.0f} %"
        )
