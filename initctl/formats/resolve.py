"""Which format a path holds: told by its content, never by its name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, shown
from initctl.formats import safetensors, sharded
from initctl.formats.checkpoint import Checkpoint, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable

_SNIFFED = 4096
"""Bytes of a file that are looked at."""


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The table of the checkpoint at `path`: a file, an index of shards, or a directory. Raises `InputError`."""
    path = os.fspath(path)
    if os.path.isdir(path):
        return sharded.read_directory(path)
    content = _first_bytes(path)
    for refused in _REFUSED:
        if refused.is_at(content):
            raise InputError(Problem(refused.code, f"{shown(path)}: {refused.fault}", refused.hint))
    if content.lstrip()[:1] == b"{":
        return sharded.read_index(path)
    return safetensors.read_file(path)


def _first_bytes(path: str) -> bytes:
    descriptor, _ = open_regular(path)
    try:
        return os.read(descriptor, _SNIFFED)
    finally:
        os.close(descriptor)


class _Refused:
    """Content that people give by mistake, or that cannot be read yet, and what to do about it."""

    def __init__(self, is_at: Callable[[bytes], bool], fault: str, hint: str) -> None:
        self.code = "file.format"
        self.is_at = is_at
        self.fault = fault
        self.hint = hint


_CONVERT = "convert it to safetensors first"
_REFUSED = (
    _Refused(
        lambda content: content.startswith(b"version https://git-lfs.github.com/spec/"),
        "this is a Git LFS pointer, not the file it stands for",
        "run git lfs pull",
    ),
    _Refused(
        lambda content: content.lstrip()[:9].lower().startswith((b"<!doctype", b"<html", b"<?xml")),
        "looks like a web page, not a checkpoint",
        "download the file itself",
    ),
    _Refused(lambda content: content.startswith(b"GGUF"), "is a GGUF file, which is not supported", _CONVERT),
    _Refused(
        lambda content: content.startswith(b"PK\x03\x04"),
        "is a zip archive, as torch.save writes it, which is not supported",
        _CONVERT,
    ),
    _Refused(
        lambda content: content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05" and len(content) > 1,
        "is a pickle, as torch.save wrote it before 1.6, which is not supported and never run",
        _CONVERT,
    ),
)
