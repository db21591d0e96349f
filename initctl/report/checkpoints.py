"""What a checkpoint holds: tensors, fans, metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.filesize import decimal

from initctl.errors import escape, shown
from initctl.initializers import Unfit, fans
from initctl.planning import Totals
from initctl.report.folding import listing
from initctl.report.tables import Listing, count, shape_text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from initctl.formats import Checkpoint
    from initctl.initializers import Fans
    from initctl.tensors import TensorSpec

_HEADING = ("tensor", "shape", "dtype", "fan_in", "fan_out", "size")


def checkpoint_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """The table as the `data` of a JSON document."""
    return {
        "format": checkpoint.format,
        "metadata": {file: dict(metadata) for file, metadata in checkpoint.metadata.items()},
        "tensors": [_tensor_json(tensor) for tensor in checkpoint.tensors],
        "totals": Totals.of(checkpoint.tensors)._asdict(),
    }


def checkpoint_report(checkpoint: Checkpoint, *, unfold: bool) -> RenderableType:
    """One row a tensor, metadata, and totals; long lists folded unless `unfold`."""
    listed = listing([(tensor.name, _rest(tensor)) for tensor in checkpoint.tensors], unfold=unfold)
    totals = Totals.of(checkpoint.tensors)
    sums = f"{count(totals.tensors, 'tensor')}, {count(totals.elements, 'element')}, {decimal(totals.bytes)}"
    files = f"{checkpoint.format}, {count(len(checkpoint.files), 'file')}"
    metadata = [
        escape(f"{shown(file)}: {shown(key)} = {shown(value)}")
        for file, entries in checkpoint.metadata.items()
        for key, value in entries.items()
    ]
    rows_table = Listing(_HEADING, [(name, *rest) for name, rest in listed], right=("fan_in", "fan_out", "size"))
    return Group(rows_table, "", *metadata, f"{sums}; {files}")


def _tensor_json(tensor: TensorSpec) -> dict[str, Any]:
    sizes = _fans(tensor)
    return {
        "name": tensor.name,
        "dtype": tensor.dtype.name,
        "shape": list(tensor.shape),
        "elements": tensor.numel,
        "bytes": tensor.nbytes,
        "fan_in": sizes and sizes.fan_in,
        "fan_out": sizes and sizes.fan_out,
        "file": tensor.file,
        "tied_to": None,
    }


def _rest(tensor: TensorSpec) -> tuple[str, str, str, str, str]:
    fan_in, fan_out = _fans(tensor) or ("-", "-")
    return shape_text(tensor.shape), tensor.dtype.name, str(fan_in), str(fan_out), decimal(tensor.nbytes)


def _fans(tensor: TensorSpec) -> Fans | None:
    """The fans as torch computes them, where the tensor has enough dims."""
    try:
        return fans(tensor.shape)
    except Unfit:
        return None
