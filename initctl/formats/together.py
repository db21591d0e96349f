"""The checkpoint that tables of files make up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown
from initctl.formats.checkpoint import Checkpoint
from initctl.formats.optimizers import optimizers
from initctl.formats.optimizers.masters import masters, of_optimizers
from initctl.formats.parts.placeholders import weights_elsewhere
from initctl.formats.state_dicts.roots import rooted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from initctl.formats.directories.companions import Companions
    from initctl.formats.directories.location import Location
    from initctl.formats.state_dicts.roots import Rooted
    from initctl.formats.table import FileTable


def together(
    location: Location,
    kind: str,
    tables: Sequence[FileTable],
    *,
    root: str | None,
    description: FileTable | None = None,
    companions: Companions | None = None,
    warnings: Sequence[Problem] = (),
) -> Checkpoint:
    """The checkpoint that files with `tables` make up; with `companions` it is a directory.

    A `description` is the table of one of the others, which says where tensors are, as an index does.
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
        warnings=(*(w for table in read for w in table.warnings), *_several_roots(location.path, found), *warnings),
        root=found.root,
        outside=found.outside,
        unlisted=tuple(spec for table in read for spec in table.unlisted),
        contents={table.file.name: table.contents for table in read if table.contents},
        optimizers=optimizing,
        masters=copies,
        is_read_only=any(table.is_read_only for table in tables),
        described_by=description.file.name if description else None,
    )
    return replace(checkpoint, warnings=(*checkpoint.warnings, *weights_elsewhere(checkpoint)))


def _several_roots(path: str, found: Rooted) -> tuple[Problem, ...]:
    """A warning if another state dict might have been meant."""
    if not found.others:
        return ()
    others = listed([shown(other) for other in found.others])
    message = f"{shown(path)}: holds several state dicts: {shown(found.root)} is taken, not {others}"
    return (Problem("root.several", message, "--root chooses another"),)
