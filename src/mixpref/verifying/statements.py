r"""Finds the answer in a response that was asked for in no known form: the last explicit statement, else how it ends.

Explicit statements are `\boxed{..}`, "Final answer: ..", "The answer is ..", "答案是 ..", "(B) is correct",
<answer>..</answer> and the like. Without one it is a letter or number as the last line, or a short response as a whole.
Else the concluding sentence is handed over, marked as a sentence: a rule may find a statement in it or not.

All patterns begin with a literal word and bound what they skip, so that time is linear in the text's length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

LONGEST = 2000
"""Characters; a longer line is no answer to a question, and rules need not be quick on it."""
_SHORT = 6
"""Words; of more a statement is read as a sentence, whose words need not be the answer's own."""
_PHRASE = 3
"""Words; more of them with a full stop are a sentence and no short answer."""
_HEADING = 12
"""Words; more of them after "Answer:" begin an explanation whose end states the answer."""
_TAIL = 4000
"""Characters at the end among which the concluding sentence is sought."""
_NEAR = 3
"""A sentence that begins with "Therefore" concludes if at most so many sentences follow it."""


@dataclass(frozen=True)
class Extraction:
    """What was found: an answer, or the reason why there is none."""

    answer: str | None
    reason: str = ""
    sentence: bool = False
    """The answer is a sentence that may state it: what differs from the gold answer need not be a wrong answer."""


BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_EMPHASIS = r"[*_`\"“” \t]{0,6}"
_LEAD = r"(?:(?:is|are|would be|should be|must be|will be|was)\b|=|→|->|⇒)"
_TRIGGER = re.compile(
    # "Answer:", "The answer is", "The answer to the question is", "The correct option would be"
    r"\b(?:answer|ans|(?:correct|right|best)[ ](?:option|choice|letter|response|statement))\b"
    r"(?:[ ](?:choice|option|letter)\b)?"
    rf"{_EMPHASIS}(?:[ ](?:to|for)\b[^.:：\n!?]{{1,80}}?[ ](?={_LEAD}))?(?:,?[ ](?:therefore|then|thus|hence),?)?"
    rf"{_EMPHASIS}(?:(?P<colon>[:：])|{_LEAD}(?:[ ](?:therefore|then|thus|hence|simply|clearly)\b,?)?[ ]?[:：]?)"
    # A heading of its own line: "### Answer"
    r"|(?<![^\n*#_>])[ ]?(?:final[ ])?answer(?P<heading>)[*_ \t]{0,6}(?=\r?\n)"
    # "I choose option B", "I would go with (B)"
    r"|\b(?:choose|select|pick|go with)[ ](?=(?:option|choice|answer)[ ]\(?[A-Z]\b|\(?[A-Z]\)(?!\w))"
    r"|(?:答案|正确的?(?:选项|选择))(?:应该|应当|应)?[*_ ]{0,4}"
    r"(?:(?:是|为|選|选)(?!什么|多少|否|不是)[*_ ]{0,4}[:：]?|(?P<zh>[:：]))"
    r"|(?:故|应|应该|因此|所以|本题|答案|我)(?:选择|选|選)[*_ ]{0,4}[:：]?[*_ ]{0,4}"
    r"(?=(?:选项)?[(（\"“]?[A-Z](?![A-Za-z]))"
    rf"|(?P<box>{BOX.pattern})"
    r"|(?P<tag><answer>|<\|begin_of_box\|>)",
    re.IGNORECASE,
)
# "B is the correct answer", "选项B是正确的"
_INVERSE = re.compile(
    r"(?<![A-Za-z0-9'’])(?P<letter>\([A-Z]\)(?:[ ][^.\n:!?]{0,60}?)??|[A-Z])[.)]?[*_]{0,3},?[ ]?"
    r"(?:(?:is|would be)[ ](?:(?:therefore|thus),?[ ])?(?:the[ ])?[*_]{0,3}"
    r"(?:(?:correct|right|best)[ ](?:answer|option|choice|one|response)|correct)\b|是最?正确的?)"
    r"(?P<rest>[^.\n。]{0,80})"
)
_UNDECIDED = re.compile(
    r"\b(?:not|no|if|unless|only|but|or|whether|neither|nor|when|why|suppose|assum\w+|wrong|false)\b|n['’]t\b",
    re.IGNORECASE,
)
# Before "the answer is", within its sentence, these make it no statement.
_CONDITION = re.compile(
    r"(?:\b(?:if|whether|unless|suppose|assume|assuming|check|verify|sure|hope)(?:[ ]that)?|如果|假设)[ ]?"
    r"(?:(?:the|my|your|this|our)[ ])?(?:(?:final|correct|right)[ ])?[*_]{0,3}$"
    r"|^\W{0,9}(?:if|unless|suppose|如果|假设)\b",
    re.IGNORECASE,
)
_BELOW = re.compile(r"(?:as follows|the following|below|given below|shown below|如下)?[*_ \t]*[:：]?", re.IGNORECASE)
_TAGS = {"<answer>": "</answer>", "<|begin_of_box|>": "<|end_of_box|>"}


