"""Where two texts differ, word by word, so that a reader sees at a glance what makes one better than the other."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import Match
from itertools import accumulate

Parts = list[tuple[str, str]]
"""A text cut into (mark, piece) in order: mark "" is in the other text, too, "-" is only here."""

WORK = 200_000
"""Steps that a comparison may take, a hundredth of a second or two. Responses of a thousand words need fewer; of longer
ones, and of those that repeat themselves, what has not been aligned by then is marked."""

# Chinese, Japanese and Korean are written without spaces: each character is a word. A number keeps its fraction.
_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_WORD = re.compile(rf"\s+|[{_WIDE}]|\d+(?:[.,]\d+)*|(?:(?![{_WIDE}])\w)+|.", re.DOTALL)


def marked(one: str, other: str) -> tuple[Parts, Parts]:
    """Both texts in parts. The pieces of each, joined, are the text itself; what is unmarked is the same in both."""
    ones, others = _WORD.findall(one), _WORD.findall(other)
    same = list(_same(ones, others))
    return _parts(ones, [(a, size) for a, _, size in same]), _parts(others, [(b, size) for _, b, size in same])


def _same(ones: Sequence[str], others: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Runs of equal pieces as (place in one, place in the other, length), in order and apart."""
    a = b = 0
    # Words are aligned; blanks and punctuation are the same where they stand beside a word that is. By themselves they
    # make no run: one long mark reads better than many short ones.
    for word in (*_words(ones, others), (len(ones), len(others))):
        between, there = ones[a : word[0]], others[b : word[1]]
        start = _common(between, there)
        end = _common(between[start:][::-1], there[start:][::-1])
        yield a, b, start
        yield word[0] - end, word[1] - end, end
        if word[0] < len(ones):
            yield *word, 1
        a, b = word[0] + 1, word[1] + 1


def _words(ones: Sequence[str], others: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Places of the words that are the same, in order."""
    places = [[place for place, piece in enumerate(each) if piece[0].isalnum()] for each in (ones, others)]
    words = [ones[place] for place in places[0]], [others[place] for place in places[1]]
    start = _common(*words)
    end = _common(words[0][start:][::-1], words[1][start:][::-1])
    middles = [each[start : len(each) - end] for each in words]
    runs = [(match.a + start, match.b + start, match.size) for match in _Bounded(*middles).get_matching_blocks()]
    for a, b, size in ((0, 0, start), *runs, (len(words[0]) - end, len(words[1]) - end, end)):
        yield from zip(places[0][a : a + size], places[1][b : b + size], strict=True)


def _common(ones: Sequence[str], others: Sequence[str]) -> int:
    """How many pieces are the same at the beginning of both."""
    shorter = min(len(ones), len(others))
    return next((place for place in range(shorter) if ones[place] != others[place]), shorter)


class _Bounded(difflib.SequenceMatcher):
    """Finds the longest run in common, then those on either side of it, and so on while there is `WORK` left."""

    def __init__(self, ones: Sequence[str], others: Sequence[str]) -> None:
        super().__init__(None, ones, others, autojunk=False)
        self._left, self._length = WORK, len(ones)
        # What a search looks at: each word of one text, and all its places in the other one.
        places = Counter(others)
        looks = (1 + places[word] for word in ones)
        self._upto = [0, *accumulate(looks)]

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        """As in the base class; an empty run where there is no work left."""
        end = self._length if ahi is None else ahi
        self._left -= self._upto[end] - self._upto[alo]
        return Match(alo, blo, 0) if self._left < 0 else super().find_longest_match(alo, ahi, blo, bhi)


def _parts(words: Sequence[str], same: Sequence[tuple[int, int]]) -> Parts:
    """The text of the words, all outside `same` (place, length) marked."""
    parts: Parts = []
    done = 0
    for place, size in [*same, (len(words), 0)]:
        for mark, piece in (("-", words[done:place]), ("", words[place : place + size])):
            text = "".join(piece)
            if text and parts and parts[-1][0] == mark:
                parts[-1] = (mark, parts[-1][1] + text)
            elif text:
                parts.append((mark, text))
        done = place + size
    return parts
