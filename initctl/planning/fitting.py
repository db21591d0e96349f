"""One rule's initializer on one tensor: the law it resolves to, if the tensor can hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.dtypes import BY_NAME
from initctl.initializers import Resolved, Unfit
from initctl.initializers.complex import on_complex
from initctl.stream import Constant, Deterministic

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.initializers import Bound
    from initctl.stream import Fill, WholeFill
    from initctl.tensors import TensorSpec

_COMPUTED = BY_NAME["float32"]
"""The type that random values are computed in, whatever the tensor's."""


def fit(initializer: Bound, tensor: TensorSpec) -> Resolved:
    """The law of `initializer` for `tensor`. Raises `Unfit` where the tensor cannot take it.

    A tensor without elements takes anything: nothing is written.
    """
    if tensor.unwritable:
        raise Unfit(tensor.unwritable)
    if tensor.numel == 0:
        return Resolved(Constant(0))
    if tensor.dtype.kind == "packed":
        raise Unfit(f"{tensor.dtype.name} elements are smaller than a byte and cannot be written")
    resolved = initializer.resolve(tensor)
    check_holds(tensor.dtype, resolved.fill)
    check_distinct(tensor, resolved.fill)
    if tensor.dtype.kind == "complex":
        return Resolved(on_complex(resolved.fill), resolved.numbers)
    return resolved


def check_holds(dtype: DType, fill: Fill | WholeFill) -> None:
    """Raise `Unfit` where `dtype` cannot hold the values of `fill`."""
    match fill:
        case Deterministic(exact=values) if values:
            if not all(map(dtype.holds, values)):
                raise Unfit(f"{dtype.name} cannot hold {' and '.join(map(str, values))}")
        case _ if not dtype.is_floating:
            raise Unfit(f"it holds {dtype.name}, and only constants fit there")
        case _:
            check_spread(dtype, fill)


def check_distinct(tensor: TensorSpec, fill: Fill | WholeFill) -> None:
    """Raise `Unfit` where elements that share their place would get different values of `fill`."""
    if not isinstance(fill, Constant) and any(block.distinct != block for block in tensor.blocks):
        raise Unfit("it is expanded: its elements share memory (stride 0), and only a constant fits there")


def check_spread(dtype: DType, fill: Fill | WholeFill) -> None:
    """Raise `Unfit` where a value of `fill` may overflow `dtype`, or float32 on the way, or where all round to 0."""
    if fill.largest and not dtype.rounded(fill.largest):
        raise Unfit(f"values up to {fill.largest:.3g} would all round to 0 in {dtype.name}")
    if not (dtype.holds(fill.largest) and _COMPUTED.holds(fill.largest)):
        narrower = min(dtype, _COMPUTED, key=lambda d: d.largest)
        raise Unfit(f"values up to {fill.largest:.3g} would overflow {narrower.name}")