def stated(text: str) -> Extraction:
    """The answer of a response in no known form; the text is free of thoughts.

    Of several explicit statements the last one counts, whatever comes after it.
    """
    text = text.strip()
    trigger = _last_trigger(text)
    inverse = _last_inverse(text, trigger.start() if trigger else 0)
    if inverse is not None:
        return Extraction(inverse)
    if trigger is None:
        return _ending(text)
    if trigger["box"]:
        return _boxed(text, trigger.end())
    if trigger["tag"]:
        return _tagged(text, trigger)
    return _after(text, trigger)


def _last_trigger(text: str) -> re.Match[str] | None:
    for match in reversed(list(_TRIGGER.finditer(text))):
        if match["box"] or match["tag"] or not _CONDITION.search(_sentence_before(text, match.start())):
            return match
    return None


def _sentence_before(text: str, place: int) -> str:
    """What stands before `place` in its sentence, at most 200 characters of it."""
    line = text[max(0, place - 200) : place].rpartition("\n")[2]
    ends = [end.end() for end in _SENTENCE_END.finditer(line)]
    return line[ends[-1] :] if ends and ends[-1] < len(line) else line if not ends else ""


def _last_inverse(text: str, start: int) -> str | None:
    """The letter of the last "B is correct" after `start`."""
    for match in reversed(list(_INVERSE.finditer(text, start))):
        if not _UNDECIDED.search(_sentence_before(text, match.start())) and not _UNDECIDED.search(match["rest"]):
            return match["letter"][:3]
    return None


def _boxed(text: str, start: int) -> Extraction:
    content = braced(text, start)
    if content is None:
        return Extraction(None, "\\boxed{ is never closed")
    return one_line(content, "the boxed answer")


def _tagged(text: str, trigger: re.Match[str]) -> Extraction:
    end = text.find(_TAGS[trigger["tag"].lower()], trigger.end())
    if end < 0:
        return Extraction(None, f"{trigger['tag']} is never closed")
    return stated(text[trigger.end() : end])


def _after(text: str, trigger: re.Match[str]) -> Extraction:
    """The statement after its trigger: the rest of the line, or the next line where nothing else is on this one."""
    lines = text[trigger.end() :].splitlines() or [""]
    opening = text[text.rfind("\n", 0, trigger.start()) + 1 : trigger.start()]
    first = _BELOW.fullmatch(lines[0].strip(" \t*_$}>"))
    rest = [line for line in (lines[1:] if first else lines) if line.strip() and not _MARKUP.fullmatch(line.strip())]
    if not rest:
        return Extraction(None, "nothing is stated after the last answer's trigger")
    # One character more than an answer may have: a longer line is refused, whatever else it holds.
    statement = _closed(rest[0].strip()[: LONGEST + 1], "" if first else opening)
    clause = _clause(statement)
    # "Answer: To find the range, .." begins an explanation.
    announced = trigger["colon"] or trigger["zh"] or trigger["heading"] is not None
    explains = _words(clause) > _HEADING or _EXPLAINS.match(clause)
    if announced and explains and (len(rest) > 1 or len(clause) < len(statement)):
        return _ending("\n".join(rest))
    found = one_line(clause, "the answer")
    return Extraction(found.answer, found.reason, sentence=_words(clause) > _SHORT)


_EXPLAINS = re.compile(
    r"(?:to|first|let|we|sure|given|in order|step|based|looking|according|i|since|because|from|here|for|by)\b[ ,]"
    r"|首先|根据|因为|由",
    re.IGNORECASE,
)
# Lines of markup only.
_MARKUP = re.compile(r"`{3,}[\w+-]*|~{3,}|\${2}|\\[\[\]]|-{3,}|={3,}|\*{2,}|_{2,}|#{1,6}|</?\w{1,20}>|<\|\w{1,30}\|>")


# Parts of a line -----------------------------------------------------------------------------------------------------

