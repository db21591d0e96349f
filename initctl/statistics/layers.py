"""Tensors that only layer numbers tell apart, in the order of their depth."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from initctl.display.folding import Folded, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initctl.statistics.tensor import TensorStatistics


class Layers(NamedTuple):
    """What `names` are of, the first layer first; each holds a finite number."""

    names: Folded
    tensors: Sequence[TensorStatistics]


def layers(tensors: Iterable[TensorStatistics]) -> list[Layers]:
    """All that are at least two, in the order of the first of each."""
    found: dict[tuple[str | None, ...], dict[tuple[int, ...], TensorStatistics]] = defaultdict(dict)
    for tensor in tensors:
        ((names, _),) = fold([(tensor.tensor.name, None)])
        numbers = tuple(min(places) for places in names.numbers)
        if numbers and tensor.moments.finite:
            found[names.template][numbers] = tensor
    return [_layers(template, numbered) for template, numbered in found.items() if len(numbered) > 1]


def _layers(template: tuple[str | None, ...], numbered: dict[tuple[int, ...], TensorStatistics]) -> Layers:
    names = Folded(template, tuple(map(frozenset, zip(*numbered, strict=True))))
    return Layers(names, [numbered[numbers] for numbers in sorted(numbered)])
