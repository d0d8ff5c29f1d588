r"""The tokens of a formula, in LaTeX or as people type one. What is prose, or ambiguous, is refused."""

from __future__ import annotations

import re


class Unreadable(ValueError):
    """A text that is no expression, or an ambiguous one."""


FUNCTIONS = tuple("sin cos tan cot sec csc sinh cosh tanh arcsin arccos arctan ln exp lg log".split())  # noqa: SIM905
GREEK = tuple(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega "  # noqa: SIM905
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell".split()
)
_GREEK_SIGNS = dict(zip("αβγδεζηθικλμνξρστυφχψωΓΔΘΛΞΠΣΥΦΨΩ", GREEK, strict=False))
VARIANTS = {"varphi": "phi", "varepsilon": "epsilon", "vartheta": "theta", "varrho": "rho", "varsigma": "sigma"}
_SIGNS = {
    "π": "\\pi", "∞": "\\infty", "≤": "\\le", "≥": "\\ge", "≠": "\\ne", "∪": "\\cup", "∩": "\\cap",
    "∈": "\\in", "±": "\\pm", "∓": "\\mp", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "√": "\\sqrt",
    "∛": "\\cbrt", "°": "\\circ", "≈": "\\approx", "∅": "\\emptyset", "ℝ": "\\reals", "ℤ": "\\integers",
    "⟨": "\\langle", "⟩": "\\rangle", "∖": "\\setminus", "∠": "\\angle", "′": "'", "−": "-",
}  # fmt: skip
_SAME = {
    "leq": "le", "leqslant": "le", "geq": "ge", "geqslant": "ge", "neq": "ne", "lt": "<", "gt": ">", "cdot": "*",
    "times": "*", "ast": "*", "div": "/", "lbrace": "{{", "rbrace": "}}", "vert": "|", "lvert": "|", "rvert": "|",
    "mid": "|", "colon": ":", "varnothing": "emptyset", "degree": "circ", "prime": "'", "lbrack": "[", "rbrack": "]",
    "dbinom": "binom", "tbinom": "binom", "backslash": "setminus", "land": "and", "wedge": "and", "lor": "or",
    "vee": "or", "lparen": "(", "rparen": ")", "bigcup": "cup",
}  # fmt: skip
RELATIONS = {
    "=": "=", "<": "<", ">": ">", "\\le": "<=", "\\ge": ">=", "\\ne": "!=", "\\approx": "~", "\\in": "in", "\\to": "to",
    "\\equiv": "==", "\\sim": "sim", "\\simeq": "~", "\\notin": "notin", "\\implies": "to", "\\Rightarrow": "to",
    "\\rightarrow": "to", "\\subset": "sub", "\\subseteq": "sub", "\\propto": "prop", "\\perp": "perp",
    "\\parallel": "par", "\\cong": "cong",
}  # fmt: skip
_WORDS = sorted([*FUNCTIONS, "sqrt", "cbrt", "abs", "asin", "acos", "atan"], key=len, reverse=True)
_TOKEN = re.compile(
    r"(?P<mixed>(?<![\d.])[0-9]+\s*\\frac\s*\{\s*[0-9]+\s*\}\s*\{\s*[0-9]+\s*\})|\\(?P<edge>begin|end)\{(?P<environment>\w+)\*?\}(?:(?<=\{array\})\s*\{[^{}]*\})?|\\text\{(?P<content>[^{}]*)\}"
    r"|\\(?P<command>[A-Za-z]+)|\\(?P<escaped>[{}%$|&#_])|(?P<break>\\\\)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
    rf"|(?<![A-Za-z])(?P<word>{'|'.join(_WORDS)}|(?:pi|infinity|infty|inf|oo|and|or)(?![A-Za-z]))"
    r"|(?P<relation><=|>=|!=|=<|=>|->)|(?P<prose>[A-Za-z]{4,}(?<![A-Z]{4}))|(?P<letter>[^\W\d_])|(?P<sign>\S)|(?P<blank>\s+)"
)
_PROSE = frozenset("the is are not but for if of to in at by we so it no all any was can has".split())  # noqa: SIM905


