"""The words of a command line: options given twice, values written with `=`, and empty paths are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from initctl.errors import Problem, UsageError, shown

_PATHS = {"A", "B", "CHECKPOINT", "DIR", "FILE", "OUT"}
"""What the help calls values that are paths."""


def check_words(words: Sequence[str], values: Mapping[str, Any], order: Iterable[Any]) -> None:
    """Raise `UsageError` if `words` cannot mean what they say: `values` are what they give to parameters, by name, and
    `order` lists the parameters as often as they are given.
    """
    for parameter, times in Counter(order).items():
        value = values.get(parameter.name)
        texts = value if isinstance(value, list) else [value]
        if parameter.param_type_name == "option" and not parameter.is_flag:
            if times > 1 and not parameter.multiple:
                raise _error("usage.twice", f"{_name(parameter)} is given twice", "give it once")
            _check_equals(parameter, texts, words)
        if "" in texts and parameter.metavar in _PATHS:
            raise _error("usage.empty", f"{_name(parameter)} is empty", "is a shell variable unset?")


def _check_equals(option: Any, texts: Iterable[Any], words: Sequence[str]) -> None:  # noqa: ANN401 - typer's
    """Raise `UsageError` if a value is written `-o=OUT`: the `=` would belong to it."""
    short = min(option.opts, key=len)
    for text in texts:
        if text and text.startswith("=") and f"{short}{text}" in words:
            value = shown(text[1:])
            hint = f"write {short} {value} or {max(option.opts, key=len)}={value}"
            raise _error("usage.equals", f"{shown(short + text)}: = goes only with long options", hint)


def _name(parameter: Any) -> str:  # noqa: ANN401 - typer's
    """What the help calls it."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    short, *long = sorted(parameter.opts, key=len)
    return f"{short} ({long[0]})" if long else str(short)


def _error(code: str, fault: str, hint: str) -> UsageError:
    return UsageError(Problem(code, fault, hint))