# A full stop after these ends no sentence.
_BEFORE_STOP = (
    *(r"\b[Mm]r", r"\b[Mm]s", r"\bMrs", r"\b[DS]t", r"\b[DJS]r", r"\b[Nn]o", r"\b[Ff]ig", r"\b[Ss]q"),
    *(r"\bvs", "pprox", r"i\.e", r"e\.g", r"\.[A-Z]"),
)
_ABBREVIATED = "".join(f"(?<!{before})" for before in _BEFORE_STOP)
_END = r"(?:{full_stop}|(?<=[a-z)\]}}*\d])[!?])[*_\"”’)]{{0,4}}(?:\s+(?![a-z])|$)|[。！？]"
_STATEMENT_END = re.compile(_END.format(full_stop=rf"{_ABBREVIATED}\."))
# Nor after a letter or a number that begins the line: "B. foo", "12. foo".
_SENTENCE_END = re.compile(
    _END.format(full_stop=rf"{_ABBREVIATED}(?<!^[A-Za-z0-9])(?<!^\d\d)(?<!^[*_]{{2}}[A-Za-z0-9])\."), re.MULTILINE
)
_LETTER_ALONE = re.compile(r"(?:(?:option|choice)[ ])?\(?[A-Z]\)?[*_]{0,3}[.,:]?[*_]{0,3}", re.IGNORECASE)
_REMARK = re.compile(
    r"[*_]{0,3}[,;，；]?(?:[ ]\(?|[,;，；]|[(（])"
    r"(?:(?:because|since|as|due to|given that|which|where|so that|by)\b|因为|由于)"
    r"|[ ](?:—|–|--|-)[ ](?=[A-Za-z]{2})|[,;，；][ ]?(?:i\.e\.|(?:that is|so|the|it|this)\b)",
    re.IGNORECASE,
)
_NUMERIC = re.compile(r"[^A-Za-z]{0,12}\d.{0,40}|\$.{1,60}\$|[A-Za-z][ ]?=[ ]?.{1,40}")


def _clause(line: str) -> str:
    """A statement up to its sentence's end, without a remark on a letter or a number ("B, because ..")."""
    line = re.sub(r"^(?:[-•>][ ]+(?!\d)|[*][ ]+)", "", line)
    lettered = re.match(r"[*_]{0,3}([(（]?[A-Z][)）]?)[*_]{0,3}\.[*_]{0,3}[ ]+(.+)", line)
    if lettered is None:
        return _sentence(line)
    # "B. 12 cm" is a letter with its text, "B. The sky is .." a letter and an explanation.
    text = _sentence(lettered[2])
    told = lettered[1][0] in "(（" or _words(text) > _SHORT or _EXPLAINS.match(text)
    return lettered[1] if told else f"{lettered[1]}. {text}"


def _sentence(line: str) -> str:
    end = _STATEMENT_END.search(line)
    clause = line[: end.start()] if end else line
    remark = _REMARK.search(clause)
    if remark:
        head = clause[: remark.start()].strip()
        if _LETTER_ALONE.fullmatch(head.strip("*_ ")) or (_NUMERIC.fullmatch(head) and _words(head) <= 4):
            clause = head
    return clause.strip().rstrip(".:,;。，").strip()


def _closed(line: str, opening: str) -> str:
    """The line without marks that close what was opened before the statement: bold, a brace of LaTeX, $."""
    depth, kept = 0, []
    for place, character in enumerate(line):
        escaped = place > 0 and line[place - 1] == "\\"
        if character in "{}" and not escaped:
            depth += 1 if character == "{" else -1
            if depth < 0:
                depth = 0
                continue
        kept.append(character)
    line = "".join(kept).strip()
    if opening.count("$") % 2 and line.count("$") % 2:
        line = line.rstrip("$") if line.endswith("$") else line.replace("$", "", 1)
    for mark in ("**", "__", "`"):
        if opening.count(mark) % 2 and line.count(mark) % 2:
            line = line.replace(mark, "", 1)
    if re.search(r"(?<![*])[*][^*\s]?[^*]*$", opening) and re.search(r"\w[*]\.?$", line):
        line = line.rstrip(".").rstrip("*")
    return line.lstrip(":：").strip()


def _words(text: str) -> int:
    """Words; two Chinese characters are about one."""
    return len(text.split()) + len(re.findall(r"[\u4e00-\u9fff]", text)) // 2


# How a response ends ------------------------------------------------------------------------------------------------

_PLEASANTRY = re.compile(
    r"\W{0,4}(?:i hope|hope (?:this|that)|(?:please )?let me know|(?:please )?feel free|is there anything"
    r"|do you (?:have|want|need)|would you like|if you (?:have|need|want)|thank"
    r"|note that|please note|please provide|希望|如果你|如有)",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"\W{0,4}(?:therefore|thus|hence|so|consequently|in conclusion|in summary|to conclude|overall|finally|conclusion"
    r"|因此|所以|故|综上|于是|总之)(?![a-z])",
    re.IGNORECASE,
)
_TURNS = re.compile(r"\W{0,4}(?:however|but|yet|wait|actually|although|on the other hand|但|然而|不过)", re.IGNORECASE)
_LETTERED = re.compile(r"[*_> -]{0,4}\(?[A-Z][).:][*_]{0,3}\s+\S.*")
_BARE = re.compile(
    r"(?:\#{4}[ ]*)?(?:(?:answer|option|choice|选项|A[:：])[ ]?)?"
    r"(?:\(?[A-Za-z][).]?|(?!\d{1,2}[.)]\s)[^A-Za-z\n]{0,12}\d[^\n]{0,40})",
    re.IGNORECASE,
)


