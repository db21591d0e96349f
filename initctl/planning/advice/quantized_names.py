"""Quantized weights as messages name them."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from initctl.planning.quantization.weights import QuantizedWeight

_MODULES = 3
"""Names of modules that a pattern has at most."""


def by_weight(names: Iterable[str], quantized: Mapping[str, QuantizedWeight]) -> str:
    """`names` of tensors that are parts of `quantized` weights, as patterns: `{q,k}.{qweight,scales} ×56`.

    Weights of the same parts are together, by the last parts of their modules' names; a single one has its whole name.
    """
    grouped: dict[int, list[str]] = {}
    for name in names:
        grouped.setdefault(id(quantized[name]), []).append(name)
    alike: dict[str, list[_Parts]] = {}
    for group in grouped.values():
        parts = _Parts.of(sorted(group))
        alike.setdefault(parts.rest, []).append(parts)
    return listed([shown(_pattern(weights)) for weights in alike.values()])


def _pattern(weights: Sequence[_Parts]) -> str:
    """What weights of the same parts are called."""
    if len(weights) == 1:
        return ".".join((*weights[0].shared, weights[0].rest))
    modules = list(dict.fromkeys(weight.module for weight in weights if weight.module))
    some = [*modules[:_MODULES], "…"] if len(modules) > _MODULES else modules
    before = f"{{{','.join(some)}}}." if len(some) > 1 else "".join(f"{module}." for module in some)
    return f"{before}{weights[0].rest} ×{len(weights)}"


def make_up(names: Sequence[str], quantized: Mapping[str, QuantizedWeight]) -> str:
    """That `names` are parts of `quantized` weights, and of which schemes: a clause."""
    schemes = ", ".join(dict.fromkeys(quantized[name].scheme for name in names))
    if len(names) == 1:
        return f"it belongs to a quantized weight ({schemes})"
    is_one = len({id(quantized[name]) for name in names}) == 1
    return f"they make up {'a quantized weight' if is_one else 'quantized weights'} ({schemes})"


class _Parts(NamedTuple):
    """What the tensors of one weight are called: the dotted parts that they share, and what follows in each."""

    shared: tuple[str, ...]
    rest: str

    @classmethod
    def of(cls, names: Sequence[str]) -> _Parts:
        parts = [tuple(name.split(".")) for name in names]
        ends = [part[:-1] for part in parts]  # the last part is never shared: one name may begin as another goes on
        same = sum(1 for _ in takewhile(lambda at: len(set(at)) == 1, zip(*ends, strict=False)))
        rests = [".".join(part[same:]) for part in parts]
        return cls(parts[0][:same], rests[0] if len(rests) == 1 else f"{{{','.join(rests)}}}")

    @property
    def module(self) -> str:
        """The last part of what they share, but never a number alone."""
        return ".".join(self.shared[-2:] if self.shared[-1:] and self.shared[-1].isdigit() else self.shared[-1:])
