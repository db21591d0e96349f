"""A checkpoint in shards, by its index; and the directory that holds one, or holds a single file."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NoReturn

from initctl.errors import InputError, Problem, listed, shown
from initctl.formats import index
from initctl.formats.distributed import METADATA, SUFFIX, read_distributed
from initctl.formats.files import Location, read_table, together
from initctl.formats.hub_cache import in_hub_cache
from initctl.formats.index import Index
from initctl.formats.listing import files_below
from initctl.formats.not_checkpoints import refuse_directory
from initctl.formats.table import Table
from initctl.formats.unindexed import read_unindexed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.listing import Files, Listing

_OTHER_WEIGHTS = re.compile(r".*\.safetensors|pytorch_model.*\.bin|tf_model\.h5|flax_model\.msgpack")
"""Files that hold the same model for other readers, or are left over from an earlier save."""
_TORCH_MODEL = "pytorch_model.bin"
"""What transformers calls a model beside an optimizer and other files of torch.save."""

_OF_ONE_SAVE = "index and shards are of different saves: get all files of one of them"


def read_directory(path: str, root: str | None) -> Checkpoint:
    """The checkpoint that the directory at `path` holds: safetensors rather than torch.save's files.

    Raises `InputError`, and `UsageError` where no tensor lies at `root`.
    """
    listing = files_below(path)
    if METADATA in listing.files:
        return read_distributed(path, listing, root)
    top = [name for name in listing.files if "/" not in name]  # below lie other checkpoints: a trainer's, for instance
    for kind in index.KINDS:
        indexes = [name for name in top if name.endswith(kind.suffix)]
        weights = [name for name in top if name.endswith(kind.shards)]
        if len(indexes) > 1:
            _refuse("ambiguous", f"{shown(path)}: holds several indexes: {_listed(indexes)}", "name one of them")
        if indexes:
            return read_index(os.path.join(path, indexes[0]), root, path=path)
        if _TORCH_MODEL in weights:
            weights = [_TORCH_MODEL]
        if weights:
            tables = read_unindexed(path, weights)
            return _checkpoint(path, os.path.realpath(path), tables[0].format, tables, listing, root)
    if any(name.endswith(SUFFIX) for name in top):
        hint = "saving was interrupted? take another checkpoint"
        raise InputError(
            Problem("directory.incomplete", f"{shown(path)}: holds {SUFFIX} files and no {METADATA}", hint)
        )
    refuse_directory(path, listing)
    kinds = ", no ".join(f"{kind.suffix[1:]}, no {kind.shards[0]}" for kind in index.KINDS)
    raise InputError(Problem("directory.empty", f"{shown(path)}: holds no {kinds} file"))


def read_index(index_path: str, root: str | None, *, path: str | None = None) -> Checkpoint:
    """The checkpoint whose index lies at `index_path`; messages call it `path`.

    Raises `InputError`, and `UsageError` where no tensor lies at `root`.
    """
    directory = os.path.realpath(os.path.dirname(index_path))  # the index may be a link, as in Hugging Face's cache
    read = Index(index_path)
    listing = files_below(directory)
    if missing := [shard for shard in read.shards if not os.path.exists(os.path.join(directory, shard))]:
        read.refuse("shard_missing", f"{_listed(missing)}: named by the index, but not there")
    for shard in read.shards:
        _check_inside(read, directory, shard)
    _check_no_rival(read, listing.files)
    tables = [read_table(os.path.join(directory, shard), shard) for shard in read.shards]
    kinds = sorted({table.format for table in tables})
    if len(kinds) > 1:
        read.refuse("mixed", f"its shards are of several formats: {', '.join(kinds)}")
    _check_agreement(read, tables)
    return _checkpoint(path or index_path, directory, f"{kinds[0]}-sharded", tables, listing, root, index_path)


def _checkpoint(
    path: str,
    directory: str,
    kind: str,
    tables: Sequence[Table],
    listing: Listing,
    root: str | None,
    index_path: str | None = None,
) -> Checkpoint:
    tensor_files = {table.file.name for table in tables}
    other_files = tuple(file for name, file in listing.files.items() if name not in tensor_files)
    warnings = (*_other_weights(path, [file.name for file in other_files]), *_left_out(path, listing.left_out))
    described_by = listing.files.get(os.path.basename(index_path)) if index_path else None
    return together(
        Location(path, directory, directory),
        kind,
        tables,
        root=root,
        description=Table(kind, described_by, (), {}) if described_by else None,
        other_files=other_files,
        warnings=warnings,
    )


def _other_weights(path: str, names: Sequence[str]) -> tuple[Problem, ...]:
    """A warning where the directory holds weights that are not this checkpoint's and go along unchanged."""
    others = [name for name in names if _OTHER_WEIGHTS.fullmatch(name) and "/" not in name]
    if not others:
        return ()
    message = f"{shown(path)}: also holds {_listed(others)}, which no rule reaches"
    return (Problem("directory.other_weights", message, "remove what is out of date, lest another reader prefers it"),)


def _left_out(path: str, names: Sequence[str]) -> tuple[Problem, ...]:
    """A warning where the directory holds what a copy of it will not."""
    if not names:
        return ()
    message = f"{shown(path)}: a copy leaves out {_listed(names)}"
    return (Problem("directory.left_out", message, "only regular files, and links to them, go along"),)


def _check_inside(read: Index, directory: str, shard: str) -> None:
    """A link that leads out of the directory is followed only into Hugging Face's cache, which is built of them."""
    real = os.path.realpath(os.path.join(directory, shard))
    if os.path.commonpath([real, directory]) != directory and not in_hub_cache(real):
        read.refuse("escape", f"{shown(shard)}: is a link that leaves the directory of the index")


def _check_no_rival(read: Index, files: Files) -> None:
    """`model.safetensors` beside `model.safetensors.index.json` is loaded by some readers in its place."""
    name = os.path.basename(read.path)
    rival = name.removesuffix(".index.json")
    if rival in files and rival not in (name, *read.shards):
        hint = "remove the one that is out of date"
        _refuse("ambiguous", f"{shown(read.path)}: {shown(rival)} lies beside it, and holds the model too", hint)


def _check_agreement(read: Index, tables: Sequence[Table]) -> None:
    """Index and shards list the same tensors in the same places."""
    found: dict[str, str] = {}
    for table in tables:
        for _, tensor in table.entries:
            if tensor.name in found:
                both = f"is in both {shown(found[tensor.name])} and {shown(table.file.name)}"
                read.refuse_entry("duplicate", tensor.name, both, _OF_ONE_SAVE)
            found[tensor.name] = table.file.name
    for name, shard in read.weight_map.items():
        if found.get(name) != shard:
            place = f"it is in {shown(found[name])}" if name in found else "no shard holds it"
            read.refuse_entry("tensor_missing", name, f"is not in {shown(shard)}; {place}", _OF_ONE_SAVE)
    if unlisted := [name for name in found if name not in read.weight_map]:
        fault = f"is in {shown(found[unlisted[0]])} but not in the index"
        read.refuse_entry("unlisted", unlisted[0], fault, _OF_ONE_SAVE)


def _listed(names: Sequence[str]) -> str:
    return listed([shown(name) for name in names], at_most=5)


def _refuse(code: str, message: str, hint: str | None = None) -> NoReturn:
    raise InputError(Problem(f"directory.{code}", message, hint))
