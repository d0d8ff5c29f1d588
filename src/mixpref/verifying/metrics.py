"""Rules that are metrics of benchmarks: exact match, ANLS (DocVQA), consensus (VQA) and relaxed accuracy (ChartQA).

Each is a rule of `rules.RULES` and raises ValueError for a problem without a gold answer.
"""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

from mixpref.records import Problem
from mixpref.verifying import numbers
from mixpref.verifying.judgement import Judgement
from mixpref.verifying.plain import plain
from mixpref.verifying.units import NONE
from mixpref.verifying.words import against, golds, normal, said_yes_or_no

THRESHOLD = 0.5
"""Score from which an answer with degrees counts as correct; of ANLS also the similarity below which it scores 0."""
ANNOTATORS = 10
"""Human answers to a question of VQA; fewer gold answers are a list of accepted ones."""
TOLERANCE = Fraction(1, 20)
"""Of relaxed accuracy, relative to the gold answer."""


def exact(problem: Problem, answer: str) -> Judgement:
    """The same characters as a gold answer once the typesetting is gone; the case counts."""
    said, truths = plain(answer), list(map(plain, golds(problem)))
    return Judgement("correct" if said in truths else "wrong", against(said, truths), said)


def anls(problem: Problem, answer: str) -> Judgement:
    """Average Normalised Levenshtein Similarity (arXiv 1907.00490, equation 1), as DocVQA uses it; the case is ignored.

    The score is the largest 1 - distance / length of the longer text over the gold answers, 0 below `THRESHOLD`. A
    metric of reading: one character may be misread, also a digit.
    """
    said = plain(answer).lower()
    truths = [plain(gold).lower() for gold in golds(problem)]
    score = max(similarity(said, truth) for truth in truths)
    score = score if score >= THRESHOLD else 0.0
    return Judgement("correct" if score else "wrong", against(said, truths), said, score)


def similarity(one: str, other: str) -> float:
    """1 - edit distance / length of the longer text; 0 for texts of too different a length to reach `THRESHOLD`."""
    longer = max(len(one), len(other))
    # The distance is at least the difference of the lengths: a long answer to a short gold one costs nothing.
    if not longer or longer - min(len(one), len(other)) > longer * (1 - THRESHOLD):
        return float(one == other)
    return 1 - edit_distance(one, other) / longer


def edit_distance(one: str, other: str) -> int:
    """Levenshtein distance: the fewest characters inserted, deleted or replaced.

    Bit-parallel (Hyyrö 2003): a column of the table of distances is two integers, the rows where the distance grows and
    where it shrinks. Texts of 2,000 characters take milliseconds.
    """
    short, long = sorted((one, other), key=len)
    if not short:
        return len(long)
    places: dict[str, int] = {}
    for row, character in enumerate(short):
        places[character] = places.get(character, 0) | 1 << row
    every, last = (1 << len(short)) - 1, 1 << (len(short) - 1)
    grows, shrinks, distance = every, 0, len(short)
    for character in long:
        same = places.get(character, 0)
        diagonal = (((same & grows) + grows) ^ grows) | same | shrinks
        right_grows = shrinks | ~(diagonal | grows) & every
        right_shrinks = diagonal & grows
        if right_grows & last:
            distance += 1
        elif right_shrinks & last:
            distance -= 1
        right_grows = right_grows << 1 | 1
        grows = (right_shrinks << 1 | ~(diagonal | right_grows)) & every
        shrinks = diagonal & right_grows & every
    return distance


