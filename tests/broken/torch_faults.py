"""Files that torch.save wrote, each altered in one way that makes it wrong."""

from __future__ import annotations

import io
import pickle
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from tests.broken.case import Fault, file_of
from tests.formats.torch_save.rewritten import (
    DEFLATED,
    ENCRYPTED,
    Record,
    legacy,
    packed,
    pickle_of,
    records_of,
    repacked,
    replaced,
    saved,
    with_pickle,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

MALFORMED = "torch.malformed"
CENTRAL_COMMENT = 32
"""Where an entry of the directory has the length of its comment."""
REAL = saved({"w": torch.ones(2, 3)})
PICKLE = pickle_of(REAL)
RECORDS = records_of(REAL)
OLD = legacy({"w": torch.ones(2, 3)})
SIZE, STRIDE, NUMEL, OFFSET = b"K\x02K\x03\x86", b"K\x03K\x01\x86", b"K\x06t", b"QK\x00"
HOOKS = b")Rq\x0bt"
"""What the pickle holds of a float tensor of 2 × 3."""


def of(name: str, content: bytes, words: str, code: str = MALFORMED) -> Fault:
    return Fault(name, file_of(content, "model.pt"), code, words)


def pickled(name: str, old: bytes, new: bytes, words: str) -> Fault:
    return of(name, with_pickle(REAL, replaced(PICKLE, old, new)), words)


def number(value: int) -> bytes:
    """The instruction that puts down `value`."""
    return pickle.dumps(value, 2)[2:-1]


def expanded(content: bytes, size: int) -> bytes:
    """A pickle, or a file that has one, of a vector of so many elements, which all are the first one that is stored."""
    return replaced(replaced(content, SIZE, number(size) + b"\x85"), STRIDE, b"K\0\x85")


def record(name: str, change: str, words: str, /, **fields: Any) -> Fault:
    """A file in which one record is described otherwise."""
    return of(name, repacked(REAL, {change: replace(RECORDS[change], **fields)}), words)


def foreign() -> Iterator[Fault]:
    yield of("P08-empty", b"", "file is empty; check that the download", "safetensors.malformed")
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 5135149760\n"
    yield of("P09-git-lfs-pointer", lfs, "is a Git LFS pointer, not the file itself", "file.format")
    yield of("P09-html-page", b"<!doctype html>\n<html><title>404", "looks like a web page", "file.format")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for held in (*RECORDS.values(), replace(RECORDS["data/0"], name="archive/data/1", content=bytes(1 << 26))):
            archive.writestr(str(held.name), held.content)
    for name, file in {"zip": with_pickle(REAL, expanded(PICKLE, 10**12)), "legacy": expanded(OLD, 10**12)}.items():
        yield of(f"P27-expanded-to-10^12-{name}", file, "w: its elements share memory: all tensors have 4.0 TB")
    yield of("P34-deflate-bomb", bomb.getvalue(), "is compressed, which torch.save never does")


def archives() -> Iterator[Fault]:
    for cut in (1, 50, len(REAL) // 2):
        yield of(
            f"P07-cut-by-{cut}-bytes", REAL[:-cut], "does not end like a zip archive; if the download was truncated"
        )
    yield of("P07-first-bytes-only", REAL[:20], "is truncated; if the download was truncated")
    yield of(
        "P07-first-half-gone", b"PK\3\4" + REAL[len(REAL) // 2 :], "its Zip64 end is not at the offset given for it"
    )
    yield of("P07-trailing-byte", REAL + b"\0", "does not end like a zip archive")
    yield of("P07-a-comment", REAL[:-2] + b"\1\0x", "does not end like a zip archive")
    yield of("P13-deflated", rezipped(zipfile.ZIP_DEFLATED), "is compressed, which torch.save never does")
    yield record("P13-said-to-be-deflated", "data/0", "archive/data/0: is compressed", method=DEFLATED)
    no_torch = "is a zip archive that torch.save did not write; save a model's state_dict() with torch.save"
    yield of("P17-no-data.pkl", repacked(REAL, {"data.pkl": None}), no_torch)
    yield of("P17-not-of-torch", packed([Record("archive/weights", b"x")]), no_torch)
    for name, text in {"0": b"0", "11": b"11", "text": b"x"}.items():
        words = "version: is not a number" if name == "text" else f"has version {name} of torch's format"
        yield of(f"P17-version-{name}", repacked(REAL, {"version": text}), words)
    bad_alignment = repacked(REAL, {".storage_alignment": b"x"})
    yield of("P17-alignment-is-a-text", bad_alignment, ".storage_alignment: is not a number")
    yield record("P52-strongly-encrypted", "data/0", "archive/data/0: has unknown flags", flags=2056 | 1 << 6)
    newer = bytearray(REAL)
    newer[REAL.index(b"PK\1\2") + 6] = 64
    yield of("P00-newer-zip", bytes(newer), "has an unknown version of the zip format")
    yield of("P17-no-version", repacked(REAL, {"version": None}), "has no version record")
    twice = packed([*RECORDS.values(), RECORDS["data/0"]])
    yield of("P18-record-twice", twice, "archive/data/0: is listed twice")
    for name, other in (("DATA.pkl", "data.pkl"), ("Data/1", "data/1"), ("BYTEORDER", "byteorder")):
        with_it = packed([*RECORDS.values(), Record(f"archive/{name}", b"big")])
        yield of(f"P18-case-of-{other.replace('/', '-')}", with_it, f"{name}: torch takes this name for {other}")
    both = packed([*RECORDS.values(), Record("archive/data/x", b""), Record("archive/data/X", b"")])
    yield of("P18-two-cases", both, "data/X: torch takes this name for data/x")
    yield record("P19-two-folders", "data/0", "b/data/0: is not a name below archive/", name="b/data/0")
    for name, bad, shown in (
        ("parent", "archive/../x", "archive/../x"),
        ("absolute", "/archive/x", "/archive/x"),
        ("backslash", "archive\\x/y", "archive\\x/y"),
        ("nul", "archive/x\0y", "archive/x\\x00y"),
        ("no-folder", "x", "x"),
        ("empty", "", "''"),
        ("escape-sequence", "\x1b[31mred/x", "\\x1b[31mred/x"),
    ):
        yield record(f"P20-{name}", "data/0", f"{shown}: is not a name below archive/", name=bad)
    yield record("P20-not-utf-8", "data/0", "its name is not UTF-8", name=b"archive/\xff")
    differ = "archive/data/0: its header and the directory disagree"
    yield record("P21-other-name-in-header", "data/0", differ, local_name="archive/data/1")
    yield record("P52-encrypted", "data/0", "archive/data/0: is encrypted", flags=2056 | ENCRYPTED)
    for name, attributes in (
        ("directory-of-dos", 0x10),
        ("directory", stat.S_IFDIR << 16),
        ("link", (stat.S_IFLNK | 0o777) << 16),
        ("pipe", stat.S_IFIFO << 16),
    ):
        marked = "archive/data/0: is marked as a directory, a link or the like"
        yield record(f"P00-marked-as-a-{name}", "data/0", marked, attributes=attributes)
    yield of("P53-prepended", b"#!/bin/sh -x\n" + REAL, "not a safetensors file", "safetensors.malformed")
    yield of("P53-prepended-header", b"PK\3\4" + REAL, "is not at the offset given for it")
    yield of("P53-prepended-and-mended", prepended(), "does not begin where the record before it ends")
    yield record("P00-crc-in-directory", "byteorder", "archive/byteorder: its size or checksum", local_crc=7)
    yield record("P00-wrong-size", "data/0", "archive/data/0: its size or checksum differs", size=23)
    yield record("P00-size-of-what-has-no-descriptor", "data/0", "archive/data/0: its size", flags=0, local_size=3)
    data = RECORDS["data/0"].content
    said = struct.pack("<4s3I", b"PK\7\x08", zlib.crc32(data), len(data), len(data))
    for name, new in (
        ("signature", b"PK\7\7" + said[4:]),
        ("size", said[:12] + struct.pack("<I", len(data) + 1)),
        ("stored-size", said[:8] + struct.pack("<I", len(data) + 1) + said[12:]),
    ):
        other = replaced(packed(RECORDS.values()), said, new)
        yield of(f"P00-another-{name}-behind-the-record", other, "archive/data/0: its size or checksum differs")
    yield record("P10-pickle-damaged", "data.pkl", "data.pkl: is damaged: its CRC-32 does not match", crc=7)
    damaged = "its directory is damaged or truncated"
    yield of("P00-directory-without-a-signature", REAL.replace(b"PK\1\2", b"PK\1\0", 1), damaged)
    at = REAL.rindex(b"PK\1\2") + CENTRAL_COMMENT
    yield of("P00-comment-beyond-the-directory", REAL[:at] + b"\xff\xff" + REAL[at + 2 :], damaged)
    yield of("P00-directory-said-elsewhere", repacked(REAL, {}, offset=7), "its directory is not at the offset")
    yield of("P00-directory-said-shorter", repacked(REAL, {}, size=7), "its directory is not at the offset")
    yield of(
        "P00-fewer-records-counted", repacked(REAL, {}, count=3), "the number of records in its directory is wrong"
    )
    yield of(
        "P00-more-records-counted", repacked(REAL, {}, count=99), "the number of records in its directory is wrong"
    )
    yield of(
        "P00-two-ends-differ", repacked(REAL, {}, zip64_end=True, offset=7), "its zip end and its Zip64 end disagree"
    )
    yield of("P00-header-beyond-the-end", header_beyond_the_end(), "archive/data.pkl: its size or checksum differs")
    yield of("P00-no-records", packed([]), no_torch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = io.BytesIO()
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), script)
    yield of("P03-torchscript", script.getvalue(), "is a TorchScript archive; load it with torch.jit.load")


def rezipped(method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for held in RECORDS.values():
            archive.writestr(str(held.name), held.content)
    return stream.getvalue()


def prepended() -> bytes:
    """Bytes before the first record, and a directory that knows of them: what a self-extracting archive is."""
    content = b"PK\3\4" + bytes(60) + packed(RECORDS.values())
    stream = bytearray(content)
    at = content.index(b"PK\1\2")
    for _ in RECORDS:
        offset, lengths = struct.unpack_from("<I", stream, at + 42)[0], struct.unpack_from("<3H", stream, at + 28)
        struct.pack_into("<I", stream, at + 42, offset + 64)
        at += 46 + sum(lengths)
    struct.pack_into("<I", stream, len(stream) - 6, content.index(b"PK\1\2"))
    return bytes(stream)


def header_beyond_the_end() -> bytes:
    """The first record is said to reach to 16 bytes before a second, beyond the file."""
    first = RECORDS["data.pkl"]
    content = packed([first, RECORDS["version"]])
    beyond = 1 << 30
    directory = bytearray(content[content.index(b"PK\1\2") :])
    size = beyond - 16 - 30 - len(first.name)
    struct.pack_into("<II", directory, 20, size, size)
    struct.pack_into("<I", directory, directory.index(b"PK\1\2", 4) + 42, beyond)
    return content[: content.index(b"PK\1\2")] + bytes(directory)


def dtype_of_its_own(name: bytes) -> tuple[bytes, bytes]:
    """The pickle's description of a tensor, and one in which it names a dtype that nobody knows."""
    start = PICKLE.index(b"ctorch._utils\n_rebuild_tensor_v2")
    stop = PICKLE.index(b"R", PICKLE.index(b"collections\nOrderedDict", start) + 30)
    old = PICKLE[start:stop]
    new = old.replace(b"_rebuild_tensor_v2", b"_rebuild_tensor_v3")
    end = new.rindex(b"t")
    return old, new[:end] + b"ctorch\n" + name + b"\n" + new[end:]


def contents() -> Iterator[Fault]:
    storage = "tensor w: its storage 0"
    short = replace(RECORDS["data/0"], content=bytes(23))
    yield of("P14-storage-shorter", repacked(REAL, {"data/0": short}), f"{storage} has 23 bytes instead of 24")
    long = replace(RECORDS["data/0"], content=bytes(25))
    yield of("P15-storage-longer", repacked(REAL, {"data/0": long}), f"{storage} has 25 bytes instead of 24")
    yield of("P16-storage-missing", repacked(REAL, {"data/0": None}), f"{storage} is missing")
    yield of(
        "P22-big-endian",
        repacked(REAL, {"byteorder": b"big"}),
        "its byte order is big, not little; load it and save it again",
    )
    yield of("P23-middle-endian", repacked(REAL, {"byteorder": b"middle"}), "its byte order is middle")
    yield of("P23-no-order", repacked(REAL, {"byteorder": b""}), "its byte order is ''")
    yield of("P23-long-order", repacked(REAL, {"byteorder": bytes(101)}), "byteorder: is larger than 100 bytes")
    reaches = "tensor w: reaches byte"
    yield pickled("P24-more-elements", SIZE, b"K\x02K\x04\x86", f"{reaches} 28 of storage 0, which has 24")
    yield pickled(
        "P24-fewer-strides", STRIDE, b"K\x01\x85", "tensor w: its size has 2 dimensions, but its stride has 1"
    )
    yield pickled("P25-offset-100", OFFSET, b"QKd", f"{reaches} 424 of storage 0, which has 24")
    for name, offset in {"negative": number(-1), "float": b"G" + bytes(8), "true": b"\x88",
                         "2^63": number(2**63)}.items():  # fmt: skip
        yield pickled(
            f"P25-offset-{name}", OFFSET, b"Q" + offset, "tensor w: its offset must be a whole number, 0 or more"
        )
    for name, size in {"negative": number(-4), "text": b"U\x012", "none": b"N", "true": b"\x88"}.items():
        words = "must contain whole numbers, 0 or more, below 2^63"
        yield pickled(f"P26-size-{name}", SIZE, b"K\x02" + size + b"\x86", f"tensor w: its size {words}")
        yield pickled(f"P26-stride-{name}", STRIDE, size + b"K\x01\x86", f"tensor w: its stride {words}")
    yield pickled("P26-size-list", SIZE, b"]", "tensor w: its size must be a tuple of numbers")
    yield pickled("P24-requires-grad-is-a-number", b"\x89ccollections", b"K\0ccollections",
                  "tensor w: its requires_grad must be true or false")  # fmt: skip
    eight, unknown = b"N" * 2 + b"t", "tensor w: is rebuilt by torch._utils._rebuild_tensor_v2 with unknown arguments"
    yield pickled("P24-eight-arguments", HOOKS, HOOKS[:-1] + eight, unknown)
    yield pickled("P24-metadata-is-a-text", HOOKS, HOOKS[:-1] + b"U\1xt", "tensor w: its metadata is not a dict")
    elsewhere = b"K\1(h\3h\4X\1\0\0\09h\6K\6tQs."
    yield pickled("P16-unlisted-storage-missing", b"Rq\rs.", b"Rq\rs" + elsewhere,
                  "a tensor at the top: its storage 9 is missing")  # fmt: skip
    huge = number(2**62)
    yield pickled("P28-elements-overflow", SIZE, huge + huge + b"\x86", "tensor w: has more elements than is")
    yield pickled("P28-numel-10^13", NUMEL, number(10**13) + b"t", f"{storage} has 24 bytes instead of 4")
    yield pickled("P28-numel-2^63", NUMEL, number(2**63) + b"t", "tensor w: names its storage in an unknown way")
    long_view = b"K\x06(K\x00" + number(10**6000) + b"K\x06tt"
    yield pickled("P28-view-of-6000-digits", NUMEL, long_view, "its pickle names a storage in an unknown way")
    many = b"(" + b"K\x01" * 2000 + b"t"
    yield pickled("P28-2000-dims", SIZE, many, "tensor w: its size must be a tuple of at most 64 numbers")
    unknown = "tensor w: is in a torch.FloatStoragf, a storage type that initctl does not know"
    yield pickled("P00-unknown-storage-class", b"FloatStorage", b"FloatStoragf", unknown)
    yield pickled("N01-escape-in-a-dtype", *dtype_of_its_own(b"\x1b[31m"), "tensor w: has an unknown dtype")
    yield pickled(
        "P33-memo-number-of-2^61", b"}q\x00", b"}p2305843009213693951\n", "uses an invalid number of a memo entry"
    )
    yield pickled("P00-no-storage", b"Q", b"0N", "tensor w: has no storage")


def pickles() -> Iterator[Fault]:
    off = "its pickle is truncated or invalid"
    for name, new, words in (
        ("breaks-off", PICKLE[:-1], off),
        ("breaks-off-inside-a-number", PICKLE[:60], off),
        ("empty", b"", off),
        ("unknown-instruction", b"\x80\x02\xff.", off),
        ("not-a-number", b"Ix\n.", off),
        ("of-protocol-6", b"\x80\x06}.", "its pickle has protocol 6; the highest known protocol is 5"),
        ("reads-no-memo", b"\x80\x02h\x07.", "its pickle reads entry 7 of its memo before writing it"),
        ("memo-of-nothing", b"\x80\x02q\x00.", "its pickle takes a value from an empty stack"),
        ("takes-too-much", b"\x80\x02.", "its pickle takes a value from an empty stack"),
        ("no-mark", b"\x80\x02Nt.", "its pickle takes a value from an empty stack"),
        ("odd-dict", b"\x80\x02(Nd.", "its pickle gives a dict a key without a value"),
        ("item-of-a-number", b"\x80\x02K\x01NNs.", "its pickle sets items of a value that cannot have any"),
        ("append-to-a-number", b"\x80\x02K\x01Na.", "its pickle adds items to a value that cannot have any"),
        ("build-of-a-number", b"\x80\x02K\x01Nb.", "its pickle sets attributes of a value that cannot have any"),
        ("class-named-by-a-number", b"\x80\x04K\x01K\x01\x93.", "names a class with a value that is not text"),
        ("class-by-its-number", b"\x80\x02\x82\xf0)R.", "its pickle has a number in place of a class"),
        ("data-elsewhere", b"\x80\x05\x97.", "its pickle refers to data outside of the file"),
        ("read-only-buffer", b"\x80\x05K\1\x98.", "its pickle refers to data outside of the file"),
        ("frame-longer-than-all", b"\x80\x04\x95\xff\0\0\0\0\0\0\0}.", off),
        ("list-as-key", b"\x80\x02}]Ns.", "its pickle has a key that cannot be one, such as a list"),
        ("dict-as-key", b"\x80\x02}(}Nu.", "its pickle has a key that cannot be one, such as a list"),
        ("set-in-a-set", b"\x80\x04\x8f(\x8f\x90.", "its pickle has a key that cannot be one, such as a list"),
        ("item-of-a-set", b"\x80\x04\x8fNNs.", "its pickle sets items of a value that cannot have any"),
        ("append-to-a-dict", b"\x80\x02}Na.", "its pickle adds items to a value that cannot have any"),
        ("attributes-of-a-dict", b"\x80\x02}}b.", "its pickle sets attributes of a value that cannot have any"),
        ("call-of-a-text", b"\x80\x02U\1x)R.", "its pickle calls a value that is not a function"),
        ("object-of-a-number", b"\x80\x02K\1)\x81.", "its pickle calls a value that is not a function"),
        ("call-with-a-list", b"\x80\x02cx\ny\n]R.", "its pickle calls a function with a value that is not a tuple"),
        ("text-longer-than-all", b"\x80\x02X\xff\xff\xff\xffx.", off),
        ("bytes-longer-than-memory", b"\x80\x04\x8e" + b"\xff" * 8 + b".", off),
    ):
        yield of(f"P00-pickle-{name}", with_pickle(REAL, new), words)
    none = ", no named tensors; save a state_dict() instead"
    yield of("P38-root-is-a-tensor", saved(torch.ones(2)), f"contains only a single tensor{none}")
    yield of(
        "P38-root-is-a-parameter", saved(torch.nn.Parameter(torch.ones(2))), f"contains only a single tensor{none}"
    )
    yield of("P38-root-is-none", saved(None), f"contains only None{none}")
    yield of("P38-root-is-a-number", saved(10**100), f"contains only a number of 333 bits{none}")
    yield of("P38-root-is-text", saved("x" * 1000), f"contains only {'x' * 80}{none}")


def old_ones() -> Iterator[Fault]:
    yield of("P37-raw-pickle", pickle.dumps({}), "torch.save did not write; loading it can run any code")
    yield of("P37-raw-pickle-of-protocol-0", b"}.", "is plain text, not a checkpoint; name a file", "file.format")
    yield of(
        "P35-other-magic-number",
        replaced(OLD, b"l\xfc\x9cF", b"l\xfc\x9cG"),
        "is a pickle that torch.save did not write",
    )
    yield of(
        "P35-other-version", OLD.replace(b"M\xe9\x03", b"M\xea\x03", 1), "has an unknown version of torch's format"
    )
    big = replaced(OLD, b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    yield of("P22-legacy-big-endian", big, "its byte order is not little; load it and save it again on a little-endian")
    yield of("P07-legacy-cut-by-3-bytes", OLD[:-3], "missing bytes at the end of the file: 3; if the download")
    yield of("P07-legacy-cut-in-the-count", OLD[:-28], "missing bytes at the end of the file: ")
    yield of("P07-legacy-cut-in-the-pickle", OLD[:200], "its pickle is truncated or invalid")
    yield of("P07-legacy-trailing-byte", OLD + b"\0", "unexpected bytes after the last storage: 1")
    unknown = "is in a torch.FloatStoragf, a storage type that initctl does not know"
    yield of("P00-legacy-unknown-storage-class", replaced(OLD, b"FloatStorage", b"FloatStoragf"), unknown)
    head, counted = OLD.rindex(b"\x80\x02]q\x00"), OLD[-32:]
    key = OLD[head + 5 : -32 - len(b"q\x01a.")]
    twice = b"\x80\x02](" + key + key + b"e."
    yield of("P18-legacy-storage-twice", OLD[:head] + twice + counted * 2, "a storage is listed twice")
    yield of("P16-legacy-storage-missing", OLD[:head] + b"\x80\x02].", "tensor w: its storage ")
    yield of("P00-legacy-storages-unsaid", OLD[:head] + b"\x80\x02N." + counted, "has no valid list of its storages")
    yield of("P14-legacy-count", OLD[:-32] + bytes([5]) + bytes(7) + counted[8:-4], "20 bytes instead of 24")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    yield of("P36-tar", stream.getvalue(), "is a tar archive of torch.save before 0.1.12", "file.format")


FAULTS = (*foreign(), *archives(), *contents(), *pickles(), *old_ones())
