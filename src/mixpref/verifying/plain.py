r"""Reduces an answer's typesetting to plain characters, so that rules compare what is said, not how it is set.

`$\dfrac{1}{2}\,\text{cm}$`, `**1/2 cm**` and `１/２ cm` all become `1/2 cm`. Signs, comparison operators and brackets
are part of what is said and stay: -5 is not 5, x>3 is not x<3, [1,2) is not (1,2].
"""

from __future__ import annotations

import re

_CHARACTERS = {
    **{0xFF01 + offset: chr(0x21 + offset) for offset in range(94)},  # full-width forms of ASCII
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2009\u202f\u3000"), " "),
    # Marks without a width, and those that turn the direction of writing.
    **{ord(mark): None for mark in "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f"},
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), None),
    ord("\u2044"): "/",
    ord("⩽"): "≤",
    ord("⩾"): "≥",
    ord("º"): "°",
    ord("。"): ".",
    ord("、"): ",",
    ord("²"): "^2",
    ord("³"): "^3",
    **{
        ord(sign): f" {fraction}"
        for sign, fraction in {
            "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5",
            "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
        }.items()
    },
}  # fmt: skip
_COMMANDS = {
    "times": "×", "cdot": "·", "div": "/", "pi": "π", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥", "ge": "≥",
    "neq": "≠", "ne": "≠", "lt": "<", "gt": ">", "approx": "≈", "degree": "°", "circ": "°", "infty": "∞", "angle": "∠",
    "left": "", "right": "", "displaystyle": "", "quad": " ", "qquad": " ", "dollar": "$", "textdollar": "$",
    "euro": "€", "pounds": "£",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)")
# A thousands separator in LaTeX or as a thin blank: 1{,}000, 1\,000.
_THOUSANDS = re.compile(r"(?<=\d)(?:\{,\}|\\[,!]|,\\!|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))")
_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|textsf|texttt|mathrm|mathbf|mathit|mathsf|mathtt|operatorname|mbox|hbox|emph|boldsymbol"
    r"|boxed|fbox)\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"(\d?)\\[dtc]?frac\s*(?:\{([^{}]*)\}|(\d))\s*(?:\{([^{}]*)\}|(\d))")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_POWER = re.compile(r"\^\{([^{}]*)\}")
# As in Pandoc: an opening $ touches what follows; a closing $ touches what precedes and no digit follows it.
_MATH = re.compile(r"(?<!\\)\$(?=\S)([^$]*?[^$\s\\])\$(?!\d)")
_DELIMITERS = re.compile(r"\\[()\[\]]")
_BLANK = re.compile(r"\\[,;: ]|(?<!\\)~")
_ESCAPED = re.compile(r"\\([%$#&_{}])")
_BOLD = re.compile(r"(?<![\w)])(?:\*\*|__)|(?:\*\*|__)(?![\w(])|`+")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "「": "」", "*": "*", "_": "_"}
_SIMPLE = re.compile(r"[\w.]+")
_DEEPEST = 16


def plain(answer: str) -> str:
    """The answer in plain characters, one blank between words, without the full stop at its end."""
    text = _THOUSANDS.sub("", answer)
    text = text.translate(_CHARACTERS)
    if "$" in text:
        text = _MATH.sub(r"\1", text)
    if "\\" in text:
        text = _untex(text)
    text = _POWER.sub(_power, text).replace("^°", "°").replace("{,}", ",")
    text = _ESCAPED.sub(r"\1", text)
    text = _BOLD.sub("", text)
    return trimmed(" ".join(text.split()))


def trimmed(text: str) -> str:
    """Without the marks that close a sentence and without quotation marks around the whole."""
    while True:
        shorter = text.strip().rstrip(".,;:").rstrip()
        if len(shorter) > 1 and _QUOTES.get(shorter[0]) == shorter[-1] and shorter[-1] not in shorter[1:-1]:
            shorter = shorter[1:-1]
        if shorter == text:
            return text
        text = shorter


def _untex(text: str) -> str:
    text = text.replace("\\!", "")
    text = _BLANK.sub(" ", _DELIMITERS.sub(" ", text))
    # Innermost braces first; a formula that is nested deeper than any answer stays as it is.
    for _ in range(_DEEPEST):
        flatter = _WRAPPER.sub(r"\1", text)
        flatter = _POWER.sub(_power, flatter)
        flatter = _ROOT.sub(r"sqrt(\1)", flatter)
        flatter = _FRACTION.sub(_fraction, flatter)
        if flatter == text:
            break
        text = flatter
    return _COMMAND.sub(lambda command: _COMMANDS.get(command[1], command[0]), text)


def _power(match: re.Match[str]) -> str:
    return f"^{match[1]}" if re.fullmatch(r"-?\w+|\\circ|\\degree", match[1].strip()) else f"^({match[1]})"


def _fraction(match: re.Match[str]) -> str:
    whole = match[1]
    over, under = (match[2] if match[2] is not None else match[3]), (match[4] if match[4] is not None else match[5])
    over, under = (part.strip() for part in (over, under))
    minus, over = ("-", over[1:]) if re.fullmatch(r"-[\d.]+", over) else ("", over)
    over, under = (part if _SIMPLE.fullmatch(part) else f"({part})" for part in (over, under))
    # 1\frac{1}{2} is a mixed number.
    return f"{whole} {minus}{over}/{under}" if whole else f"{minus}{over}/{under}"