def vqa(problem: Problem, answer: str) -> Judgement:
    """Consensus with human answers (arXiv 1505.00468): min(1, matches / 3), averaged over all but one annotator.

    Needs the `ANNOTATORS` answers with their duplicates; of fewer gold answers each is accepted. Texts are compared as
    in the official evaluation (small letters, digits for number words, no articles and no punctuation), but for marks
    that mean something: -5 is not 5, x>3 not x<3, [1,2) not (1,2], 3.5 not 35.
    """
    said = consensus_form(answer)
    truths = [consensus_form(gold) for gold in golds(problem)]
    if not said:
        return Judgement("unparsed", "the answer is nothing but punctuation")
    matches = truths.count(said)
    if len(truths) < ANNOTATORS:
        score = float(matches > 0)
    else:
        others = len(truths) - matches
        score = (others * min(1.0, matches / 3) + matches * min(1.0, (matches - 1) / 3)) / len(truths)
    return Judgement(
        "correct" if score >= THRESHOLD else "wrong",
        f"{said}: {matches} of {len(truths)} gold answers" if matches else against(said, dict.fromkeys(truths)),
        said,
        score,
    )


_LETTER = r"[^\W\d_]"
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,])")
# Marks that only set words apart. A mark beside a number, a single letter or another mark may be an operator.
_BETWEEN_WORDS = re.compile(rf"(?<={_LETTER})(?:\s+-\s+|-)(?={_LETTER}{{2}})|(?<=\d)-(?={_LETTER}{{2}})")
_EITHER = re.compile(rf"(?<={_LETTER}{{3}})/(?={_LETTER}{{3}})")
_COMMA = re.compile(r"(?<!\d),|,(?!\s?[\d.+-])")
_EXCLAMATION = re.compile(rf"(?<={_LETTER}{{2}})!+(?!=)")
_PARENTHESES = re.compile(rf"(?<!\S)\(({_LETTER}{{2,}}(?: {_LETTER}+)*)\)(?!\S)")
_FULL_STOP = re.compile(r"\.(?!\d)")
_SIGNS = re.compile(r"(?<=[-+*/^=<>≤≥≠,(\[{|])\s+|\s+(?=[*/^=<>≤≥≠,)\]}|])")
_BINARY = re.compile(r"(?<=\S) ([+-]) (?=\S)")
_ARTICLES = frozenset(("a", "an", "the"))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBER_WORDS = {word: str(value) for value, word in enumerate(_DIGITS)} | {"none": "0"}
# As in the official list, which leaves out words that are others without the apostrophe (were, well, its).
_CONTRACTED = {
    stem + ending.replace("'", ""): stem + ending
    for ending, stems in {
        "n't": "ai are ca could did does do had has have is might must need ought sha should was were wo would",
        "'ve": "could might must should would they we you what where who i",
        "'ll": "it they what who how you somebody someone something",
        "'re": "they there what you",
        "'s": "he how let that there what when where who",
        "'d": "he it there they where who you how",
        "'m": "i",
    }.items()
    for stem in stems.split()
} | {"oclock": "o'clock", "maam": "ma'am", "yall": "y'all", "twas": "'twas"}


def consensus_form(answer: str) -> str:
    """An answer as `vqa` compares it."""
    text = plain(answer).replace("’", "'")
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    text = _BETWEEN_WORDS.sub(" ", text)
    text = _EITHER.sub(" ", text)
    text = _COMMA.sub(" ", text)
    text = _EXCLAMATION.sub(" ", text)
    text = re.sub(r'[;:?"`](?!\s?\d)', " ", text)
    text = _PARENTHESES.sub(r"\1", text)
    text = _FULL_STOP.sub("", text)
    text = _BINARY.sub(r"\1", " ".join(text.split()))
    text = _SIGNS.sub("", text)
    words = text.split()
    kept = []
    for place, word in enumerate(words):
        # A letter at the end ("vitamin A"), or a capital within, is a name and no article.
        if word.lower() in _ARTICLES and place < len(words) - 1 and (not place or word != "A"):
            continue
        word = word.lower()
        word = _NUMBER_WORDS.get(word, word)
        kept.append(_CONTRACTED.get(word, word))
    return " ".join(kept)


