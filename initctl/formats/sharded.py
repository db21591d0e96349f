"""A checkpoint in shards: `*.safetensors.index.json` says which tensor lies in which file beside it.

Also the directory that holds such an index, or that holds a single safetensors file and no index.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import PureWindowsPath
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import InputError, Problem, shown
from initctl.formats import safetensors
from initctl.formats.checkpoint import Checkpoint, CheckpointFile, Identity, open_regular, unreadable
from initctl.formats.strict_json import InvalidJson, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from initctl.formats.safetensors import Header

    Files = Mapping[str, CheckpointFile]

NAME = "safetensors-sharded"
INDEX_SUFFIX = ".safetensors.index.json"
LONGEST_INDEX = 100_000_000
"""Bytes."""
_NAMED_AT_MOST = 5


def read_directory(path: str) -> Checkpoint:
    """The checkpoint that the directory at `path` holds. Raises `InputError`."""
    files = _listing(path)
    top = [name for name in files if "/" not in name]  # below it lie other checkpoints: a trainer's, another format's
    indexes = [name for name in top if name.endswith(INDEX_SUFFIX)]
    weights = [name for name in top if name.endswith(safetensors.SUFFIX)]
    if len(indexes) > 1:
        _refuse("directory.ambiguous", f"{shown(path)}: holds several indexes: {_listed(indexes)}", "name one of them")
    if indexes:
        return read_index(os.path.join(path, indexes[0]), path=path)
    if len(weights) > 1:
        hint = "name one of them, or restore the index"
        _refuse("directory.ambiguous", f"{shown(path)}: holds {_listed(weights)} and no index", hint)
    if not weights:
        _refuse("directory.empty", f"{shown(path)}: holds no {INDEX_SUFFIX[1:]} and no {safetensors.SUFFIX} file")
    header = safetensors.read_header(os.path.join(path, weights[0]), weights[0])
    return _checkpoint(path, os.path.realpath(path), safetensors.NAME, [header], files)


def read_index(index: str, *, path: str | None = None) -> Checkpoint:
    """The checkpoint whose index file lies at `index`; messages call it `path`. Raises `InputError`."""
    directory = os.path.realpath(os.path.dirname(index))  # the index may be a link, as in Hugging Face's cache
    weight_map = _weight_map(index)
    files = _listing(directory)
    shards = _shards(index, weight_map)
    if missing := [shard for shard in shards if not os.path.exists(os.path.join(directory, shard))]:
        _refuse("index.shard_missing", f"{shown(index)}: {_listed(missing)}: named by the index, but not there")
    for shard in shards:
        _check_inside(index, directory, shard)
    _check_no_rival(index, files, shards)
    headers = [safetensors.read_header(os.path.join(directory, shard), shard) for shard in shards]
    _check_agreement(index, weight_map, headers)
    return _checkpoint(path or index, directory, NAME, headers, files)


def _checkpoint(path: str, directory: str, kind: str, headers: Sequence[Header], files: Files) -> Checkpoint:
    tensor_files = {header.file.name for header in headers}
    return Checkpoint(
        path=path,
        format=kind,
        directory=directory,
        target=directory,
        is_directory=True,
        files=tuple(header.file for header in headers),
        tensors=safetensors.relative_names(tensor for header in headers for tensor in header.tensors),
        metadata={header.file.name: header.metadata for header in headers if header.metadata},
        other_files=tuple(file for name, file in files.items() if name not in tensor_files),
    )


def _weight_map(index: str) -> dict[str, str]:
    descriptor, status = open_regular(index)
    try:
        if status.st_size > LONGEST_INDEX:
            _refuse_index(index, f"longer than {LONGEST_INDEX} bytes")
        with open(descriptor, "rb", closefd=False) as stream:
            content = stream.read()
    finally:
        os.close(descriptor)
    try:
        weight_map = parse_object(content).get("weight_map")
    except InvalidJson as error:
        _refuse_index(index, str(error))
    if not isinstance(weight_map, dict) or not weight_map:
        _refuse_index(index, "weight_map must be an object with an entry for each tensor")
    for name, shard in weight_map.items():
        if not isinstance(shard, str):
            _refuse_index(index, f"weight_map: {shown(name)}: must name a file")
    return weight_map


def _shards(index: str, weight_map: dict[str, str]) -> list[str]:
    """The shards' names in order of first mention, each proven to be a file's name inside the directory."""
    shards = list(dict.fromkeys(weight_map.values()))
    for shard in shards:
        plain = PureWindowsPath(shard)  # reads both separators, drives and shares, on every system
        if plain.anchor or ".." in plain.parts or "\0" in shard or "\\" in shard or not plain.parts:
            _refuse("index.escape", f"{shown(index)}: {shown(shard)}: leaves the directory of the index")
        if "/".join(plain.parts) != shard:
            _refuse_index(index, f"{shown(shard)}: is not written plainly, as {shown('/'.join(plain.parts))}")
        if not shard.endswith(safetensors.SUFFIX):
            _refuse_index(index, f"{shown(shard)}: is not a {safetensors.SUFFIX} file")
    if len({unicodedata.normalize("NFC", shard).casefold() for shard in shards}) < len(shards):
        _refuse_index(index, "two shards' names differ only in spelling")
    return shards


def _check_inside(index: str, directory: str, shard: str) -> None:
    """A link that leads out of the directory is followed only into Hugging Face's cache, which is built of them."""
    real = os.path.realpath(os.path.join(directory, shard))
    if os.path.commonpath([real, directory]) == directory or os.path.basename(os.path.dirname(real)) == "blobs":
        return
    _refuse("index.escape", f"{shown(index)}: {shown(shard)}: is a link that leaves the directory of the index")


