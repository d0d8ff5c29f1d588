r"""The rule `math`: expressions that are the same statement, whatever their form. Cheap: no computer algebra here.

Finds the expression that an answer states, reduces its typesetting, compares units, and decides at once what can be:
equal texts and plain numbers. The rest is an `Algebra` for `algebra.compare`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from mixpref.records import Outcome, Problem
from mixpref.verifying import numbers
from mixpref.verifying.judgement import Algebra, Judgement
from mixpref.verifying.measures import UNITLESS, converted, measured
from mixpref.verifying.notation import FUNCTIONS
from mixpref.verifying.units import unit


def math(problem: Problem, answer: str) -> Judgement | Algebra:
    """An expression that is equal to a gold one: exact, but for a gold answer that is rounded, or is to be rounded.

    Raises ValueError where there is no gold answer, or one that is no expression.
    """
    if not problem.answer:
        raise ValueError("there is no gold answer to judge by")
    golds = tuple(map(_gold, problem.answer))
    stated = expression(answer)
    if stated is None:
        return _numbers(problem, answer) or Judgement("unparsed", "not one expression")
    said = _tight(stated)
    if any(said == _tight(gold) for gold in golds):
        return _verdict("correct", said, golds)
    if any(map(_is_words, golds)) or _is_words(stated):
        return _words(stated, golds)
    if not _SYMBOLIC.search(stated) and (judgement := _numbers(problem, answer) or _numbers(problem, stated)):
        return judgement
    bare, measure = measured(stated)
    same_unit = (converted(gold, bare, measure, problem.question) for gold in golds)
    wanted = tuple(gold for gold in same_unit if gold is not None)
    decimals = numbers.asked_decimals(problem.question)
    return Algebra(wanted, bare, decimals) if wanted else _verdict("wrong", said, golds)


def _numbers(problem: Problem, answer: str) -> Judgement | None:
    """The judgement where gold answers and answer are plain numbers; None where they are not."""
    truths = [None if _SYMBOLIC.search(gold) else numbers.gold(gold) for gold in problem.answer or ()]
    # x + 2 = 7 does not state a 7.
    stated = numbers.read(answer) if all(truths) and "=" not in answer else None
    if stated is None:
        return None
    known = [numbers.rounded(truth, problem.question) for truth in truths if truth]
    right = any(numbers.agree(truth, stated, problem.question) for truth in known)
    return _verdict("correct" if right else "wrong", str(stated), list(map(str, known)))


def _verdict(outcome: Outcome, said: str, golds: Sequence[str]) -> Judgement:
    return Judgement(outcome, f"{said} against {' or '.join(golds)}", normalised=said)


def _words(stated: str, golds: Sequence[str]) -> Judgement:
    """Of answers in words only the same words are right; words for an expression, or the reverse, are no answer."""
    said, *truths = (" ".join(_WRAPPED.sub(r" \1 ", each).split()) for each in (stated, *golds))
    in_words = [_is_words(gold) for gold in golds]
    for truth, words in zip(truths, in_words, strict=True):
        if said == truth or (words and _is_words(stated) and said.casefold() == truth.casefold()):
            return _verdict("correct", said, golds)
    if _is_words(stated) and all(in_words):
        return _verdict("wrong", said, golds)
    return Judgement("unparsed", "words against an expression", normalised=stated)


@lru_cache(maxsize=4096)
def is_math(gold: str) -> bool:
    r"""Whether a gold answer is an expression that takes the rule math: \frac{\pi}{2}, (3, -4), x > 3, 2x + 1.

    A plain number, with or without a unit, is not: that is the rule number's.
    """
    stated = expression(gold)
    if stated is None or _is_words(stated):
        return False
    if numbers.gold(gold) is not None and not _SYMBOLIC.search(stated):
        return False
    bare = _WRAPPED.sub("", stated).strip()
    if _prose(bare) or _LOWER_CASE.search(_KNOWN.sub(" ", bare)):
        return False
    return bool(_SYMBOLIC.search(bare) or any(form.fullmatch(bare) for form in _FORMS))


_LOWER_CASE = re.compile(r"(?<![\\A-Za-z])(?!and\b)[a-z]{3}|['\"]")
_SYMBOLIC = re.compile(
    r"\\(?:sqrt|pi|infty|cup|cap|mathbb|emptyset|varnothing|begin|pm|mp|binom|log|ln|sin|cos|tan|cot|sum|int|prod|lim"
    r"|theta|alpha|beta)(?![A-Za-z])|[π√∞∪∩∅ℝ]|(?<!\\)\b(?:sqrt|pi|sin|cos|tan|log|ln)\b"
)
_TUPLE = r"[(\[](?=[^()\[\]]*[\d\\])[^()\[\]]*,[^()\[\]]*[)\]]"
_TERM = r"\(?(?:\d+(?:\.\d+)?[abnpqrtxyz]?|[abnpqrtxyz])(?:\^\{?\w+\}?)?\)?"
_FORMS = (
    # Tuples and intervals, sets, fractions of formulas and powers, relations, sums, factorials
    re.compile(rf"{_TUPLE}(?:(?:\s*[,;]\s*|\s+(?:and|or)\s+){_TUPLE})*"),
    re.compile(r"\\?\{(?=.*[\d\\]).*\\?\}", re.DOTALL),
    re.compile(r".*(?:\\frac|[\w)}]\^[\w({]).*", re.DOTALL),
    re.compile(r"[^=<>≤≥≠]*\w[\s)'}]*(?:[=<>≤≥≠]|\\(?:leq?|geq?|lt|gt|neq?|in)\b|∈)\s*[-+\w(\[\\{.].*", re.DOTALL),
    re.compile(rf"(?=.*[\d+])(?=.*[a-z])-?{_TERM}(?:\s*[-+*/]\s*{_TERM})*"),
    re.compile(r"[-+]?[\d.]+(?:\s*[+*×·!]\s*[\d.]*)+"),
)


# What an answer states

_MARKUP = {
    **{0xFF01 + offset: chr(0x21 + offset) for offset in range(94)},
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2009\u202f\u3000"), " "),
    **{ord(mark): None for mark in "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"},
    **{ord(sign): f"^{digit}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
    **{ord(sign): f"_{digit}" for digit, sign in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    ord("⩽"): "≤", ord("⩾"): "≥", ord("º"): "°", ord("。"): ".", ord("，"): ",", ord("⁄"): "/", ord("∕"): "/",
    **{
        ord(sign): f"\\frac{{{over}}}{{{under}}}"
        for sign, over, under in (
            ("½", 1, 2), ("⅓", 1, 3), ("⅔", 2, 3), ("¼", 1, 4), ("¾", 3, 4), ("⅕", 1, 5), ("⅖", 2, 5), ("⅗", 3, 5),
            ("⅘", 4, 5), ("⅙", 1, 6), ("⅚", 5, 6), ("⅛", 1, 8), ("⅜", 3, 8), ("⅝", 5, 8), ("⅞", 7, 8),
        )
    },
}  # fmt: skip
_LONGEST = 2000
_WRAPPED = re.compile(r"\\text\{([^{}]*)\}")
_SEGMENT = re.compile(
    r"(?<!\\)\$\$([^$]+)\$\$|(?<!\\)\$((?:[^$\\]|\\.)+)\$|\\\(([^$]*?)\\\)|\\\[([^$]*?)\\\]", re.DOTALL
)
# Words that take a statement back, or make several of it.
_HEDGE = re.compile(
    r"n['’]t\b|\b(?:not|no|never|nor|if|unless|either|neither|except|cannot|maybe|perhaps|possibly|probably|or|without|but)\b"
    r"|\b(?:may|might|could)\s+be$|[?？不非或]",
    re.IGNORECASE,
)
_AROUND = re.compile(r"^(?:[*_` \"“”]|\\\")+|(?:[*_` \"“”.。,;:]|\\(?=\"))+$")
_CONCLUDED = re.compile(r"is (?:the|our|my) (?:\w+ )?(?:solution|answer|result)|是答案", re.IGNORECASE)
_ANNOUNCED = re.compile(
    r"(?:\b(?:is|are|was|be|equals|equal to|answer|as|by|so|thus|hence|get|have|obtain|therefore|that|find)"
    r"|[:：=,]|[是为得即]|等于)$",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?:[^$=\\{}<>]*?\b(?:is|are|was|equals|be|as|becomes)\s*:?\s+(?:equal\s+to\s+|simply\s+|exactly\s+|given\s+by\s+)?"
    r"|[^$=\\{}<>]*?(?<![\d\s]):\s+"
    r"|(?:so|thus|hence|therefore|then|we\s+(?:get|have|find|obtain)|answer|the)\b,?\s*:?\s*)",
    re.IGNORECASE,
)
_SHORT_WORD = re.compile(
    r"(?<![\\A-Za-z{])(?:[A-Za-z]{4,}|the|and|for|was|are|has|its|we|so|of|to|is|at|by|it|not|but|if|no)(?![A-Za-z}])"
)
_NAMES = r"(?:arc)?(?:sin|cos|tan)h?|sqrt|cbrt|abs|infinity|infty|exp|log|sec|csc|cot|ln|pi"
_KNOWN = re.compile(rf"(?:{_NAMES})(?![A-Za-z]{{3}})")
_ONLY_WORDS = re.compile(r"\s*(?:\\text\{[^{}]*[^\W\d_]{2}[^{}]*\}|[^\W\d_]{4,}|[^\W\d_]+(?:[ -][^\W\d_]+)+)\s*")
_LONGEST_UNIT = 60
_UNIT_BEGINS = re.compile(r"(?<=[\s\d)}])(?=([A-Za-z]{2}.*))")
_IN_WORDS = {
    "all real numbers": "\\mathbb{R}", "all reals": "\\mathbb{R}", "empty set": "\\emptyset",
    "the empty set": "\\emptyset", "all real x": "\\mathbb{R}", "any real number": "\\mathbb{R}",
}  # fmt: skip


def expression(answer: str) -> str | None:
    """The one expression that an answer states, tidied (`tidy`): alone, or at the end of a sentence.

    None where it states none or several, or where words say something else than the expression ("not 5").
    """
    if len(answer) > _LONGEST:
        return None
    text = _AROUND.sub("", " ".join(answer.translate(_MARKUP).split()))
    text = _AROUND.sub("", _unboxed(text))
    segments = list(_SEGMENT.finditer(text))
    formula = segments and not _is_money(text, segments)
    found = _of_segments(text, segments) if formula else _of_text(text)
    return tidy(found) or None if found is not None else None


def _of_segments(text: str, segments: list[re.Match[str]]) -> str | None:
    last = segments[-1]
    before, after = text[: segments[0].start()], text[last.end() :].strip(" .")
    inner = [next(filter(None, segment.groups()), "") for segment in segments]
    between = [text[one.end() : other.start()].strip(" ,;").lower() for one, other in pairwise(segments)]
    if _CONCLUDED.fullmatch(after):
        after = ""
    if after and unit(after) is None and after not in ("%", "°"):
        # "The area of $ABC$ is 4"
        return _of_text(_SEGMENT.sub("X", text))
    tail = f"\\text{{{after}}}" if after and after not in ("%", "°") else after.replace("%", "\\%")
    if set(between) <= {"", "and", "or"}:
        joints = [" \\text{or} " if word == "or" else ", " for word in between]
        found = "".join(part + joint for part, joint in zip(inner, [*joints, ""], strict=True)) + tail
        before = before.strip()
    else:
        # "The area of $ABC$ is $4$": what is before the last formula may name others.
        found = inner[-1] + tail
        before = _SEGMENT.sub("X", text[: last.start()]).strip()
    if not before:
        return found
    if _HEDGE.search(before):
        return None
    # "x =" before the formula is a part of it.
    if re.fullmatch(r"[-+]?[\w^_{}().\\ ]{1,12}[=<>≤≥]", before):
        return f"{before} {found}"
    return found if _ANNOUNCED.search(before) else None


def _of_text(text: str) -> str | None:
    if text.lower() in _IN_WORDS:
        return _IN_WORDS[text.lower()]
    prose = _prose(text)
    while prose:
        lead = _LEAD.match(text)
        if lead is None or not lead.end():
            # "Area = 4 pi", "2 pi square units", a word alone
            name, equals, value = text.partition("=")
            if equals and not _prose(value) and re.fullmatch(r"[A-Za-z ]+", name) and not _HEDGE.search(name):
                return value
            return text if _word_or_unit(text) else None
        if _HEDGE.search(lead[0]):
            return None
        text = text[lead.end() :].strip()
        if text.lower() in _IN_WORDS:
            return _IN_WORDS[text.lower()]
        prose = _prose(text)
    return text or None


def _prose(text: str) -> bool:
    bare = re.sub(r"\\[A-Za-z]+(?:\s*\{[A-Za-z ]*\})?", " ", text)
    bare = re.sub(r"\b(?:and|or|inf|infinity|in)\b", " ", bare)
    return bool(_SHORT_WORD.search(_KNOWN.sub(" ", bare)))


def _word_or_unit(text: str) -> bool:
    if re.fullmatch(r"[A-Za-z]+(?:[ -][A-Za-z]+){0,3}", text):
        return True
    for match in _UNIT_BEGINS.finditer(text[-_LONGEST_UNIT:]):
        value, name = text[: -len(match[1])], match[1]
        found = None if _prose(value) else unit(name)
        if name.lower() in UNITLESS or (found is not None and not found.dimension.startswith("thing:")):
            return True
    return False


@lru_cache(maxsize=4096)
def _is_words(stated: str) -> bool:
    return stated not in ("infinity", *_IN_WORDS.values()) and bool(_ONLY_WORDS.fullmatch(stated))


def _is_money(text: str, segments: list[re.Match[str]]) -> bool:
    """$5 and $6 are prices, not the formula "5 and"."""
    return (
        any(segment[2] and re.match(r"\d[\d,.]*\s+[a-z]{2,}", segment[2]) for segment in segments) and "\\" not in text
    )


def _unboxed(text: str) -> str:
    while "\\boxed" in text:
        match = re.search(r"\\boxed\s*\{", text)
        if match is None:
            return text
        depth, place = 1, match.end()
        while place < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[place], 0) if text[place - 1] != "\\" else 0
            place += 1
        if depth:
            return text
        text = f"{text[: match.start()]}{text[match.end() : place - 1]}{text[place:]}"
    return text


# Typesetting

_TEXT = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|math(?:rm|it|sf|tt)|operatorname\*?|mbox|hbox)\s*\{([^{}]*)\}")
_BARE = re.compile(r"\\(?:mathbf|boldsymbol|bm|emph|mathbin|mathrel|mathord|displaylines|textstyle)\s*(?=\{)")
_NOTHING = re.compile(
    r"(?<!\\)\\(?:(?:left|right|middle|bigl?|bigr?|Bigl?|Bigr?|biggl?|biggr?|Biggl?|Biggr?|displaystyle|limits|nolimits)"
    r"(?![A-Za-z])\.?|!|[()](?=\s|$))|(?<!\\)\$"
)
# \quadx is no command: a blank was lost in it.
_BLANKS = re.compile(r"(?<!\\)\\(?:[,;: ]|(?:enspace|thinspace)(?![A-Za-z])|q?quad)|(?<!\\)~")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z{}])")
_FRACTIONS = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})((?:\s?(?:\{\s?,\s?\}|\\,|\\!|,\s?\\!)\s?\d{3})+)(?!\d)")
_SPACED = re.compile(r"[-+]?\d{1,3}(?: \d{3})+(?:\.\d+)?")
_COMMAS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_MIXED = re.compile(r"(?<![\d.\w}])(\d+)\s+(\d+)\s?/\s?(\d+)(?![\d.\w])")


@lru_cache(maxsize=8192)
def tidy(text: str) -> str:
    r"""LaTeX without what is only typesetting: \left, \displaystyle, blanks, \dfrac, fonts, thousands separators."""
    if "\\begin" not in text:
        # Backslashes escaped once too often
        text = _DOUBLED.sub(r"\\", text)
    text = _THOUSANDS.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text)
    text = text.replace(" ", "") if _SPACED.fullmatch(text) else text
    text = _TEXT.sub(_text, text)
    text = _BARE.sub("", text)
    text = _NOTHING.sub("", text)
    text = _BLANKS.sub(" ", text)
    text = _FRACTIONS.sub(r"\\frac", text).replace("**", "^")
    if not re.search(r"[(\[{]", text):
        text = _COMMAS.sub(lambda match: match[0].replace(",", ""), text)
    text = _MIXED.sub(r"\1\\frac{\2}{\3}", text)
    return " ".join(text.split()).rstrip(".,;: ")


def _text(match: re.Match[str]) -> str:
    content = match[1].strip(" ~")
    if content in FUNCTIONS:
        return f"\\{content} "
    # \mathrm{e}, \text{and}: a letter is a letter in any font.
    return f" {content} " if re.fullmatch(r".?|\([A-Za-z]\)|[-+\d.,\s]+", content) else f"\\text{{{content}}}"


def _tight(tidied: str) -> str:
    """Without the blanks that separate nothing. A blank after a comma and between letters stays."""
    return re.sub(r"(?<![\w,]) | (?!\w)", "", tidied)


@lru_cache(maxsize=4096)
def _gold(text: str) -> str:
    stated = expression(text)
    if stated is None:
        raise ValueError(f"the gold answer {text!r} is not an expression")
    return stated
