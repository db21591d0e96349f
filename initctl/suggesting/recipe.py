"""Suggestions → a recipe with the reason above each rule; tensors with the same suggestion share a rule."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.grouping import grouped
from initctl.recipes.writing import toml_text
from initctl.rules import quoted
from initctl.suggesting.patterns import Patterns

if TYPE_CHECKING:
    from initctl.suggesting.suggestion import Suggestion
    from initctl.tensors import RowRange, TensorSpec

_WIDTH = 80
"""The most characters of a comment's line."""


class _Why(NamedTuple):
    """The common fields of suggestions that become one rule."""

    initializer: str
    reason: str
    source: str
    preset: str | None
    rows: RowRange | None


def commented_recipe(about: Iterable[str], tensors: Sequence[TensorSpec], suggestions: Iterable[Suggestion]) -> str:
    """A recipe of `suggestions` for a checkpoint with these `tensors`; it begins with the sentences `about`."""
    rules = grouped((_Why(*each[2:]), each) for each in suggestions)
    numbers = {
        each.tensor.name: number for number, (why, alike) in enumerate(rules.items()) if not why.rows for each in alike
    }
    patterns = Patterns({tensor.name: numbers.get(tensor.name, -1) for tensor in tensors})
    lines = [line for sentence in about for line in _comment(sentence)]
    for why, alike in sorted(rules.items(), key=lambda rule: rule[0].rows is not None):
        names = [each.tensor.name for each in alike]
        globs = _rows(names, why.rows) if why.rows else patterns.of(numbers[names[0]], names)
        lines += ["", *_rule(why, dict.fromkeys(each.role for each in alike), globs)]
    return "\n".join(lines) + "\n"


def _rule(why: _Why, roles: Iterable[str], globs: Sequence[str]) -> Iterator[str]:
    yield from _comment(f"{', '.join(roles)}: {why.reason}")
    if why.source and not why.preset:
        yield from _comment(f"Source: {why.source}")
    yield "[[rule]]"
    if len(globs) == 1:
        yield f"match = {toml_text(globs[0])}"
    else:
        yield from ("match = [", *(f"    {toml_text(glob)}," for glob in globs), "]")
    yield f"init = {toml_text(why.initializer)}"


def _rows(names: Iterable[str], rows: RowRange) -> list[str]:
    return ["{}[{}:{}]".format(quoted(name), *rows) for name in names]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_long_words=False, break_on_hyphens=False
    )
