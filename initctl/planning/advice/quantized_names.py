"""The names of quantized weights in messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from initctl.errors import listed, shown
from initctl.grouping import grouped, shared_start

if TYPE_CHECKING:
    from initctl.planning.quantized_weights import QuantizedWeight

_MODULES = 3
"""Names of modules that a pattern has at most."""


def by_weight(names: Iterable[str], quantized: Mapping[str, QuantizedWeight]) -> str:
    """`names` of tensors that are parts of `quantized` weights, as patterns: `{q,k}.{qweight,scales} ×56`.

    Weights with the same parts share a pattern, with the last parts of their modules' names; a single one has its whole
    name.
    """
    weights = grouped((id(quantized[name]), name) for name in names).values()
    alike = grouped(_split(sorted(weight)) for weight in weights)
    return listed([shown(_pattern(shared, rest)) for rest, shared in alike.items()])


def _pattern(weights: Sequence[Sequence[str]], rest: str) -> str:
    """A pattern for weights that have the tensors `rest`."""
    if len(weights) == 1:
        return ".".join((*weights[0], rest))
    modules = list(dict.fromkeys(module for weight in weights if (module := _module(weight))))
    some = [*modules[:_MODULES], "…"] if len(modules) > _MODULES else modules
    before = f"{{{','.join(some)}}}." if len(some) > 1 else "".join(f"{module}." for module in some)
    return f"{before}{rest} ×{len(weights)}"


def _split(names: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Of the names of one weight's tensors: how they differ, and the dotted parts that they share."""
    parts = [name.split(".") for name in names]
    ends = [part[:-1] for part in parts]  # the last part is never shared: one name may begin as another goes on
    same = shared_start(ends)
    rests = [".".join(part[same:]) for part in parts]
    return rests[0] if len(rests) == 1 else f"{{{','.join(rests)}}}", parts[0][:same]


def _module(shared: Sequence[str]) -> str:
    """The last of the parts that the names of a weight share; with the part before it if that is a number."""
    return ".".join(shared[-2:] if shared[-1:] and shared[-1].isdigit() else shared[-1:])


def make_up(names: Sequence[str], quantized: Mapping[str, QuantizedWeight]) -> str:
    """A clause that says of which `quantized` weights and schemes `names` are parts."""
    schemes = ", ".join(dict.fromkeys(quantized[name].scheme for name in names))
    if len(names) == 1:
        return f"it belongs to a quantized weight ({schemes})"
    is_one = len({id(quantized[name]) for name in names}) == 1
    return f"they make up {'a quantized weight' if is_one else 'quantized weights'} ({schemes})"
