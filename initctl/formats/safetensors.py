"""The safetensors format: eight bytes of length, a JSON header, then the tensors' bytes without gaps.

https://github.com/huggingface/safetensors describes it. The checks here run first: their messages say what is wrong,
and they also refuse files that two readers could interpret differently, such as one that names a tensor twice. Then the
`safetensors` library decides whether the file is valid; it is not called if the header is plain.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from initctl.dtypes import BY_TAG, DType
from initctl.errors import ConflictError, InputError, Problem, shown
from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.file_formats import SAFETENSORS, SNIFFED, is_safetensors
from initctl.formats.opening import Malformed, opened, read_at
from initctl.formats.state_dicts.ties import with_aliases
from initctl.formats.strict_json import parse_object
from initctl.formats.table import Entry, FileTable
from initctl.stores.descriptors import readable
from initctl.tensors import Block, Shape, TensorSpec, row_major

LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000
"""Bytes; the library's own limit."""
_TRUNCATED = "if the download was truncated, download the file again"
_INCOMPLETE = "check that the download or the save is complete"
_NO_SAFETENSORS = "the download was truncated, or this is not a safetensors file"
METADATA = "__metadata__"
_FIELDS = itemgetter("dtype", "shape", "data_offsets")
_ASKED_ABOUT = (b"\\", b"-0")
"""Texts that the library may parse differently from Python: escapes, and a zero with a sign."""
_INTEGER = frozenset((int,))
"""Neither bool nor float, whose values can equal an int."""
_LARGEST_SIZE = 2**64
"""The library counts elements and bits in 64 bits."""


def read_table(path: str, name: str) -> FileTable:
    """The table of the file at `path`, from its header; the checkpoint calls it `name`. Raises `InputError`."""
    reader = _Reader(path, name)
    with opened(path) as (descriptor, status):
        tensors, metadata = reader.read(descriptor, 0, status.st_size)
    if not reader.is_plain:
        reader.ask_library(path)
    file = CheckpointFile.of(name, status)
    return FileTable(SAFETENSORS, file, tuple(Entry((t.name,), t) for t in with_aliases(tensors, metadata)), metadata)


def read_part(path: str, name: str, descriptor: int, start: int, stop: int) -> tuple[TensorSpec, ...]:
    """The tensors of a safetensors file that is bytes `start` to `stop` of another file. Raises `InputError`."""
    tensors, _ = _Reader(path, name).read(descriptor, start, stop)
    return tensors


class _Alike(NamedTuple):
    """Values that tensors of one dtype and shape share: bytes, the index of the first element, strides."""

    dtype: DType
    shape: Shape
    nbytes: int
    start: Shape
    strides: Shape


