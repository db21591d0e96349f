"""Safetensors files with a right header whose tensors cannot be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.broken.case import Fault, file_of
from tests.broken.header_faults import MALFORMED, malformed
from tests.formats.handwritten import TWO_FLOATS, safetensors_bytes, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def one(name: str, entry: Any, words: str, data: bytes = bytes(8)) -> Fault:
    """A file with one tensor, `w`."""
    return malformed(name, safetensors_bytes({"w": entry}, data), f"tensor w: {words}")


def some(name: str, offsets: Mapping[str, tuple[int, int]], words: str, data: int) -> Fault:
    """A file with a byte tensor for each of `offsets`, and `data` bytes."""
    header = {key: tensor("U8", [stop - start], [start, stop]) for key, (start, stop) in offsets.items()}
    return malformed(name, safetensors_bytes(header, bytes(data)), words)


def fields() -> Iterator[Fault]:
    for field in ("dtype", "shape", "data_offsets"):
        entry = {key: value for key, value in tensor().items() if key != field}
        yield one(f"S23-{field}-missing", entry, f"{field} is missing")
    yield one("S23-entry-empty", {}, "dtype is missing")
    for name, entry in {"list": [], "text": "F32", "null": None, "number": 1}.items():
        yield one(f"S23-entry-is-a-{name}", entry, "must be an object")


def dtypes() -> Iterator[Fault]:
    known = "is not one of BOOL, U8, I8, "
    for name, tag in {"unknown": "F33", "lower-case": "f32", "C128": "C128", "empty": "", "torch's": "float32"}.items():
        row = "S28" if tag == "C128" else "S24"
        yield one(f"{row}-dtype-{name}", tensor(tag), f"dtype {tag} {known}" if tag else f"dtype '' {known}")
    for name, tag in {"number": 32, "null": None, "list": ["F32"], "object": {"F32": 1}, "true": True}.items():
        yield one(f"S24-dtype-is-a-{name}", tensor(tag), "dtype ")
    yield one("S26-F4-of-12-bits", tensor("F4", [1, 3], [0, 2]), "3 elements of F4 do not fill whole bytes", bytes(2))
    yield one("S26-F6-of-6-bits", tensor("F6_E2M3", [], [0, 1]), "1 elements of F6_E2M3 do not fill", bytes(1))


def shapes() -> Iterator[Fault]:
    listed = "shape must be a list of whole numbers, 0 or more"
    for name, dim in {
        "negative": -1, "fraction": 2.0, "text": "2", "null": None, "2^64": 2**64, "true": True, "list": [2],
    }.items():  # fmt: skip
        yield one(f"S29-dim-is-{name}", tensor(shape=[dim]), listed)
    for name, shape in {"number": 2, "text": "2", "null": None, "object": {"0": 2}}.items():
        yield one(f"S29-shape-is-a-{name}", tensor(shape=shape), listed)
    exponent = safetensors_bytes(b'{"w":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}}', bytes(8))
    yield malformed("S29-dim-with-exponent", exponent, f"tensor w: {listed}")
    too_many = "its shape has more elements than a file can hold"
    yield one("S30-elements-overflow", tensor(shape=[2, 2**64 - 2]), too_many)
    yield one("S30-elements-overflow-before-a-zero", tensor(shape=[2**63, 2, 0], offsets=[0, 0]), too_many, b"")
    yield one("S31-bits-overflow", tensor(shape=[2**60]), too_many)
    yield one("S35-shape-larger-than-bytes", tensor(shape=[3]), "its shape needs 12 bytes, but its data_offsets span 8")
    yield one("S35-shape-smaller-than-bytes", tensor(shape=[1]), "its shape needs 4 bytes, but its data_offsets span 8")
    yield one("S35-scalar-of-8-bytes", tensor(shape=[]), "its shape needs 4 bytes, but its data_offsets span 8")


def offsets() -> Iterator[Fault]:
    listed = "data_offsets must be a list of whole numbers, 0 or more"
    two = "data_offsets must be two numbers, the first not larger than the second"
    yield one("S36-offsets-reversed", tensor(offsets=[8, 0]), two)
    yield one("S37-offset-negative", tensor(offsets=[-1, 7]), listed)
    yield one("S37-offset-2^64", tensor(offsets=[0, 2**64]), listed)
    yield one("S37-offset-fraction", tensor(offsets=[0, 8.0]), listed)
    for name, value in {"none": [], "one": [8], "three": [0, 4, 8]}.items():
        yield one(f"S37-{name}-of-two-offsets", tensor(offsets=value), two)
    for name, value in {"number": 0, "text": "08", "null": None}.items():
        yield one(f"S37-offsets-is-a-{name}", tensor(offsets=value), listed)


def coverage() -> Iterator[Fault]:
    yield malformed("S38-cut-by-4-bytes", TWO_FLOATS[:-4], "file is too short: 4 of 77 bytes are missing")
    yield malformed("S38-cut-by-1-byte", TWO_FLOATS[:-1], "file is too short: 1 of 77 bytes are missing")
    yield malformed("S38-no-data", TWO_FLOATS[:-8], "file is too short: 8 of 77 bytes are missing")
    yield some("S39-overlap", {"a": (0, 8), "b": (4, 12)}, "tensor b: overlaps another tensor", 12)
    yield some("S39-same-bytes", {"a": (0, 8), "b": (0, 8)}, "tensor b: overlaps another tensor", 8)
    yield some("S39-one-inside-another", {"a": (0, 8), "b": (2, 4)}, "tensor b: overlaps another tensor", 8)
    yield some("S39-empty-inside-another", {"a": (0, 8), "b": (4, 4)}, "tensor b: overlaps another tensor", 8)
    yield some("S41-hole", {"a": (0, 4), "b": (5, 8)}, "tensor b: follows a gap of 1 bytes", 8)
    yield some("S42-first-offset-4", {"a": (4, 8)}, "tensor a: follows a gap of 4 bytes", 8)
    yield some("S42-empty-tensor-past-the-end", {"a": (0, 4), "b": (8, 8)}, "tensor b: follows a gap of 4 bytes", 4)
    yield malformed("S43-one-byte-more", TWO_FLOATS + b"\0", "unexpected bytes after the last tensor: 1")
    empty_zip = b"PK\5\6" + bytes(18)
    yield malformed("S44-zip-behind", TWO_FLOATS + empty_zip, "unexpected bytes after the last tensor: 22")
    yield malformed(
        "S43-data-without-tensors", safetensors_bytes({}, b"\0"), "unexpected bytes after the last tensor: 1"
    )


def on_the_same_bytes(tensors: int) -> Fault:
    def write(folder: Path) -> Path:
        header = {f"t{number}": tensor() for number in range(tensors)}
        return file_of(safetensors_bytes(header, bytes(8)))(folder)

    return Fault(f"S40-{tensors}-tensors-on-the-same-bytes", write, MALFORMED, "overlaps another tensor")


def a_million_large_dims(folder: Path) -> Path:
    return file_of(safetensors_bytes({"w": tensor(shape=[2**63] * 1_000_000)}, bytes(8)))(folder)


def names() -> Iterator[Fault]:
    """Tensors with a name that must not reach a terminal, each at fault."""
    for name, hostile, escaped in (
        ("N01-escape-sequence", "a\x1b[31mred", "a\\x1b[31mred"),
        ("N02-clipboard-write", "a\x1b]52;c;AAAA\x07", "a\\x1b]52;c;AAAA\\x07"),
        ("N03-eight-bit-csi", "a\x9b31m", "a\\x9b31m"),
        ("N04-markup", "[red]x[/nope]", "[red]x[/nope]"),
        ("N06-carriage-return", "real\rfake\x08", "real\\x0dfake\\x08"),
        ("N07-github-command", "x\n::error file=a.py::pwned", "x\\x0a::error file=a.py::pwned"),
        ("N08-azure-command", "x\n##vso[task.setvariable]", "x\\x0a#\\x23vso[task.setvariable]"),
        ("N09-nul-and-separator", "x\0y\u2028z", "x\\x00y\\u{2028}z"),
        ("N10-right-to-left", "a\u202egpj.exe\u200b", "a\\u{202e}gpj.exe\\u{200b}"),
        ("N11-a-million-characters", "a" * 1_000_000, "a" * 256 + "…"),
        ("N12-empty", "", "''"),
        ("N12-a-space", " ", "' '"),
        ("N12-leading-dash", "-rf", "'-rf'"),
        ("N13-path", "../../etc/passwd", "../../etc/passwd"),
        ("N00-backslash", "a\\x1b", "a\\\\x1b"),
    ):
        yield malformed(name, safetensors_bytes({hostile: None}), f"tensor {escaped}: must be an object")
        twice = safetensors_bytes(b"{%b}" % b",".join([json.dumps({hostile: 0}).encode()[1:-1]] * 2))
        yield malformed(f"{name}-twice", twice, f"header: the name {escaped} appears twice")


FAULTS = (
    *fields(),
    *dtypes(),
    *shapes(),
    *offsets(),
    *coverage(),
    Fault(
        "S31-a-million-large-dims", a_million_large_dims, MALFORMED, "its shape has more elements than a file can hold"
    ),
    on_the_same_bytes(1000),
    on_the_same_bytes(100_000),
    *names(),
)
