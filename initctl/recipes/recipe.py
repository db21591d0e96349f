"""A recipe, with all that it extends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.rules import Rule, Scope


@dataclass(frozen=True, slots=True)
class Recipe:
    """Rules in the order in which they count, under one `scope`, and the seed, where one is told.

    `documents` tells those apart that it is made of: itself, and all that it extends.
    """

    source: str
    rules: tuple[Rule, ...]
    scope: Scope
    seed: int | None = None
    documents: frozenset[str] = frozenset()
