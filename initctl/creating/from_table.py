"""The table that `initctl inspect --json` writes."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING

from initctl.creating.template import Template
from initctl.formats.listed import read_listed

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.tensors import TensorSpec

_COUNTER = "num_batches_tracked"
"""What a norm has counted: nothing yet."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table in the JSON file at `path`; with a `dtype`, all its floating-point tensors get this one."""

    path: str
    _: KW_ONLY
    dtype: DType | None = None

    def template(self) -> Template:
        """Its tensors. Counters of batches have the value 0. Raises `InputError` if it is not a table of tensors."""
        table = read_listed(self.path)
        tensors = [replace(tensor, unwritable=None) for tensor in table.tensors]
        if self.dtype is not None:
            tensors = [replace(t, dtype=self.dtype) if t.dtype.kind == "float" else t for t in tensors]
        values = {tensor.name: bytes(tensor.nbytes) for tensor in tensors if _is_counter(tensor)}
        return Template(replace(table, tensors=tuple(tensors), incomplete=True, values=values))


def _is_counter(tensor: TensorSpec) -> bool:
    is_named = tensor.name.rpartition(".")[2] == _COUNTER
    return is_named and tensor.dtype.kind == "integer" and tensor.numel == 1