def _check_no_rival(index: str, files: Files, shards: Sequence[str]) -> None:
    """`model.safetensors` beside `model.safetensors.index.json` is loaded by some readers in its place."""
    name = os.path.basename(index)
    rival = name.removesuffix(".index.json")
    if rival in files and rival not in (name, *shards):
        hint = "remove the one that is out of date"
        _refuse("directory.ambiguous", f"{shown(index)}: {shown(rival)} lies beside it, and holds the model too", hint)


def _check_agreement(index: str, weight_map: dict[str, str], headers: Sequence[Header]) -> None:
    """Index and shards list the same tensors in the same places."""
    found: dict[str, str] = {}
    for header in headers:
        for tensor in header.tensors:
            if tensor.name in found:
                both = f"{shown(found[tensor.name])} and {shown(header.file.name)}"
                _refuse("index.duplicate", f"{shown(index)}: tensor {shown(tensor.name)} lies in both {both}")
            found[tensor.name] = header.file.name
    for name, shard in weight_map.items():
        if found.get(name) != shard:
            _refuse("index.tensor_missing", f"{shown(index)}: tensor {shown(name)} is not in {shown(shard)}")
    if unlisted := [name for name in found if name not in weight_map]:
        fault = f"tensor {shown(unlisted[0])} lies in {shown(found[unlisted[0]])} but not in the index"
        _refuse("index.unlisted", f"{shown(index)}: {fault}")


def _listing(directory: str) -> Files:
    """The regular files below `directory`, in order of their names relative to it.

    Links count as the files they lead to. Links to directories are not followed: they lead anywhere, or in a circle.
    """
    files: list[CheckpointFile] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        path = os.path.join(directory, folder)
        try:
            entries = list(os.scandir(path))
        except OSError as error:
            raise unreadable(path, error) from None
        folders += [f"{folder}{entry.name}/" for entry in entries if entry.is_dir(follow_symlinks=False)]
        files += [
            CheckpointFile(folder + entry.name, Identity.of(status), stat.S_IMODE(status.st_mode))
            for entry in entries
            if (status := _status(entry.path)) and stat.S_ISREG(status.st_mode)
        ]
    return {file.name: file for file in sorted(files, key=lambda file: file.name)}


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:  # a link to nothing, or to itself
        return None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else ""
    return ", ".join(shown(name) for name in names[:_NAMED_AT_MOST]) + more


def _refuse_index(index: str, fault: str) -> NoReturn:
    _refuse("index.malformed", f"{shown(index)}: {fault}")


def _refuse(code: str, message: str, hint: str | None = None) -> NoReturn:
    raise InputError(Problem(code, message, hint))
