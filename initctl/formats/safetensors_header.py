"""The header of a new safetensors file: as the library writes it, but the same every time.

The library's own writer needs every tensor in memory, and orders several metadata keys at random.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from initctl.formats.safetensors import LENGTH_BYTES, METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from initctl.tensors import TensorSpec

_ALIGNMENT = 8
_ORDER = (
    "U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "F8_E5M2FNUZ", "F8_E4M3FNUZ",
    "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8", "F6_E3M2", "F6_E2M3", "F4", "BOOL",
)  # fmt: skip
"""The library writes tensors of wider dtypes first, then by name."""


class Header(NamedTuple):
    """The bytes that a file begins with, where each tensor begins after them, by name, and the size of it all."""

    content: bytes
    offsets: Mapping[str, int]
    size: int


def header(tensors: Iterable[TensorSpec], metadata: Mapping[str, str]) -> Header:
    """The header of a file of `tensors`, each in one piece, with `metadata`. Every dtype must have a tag."""
    entries: dict[str, object] = {METADATA: dict(sorted(metadata.items()))} if metadata else {}
    begins: dict[str, int] = {}
    end = 0
    for tensor in sorted(tensors, key=lambda t: (_ORDER.index(str(t.dtype.tag)), t.name.encode())):
        begins[tensor.name], begin, end = end, end, end + tensor.nbytes
        entries[tensor.name] = {"dtype": tensor.dtype.tag, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    content = len(text).to_bytes(LENGTH_BYTES, "little") + text
    return Header(content, {name: len(content) + begin for name, begin in begins.items()}, len(content) + end)
