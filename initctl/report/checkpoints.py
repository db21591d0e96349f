"""What a checkpoint holds: tensors, fans, metadata."""

from __future__ import annotations

from collections import Counter, defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

from initctl.display.folding import listing
from initctl.display.tables import Listing, count, shape_text, size_text
from initctl.errors import shown
from initctl.formats.optimizers.masters import of_optimizers
from initctl.initializers import Unfit, fans
from initctl.planning import Totals
from initctl.tensors import TensorPart, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from initctl.display.tables import Report
    from initctl.dtypes import DType
    from initctl.formats import Checkpoint
    from initctl.formats.optimizers import Optimizer
    from initctl.initializers import Fans
    from initctl.tensors import Shape

_HEADING = ("tensor", "shape", "dtype", "fan_in", "fan_out", "size")


def checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The table as the `data` of a JSON document."""
    return {
        "format": checkpoint.format,
        "root": checkpoint.root,
        "metadata": {file: dict(metadata) for file, metadata in checkpoint.metadata.items()},
        "contents": {file: dict(contents) for file, contents in checkpoint.contents.items()},
        "tensors": [_tensor_json(tensor) for tensor in checkpoint.tensors],
        "outside": [_tensor_json(tensor) for tensor in checkpoint.outside],
        "optimizers": [_optimizer_json(optimizer) for optimizer in checkpoint.optimizers],
        "copies": [
            {"place": copies.place, "writer": copies.writer, "tensors": list(copies.tensors)}
            for copies in checkpoint.masters
        ],
        "totals": Totals.of(map(TensorPart, checkpoint.tensors))._asdict(),
    }


def checkpoint_report(checkpoint: Checkpoint, *, unfold: bool) -> Report:
    """One row a tensor, what else there is, and totals; long lists folded unless `unfold`."""
    listed = listing([(tensor.name, _rest(tensor)) for tensor in checkpoint.tensors], unfold=unfold)
    totals = Totals.of(map(TensorPart, checkpoint.tensors))
    sums = f"{count(totals.tensors, 'tensor')}, {count(totals.elements, 'element')}, {size_text(totals.bytes)}"
    files = f"{checkpoint.format}, {count(len(checkpoint.files), 'file')}"
    rows_table = Listing(_HEADING, [(name, *rest) for name, rest in listed], right=("fan_in", "fan_out", "size"))
    return [rows_table, "", *_beside(checkpoint), f"{sums}; {files}"]


def _beside(checkpoint: Checkpoint) -> Iterator[str]:
    """A line for each thing to know besides the table."""
    if checkpoint.root:
        yield f"root: {shown(checkpoint.root)}"
    for tied in dict.fromkeys(tensor.tied for tensor in checkpoint.tensors if tensor.tied):
        yield f"tied: {', '.join(map(shown, tied))}"
    for tensor in checkpoint.tensors:
        if tensor.unwritable:
            yield f"{shown(tensor.name)}: no rule can fill it: {tensor.unwritable}"
    yield from _optimizing(checkpoint)
    named = of_optimizers(checkpoint.optimizers, checkpoint.masters)
    outside = Counter(tensor.name.partition(".")[0] for tensor in checkpoint.outside if tensor.name not in named)
    for key, number in outside.items():
        yield f"outside of the root: {shown(key)}: {count(number, 'tensor')}"
    yield from _described(checkpoint.contents)
    yield from _described(checkpoint.metadata)


def _described(entries_of: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A line for each key and value; files that say the same are counted."""
    files: dict[tuple[str, str], list[str]] = defaultdict(list)
    for file, entries in entries_of.items():
        for entry in entries.items():
            files[entry].append(file)
    for (key, value), found in files.items():
        place = shown(found[0]) if len(found) == 1 else count(len(found), "file")
        yield f"{place}: {shown(key)} = {shown(value)}"


def _optimizing(checkpoint: Checkpoint) -> Iterator[str]:
    """A line for each optimizer, and for copies of parameters that belong to none."""
    for optimizer in checkpoint.optimizers:
        kinds = f": {', '.join(map(shown, optimizer.kinds))}" if optimizer.kinds else ""
        yield f"optimizer at {shown(optimizer.label)}: {count(len(optimizer.tensors), 'tensor')}{kinds}"
    for copies in checkpoint.masters:
        yield f"copies of parameters at {shown(copies.place)}: {count(len(copies.tensors), 'tensor')}: {copies.writer}"


def _optimizer_json(optimizer: Optimizer) -> dict[str, Any]:
    return {"name": optimizer.name, "kinds": list(optimizer.kinds), "tensors": sorted(optimizer.tensors)}


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    return {
        "name": tensor.name,
        **_kind_json(tensor.dtype, tensor.shape),
        "file": tensor.blocks[0].file if tensor.blocks else None,
        "tied_to": None if tensor.is_first else tensor.tied[0],
        "unwritable": tensor.unwritable,
    }


@cache
def _kind_json(dtype: DType, shape: Shape) -> dict[str, Any]:
    """What all tensors of a dtype and a shape have in common."""
    kind = TensorSpec("", dtype, shape, ())
    sizes = _fans(kind)
    return {
        "dtype": dtype.name,
        "shape": list(shape),
        "elements": kind.numel,
        "bytes": kind.nbytes,
        "fan_in": sizes and sizes.fan_in,
        "fan_out": sizes and sizes.fan_out,
    }


def _rest(tensor: TensorSpec) -> tuple[str, str, str, str, str]:
    fan_in, fan_out = _fans(tensor) or ("-", "-")
    return shape_text(tensor.shape), tensor.dtype.name, str(fan_in), str(fan_out), size_text(tensor.nbytes)


def _fans(tensor: TensorSpec) -> Fans | None:
    """The fans as torch computes them, if the tensor has enough dims."""
    try:
        return fans(tensor.shape)
    except Unfit:
        return None
