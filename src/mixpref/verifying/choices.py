"""Which of a problem's options an answer names: by its letter, by its text, or by both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from string import ascii_uppercase

from mixpref.verifying import numbers
from mixpref.verifying.plain import plain, trimmed

# A letter with its own mark: (A), [A], A), A., A: - then, perhaps, the option's text.
_MARKED = re.compile(
    r"(?:(?:so|thus|therefore|hence),?\s+)?(?:(?:the|my)\s+)?(?:(?:final|correct|right|best)\s+)?"
    r"(?:(?:answer|option|choice|letter)(?:\s+is)?\s*:?\s*|故?选项?\s*:?\s*|答案[是为]?\s*:?\s*)*"
    r"(?:\(\s*([A-Za-z])\s*\)|\[\s*([A-Za-z])\s*\]|([A-Za-z])(?:\s*[).:]|\s+-(?=\s)|$)"
    # "B (5 m)"; "A (small) dog" and "I (think)" are words.
    r"|(?-i:([B-HJ-Z]))\s+(?=\())[.:]?\s*(.*)",
    re.IGNORECASE,
)
# Such a letter within a sentence. A bare capital counts only after a word that announces it: "A" is also an article.
_WITHIN = re.compile(
    r"\(\s*([A-Z])\s*\)|\b(?i:option|choice|letter)\s+\(?([A-Z])\b"
    r"|\b(?i:answer|it)\s+(?i:is|would be)\s*:?\s+([A-Z])(?=[.,;:]|\s-\s|$)"
)
# The number of an option, counted from 1; a bare number only where the options are no numbers themselves.
_NUMBERED = re.compile(
    r"(?P<said>(?:the\s+)?(?:option|choice|answer|number|no\.?|#|第)\s*(?:number\s*)?)?[(\[]?(?P<number>\d{1,2})[)\].]?(?:个|项)?",
    re.IGNORECASE,
)
# "A or B", "(A), (C)": several letters and nothing else.
_LETTERS = re.compile(r"\(?[A-Z]\b\)?(?:\s*(?:,|/|;|&|\band\b|\bor\b|,\s*and\b|,\s*or\b)\s*\(?\b[A-Z]\b\)?)+")
_NEGATED = re.compile(
    r"\b(?:not|no|none|never|neither|nor|except|unless|cannot|without)\b|n['’]t\b|不|非|没有", re.IGNORECASE
)
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s]")
_OWN_LETTER = re.compile(r"\(?(?P<letter>[A-Z])(?:[).:]|\s-\s)\s*(?P<text>\S.*)")
_DIGITS = re.compile(r"\d")
_OPERATORS = frozenset("+-*/^<>≤≥≠×·±√!|\\π")
_ARTICLES = frozenset(("a", "an", "the"))


def marked(answer: str) -> tuple[str, str] | None:
    """The letter that an answer begins with, as a capital, and the text after it: "(B) foo", "B: foo", "b", "option B".

    A letter without a mark of its own before other words ("A dog") is no option's letter.
    """
    match = _MARKED.fullmatch(plain(answer))
    if match is None:
        return None
    letter = match[1] or match[2] or match[3] or match[4]
    return letter.upper(), trimmed(match[5])


def named(answer: str, options: Sequence[str]) -> set[int] | None:
    """The options (by index from 0) that an answer names; several where it is undecided, none where it names no option.

    Options of the same text are one: the first of them stands for all. None where the answer speaks of options only to
    exclude them ("not B"), or where letter and text contradict each other.
    """
    said = plain(answer)
    by_text = _whole(said, options)
    if not by_text and _LETTERS.fullmatch(_lead_in(said)):
        letters = [ascii_uppercase.index(letter) for letter in re.findall(r"\b[A-Z]\b", _lead_in(said))]
        # Not the A of "N/A".
        if max(letters) < len(options):
            return {first(index, options) for index in letters}
    lettered = marked(said)
    if lettered and ascii_uppercase.index(lettered[0]) < len(options):
        by_letter = first(ascii_uppercase.index(lettered[0]), options)
        rest = lettered[1]
        if not rest:
            # Options that are letters themselves: "B" may mean the second one or the one that reads B.
            return {by_letter} | by_text
        inside = _whole(rest, options) or _mentioned(rest, options)
        return None if inside - {by_letter} else {by_letter}
    by_number = _numbered(said, options)
    if by_text or by_number:
        return by_text | by_number
    # "No, it is larger": the first clause may answer alone.
    clause, comma, rest = (part.strip() for part in said.partition(","))
    found = _whole(clause, options) if comma else set()
    if found:
        return found if not _mentioned(rest, options) - found else found | _mentioned(rest, options)
    found = _mentioned(said, options)
    excluded = _NEGATED.search(_without(said, [options[index] for index in found]))
    return None if found and excluded else found


@lru_cache(maxsize=4096)
def bare(options: tuple[str, ...]) -> tuple[str, ...]:
    """Options without the letters that some data sets put before their texts: ("A. red", "B. blue")."""
    found = [_OWN_LETTER.match(plain(option)) for option in options]
    lettered = all(match and match["letter"] == letter for letter, match in zip(ascii_uppercase, found, strict=False))
    return tuple(match["text"] for match in found if match) if lettered else options


def first(index: int, options: Sequence[str]) -> int:
    """The first option that has the same text as the one at `index`."""
    key = _key(options[index])
    return next(place for place, option in enumerate(options) if _key(option) == key)


def _whole(text: str, options: Sequence[str]) -> set[int]:
    """Options whose text is the whole of `text`; failing that, options that are the same quantity."""
    key = _key(text)
    same = {first(index, options) for index, option in enumerate(options) if _key(option) == key}
    if same or not key:
        return same
    if _key(_lead_in(text)) != key:
        return _whole(_lead_in(text), options)
    stated = numbers.quantity(text)
    if stated is None:
        return set()
    truths = {index: numbers.quantity(plain(option)) for index, option in enumerate(options)}
    # A number without a unit is enough to tell options apart.
    return {
        first(index, options)
        for index, truth in truths.items()
        if truth and (numbers.agree(truth, stated, "") or (not stated.unit.dimension and truth.value == stated.value))
    }


def _numbered(text: str, options: Sequence[str]) -> set[int]:
    """The option whose number is the whole of `text`: "2", "(2)", "option 2"."""
    match = _NUMBERED.fullmatch(text)
    if match is None or not 1 <= int(match["number"]) <= len(options):
        return set()
    if not match["said"] and any(character.isdigit() for option in options for character in option):
        return set()
    # "Option 2" may mean the second one or the one that reads 2.
    return {first(int(match["number"]) - 1, options)} | (_whole(match["number"], options) if match["said"] else set())


def _mentioned(text: str, options: Sequence[str]) -> set[int]:
    """Options named anywhere within a sentence, token by token: 3 is not in 3.5, and purple not in light purple."""
    letters = {
        first(ascii_uppercase.index(letter), options)
        for match in _WITHIN.finditer(text)
        if (letter := next(filter(None, match.groups()))) and ascii_uppercase.index(letter) < len(options)
    }
    tokens = _tokens(text)
    texts: set[int] = set()
    # Longer options first; what they cover is not free for shorter ones.
    for index in sorted(range(len(options)), key=lambda index: -len(_tokens(options[index]))):
        wanted = _tokens(options[index])
        # A single letter within a sentence is an article, a name or a variable.
        if not wanted or (len(wanted) == 1 and len(wanted[0]) == 1 and wanted[0].isalpha()):
            continue
        for place in range(len(tokens) - len(wanted), -1, -1):
            if tokens[place : place + len(wanted)] == wanted:
                # The 3 in 3/4, -3 or 3x is not the option 3.
                if _DIGITS.search(wanted[0] + wanted[-1]) and _bound(tokens, place, place + len(wanted), text):
                    continue
                tokens[place : place + len(wanted)] = [""] * len(wanted)
                texts.add(first(index, options))
    return letters | texts


def _bound(tokens: Sequence[str], start: int, end: int, text: str) -> bool:
    """Whether the tokens from `start` to `end` of a text are part of a larger expression."""
    if _OPERATORS & {*tokens[max(start - 1, 0) : start], *tokens[end : end + 1]}:
        return True
    spans = [match.span() for match in _TOKEN.finditer(plain(text))]
    before, after = plain(text)[: spans[start][0]][-1:], plain(text)[spans[end - 1][1] :][:1]
    return before.isalpha() or before == ")" or after.isalpha() or after == "("


def _without(text: str, options: Sequence[str]) -> str:
    """The sentence without the options in it, whose own words ("no", "not equal") negate nothing."""
    tokens = _tokens(text)
    for wanted in sorted(map(_tokens, options), key=len, reverse=True):
        for place in range(len(tokens) - len(wanted), -1, -1):
            if wanted and tokens[place : place + len(wanted)] == wanted:
                tokens[place : place + len(wanted)] = []
    return " ".join(tokens).replace(" ' ", "'").replace(" ’ ", "'")


_LEAD_IN = re.compile(
    r"(?:so|thus|therefore|hence)?,?\s*(?:(?:the|my)\s+)?(?:(?:final|correct|right|best)\s+)?"
    r"(?:answer(?:\s+is)?\s*:?|it\s+is|it's|it’s)\s+",
    re.IGNORECASE,
)


def _lead_in(text: str) -> str:
    match = _LEAD_IN.match(text)
    return trimmed(text[match.end() :]) if match else text


def _key(text: str) -> tuple[str, ...]:
    """What makes two texts the same: their tokens, whatever the case, blanks and a leading article."""
    tokens = _tokens(text)
    return tuple(tokens[1:] if len(tokens) > 1 and tokens[0] in _ARTICLES else tokens)


def _tokens(text: str) -> list[str]:
    return [token.casefold() for token in _TOKEN.findall(plain(text))]
