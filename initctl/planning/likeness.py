"""Which tensors look the same to the rules, and so are decided once: a model has many layers of few kinds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from initctl.planning.computed import computed_kind
from initctl.planning.lookup import Lookup
from initctl.rules import Candidates

if TYPE_CHECKING:
    from initctl.planning.bound_rule import BoundRule
    from initctl.planning.surroundings import Surroundings
    from initctl.tensors import TensorSpec

_DIGITS = bytes.maketrans(b"123456789", b"000000000")  # keeps the number of digits, which matters to `?`


class Likeness:
    """Everything that `rules` can see of a tensor. Tensors with equal keys are decided alike.

    They see its dtype, its shape and its old shape, whether a size was asked for, whether it can be written, whether
    patterns may touch it (it need not be named in full, and the model does not compute it), and its name. Digits in a
    name count only if a rule distinguishes them.
    """

    def __init__(self, rules: Sequence[BoundRule], around: Surroundings) -> None:
        self._sized = around.checkpoint.result.sized
        self._exact_name_only = around.exact_name_only
        seeing = [(rule, seen) for rule in rules if (seen := _seen_by(rule, around))]
        self._seen_by = [seen for _, seen in seeing]
        self._candidates = Candidates([bound.rule.selector.names for bound, _ in seeing])

    def of(self, tensor: TensorSpec) -> Hashable:
        words = tensor.name.encode(errors="surrogatepass").translate(_DIGITS)
        return (
            words,
            tensor.dtype.name,
            tensor.shape,
            tensor.name in self._sized,
            tensor.old and (tensor.old.shape, bool(tensor.blocks)),
            tensor.unwritable,
            tensor.is_expanded,
            tensor.name in self._exact_name_only,
            computed_kind(tensor),
            *[(at, seen) for at in self._candidates.of(tensor.name) if (seen := self._seen_by[at](tensor, words))],
        )


def _seen_by(bound: BoundRule, around: Surroundings) -> Callable[[TensorSpec, bytes], Hashable] | None:
    """What a rule sees in a tensor's name, if digits matter to it: whether it matches, and the values of the names in
    its expressions.
    """
    names, asked = bound.rule.selector.names, bound.name_dependent_names
    highest = around.numbers_for(names)
    known: dict[bytes, bool] = {}

    def matches(tensor: TensorSpec, words: bytes) -> bool:
        if names.tells_digits_apart:
            return names.matches(tensor.name, highest)
        if words not in known:
            known[words] = names.matches(tensor.name, highest)
        return known[words]

    if asked:
        return lambda tensor, words: (
            matches(tensor, words) and tuple(map(Lookup(bound.rule, tensor, around, bound.arrangement).answer, asked))
        )
    return matches if names.tells_digits_apart else None
