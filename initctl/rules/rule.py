"""`selector=call`: which tensors, and what to fill them with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from initctl.errors import Problem, RuleError, shown
from initctl.rules.glob import Glob

_ROW_SLICE = re.compile(r"(?<!\\)\[[-0-9 ]*:[-0-9: ]*\]$")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Call:
    """An initializer by name, with its arguments as text, in the order written."""

    name: str
    arguments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its text, where it was given (`rule 2`), and what the text says."""

    text: str
    source: str
    glob: Glob
    call: Call

    def __str__(self) -> str:
        return f"{self.source} ({shown(self.text)})"


def parse_rule(text: str, source: str) -> Rule:
    """The rule that `text` writes; `source` says where it stands, for messages. Raises `RuleError`."""
    try:
        selector, call = _split(text)
        return Rule(text, source, Glob(_without_slice(selector)), parse_call(call))
    except RuleError as error:
        raise error.prefixed(f"{source} ({shown(text)}): ") from None


def parse_call(text: str) -> Call:
    """The call that `text` writes: `name` or `name:key=value,key=value`. Raises `RuleError`."""
    name, colon, rest = text.partition(":")
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise _error(
            f"{shown(name)} cannot be an initializer's name" if name else "no initializer after the '='",
            "write for instance normal:std=0.02",
        )
    if colon and not rest.strip():
        raise _error("nothing after the ':'", f"write {name} alone, or {name}:key=value")
    arguments = tuple(_argument(part) for part in rest.split(",")) if colon else ()
    keys = [key for key, _ in arguments]
    if len(set(keys)) < len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise _error(f"parameter {repeated} is given twice")
    return Call(name, arguments)


def _argument(text: str) -> tuple[str, str]:
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (_NAME.fullmatch(key) and equals and value):
        raise _error(f"{shown(text)} is not key=value", "write for instance std=0.02, parameters separated by commas")
    return key, value


def _split(text: str) -> tuple[str, str]:
    """The selector and the call: around the first `=` that is neither quoted nor inside a set."""
    at, in_set = 0, False
    while at < len(text):
        match text[at]:
            case "\\":
                at += 1
            case "[":
                in_set = True
            case "]":
                in_set = False
            case "=" if not in_set:
                return text[:at].strip(), text[at + 1 :].strip()
        at += 1
    if in_set and "=" in text:
        raise _error("a bracket is not closed", r"write \[ for the character itself")
    raise _error("no '=' between pattern and initializer", "write PATTERN=INITIALIZER, for instance '*.bias=zeros'")


def _without_slice(selector: str) -> str:
    if found := _ROW_SLICE.search(selector):
        raise _error(f"{found[0]} would be a slice of rows", "a rule takes whole tensors")
    return selector


def _error(message: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("rule.syntax", message, hint))
