"""Safetensors files that are too short, or whose header is no header."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

from tests.broken.case import Fault, file_of
from tests.formats.handwritten import TWO_FLOATS, safetensors_bytes, tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

MALFORMED = "safetensors.malformed"
W = json.dumps({"w": tensor()}).encode()
"""A right header, for 8 bytes of data."""
ENTRY = json.dumps(tensor()).encode()


def malformed(name: str, content: bytes, words: str) -> Fault:
    return Fault(name, file_of(content), MALFORMED, words)


def header(name: str, text: bytes, words: str) -> Fault:
    return malformed(name, safetensors_bytes(text, bytes(8)), f"header: {words}" if words else "header: ")


def metadata(name: str, value: Any, words: str) -> Fault:
    return malformed(name, safetensors_bytes({"__metadata__": value, "w": tensor()}, bytes(8)), words)


def foreign(name: str, content: bytes, words: str) -> Fault:
    return Fault(name, file_of(content), "file.format", words)


def not_of_torch(name: str, content: bytes, words: str) -> Fault:
    return Fault(name, file_of(content), "torch.malformed", words)


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, b"content")
    return stream.getvalue()


def beginnings() -> Iterator[Fault]:
    yield malformed("S01-empty-file", b"", "file is empty")
    yield malformed("S02-seven-bytes", bytes(7), "shorter than the 8-byte header length")
    yield malformed("S03-eight-zero-bytes", bytes(8), "header length is 0")
    length_1000 = (1000).to_bytes(8, "little") + TWO_FLOATS[8:68]
    yield malformed("S04-header-longer-than-file", length_1000, "header length 1000 exceeds file size 68")
    for name, length in {
        "S05-header-longer-than-the-limit": 100_000_001,
        "S06-header-length-2^63": 2**63,
        "S06-header-length-2^64-1": 2**64 - 1,
    }.items():
        content = length.to_bytes(8, "little") + W
        yield malformed(name, content, f"header length {length} exceeds the limit of 100000000 bytes")
    one_more = (61 + 9).to_bytes(8, "little") + TWO_FLOATS[8:]
    yield malformed("S04-header-longer-by-one", one_more, "header length 70 exceeds file size 77")
    yield malformed("S38-cut-inside-the-header", TWO_FLOATS[:40], "exceeds file size 40")


def broken_json() -> Iterator[Fault]:
    yield header("S07-header-not-utf-8", b"\xff" + W, "not UTF-8 at byte 0")
    yield header("S07-name-not-utf-8", W.replace(b"w", b"\xc3"), "not UTF-8 at byte 2")
    yield header(
        "S08-header-of-one-brace", b"{", "Expecting property name enclosed in double quotes at line 1, column 2"
    )
    for name, text in {"list": b"[]", "null": b"null", "number": b"3", "text": b'"w"', "true": b"true"}.items():
        yield header(f"S09-header-is-a-{name}", text, "not a JSON object")
    yield header("S10-byte-order-mark", b"\xef\xbb\xbf" + W, "begins with a byte-order mark")
    for name, rest in {"NUL": b"\0", "text": b"xx", "comment": b"//", "a-second-object": b"{}"}.items():
        yield header(f"S13-{name}-after-the-header", W + rest, "Extra data at line 1, column")
    yield header("S48-depth-100000", b'{"w":' * 100_000, "nested too deeply")
    too_deep = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":' + b"[" * 200 + b"]" * 200 + b"}}"
    yield malformed("S48-depth-200", safetensors_bytes(too_deep, bytes(8)), "the safetensors library refuses it: ")
    for name, text in {"NaN": b"NaN", "Infinity": b"Infinity", "-Infinity": b"-Infinity"}.items():
        yield header(f"S49-{name}", b'{"w":' + text + b"}", f"{name} is not JSON")
    yield header("S49-overflowing-number", b'{"w":1e999}', "a number is too large")
    yield header("S49-trailing-comma", W[:-1] + b",}", "Expecting property name enclosed")
    yield header("S49-single-quotes", W.replace(b'"', b"'"), "Expecting property name enclosed in double quotes")
    yield header("S49-leading-zero", W.replace(b"[2]", b"[02]"), "Expecting ',' delimiter")
    yield header(
        "S50-number-of-5000-digits", W.replace(b"[2]", b"[" + b"2" * 5000 + b"]"), "a number has too many digits"
    )
    yield header("S51-lone-surrogate-name", W.replace(b'"w"', b'"\\ud800"'), "\\u{d800} contains half a surrogate pair")
    yield header(
        "S51-lone-surrogate-value", W.replace(b'"F32"', b'"\\udc00"'), "\\u{dc00} contains half a surrogate pair"
    )


def duplicates() -> Iterator[Fault]:
    other_shape = json.dumps(tensor(shape=[1, 2])).encode()
    elsewhere = json.dumps(tensor(offsets=[8, 16])).encode()
    for name, second in {
        "S14-tensor-twice": ENTRY,
        "S15-tensor-twice-with-two-shapes": other_shape,
        "S16-tensor-twice-in-two-places": elsewhere,
    }.items():
        yield header(name, b'{"w":%b,"w":%b}' % (ENTRY, second), "the name w appears twice")
    yield header("S14-tensor-twice-once-escaped", b'{"w":%b,"\\u0077":%b}' % (ENTRY, ENTRY), "the name w appears twice")
    two = b'{"__metadata__":{},"__metadata__":{},"w":%b}' % ENTRY
    yield header("S17-metadata-twice", two, "the name __metadata__ appears twice")
    yield header("S18-metadata-key-twice", b'{"__metadata__":{"a":"1","a":"2"}}', "the name a appears twice")
    for field in ("dtype", "shape", "data_offsets"):
        text = W.replace(b'"dtype"', b'"%b":0,"dtype"' % field.encode())
        yield header(f"S19-{field}-twice", text, f"the name {field} appears twice")


def bad_metadata() -> Iterator[Fault]:
    for name, value in {"number": 1, "null": None, "object": {"b": "c"}, "list": ["b"], "true": True}.items():
        yield metadata(f"S20-metadata-value-is-a-{name}", {"a": value}, "__metadata__.a: must be a string")
    for name, value in {"text": "x", "list": [], "number": 0, "true": True}.items():
        yield metadata(f"S20-metadata-is-a-{name}", value, "__metadata__: must be an object")
    yield metadata("S55-tensor-called-metadata", tensor(), "__metadata__.shape: must be a string")


def foreign_content() -> Iterator[Fault]:
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 5135149760\n"
    yield foreign("S58-git-lfs-pointer", lfs, "is a Git LFS pointer, not the file itself; run git lfs pull")
    yield foreign("S59-html-page", b"<!doctype html>\n<html><title>404", "looks like a web page, not a checkpoint")
    yield not_of_torch("S60-other-zip", zipped("model/weights.dat"), "is a zip archive that torch.save did not write")
    yield not_of_torch("S60-other-pickle", pickle.dumps({"w": 1}), "is a pickle that torch.save did not write")
    yield foreign("S60-gguf", b"GGUF\x03\x00\x00\x00" + bytes(16), "is a GGUF file, which is not supported")


FAULTS = (*beginnings(), *broken_json(), *duplicates(), *bad_metadata(), *foreign_content())
