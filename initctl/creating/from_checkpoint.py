"""The table of another checkpoint: names, dtypes, shapes, shards, metadata and other files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

from initctl.architecture import BUILT
from initctl.creating.template import Template
from initctl.formats import Result, read_checkpoint
from initctl.formats.config import CONFIG, LONGEST, Setting
from initctl.formats.opening import read_small
from initctl.planning.advice.left_alone import is_learned
from initctl.reshaping.json_text import edited

if TYPE_CHECKING:
    from initctl.dtypes import DType
    from initctl.formats import Checkpoint
    from initctl.reshaping.settings import Keys

_DTYPES = ("dtype", "torch_dtype")
"""Fields of transformers: the dtype of the weights, as it is called since release 5, and before."""
_KIND = "model_type"
"""A field that every configuration of a model or of its parts has."""


@dataclass(frozen=True, slots=True)
class Like:
    """The checkpoint at `path`, in any format that initctl reads, or what is at `root` in it.

    With a `dtype`, its floating-point tensors get this dtype, and have no values any more; the `config.json` of a
    directory says so.
    """

    path: str
    _: KW_ONLY
    root: str | None = None
    dtype: DType | None = None

    def template(self) -> Template:
        """Its table. No tensor is read. Raises as `read_checkpoint` does."""
        table = read_checkpoint(self.path, root=self.root)
        if self.dtype is None:
            return Template.beside_files(table, has_layout=table.is_safetensors and not table.read_only)
        return Template.beside_files(_with_dtype(table, self.dtype))


def _with_dtype(table: Checkpoint, dtype: DType) -> Checkpoint:
    tensors = (
        replace(tensor, dtype=dtype, blocks=()) if is_learned(tensor) and tensor.dtype.kind == "float" else tensor
        for tensor in table.tensors
    )
    result = Result(files=_new_config(table, dtype.name))
    return replace(table, tensors=tuple(tensors), incomplete=True, result=result)


def _new_config(table: Checkpoint, dtype: str) -> dict[str, bytes]:
    """The `config.json` of a directory, by its name, if it says another dtype: its text with this one.

    It stays the same if transformers has no models in `dtype`: it converts the weights when it loads them.
    """
    settings = list(_dtypes(table.config() or {}, dtype)) if table.is_directory and dtype in BUILT else []
    if not settings:
        return {}
    return {CONFIG: edited(read_small(os.path.join(table.home, CONFIG), LONGEST).decode(), settings).encode()}


def _dtypes(config: Mapping[str, Any], dtype: str, above: Keys = ()) -> Iterator[Setting]:
    """The settings that make `dtype` that of a model and of its parts, if they have one."""
    for key, value in config.items():
        if key in _DTYPES and isinstance(value, str) and value != dtype:
            yield Setting((*above, key), dtype)
        elif isinstance(value, dict) and _KIND in value:
            yield from _dtypes(value, dtype, (*above, key))