class _Reader:
    """Reads one file. Errors name it by its `path`, blocks of tensors by its `name`."""

    def __init__(self, path: str, name: str) -> None:
        self.path = path
        self.name = name
        self.is_plain = True
        """Whether the library could find nothing more to refuse. Calling it imports NumPy."""
        self._alike: dict[tuple[object, Shape], _Alike] = {}
        self._places: list[tuple[int, int, int]] = []
        """The offsets at which each tensor begins and ends, and its number."""

    def read(self, descriptor: int, start: int, stop: int) -> tuple[tuple[TensorSpec, ...], dict[str, str]]:
        """Tensors and metadata of bytes `start` to `stop`."""
        text = self.header_text(descriptor, start, stop - start)
        try:
            entries = parse_object(text)
        except Malformed as error:
            self.refuse(f"header: {error}")
        self.is_plain &= text.startswith(b"{") and not any(way in text for way in _ASKED_ABOUT)
        metadata = self.metadata(entries.pop(METADATA, None))
        begin = start + LENGTH_BYTES + len(text)
        tensors = tuple(self.tensor(name, entry, begin) for name, entry in entries.items())
        self.check_coverage(tensors, begin, stop)
        return tensors, metadata

    def header_text(self, descriptor: int, start: int, size: int) -> bytes:
        if size == 0:
            self.refuse("file is empty", _INCOMPLETE)
        content = read_at(descriptor, SNIFFED, start)
        if not is_safetensors(content):
            from initctl.formats.mistaken import not_checkpoints

            not_checkpoints.refuse(self.path, content)
        if size < LENGTH_BYTES:
            self.refuse("shorter than the 8-byte header length", _INCOMPLETE)
        length = int.from_bytes(content[:LENGTH_BYTES], "little")
        if length == 0:
            self.refuse("header length is 0", _INCOMPLETE)
        if length > LONGEST_HEADER:
            self.refuse(f"header length {length} exceeds the limit of {LONGEST_HEADER} bytes", _NO_SAFETENSORS)
        if length > size - LENGTH_BYTES:
            self.refuse(f"header length {length} exceeds file size {size}", _NO_SAFETENSORS)
        text = read_at(descriptor, length, start + LENGTH_BYTES)
        if len(text) < length:
            raise ConflictError(Problem("input.changed", f"{shown(self.path)}: became shorter while it was read"))
        return text

    def metadata(self, value: Any) -> dict[str, str]:  # noqa: ANN401 - whatever the file holds
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(f"{METADATA}: must be an object")
        for key, text in value.items():
            if not isinstance(text, str):
                self.refuse(f"{METADATA}.{shown(key)}: must be a string")
        return value

    def tensor(self, name: str, entry: Any, begin: int) -> TensorSpec:  # noqa: ANN401
        if not isinstance(entry, dict):
            self.refuse_tensor(name, "must be an object")
        try:
            tag, sizes, places = _FIELDS(entry)
        except KeyError as missing:
            self.refuse_tensor(name, f"{missing.args[0]} is missing")
        self.is_plain &= len(entry) == 3
        shape = self.integers(name, "shape", sizes)
        offsets = self.integers(name, "data_offsets", places)
        if len(offsets) != 2 or offsets[0] > offsets[1]:
            self.refuse_tensor(name, "data_offsets must be two numbers, the first not larger than the second")
        start, stop = offsets
        if start < 0 or stop >= _LARGEST_SIZE:
            self.refuse_numbers(name, "data_offsets")
        kind = self.kind(name, tag, tuple(shape))
        if kind.nbytes != stop - start:
            self.refuse_tensor(name, f"its shape needs {kind.nbytes} bytes, but its data_offsets span {stop - start}")
        offset = begin + start
        self._places.append((offset, begin + stop, len(self._places)))
        block = Block(self.name, offset, kind.start, kind.shape, kind.strides)
        return TensorSpec(name, kind.dtype, kind.shape, (block,))

    def integers(self, name: str, field: str, value: Any) -> list[int]:  # noqa: ANN401
        if type(value) is not list or not _INTEGER.issuperset(map(type, value)):
            self.refuse_numbers(name, field)
        return value

    def kind(self, name: str, tag: Any, shape: Shape) -> _Alike:  # noqa: ANN401
        """The values for a dtype and a shape, computed once: most tensors of a large file share theirs with others."""
        found = self._alike.get((tag, shape)) if isinstance(tag, str) else None
        if found is None:
            if shape and not 0 <= min(shape) <= max(shape) < _LARGEST_SIZE:
                self.refuse_numbers(name, "shape")
            if not isinstance(tag, str) or tag not in BY_TAG:
                self.refuse_tensor(name, f"dtype {shown(tag)} is not one of {', '.join(BY_TAG)}")
            dtype = BY_TAG[tag]
            found = _Alike(dtype, shape, self.nbytes(name, dtype, shape), (0,) * len(shape), row_major(shape))
            self._alike[tag, shape] = found
        return found

    def nbytes(self, name: str, dtype: DType, shape: Shape) -> int:
        numel = 1
        for dim in shape:  # as the library counts; stops early, since a product of many large numbers is slow
            numel *= dim
            if numel >= _LARGEST_SIZE:
                break
        bits = numel * dtype.bits
        if bits >= _LARGEST_SIZE:
            self.refuse_tensor(name, "its shape has more elements than a file can hold")
        if bits % 8:
            self.refuse_tensor(name, f"{numel} elements of {dtype.tag} do not fill whole bytes")
        return bits // 8

    def check_coverage(self, tensors: Sequence[TensorSpec], end: int, size: int) -> None:
        """Check that every byte after the header, which ends at `end`, belongs to exactly one tensor."""
        for start, stop, number in sorted(self._places):
            if start != end:
                fault = "overlaps another tensor" if start < end else f"follows a gap of {start - end} bytes"
                self.refuse_tensor(tensors[number].name, fault)
            end = stop
        if end > size:
            self.refuse(f"file is too short: {end - size:,} of {end:,} bytes are missing", _TRUNCATED)
        if end < size:
            self.refuse(f"unexpected bytes after the last tensor: {size - end}")

    def ask_library(self, path: str) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(readable(path), framework="numpy"):
                pass
        except (SafetensorError, OSError, RuntimeError) as error:
            self.refuse(f"the safetensors library refuses it: {shown(error)}")

    def refuse_tensor(self, name: str, fault: str) -> NoReturn:
        self.refuse(f"tensor {shown(name)}: {fault}")

    def refuse_numbers(self, name: str, field: str) -> NoReturn:
        self.refuse_tensor(name, f"{field} must be a list of whole numbers, 0 or more")

    def refuse(self, fault: str, hint: str | None = None) -> NoReturn:
        raise InputError(Problem("safetensors.malformed", f"{shown(self.path)}: {fault}", hint))
