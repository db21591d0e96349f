"""The files of a checkpoint: what each holds, told by its content, and what they come to together."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats import safetensors
from initctl.formats.checkpoint import Checkpoint
from initctl.formats.directories.location import Location
from initctl.formats.opening import open_regular
from initctl.formats.optimizers import optimizers
from initctl.formats.optimizers.masters import masters, of_optimizers
from initctl.formats.parts.lone_files import alone
from initctl.formats.parts.placeholders import weights_elsewhere
from initctl.formats.parts.ranks import refuse_chunks
from initctl.formats.state_dicts.roots import rooted
from initctl.formats.torch_save import file as torch_save

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.formats.directories.companions import Companions
    from initctl.formats.state_dicts.roots import Rooted
    from initctl.formats.table import Table


def first_bytes(path: str) -> bytes:
    """As many bytes of the file at `path` as tell its format. Raises `InputError`."""
    descriptor, _ = open_regular(path)
    try:
        return os.read(descriptor, safetensors.SNIFFED)
    finally:
        os.close(descriptor)


def read_table(path: str, name: str) -> Table:
    """The table of the file at `path`, which the checkpoint calls `name`. Raises `InputError`."""
    content = first_bytes(path)
    if torch_save.is_at(content) and not safetensors.is_at(content):
        return torch_save.read_table(path, name)
    return safetensors.read_table(path, name)


def check_is_checkpoint(path: str) -> None:
    """Raise `InputError` unless the file at `path` is empty, or is in a format that checkpoints have, by its content.

    Of tensors nothing is checked.
    """
    content = first_bytes(path)
    if not content or safetensors.is_at(content):
        return
    if torch_save.is_at(content):
        torch_save.check_saved(path)
    else:
        safetensors.read_table(path, os.path.basename(path))


def read_file(path: str, root: str | None) -> Checkpoint:
    """The checkpoint in one file. Raises `InputError`, and `UsageError` where nothing lies at `root`."""
    directory, name = os.path.split(os.path.abspath(path))
    refuse_chunks(path)
    table = alone(path, read_table(path, name))
    return together(Location(path, directory, os.path.realpath(path)), table.format, [table], root=root)


def together(
    location: Location,
    kind: str,
    tables: Sequence[Table],
    *,
    root: str | None,
    description: Table | None = None,
    companions: Companions | None = None,
    warnings: Sequence[Problem] = (),
) -> Checkpoint:
    """The checkpoint that files with `tables` make up; with `companions` it is a directory.

    A `description` is the table of one of the others, which says where tensors lie, as an index does.
    """
    read = [description, *tables] if description else tables
    entries = [entry for table in read for entry in table.entries]
    optimizing = optimizers(entries, {name: facts for table in read for name, facts in table.optimizers.items()})
    copies = masters((entry.tensor.name for entry in entries), optimizing)
    found = rooted(entries, root, location.path, of_optimizers(optimizing, copies))
    checkpoint = Checkpoint(
        **location._asdict(),
        format=kind,
        is_directory=companions is not None,
        files=tuple(table.file for table in tables),
        tensors=found.tensors,
        metadata={table.file.name: table.metadata for table in read if table.metadata},
        companions=companions,
        warnings=(*(w for table in read for w in table.warnings), *_choice(location.path, found), *warnings),
        root=found.root,
        outside=found.outside,
        unlisted=tuple(spec for table in read for spec in table.unlisted),
        contents={table.file.name: table.contents for table in read if table.contents},
        optimizers=optimizing,
        masters=copies,
        described_by=description.file.name if description else None,
    )
    return replace(checkpoint, warnings=(*checkpoint.warnings, *weights_elsewhere(checkpoint)))


def _choice(path: str, found: Rooted) -> tuple[Problem, ...]:
    """A warning where another state dict might have been meant."""
    if not found.others:
        return ()
    others = listed([shown(other) for other in found.others])
    message = f"{shown(path)}: holds several state dicts: {shown(found.root)} is taken, not {others}"
    return (Problem("root.several", message, "--root chooses another"),)
