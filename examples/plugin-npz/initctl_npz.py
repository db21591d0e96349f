"""Checkpoints written by `numpy.savez`, as JAX users have them: an .npz file is a zip archive of .npy arrays.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html describes them. An uncompressed array is in one
piece, behind a small header with its dtype, shape and order. Only these headers are read. Arrays of Python objects are
refused, because they are pickles.
"""

from math import prod
from typing import BinaryIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

from initctl.plugins import FileContents, Malformed, StoredTensor, file_format

LOCAL_HEADER = 30
"""Bytes before a record's name. The last four are the lengths of the name and of the extra field behind it."""
ENCRYPTED = 1
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def is_npz(content: bytes) -> bool:
    """Whether a file that begins with `content` is a zip archive whose first record is an array."""
    length = int.from_bytes(content[26:28], "little")
    return content.startswith(b"PK\x03\x04") and content[LOCAL_HEADER : LOCAL_HEADER + length].endswith(b".npy")


def read(file: BinaryIO) -> FileContents:
    """All arrays of the archive. Their names are those of the records without `.npy`."""
    with ZipFile(file) as archive:
        return FileContents([tensor(file, record) for record in archive.infolist()])


def tensor(file: BinaryIO, record: ZipInfo) -> StoredTensor:
    name = record.filename.removesuffix(".npy")
    if record.compress_type != ZIP_STORED or record.flag_bits & ENCRYPTED:
        raise Malformed(f"{name!r} is compressed", "save it with numpy.savez, not with savez_compressed")
    file.seek(record.header_offset)
    header = file.read(LOCAL_HEADER)
    begin = record.header_offset + LOCAL_HEADER + sum(np.frombuffer(header, "<u2", 2, LOCAL_HEADER - 4).tolist())
    file.seek(begin)
    version = npy.read_magic(file)
    if version not in HEADERS:
        raise Malformed(f"{name!r} has a header of version {version}")
    shape, is_transposed, dtype = HEADERS[version](file)
    offset = file.tell()
    if dtype.hasobject or dtype.kind not in "biufc" or dtype.str.startswith(">"):
        hint = "save it as float32: numpy.savez forgets what bfloat16 is" if dtype.kind == "V" else None
        raise Malformed(f"{name!r} has elements of type {dtype.str}", hint)
    if offset + dtype.itemsize * prod(shape) != begin + record.file_size:
        raise Malformed(f"the size of {name!r} does not match its header")
    return StoredTensor(name, dtype.name, shape, offset, column_major(shape) if is_transposed else None)


def column_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The stride of each dimension in elements, if the first dimension varies fastest, as in Fortran."""
    return tuple(prod(shape[:dim]) for dim in range(len(shape)))


NPZ = file_format("npz", "an .npz archive of NumPy", is_at=is_npz, read=read)
