"""Dropout-NTP pairs: a response against its own beginning, gone on with blindly (arXiv 2411.10442, section 3).

For problems without a clear truth. What a model writes on without seeing the images is mostly made up, so that the
response written in sight of them is the better one. Both texts share their beginning, whose terms cancel in DPO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import regex

from mixpref.records import PreferencePair, Response

CHOSEN_FAILED, CHOSEN_EMPTY, CHOSEN_CUT = "chosen failed", "chosen empty", "chosen cut"
FOREIGN, FAILED, EMPTY = "of another response", "continuation failed", "continuation empty"
EQUAL, REPEATED = "equal to the chosen", "repeated"

# Scripts that are written without blanks between words, and the marks that go with the kana before them.
_UNSPACED = (
    r"[[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\u30fc\uff70]--[\p{Nd}]]"
)
# Of a word: soft hyphens and the joiners of Persian and of Indic scripts included.
_LETTERS = rf"[[\p{{L}}\p{{M}}\p{{N}}_\u00ad\u200c\u200d\u2060]--{_UNSPACED}]++"
# don't, l'été, e.g., 3.5, 1,000, 12:30, 3/4, 1 000, 1{,}000, 1\,000, 1e-5
_JOINT = r"""
    (?<=[\p{L}\p{M}])['’ʼ](?=\p{L}) | (?<=\p{L})\.(?=\p{L})
  | (?<=\p{Nd})(?: [.,:/\u066b\u066c] | \{,\} | (?:[\u00a0\u2009\u202f]|\\,)(?=\p{Nd}{3}(?!\p{Nd})) )(?=\p{Nd})
  | (?<=\p{Nd}[eE])[+\-](?=\p{Nd})
"""
# -5, $3, .5: a minus after a number or a bracket is an operator.
_BEFORE_NUMBER = r"(?<![\p{L}\p{N})\]}%°])[+\-−±](?=[$€£¥]?\.?\p{Nd}) | (?:\\?\$|[€£¥])(?=\.?\p{Nd})"
_POINT = r"(?<![\p{L}\p{N}.])\.(?=\p{Nd})"
_AFTER_NUMBER = r"(?<=\p{Nd})(?: [\x20\u00a0\u202f]?[%‰°][CF]?+(?!\p{L}) | [%‰°€£¥] | \\% )"
_GROUNDED = r"<ref>[^<]*+</ref>\s*+<box>[^<]*+</box> | <(ref|box|quad)>[^<]*+</\1>"
_TAG = r"</?[A-Za-z][\w\-]*+\s*+/?> | <\|[^<>|\s]++\|>"
_COMMAND = r"\\(?:begin|end)\{[^{}]*+\} | \\[A-Za-z]++\*?+ | \\(?!\s)\X"
_PIECE = regex.compile(
    rf"""
    \s*+ (?:
        {_GROUNDED} | {_TAG}
      | (?:{_BEFORE_NUMBER})*+ (?:{_POINT})? {_LETTERS} (?:(?:{_JOINT}){_LETTERS})*+ (?:{_AFTER_NUMBER})?+
      | {_COMMAND}
      | ([!-/:-@\[-`{{-~])\2*+
      | \X
    ) (?:\s++\Z)?
  | \s++
    """,
    regex.VERBOSE | regex.VERSION1,
)
# A character as a reader sees it, with the small kana and the lengthening after it.
_CHARACTER = regex.compile(r"\X[\p{M}\u30fc\uff70ぁぃぅぇぉゃゅょゎァィゥェォャュョヮ]*+", regex.VERSION1)
# Tokens of usual tokenizers, roughly.
_TOKEN = regex.compile(r"\p{Nd}|[A-Za-zÀ-ɏ]{1,8}|[^\W\d_]{1,3}|\n+|([^\w\s])\1*", regex.VERSION1)


def pieces(text: str) -> list[str]:
    r"""The text in pieces that are never cut; together they are the text.

    Each is a word or a number with its sign and its unit mark ("-5 %", "$1,000"), a character of a script without
    blanks, a tag or a grounded object (`<ref>..</ref><box>..</box>`), a LaTeX command, or a mark or a run of one mark;
    with the white space before it, the last one also with that after it. Compounds may be cut at their hyphens.
    """
    found = [match.group() for match in _PIECE.finditer(text)]
    if text.isascii():
        return found
    ends = {match.end() for match in _CHARACTER.finditer(text)}
    whole: list[str] = []
    begun = ""
    for piece, end in zip(found, accumulate(map(len, found)), strict=True):
        begun += piece
        if end in ends:
            whole.append(begun)
            begun = ""
    return whole


def prefix(text: str, ratio: float) -> str:
    """The beginning that holds that share of the text, 0 <= ratio < 1, without white space at its end.

    It ends where a piece does, at the end that is nearest to the share, but never holds the whole text: of a text of
    one piece it is empty. Shares are of the pieces' tokens, as far as they can be told without a tokenizer.
    """
    if not 0 <= ratio < 1:
        raise ValueError(f"a prefix is a share of at least 0 and below 1 of a text, not {ratio}")
    every = pieces(text)
    ends = [0, *accumulate(map(weight, every))]
    kept = min(range(max(1, len(every))), key=lambda count: abs(ends[count] - ratio * ends[-1]))
    return "".join(every[:kept]).rstrip()


def weight(piece: str) -> int:
    """About as many tokens as usual tokenizers make of a piece: one a digit, eight letters, a mark, a line break."""
    return max(1, sum(1 for _ in _TOKEN.finditer(piece)))


def tokens(chosen: Response, continuation: Response) -> int:
    """About as many tokens as a rejected text has: what was generated, and the prefix's share of the chosen ones."""
    kept, whole = (sum(map(weight, pieces(text))) for text in (continuation.prefix, chosen.text))
    return continuation.tokens + (round(chosen.tokens * min(1.0, kept / whole)) if whole else 0)


def candidates(
    chosen: Response, continuations: Sequence[Response], ratio: float
) -> tuple[list[PreferencePair], Counter[str]]:
    """A pair of a response and each of its beginnings that were gone on with blindly, and those refused, by reason.

    Each continuation is counted once: in a pair, or refused.
    """
    pairs: list[PreferencePair] = []
    refused: Counter[str] = Counter()
    texts: set[str] = set()
    for continuation in continuations:
        reason = _reason(chosen, continuation, texts)
        if reason:
            refused[reason] += 1
            continue
        rejected = continuation.prefix + continuation.text
        texts.add(_bare(rejected))
        pairs.append(
            PreferencePair(
                problem_id=chosen.problem_id,
                chosen=chosen.prefix + chosen.text,
                rejected=rejected,
                why="dropout-ntp",
                style=chosen.style,
                chosen_origin=f"{chosen.id} {chosen.sampler}",
                rejected_origin=f"{chosen.id} {continuation.sampler} dropout-ntp sr{ratio:g} blind",
                rejected_complete=continuation.finish == "stop",
            )
        )
    return pairs, refused


def _reason(chosen: Response, continuation: Response, texts: set[str]) -> str:
    whole = chosen.prefix + chosen.text
    if chosen.finish == "error":
        return CHOSEN_FAILED
    if not chosen.text.strip():
        return CHOSEN_EMPTY
    if chosen.finish != "stop":
        return CHOSEN_CUT
    same = (chosen.problem_id, chosen.style) == (continuation.problem_id, continuation.style)
    if not same or not whole.startswith(continuation.prefix):
        return FOREIGN
    if continuation.finish == "error":
        return FAILED
    if not continuation.text.strip():
        return EMPTY
    rejected = _bare(continuation.prefix + continuation.text)
    if rejected == _bare(whole):
        return EQUAL
    return REPEATED if rejected in texts else ""


def _bare(text: str) -> str:
    """The text with single blanks: what differs in white space alone is no preference."""
    return " ".join(text.split())
