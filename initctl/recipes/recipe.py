"""A recipe, with all that it extends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.rules import Rule, Scope

PRESET = "preset:"
"""What the name of a preset follows among documents."""


class Seed(NamedTuple):
    """A seed, and the document that says it."""

    value: int
    source: str


class Recipe(NamedTuple):
    """Rules in the order in which they count, under one `scope`, and the seeds that it says: its own, or else those of
    the documents that it extends, which may contradict each other.

    `documents` are the identities of itself and of all that it extends.
    """

    source: str
    rules: tuple[Rule, ...]
    scope: Scope
    seeds: tuple[Seed, ...] = ()
    documents: frozenset[str] = frozenset()

    @property
    def extends_preset(self) -> bool:
        """Whether it is a preset, or extends one."""
        return any(document.startswith(PRESET) for document in self.documents)