def _ending(text: str) -> Extraction:
    """The last line where it is a letter or a number, the whole where it is short, else the concluding sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _MARKUP.fullmatch(line.strip())]
    lines = [line for line in lines if any(map(str.isalnum, line))] or lines
    if not lines:
        return Extraction(None, "the response is empty")
    last = lines[-1]
    if len(lines) == 1 and _words(last) <= _SHORT and not _SENTENCE_END.search(last[:-1]):
        told = _words(last) > _PHRASE and last.endswith((".", "!", "。"))
        return replace(one_line(last, "the response"), sentence=told)
    if len(lines) > 1 and all(_LETTERED.fullmatch(line) for line in lines[-2:]):
        return Extraction(None, "the response ends in a list of options")
    if (bare := last.strip("*_`$ ")) and _BARE.fullmatch(bare) and _words(bare) <= 4:
        return one_line(re.sub(r"^#{4}\s*", "", last), "the last line")
    if _LETTERED.fullmatch(last):
        return one_line(last, "the last line")
    sentence = _conclusion(lines)
    if sentence is None:
        return Extraction(None, "no concluding sentence")
    found = one_line(sentence, "the concluding sentence")
    return Extraction(found.answer, found.reason, sentence=True)


def _conclusion(lines: list[str]) -> str | None:
    sentences: list[str] = []
    length = 0
    for line in reversed(lines):
        length += len(line)
        if not _TABLE.search(line):
            parts = _sentences(line[-_TAIL:])
            sentences[:0] = [part for part in parts if not _PLEASANTRY.match(part) and not part.endswith(("?", "？"))]
        if length > _TAIL or len(sentences) > _NEAR:
            break
    for sentence in reversed(sentences[-_NEAR - 1 :]):
        if _CONCLUDES.match(sentence):
            return _point(sentence)
        if _TURNS.match(sentence):
            break
    return _point(sentences[-1]) if sentences else None


_TABLE = re.compile(r"\s\|\s|^\||\|$")
_BOLD = re.compile(r"\*\*([^*\n]{1,60})\*\*")
_RESULT = re.compile(
    r"=[ ]?(?:[*_]{2}|\$)?((?:[-+−]|[^\w\s=]){0,3}\d(?:(?!\bis\b|\bare\b)[^=<>≤≥≠$]){0,30}?)(?:[*_]{2}|\$)?[.。]?$"
)
_COMPARED = re.compile(
    r"\b(?:than|least|most|above|below|under|over|between|from|to|plus|minus|times|of|about)\W*$", re.IGNORECASE
)


def _point(sentence: str) -> str:
    """The result that a concluding sentence ends in ("is 2 * 9 feet = 18 feet"), or the one number set in bold.

    Else the whole sentence.
    """
    if _UNDECIDED.search(sentence):
        return sentence
    result = _RESULT.search(sentence)
    if result and _words(result[1]) <= 4 and not re.search(r"[,;]\s|\band\b", sentence[sentence.index("=") :]):
        return result[1].strip()
    bold = list(_BOLD.finditer(sentence))
    if len(bold) == 1 and _NUMERIC.fullmatch(bold[0][1]) and not _COMPARED.search(sentence[: bold[0].start()]):
        return bold[0][1]
    return sentence


def _sentences(line: str) -> list[str]:
    parts, start = [], 0
    for end in _SENTENCE_END.finditer(line):
        parts.append(line[start : end.end()].strip())
        start = end.end()
    return [part for part in (*parts, line[start:].strip()) if any(map(str.isalnum, part))]


# Shared with the styles ---------------------------------------------------------------------------------------------


def braced(text: str, start: int) -> str | None:
    """What stands between the brace that opens at `start` (after blanks) and the brace that closes it.

    None where no brace opens there or none closes it. Escaped braces are text.
    """
    while start < len(text) and text[start].isspace():
        start += 1
    if start == len(text) or text[start] != "{":
        return None
    depth, place = 0, start
    while place < len(text):
        if text[place] == "\\":
            place += 1
        elif text[place] == "{":
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return text[start + 1 : place]
        place += 1
    return None


def one_line(answer: str, what: str) -> Extraction:
    """The answer, if it is one line of at most LONGEST characters; `what` names it in the reason."""
    answer = answer.strip()
    if not answer:
        return Extraction(None, f"{what} is empty")
    if len(answer.splitlines()) > 1:
        return Extraction(None, f"{what} is longer than one line")
    if len(answer) > LONGEST:
        return Extraction(None, f"{what} is longer than {LONGEST} characters")
    return Extraction(answer)