def tokens(text: str) -> list[tuple[str, str]]:
    """(kind, value) pairs; the kinds: number, mixed, letter, text, environment, and `sign` for the rest.

    Raises Unreadable.
    """
    found: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(text):
        kind, value = match.lastgroup or "", match[0]
        if kind == "blank":
            continue
        if kind == "mixed":
            found.append((kind, " ".join(re.findall(r"\d+", value))))
            continue
        if match["edge"]:
            found += [("sign", f"\\{match['edge']}"), ("environment", match["environment"])]
            continue
        if kind == "content":
            value = " ".join(match["content"].split())
            if value:
                found.append(("sign", value) if value in ("and", "or") else ("text", value))
            continue
        if kind == "prose" or (kind == "letter" and not value.isascii() and value not in {**_GREEK_SIGNS, **_SIGNS}):
            raise Unreadable(f"the word {value!r} in a formula")
        if kind == "word":
            value = {"infinity": "\\infty", "inf": "\\infty", "infty": "\\infty", "oo": "\\infty"}.get(value, value)
            value = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}.get(value, value)
            found.append(("sign", value if value in ("and", "or") or value[0] == "\\" else f"\\{value}"))
        elif kind == "command":
            name = match["command"]
            name = _SAME.get(name, name)
            name = name if name in ("and", "or") or not name[0].isalpha() else f"\\{name}"
            found.append(("sign", name))
        elif kind == "escaped":
            found.append(("sign", {"{": "{{", "}": "}}", "|": "\\|"}.get(match["escaped"], match["escaped"])))
        elif kind == "relation":
            signs = {"<=": "\\le", "=<": "\\le", ">=": "\\ge", "!=": "\\ne", "=>": "\\implies", "->": "\\to"}
            found.append(("sign", signs[value]))
        elif kind == "letter" and value in _GREEK_SIGNS and value != "π":
            found.append(("sign", f"\\{_GREEK_SIGNS[value]}"))
        elif value in _SIGNS:
            found.append(("sign", _SIGNS[value]))
        else:
            found.append((kind if kind in ("number", "letter") else "sign", value))
    _refuse_words(text)
    return found


def _refuse_words(text: str) -> None:
    for word in re.findall(r"(?<![\\A-Za-z])[a-z]{2,3}(?![A-Za-z])", re.sub(r"\\text\{[^{}]*\}", " ", text)):
        if word in _PROSE:
            raise Unreadable(f"the word {word!r} in a formula")


class Cursor:
    """A place within the tokens of a text. Raises Unreadable where the text has none."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens(text)
        self.place = 0
        if not self.tokens:
            raise Unreadable("empty")

    def peek(self, ahead: int = 0) -> str:
        """The sign that comes next; empty at the end and where a number, letter or text comes."""
        place = self.place + ahead
        return self.tokens[place][1] if place < len(self.tokens) and self.tokens[place][0] == "sign" else ""

    def kind(self) -> str:
        """The kind of the next token; empty at the end."""
        return self.tokens[self.place][0] if self.place < len(self.tokens) else ""

    def take(self, *signs: str) -> str:
        """The next sign if it is one of these, and step over it."""
        sign = self.peek()
        if sign and sign in signs:
            self.place += 1
            return sign
        return ""

    def expect(self, *signs: str) -> str:
        """The next sign, which must be one of these."""
        if sign := self.take(*signs):
            return sign
        raise Unreadable(f"no {signs[0]!r}")

    def next(self) -> tuple[str, str]:
        """The next token, and step over it; ("", "") at the end."""
        token = self.tokens[self.place] if self.place < len(self.tokens) else ("", "")
        self.place += 1 if token[0] else 0
        return token

    def raw(self) -> str:
        """The tokens of a subscript or of a decorated name, as they are written: one, or those in braces."""
        if not self.take("{"):
            return self.next()[1] or self.expect("{")
        start, depth = self.place, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self.peek(), 0)
            if not self.next()[0]:
                raise Unreadable("a brace is never closed")
        return " ".join(value for _, value in self.tokens[start : self.place - 1])
