"""One rule's initializer on one tensor: an action, if the tensor can hold what it gives."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from initctl.dtypes import BY_NAME, every_float_holds
from initctl.initializers import Resolved, Unfit
from initctl.planning.action import Action
from initctl.planning.sources import located_sources
from initctl.stream import Constant, Deterministic, Fused, RevisingLaw
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.initializers import BoundCall
    from initctl.planning.surroundings import Surroundings
    from initctl.rules import Rule
    from initctl.stream import AnyLaw
    from initctl.tensors import RowRange

_COMPUTED = BY_NAME["float32"]
"""The type that random values are computed in, whatever the tensor's."""


def action_of(
    rule: Rule, initializer: BoundCall, tensor: TensorSpec, rows: RowRange | None, around: Surroundings
) -> Action:
    """What `initializer`, whose expressions are known, does to `tensor`, or to some `rows` of it. Raises `Unfit`."""
    resolved = fit(initializer, tensor)
    if rows and isinstance(resolved.law, RevisingLaw) and resolved.law.whole:
        raise Unfit("it takes whole tensors, and this rule has some rows")
    return Action(
        tensor,
        rule,
        initializer.initializer.name,
        initializer.told,
        resolved.numbers,
        resolved.law,
        rows=rows,
        sources=located_sources(resolved.law, tensor, around),
    )


def fit(initializer: BoundCall, tensor: TensorSpec) -> Resolved:
    """The law of `initializer` for `tensor`. Raises `Unfit` if the tensor cannot take it.

    A tensor without elements takes anything: nothing is written.
    """
    if tensor.unwritable:
        raise Unfit(tensor.unwritable)
    if tensor.numel == 0:
        return Resolved(Constant(0))
    if tensor.dtype.kind == "packed":
        raise Unfit(f"{tensor.dtype.name} elements are smaller than a byte and cannot be written")
    resolved = initializer.resolve(TensorSpec("", tensor.dtype, tensor.shape, ()))  # of all that are alike
    check_holds(tensor.dtype, resolved.law)
    check_distinct(tensor, resolved.law)
    if tensor.dtype.kind == "complex":
        from initctl.initializers.complex import on_complex

        return Resolved(on_complex(resolved.law), resolved.numbers)
    return resolved


def check_holds(dtype: DType, law: AnyLaw) -> None:
    """Raise `Unfit` if `dtype` cannot hold the values of `law`."""
    match law:
        case RevisingLaw():  # what becomes of old values is known once they are read
            check_reach(dtype, law.largest)
            return
        case Deterministic(exact=values) if values:
            if not all(map(dtype.holds, values)):
                raise Unfit(f"{dtype.name} cannot hold {' and '.join(map(str, values))}")
        case _ if not dtype.is_floating:
            raise Unfit(f"it holds {dtype.name}, and only constants fit there")
        case Fused(laws):
            for law in laws:
                check_spread(dtype, law.largest)
        case _:
            check_spread(dtype, law.largest)


def check_distinct(tensor: TensorSpec, law: AnyLaw) -> None:
    """Raise `Unfit` if elements that share their place would get different values of `law`."""
    if not isinstance(law, Constant) and tensor.is_expanded:
        raise Unfit("it is expanded: its elements share memory (stride 0), and only a constant fits there")


def check_spread(dtype: DType, largest: float) -> None:
    """Raise `Unfit` if values up to `largest` may overflow `dtype`, or float32 on the way, or all round to 0."""
    if not every_float_holds(largest) and not dtype.rounded(largest):
        raise Unfit(f"values up to {largest:.3g} would all round to 0 in {dtype.name}")
    check_reach(dtype, largest)


def check_reach(dtype: DType, largest: float) -> None:
    """Raise `Unfit` if values up to `largest` may overflow `dtype`, or float32 on the way."""
    if not every_float_holds(largest) and not isfinite(dtype.rounded(largest)):
        narrower = min(dtype, _COMPUTED, key=lambda d: d.largest)
        raise Unfit(f"values up to {largest:.3g} would overflow {narrower.name}")
