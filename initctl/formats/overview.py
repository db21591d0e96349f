"""A checkpoint's table as text and as JSON: tensors with their fans, and everything besides tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from initctl.display.folding import fold, listing
from initctl.display.tables import Listing, count, shape_text, size_text
from initctl.errors import listed, shown
from initctl.grouping import grouped
from initctl.tensors import Shape, TensorSpec, reversed_layout

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.formats.optimizers import Optimizer
    from initctl.formats.optimizers.masters import Copies

_HEADING = ("tensor", "shape", "dtype", "fan_in", "fan_out", "size")
_RIGHT = ("fan_in", "fan_out", "size")


def table(tensors: Iterable[TensorSpec], *, unfold: bool) -> Listing:
    """One row for each tensor. A long list is folded unless `unfold`."""
    rows = listing([(tensor.name, _rest(tensor)) for tensor in tensors], unfold=unfold)
    return Listing(_HEADING, [(name, *rest) for name, rest in rows], right=_RIGHT, spare=(("dtype",), ("size",)))


def remarks(tensors: Sequence[TensorSpec], *, unfold: bool) -> Iterator[str]:
    """A line for each group of tied tensors, and for those that no rule can fill; many are folded unless `unfold`."""
    for tied in dict.fromkeys(tensor.tied for tensor in tensors if tensor.tied):
        yield f"tied: {', '.join(map(shown, tied))}"
    unwritable = [(tensor.name, tensor.unwritable) for tensor in tensors if tensor.unwritable]
    yield from (f"{names}: no rule can fill it: {reason}" for names, reason in listing(unwritable, unfold=unfold))


def reversals(tensors: Sequence[TensorSpec], among: Sequence[TensorSpec]) -> Iterator[str]:
    """A line for weights whose inputs come before their outputs: the table's fans are not theirs."""
    for letters, names in grouped((letters, name) for name, letters in layouts(tensors, among).items()).items():
        weights = listed([found.shown() for found, _ in fold((name, None) for name in names)])
        why = "biases" if letters.startswith("io") else "names"
        note = f"the fans above assume [out, in]: write layout={letters} in a rule that uses fans (`initctl help fans`)"
        yield f"stored as {_dims(letters)}, as their {why} show: {weights}; {note}"


def layouts(tensors: Sequence[TensorSpec], among: Sequence[TensorSpec]) -> dict[str, str]:
    """The layout of each weight that has its inputs before its outputs, by its name. `among` has all tensors of the
    checkpoint, since biases show it.
    """
    biases = {tensor.name: tensor for tensor in among if tensor.name.rpartition(".")[2] == "bias"}
    weights = (tensor for tensor in tensors if len(tensor.shape) >= 2)
    found = ((weight.name, reversed_layout(weight, biases.get(_bias_of(weight)))) for weight in weights)
    return {name: letters for name, letters in found if letters}


def _bias_of(weight: TensorSpec) -> str:
    module, dot, _ = weight.name.rpartition(".")
    return f"{module}{dot}bias"


def optimizing(optimizers: Iterable[Optimizer], masters: Iterable[Copies]) -> Iterator[str]:
    """A line for each optimizer, and for copies of parameters that belong to no optimizer."""
    for optimizer in optimizers:
        kinds = f": {', '.join(map(shown, optimizer.kinds))}" if optimizer.kinds else ""
        yield f"optimizer at {shown(optimizer.label)}: {count(len(optimizer.tensors), 'tensor')}{kinds}"
    for copies in masters:
        yield f"copies of parameters at {shown(copies.place)}: {count(len(copies.tensors), 'tensor')}: {copies.writer}"


def outside_of_root(names: Iterable[str]) -> Iterator[str]:
    """A line for each first key of `names`, with the number of tensors below it."""
    for key, number in Counter(name.partition(".")[0] for name in names).items():
        yield f"outside of the root: {shown(key)}: {count(number, 'tensor')}"


def described(entries_of: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A line for each key and value. Files with the same entry share a line, which counts them."""
    files = grouped((entry, file) for file, entries in entries_of.items() for entry in entries.items())
    for (key, value), found in files.items():
        place = shown(found[0]) if len(found) == 1 else count(len(found), "file")
        yield f"{place}: {shown(key)} = {shown(value)}"


def tensors_json(tensors: Sequence[TensorSpec], among: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    """Each of `tensors`, with its layout if that is known; `among` as in `layouts`."""
    reversed_ones = layouts(tensors, among)
    return [_tensor_json(tensor, reversed_ones.get(tensor.name)) for tensor in tensors]


def _tensor_json(tensor: TensorSpec, layout: str | None) -> dict[str, Any]:
    return {
        "name": tensor.name,
        **_kind_json(tensor.dtype, tensor.shape),
        "layout": layout,
        "file": tensor.blocks[0].file if tensor.blocks else None,
        "tied_to": None if tensor.represents_ties else tensor.tied[0],
        "unwritable": tensor.unwritable,
    }


@cache
def _kind_json(dtype: DType, shape: Shape) -> dict[str, Any]:
    """The JSON fields that follow from a dtype and a shape."""
    kind = TensorSpec("", dtype, shape, ())
    fan_in, fan_out = kind.fans or (None, None)
    return {
        "dtype": dtype.name,
        "shape": list(shape),
        "elements": kind.numel,
        "bytes": kind.nbytes,
        "fan_in": fan_in,
        "fan_out": fan_out,
    }


def _dims(letters: str) -> str:
    return f"[{', '.join({'i': 'in', 'o': 'out'}.get(letter, letter) for letter in letters)}]"


def _rest(tensor: TensorSpec) -> tuple[str, str, str, str, str]:
    fan_in, fan_out = tensor.fans or ("-", "-")
    return shape_text(tensor.shape), tensor.dtype.name, str(fan_in), str(fan_out), size_text(tensor.nbytes)
