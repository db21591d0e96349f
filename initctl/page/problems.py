"""Warnings, as a section of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from initctl.page.content import Fact, Item, ItemList

if TYPE_CHECKING:
    from initctl.errors import Problem


def warnings(problems: Iterable[Problem]) -> Iterator[ItemList]:
    """A list of `problems`, each with its hint. Yields nothing if there are none."""
    if items := list(map(_item, problems)):
        yield ItemList("Warnings", items)


def _item(problem: Problem) -> Item:
    hint = [Fact("hint", problem.hint)] if problem.hint else []
    return Item(problem.code, problem.message, details=hint, kind="warning")
