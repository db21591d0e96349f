"""Rules that fix findings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from initctl.grouping import grouped
from initctl.initializers import KEEP
from initctl.rules import quoted
from initctl.suggesting.patterns import Patterns

if TYPE_CHECKING:
    from initctl.suggesting import Suggestion
    from initctl.tensors import RowRange

_LONG = re.compile(r"[0-9]+\.[0-9]{6,}(?:e-?[0-9]+)?")
"""A number that may have more than six digits."""


class Remedy(NamedTuple):
    """Fixes a tensor, or some `rows` of it, with `call`: an initializer, as in a rule behind the `=`.

    A tied tensor has several `names`, which one rule must decide.
    """

    names: tuple[str, ...]
    call: str
    rows: RowRange | None = None

    @classmethod
    def of(cls, suggestion: Suggestion) -> Remedy | None:
        """The suggestion, for all names of the tensor; None if it is to keep the values."""
        if suggestion.initializer == KEEP:
            return None
        return cls(suggestion.tensor.tied or (suggestion.tensor.name,), suggestion.initializer, suggestion.rows)

    @property
    def rule(self) -> str:
        """The rule, as for `-r`."""
        first, *others = map(quoted, self.names)
        return self.rule_for(f"{{{','.join((first, *others))}}}" if others else first)

    def __str__(self) -> str:
        """The remedy as a clause of a sentence."""
        return f"fill {'rows [{}:{}]'.format(*self.rows) if self.rows else 'it'} with {self.call}"

    def rule_for(self, pattern: str) -> str:
        """The same rule for `pattern`."""
        rows = "[{}:{}]".format(*self.rows) if self.rows else ""
        return f"{pattern}{rows}={self.call}"


def shortened(initializer: str) -> str:
    """`initializer`, as written in a rule, with numbers to six digits, as `plan` shows them. A constant stays exact:
    values are compared with it.
    """
    if initializer.startswith("constant:"):
        return initializer
    return _LONG.sub(lambda number: f"{float(number[0]):.6g}", initializer)


def together(remedies: Iterable[Remedy], by_rows: Iterable[Suggestion]) -> tuple[Remedy, ...]:
    """`remedies` without duplicates, whole tensors first. If a whole tensor is filled, the suggestions `by_rows` for
    its single rows are added.
    """
    found = {(remedy.names, remedy.rows): remedy for remedy in remedies}
    whole = {names for names, rows in found if rows is None}
    for remedy in map(Remedy.of, by_rows):
        if remedy and remedy.names in whole:
            found.setdefault((remedy.names, remedy.rows), remedy)
    return tuple(sorted(found.values(), key=lambda remedy: remedy.rows is not None))


def rules(remedies: Sequence[Remedy], names: Iterable[str]) -> Iterator[str]:
    """The rules of `remedies`, in order. Tensors with the same remedy share rules, which match no other of the `names`
    in the checkpoint.
    """
    alike = grouped(((remedy.call, remedy.rows), remedy) for remedy in remedies)
    single = [[remedy for remedy in group if len(remedy.names) == 1] for group in alike.values()]
    numbers = {remedy.names[0]: number for number, group in enumerate(single) for remedy in group}
    patterns = Patterns({name: numbers.get(name, -1) for name in names})
    for number, group in enumerate(alike.values()):
        yield from (remedy.rule for remedy in group if len(remedy.names) > 1)
        yield from map(group[0].rule_for, patterns.of(number, (remedy.names[0] for remedy in single[number])))
