"""What to write in place of signs and words that expressions do not have, such as those of other languages."""

from __future__ import annotations

import re

from initctl.rules.expressions.terms import CONSTANTS, OF_TENSORS

_EXAMPLE = "write, for example, sqrt(2/fan_in)"
_CONDITION_EXAMPLE = "write, for example, ndim >= 2"
_BY_PATTERNS = "a condition cannot test names; the pattern does: '*bias=zeros'"
COMMAS = "separate parameters by commas"
_ONLY_WHERE = "only a condition compares: write it after where"
_KNOWN = "|".join(sorted((*OF_TENSORS, *CONSTANTS), key=len, reverse=True))

_ANYWHERE = {
    rf"(?<=[0-9.])({_KNOWN})\b": r"write * before \1",
    r"(?<=[0-9.])(?!where\b)[\w.]": "a number has digits, one point and an exponent, such as 0.02 or 1e-5",
    r"(?<=/)/": "write / to divide",
    r"\^": "write ** for a power",
    r"[0-9.]*%\s*($|[,)])": "write 0.5 for 50%",
    r"%": "expressions have no remainder",
    r"(?:\$\{|[${])\s*([A-Za-z_]\w*)": r"write \1",
    r"(?<=config\[)[\"']([\w.-]+)": r"write config.\1",
    r"(?<=base\[)[\"']([\w.-]+)": r"write base.\1",
    r"#": "an expression has no comments: leave it out",
    r"[×·]": "write *",
    r"[\u2013\u2014\u2212]": "write -",
    r"÷": "write /",
    r"π": "write pi",
    r"√": "write sqrt(…)",
    r"\?": "write two rules, each with its own where",
}
_IN_VALUES = {
    r"(if|when)\b.*\belse\b|else\b": "write two rules, each with its own where",
    r"(if|when)\b": r"write where in place of \1",
    r":\s*where\b": "write a blank in place of : before where",
    r"where\b": "put a blank before where",
    r":\s*[\w.-]+\s*=|;|=(?!=)": COMMAS,
    r"[\"']": "leave out the quotes",
    r"(and|or|not)\b|[<>=!&|]": _ONLY_WHERE,
}
_IN_CONDITIONS = {
    r"=>": "write >=",
    r"=<": "write <=",
    r"(?<=<)>": "write !=",
    r"=|is\b": "write == to compare",
    r"!|~": "write not",
    r"&|;": "write and",
    r"\|": "write or",
    r"in\s+(name|key)\b": _BY_PATTERNS,
    r"in\b": "compare with each by ==, and write or between",
    r"\[\s*([0-9]+)\s*\]": r"shape cannot be compared; write ndim == 1 and shape[0] == \1",
    r"[\[,]": "shape cannot be compared; write, for example, ndim == 2 and shape[0] == 50 and shape[1] == 100",
}
"""Regular expressions that match at what is unexpected, and what to write.

Of several that match, the first counts.
"""
_FUNCTIONS = {
    r"pow\b": "write ** for a power, such as 2**3",
    r"ln\b|log2|log10": "log is the natural logarithm",
    r"lerp\b|mix\b|interp|linear|linspace|gradient": "write lerp(a, b, t), which goes from a at t = 0 to b at t = 1",
}
_NAMES = {"name": _BY_PATTERNS, "key": _BY_PATTERNS, "nan": "the initializer nan fills a tensor with NaN"}


def instead(text: str, at: int, *, conditions: bool) -> str:
    """What to write in place of the characters from `at` on, which an expression `text` cannot have there."""
    of_kind, example = (_IN_CONDITIONS, _CONDITION_EXAMPLE) if conditions else (_IN_VALUES, _EXAMPLE)
    return _of(_ANYWHERE | of_kind, text, at) or example


def function_instead(name: str) -> str | None:
    """What to write in place of a function `name`, which does not exist, or has other operands."""
    if name.startswith(("name.", "key.")):
        return _BY_PATTERNS
    return _of(_FUNCTIONS, name.rpartition(".")[2], 0)


def name_instead(name: str) -> str | None:
    """What to write in place of a `name` that is not known, or not a number."""
    return _NAMES.get(name.lower())


def _of(table: dict[str, str], text: str, at: int) -> str | None:
    matches = ((re.compile(pattern, re.DOTALL).match(text, at), hint) for pattern, hint in table.items())
    return next((found.expand(hint) for found, hint in matches if found), None)
