"""A configuration as a caller describes it, and what is known of its model."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

from initctl.dtypes import BY_NAME, DType
from initctl.tensors import TensorSpec

BUILT = ("float16", "bfloat16", "float32", "float64")
"""The dtypes in which transformers builds a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A `config` that was read from `path`, other values for some of its fields, and a dtype, if it is another one."""

    path: str
    config: Mapping[str, Any]
    settings: Mapping[str, Any]
    dtype: str | None


class Model(NamedTuple):
    """The tensors of a model, the values of its buffers, and the files beside the weights, all by name."""

    tensors: tuple[TensorSpec, ...]
    values: Mapping[str, bytes]
    files: Mapping[str, str]

    def with_dtype(self, dtype: DType) -> Self:
        """The model with another dtype for its floating-point tensors, except those with values."""
        tensors = (
            replace(tensor, dtype=dtype) if tensor.dtype.kind == "float" and tensor.name not in self.values else tensor
            for tensor in self.tensors
        )
        return self._replace(tensors=tuple(tensors))

    def to_json(self) -> dict[str, Any]:
        return {
            "tensors": [[tensor.name, tensor.dtype.name, tensor.shape] for tensor in self.tensors],
            "values": {name: b64encode(value).decode() for name, value in self.values.items()},
            "files": dict(self.files),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        tensors = (TensorSpec(name, BY_NAME[dtype], tuple(shape), ()) for name, dtype, shape in data["tensors"])
        values = {name: b64decode(value) for name, value in data["values"].items()}
        return cls(tuple(tensors), values, data["files"])
