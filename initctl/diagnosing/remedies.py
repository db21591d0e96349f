"""What mends findings: one rule for each tensor, or for tensors that only layer numbers tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from initctl.display.folding import fold
from initctl.initializers import KEEP
from initctl.rules import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from initctl.display.folding import Folded
    from initctl.suggesting import Suggestion
    from initctl.tensors import RowRange


class Remedy(NamedTuple):
    """What mends a tensor, or some `rows` of it: a `call` as in a rule behind the `=`.

    A tied tensor has several `names`, which one rule must decide.
    """

    names: tuple[str, ...]
    call: str
    rows: RowRange | None = None

    @classmethod
    def of(cls, suggestion: Suggestion) -> Remedy | None:
        """What is suggested, for all names that the tensor has; None if that is to keep what is there."""
        if suggestion.initializer == KEEP:
            return None
        return cls(suggestion.tensor.tied or (suggestion.tensor.name,), suggestion.initializer, suggestion.rows)

    @property
    def rule(self) -> str:
        """As `-r` takes it."""
        first, *others = map(quoted, self.names)
        return self.rule_for(f"{{{','.join((first, *others))}}}" if others else first)

    def rule_for(self, pattern: str) -> str:
        """The same for what `pattern` matches."""
        rows = "[{}:{}]".format(*self.rows) if self.rows else ""
        return f"{pattern}{rows}={self.call}"


def together(remedies: Iterable[Remedy], by_rows: Iterable[Suggestion]) -> tuple[Remedy, ...]:
    """`remedies` that are carried out together: one for each tensor, or rows of it. If a tensor starts over as a whole,
    the rows that have a law of their own (`by_rows`) follow it.
    """
    found = {(remedy.names, remedy.rows): remedy for remedy in remedies}
    whole = {names for names, rows in found if rows is None}
    for remedy in map(Remedy.of, by_rows):
        if remedy and remedy.names in whole:
            found.setdefault((remedy.names, remedy.rows), remedy)
    return tuple(sorted(found.values(), key=lambda remedy: remedy.rows is not None))


def rules(remedies: Sequence[Remedy]) -> Iterator[str]:
    """The rules of `remedies`, those of layers alike as one."""
    rows = [(remedy.names[0], remedy._replace(names=remedy.names[1:])) for remedy in remedies]
    for names, rest in fold(rows):
        if rest.names or names.size == 1:
            yield from (rest._replace(names=(name, *rest.names)).rule for name in names.names())
        else:
            yield rest.rule_for(_pattern(names))


def _pattern(names: Folded) -> str:
    """The pattern that matches `names`, and nothing else."""
    return names._replace(template=tuple(part and quoted(part) for part in names.template)).pattern()
