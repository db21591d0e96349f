"""What to write in place of text that is not TOML."""

from __future__ import annotations

import re

_RECIPE = 'a recipe is TOML: [[rule]], and below it match = "*.bias" and init = "zeros"'
_MEANT = (
    ("Invalid value", r"True\b", "write true"),
    ("Invalid value", r"False\b", "write false"),
    ("Invalid value", r"(None|null)\b", "leave the key out"),
    ("Invalid value", r"([-+]?)(\.[0-9]+([eE][-+]?[0-9]+)?)", r"write \g<1>0\2"),
    ("Invalid value", "", "write strings in quotes"),
    ("Expected newline", r"(?<=[0-9])\.", "write a digit after the point, such as 2.0"),
    ("Expected newline", r"(?<=[0-9])\s*%", "write 0.5 for 50%"),
    ("Expected newline", r"(?<=[0-9])[A-Za-z]", "a number has digits, one point and an exponent, such as 0.02 or 1e-5"),
    ("Expected newline", r"\s*[,;]", "write each key on its own line"),
    ("Illegal character '\\n'", "", "close the quotes"),
    ("Unescaped '\\'", "", "write a string with a backslash in single quotes: '…'"),
    ("Cannot overwrite", r"\]", "write [[rule]] above each rule, also above the first"),
    ("Cannot overwrite", "", "this key is given twice: delete one"),
    ("Cannot declare", "", "write this header once, and all its keys below it"),
    ("Invalid statement", r"//", "write # before a comment"),
    ("Invalid statement", r"\{", f"this looks like JSON; {_RECIPE}"),
    ("Invalid initial character", r"\s*[{\"]", f"this looks like JSON; {_RECIPE}"),
    ("Invalid statement", "", _RECIPE),
    ("Expected '=' after a key", r"(?<=---)|(\w+\s*)?:", f"this looks like YAML; {_RECIPE}"),
    ("Expected '=' after a key", "", _RECIPE),
)
"""The beginning of a message of the TOML parser, a regular expression that matches at the fault, and what to write."""


def hint_for(fault: str, text: str, at: int) -> str | None:
    """What to write in place of the characters of `text` from `at` on, which the TOML parser refuses with `fault`."""
    if text.startswith(":", at) and "[[rule]]" in text:
        return "write = in place of :"
    of_fault = ((pattern, hint) for beginning, pattern, hint in _MEANT if fault.startswith(beginning))
    matches = ((re.compile(pattern).match(text, at), hint) for pattern, hint in of_fault)
    return next((found.expand(hint) for found, hint in matches if found), None)