def relaxed(problem: Problem, answer: str) -> Judgement:
    """Relaxed accuracy (ChartQA, arXiv 2203.10244, section 5.1): numbers within 5 % of the gold one, other texts equal.

    Of a gold list "[a, b]" each element is judged, in order. Years are exact: whole numbers from 1000 to 2100 without
    any mark or unit, unless the question asks for an amount. Units compare as in the rule `number`; a percent sign may
    be missing on one side.
    """
    outcomes = []
    for gold in golds(problem):
        elements = _elements(gold)
        if elements is None:
            outcomes.append(_one_relaxed(gold, answer, problem.question))
            continue
        stated = _elements(answer) or _listed(answer)
        if len(stated) != len(elements):
            outcomes.append("wrong")
            continue
        each = [_one_relaxed(*pair, problem.question) for pair in zip(elements, stated, strict=True)]
        outcomes.append(next((name for name in ("wrong", "unparsed") if name in each), "correct"))
    said = normal(answer)
    if "correct" in outcomes:
        return Judgement("correct", against(said, golds(problem)), said)
    if "unparsed" in outcomes:
        return Judgement("unparsed", "not a single number", said)
    return Judgement("wrong", against(said, golds(problem)), said)


def _one_relaxed(gold: str, answer: str, question: str) -> str:
    truth = numbers.gold(gold)
    if truth is None:
        # "Yes, it is": a clause may say why.
        reason = normal(gold) in ("yes", "no") and said_yes_or_no(answer) == normal(gold)
        return "correct" if reason or normal(answer) == normal(gold) else "wrong"
    stated = numbers.read(answer)
    if stated is None:
        return "unparsed" if numbers.has_digits(answer) else "wrong"
    if not _is_year(gold, question):
        truth = replace(truth, tolerance=max(truth.tolerance, abs(truth.value) * TOLERANCE))
    if numbers.agree(truth, stated, question):
        return "correct"
    # "45%" and 45 are the same label of a chart, 45% and 0.45 the same share.
    if truth.unit.dimension == "percent" and not stated.unit.dimension:
        share = replace(stated, value=stated.value * 100)
        bare = replace(truth, unit=NONE)
        right = numbers.agree(bare, stated, "") or numbers.agree(bare, share, "")
        return "correct" if right else "wrong"
    return "wrong"


_YEAR = re.compile(r"(?:1\d|20)\d\d|2100")
_HOW_MANY = re.compile(r"\W*how\s+(?:many|much)\b", re.IGNORECASE)
_WHICH_YEAR = re.compile(
    r"\b(?:which|what)(?:\s+(?:is|was|are|were))?(?:\s+the)?(?:\s+\w+)?\s+(?:years?|dates?)\b"
    r"|\bwhen\s+(?:is|was|are|were|do|does|did|has|had|will)\b|\byears?\s*\?",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\b(?:how\s+(?:many|much|high|low|large|big|long|far|tall)|values?|total|sum|number|numbers|amount|count|percent"
    r"|percentage|share|difference|differ|average|mean|median|mode|ratio|rate|price|cost|sales|revenue|income|profit"
    r"|population|people|size|range|gap|quantity|level|score|production|consumption|exports?|imports?|added|subtract"
    r"|maximum|minimum|GDP|figure|salary|expenditure|spending|budget|enrollment|attendance)\b|%",
    re.IGNORECASE,
)


def _is_year(gold: str, question: str) -> bool:
    """Whether a gold answer is a year, which 5 % would turn into any other of a century."""
    if not _YEAR.fullmatch(plain(gold)):
        return False
    if _HOW_MANY.match(question):
        return False
    return bool(_WHICH_YEAR.search(question)) or not _AMOUNT.search(question)


def _elements(text: str) -> list[str] | None:
    """The elements of a list "[a, b]"; None where a text is not one in square brackets."""
    inner = plain(text)
    if len(inner) < 2 or inner[0] != "[" or inner[-1] != "]":
        return None
    return _listed(inner[1:-1])


def _listed(text: str) -> list[str]:
    """The parts of "a, b and c"; a comma without a blank is within a number where others have one."""
    text = plain(text)
    parts = re.split(r",\s(?:and\s)?|\sand\s" if ", " in text else r",|\sand\s", text)
    return [part.strip() for part in parts]
