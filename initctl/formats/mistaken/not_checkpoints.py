"""Files and directories that are not checkpoints, recognized by their content."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.weight_names import EXPORTS, FOREIGN, SAFETENSORS, TORCH
from initctl.formats.file_formats import first_bytes
from initctl.formats.mistaken import known
from initctl.formats.opening import opened, read_at

if TYPE_CHECKING:
    from initctl.formats.directories.folder import Folder

_WEIGHTS = (SAFETENSORS, *TORCH)
_OTHER_WEIGHTS = (*FOREIGN, *EXPORTS, ".npy", ".pb", ".nemo", ".zip")
_LONGEST_CHARACTER = 3
"""The most bytes of a UTF-8 character that may be cut off."""
_SHOWN = 80
"""Characters of an error message."""
_TAR_RECORD = 512
_MOST_MEMBERS = 1000
_TAR_NAME, _TAR_SIZE, _TAR_MAGIC = slice(0, 100), slice(124, 136), slice(257, 262)
"""Fields of a member's header, in POSIX's ustar format and GNU's."""
_BINARY = 0x80
"""A flag in the first byte of the size: the other bytes are a binary number, not octal digits."""
_KEY = r'"([^"\\]{1,60})"\s*:'


class NotCheckpoint(NamedTuple):
    """The end of a sentence about a file, such as "is a tokenizer, not weights", and what to do."""

    fault: str
    hint: str


_ANY_JSON = NotCheckpoint("is a JSON document, not a checkpoint", "name a file or a directory of weights")


def refuse(path: str, content: bytes) -> None:
    """Raise `InputError` if the file at `path`, which begins with `content`, is known to be something else."""
    if found := _tar_at(path) if _is_tar(content) else _recognized(content):
        raise InputError(Problem("file.format", f"{shown(path)}: {found.fault}", found.hint))


def refuse_json(path: str, document: Mapping[str, object], content: bytes) -> None:
    """Raise `InputError` if `document`, parsed from the whole `content` of a file, is not meant as an index."""
    found = _json_of(document.keys(), content) or (None if path.endswith(".index.json") else _ANY_JSON)
    if "weight_map" not in document and found:
        raise InputError(Problem("file.format", f"{shown(path)}: {found.fault}", found.hint))


def refuse_directory(path: str, folder: Folder) -> None:
    """Raise `InputError` if the files of a directory without a checkpoint show what the directory is."""
    if found := _directory_of(path, folder):
        raise InputError(Problem("directory.empty", f"{shown(path)}: {found.fault}", found.hint))


def zip_of(names: Iterable[str]) -> NotCheckpoint | None:
    """What a zip archive with the records `names` is, if it is known and not a file of torch.save."""
    return _searched(known.ZIPS, "\n".join(names))


def _tar_at(path: str) -> NotCheckpoint:
    with opened(path) as (descriptor, _):
        names = [name.removeprefix("./") for name in _tar_names(descriptor)]
    inside = next((shown(name) for name in names if name.endswith(_WEIGHTS)), "the checkpoint in it")
    any_tar = NotCheckpoint("is a tar archive", f"extract it and name {inside}")
    return _searched(known.TARS, "\n".join(names)) or any_tar


def _is_tar(content: bytes) -> bool:
    return content[_TAR_MAGIC] == b"ustar"


def _tar_names(descriptor: int) -> Iterator[str]:
    """The names of the first members of an archive. Nothing is extracted."""
    offset = 0
    for _ in range(_MOST_MEMBERS):
        header = read_at(descriptor, _TAR_RECORD, offset)
        if not _is_tar(header):
            return
        yield header[_TAR_NAME].partition(b"\0")[0].decode("utf-8", "replace")
        size = _tar_size(header[_TAR_SIZE])
        if size is None:
            return
        offset += _TAR_RECORD + -(-size // _TAR_RECORD) * _TAR_RECORD


def _tar_size(field: bytes) -> int | None:
    if field[0] & _BINARY:
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b"\0 ")
    return int(digits, 8) if digits and all(digit in b"01234567" for digit in digits) else None


def _recognized(content: bytes) -> NotCheckpoint | None:
    """What a file that begins with `content` is, if it is known and not a checkpoint."""
    for pattern, fault, hint in known.BINARY:
        if re.match(pattern, content, re.DOTALL):
            return NotCheckpoint(fault, hint)
    return _text_of(content)


def _searched(rows: Iterable[known.Row], text: str) -> NotCheckpoint | None:
    return next((NotCheckpoint(*found) for pattern, *found in rows if re.search(pattern, text, re.MULTILINE)), None)


def _directory_of(path: str, folder: Folder) -> NotCheckpoint | None:
    names = list(folder.files)
    if not (names or folder.left_out):
        fault = "contains only folders, and no weights were found in them" if folder.folders else "contains no files"
        return NotCheckpoint(fault, "check that the download or the save is complete")
    for name in names:
        if name.endswith(_OTHER_WEIGHTS) and (found := _recognized(first_bytes(os.path.join(path, name)))):
            return NotCheckpoint(f"contains {shown(name)}: it {found.fault}", found.hint)
    if "config.json" in names:
        return NotCheckpoint("contains config.json but no weights", known.OF_CONFIG)
    return None


def _text_of(content: bytes) -> NotCheckpoint | None:
    """What a text is. Its last character may be cut off."""
    text = content.decode("utf-8", "ignore")
    if not text.strip() or len(content) - len(text.encode()) > _LONGEST_CHARACTER or not _is_text(text):
        return None
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("{"):
        return _json_of(re.findall(_KEY, text), content) or _ANY_JSON
    if re.match(known.ERROR_PAGE, start, re.IGNORECASE):
        return _error_page(text)
    return _searched(known.TEXTS, start)


def _is_text(text: str) -> bool:
    return all(char.isprintable() or char in "\t\r\n\f\ufeff" for char in text)


def _json_of(keys: Collection[str], content: bytes) -> NotCheckpoint | None:
    """What a JSON document with `keys` is, by the first row of the table that matches."""
    for all_of, fault, hint in known.JSON:
        if set(all_of.split()) <= set(keys):
            return NotCheckpoint(fault, hint)
    if known.KEYS_OF_AN_ERROR & set(keys):
        return _error_page(content.decode("utf-8", "replace"))
    return None


def _error_page(text: str) -> NotCheckpoint:
    return NotCheckpoint(
        f"is a server's error message, not the file: {shown(' '.join(text.split())[:_SHOWN])}",
        "check the name and your access, then download it again",
    )
