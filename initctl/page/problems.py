"""Warnings, as a section of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.page.content import Entries, Entry, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from initctl.errors import Problem


def warnings(problems: Iterable[Problem]) -> Iterator[Entries]:
    """A list of `problems`, each with what to do about it; nothing if there are none."""
    if entries := list(map(_entry, problems)):
        yield Entries("Warnings", entries)


def _entry(problem: Problem) -> Entry:
    hint = [Fact("hint", problem.hint)] if problem.hint else []
    return Entry(problem.code, problem.message, details=hint, kind="warning")
