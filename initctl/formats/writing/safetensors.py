"""A new safetensors file, as the library writes it, but reproducible.

The library's writer needs all tensors in memory, and writes metadata keys in random order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from initctl.errors import shown
from initctl.formats.file_formats import SAFETENSORS as NAME
from initctl.formats.safetensors import LENGTH_BYTES, METADATA
from initctl.formats.state_dicts.ties import FORMAT
from initctl.formats.writing.formats import Format, Layout

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.tensors import TensorSpec

_ALIGNMENT = 8
_ORDER = (
    "U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "F8_E5M2FNUZ", "F8_E4M3FNUZ",
    "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8", "F6_E3M2", "F6_E2M3", "F4", "BOOL",
)  # fmt: skip
"""The library's order: by dtype, wider ones first, then by name."""


def _unfit(tensor: TensorSpec) -> str | None:
    if tensor.name == METADATA:
        return "safetensors uses this name for metadata"
    return None if tensor.dtype.tag else f"dtype {shown(tensor.dtype.name)} is not supported"


def _layout(_: str, tensors: Sequence[TensorSpec], source: Checkpoint) -> Layout:
    """A header, then the tensors. Its metadata contains that of all files of `source`, and the other names of each
    tensor, as Hugging Face notes ties.
    """
    metadata = {FORMAT: "pt"}
    names = {tensor.name for tensor in source.tensors}
    for kept in source.metadata.values() if source.is_safetensors else ():
        metadata |= {key: text for key, text in kept.items() if text not in names}  # others note ties, which follow
    for tensor in tensors:
        metadata |= dict.fromkeys({*tensor.tied, *tensor.aliases} - {tensor.name}, tensor.name)
    return laid_out(tensors, dict(sorted(metadata.items())))


def laid_out(tensors: Sequence[TensorSpec], metadata: Mapping[str, str]) -> Layout:
    """A header with this `metadata`, if there is any, then the `tensors`, in the library's order."""
    entries: dict[str, object] = {METADATA: dict(metadata)} if metadata else {}
    begins: dict[str, int] = {}
    end = 0
    for tensor in sorted(tensors, key=lambda t: (_ORDER.index(str(t.dtype.tag)), t.name.encode())):
        begins[tensor.name], begin, end = end, end, end + tensor.nbytes
        entries[tensor.name] = {"dtype": tensor.dtype.tag, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    content = len(text).to_bytes(LENGTH_BYTES, "little") + text
    offsets = {name: len(content) + begin for name, begin in begins.items()}
    return Layout([(0, content)], offsets, len(content) + end)


SAFETENSORS = Format(NAME, "safetensors", _unfit, _layout)
