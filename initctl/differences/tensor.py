"""One tensor that differs."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from initctl.differences.changes import ElementChanges
    from initctl.differences.pairing import Pair
    from initctl.tensors import Shape, TensorSpec


class ChangedTensor(NamedTuple):
    """A `pair` that differs. `changes` are None unless both have numbers, and the same shape."""

    pair: Pair
    changes: ElementChanges | None

    @property
    def first(self) -> Shape | None:
        """The index of the first element that changed, in row-major order; None if none did."""
        if self.changes is None or self.changes.first is None:
            return None
        index, rest = [], self.changes.first
        for size in reversed(self.pair.one.shape):
            rest, place = divmod(rest, size)
            index.append(place)
        return tuple(reversed(index))

    def to_json(self) -> dict[str, Any]:
        first = self.first
        return {
            "name": self.pair.name,
            "kind": self.pair.kind,
            "a": _kind_json(self.pair.one),
            "b": _kind_json(self.pair.other),
            **self._numbers(),
            "first": None if first is None else list(first),
            "unreadable": self.pair.unreadable,
        }

    def _numbers(self) -> dict[str, float | None]:
        if self.changes is None:
            return dict.fromkeys(("max_abs", "mean_abs", "rel_norm", "cosine", "changed_elements", "not_finite"))
        distance = self.changes.distance
        return {
            "max_abs": _finite(distance.largest) if distance.finite else None,
            "mean_abs": _finite(distance.mean),
            "rel_norm": _finite(distance.relative),
            "cosine": _finite(distance.cosine),
            "changed_elements": self.changes.elements,
            "not_finite": self.pair.one.numel - distance.finite,
        }


def _kind_json(tensor: TensorSpec) -> dict[str, Any]:
    return {"dtype": tensor.dtype.name, "shape": list(tensor.shape)}


def _finite(number: float) -> float | None:
    """`number`, or None if JSON cannot hold it."""
    return number if isfinite(number) else None
