"""One checkpoint from the tables of its files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, listed, shown
from initctl.formats.checkpoint import Checkpoint
from initctl.formats.optimizers import optimizers
from initctl.formats.optimizers.masters import masters, of_optimizers
from initctl.formats.parts.placeholders import weights_elsewhere
from initctl.formats.state_dicts.roots import RESUMED, Rooted, rooted

if TYPE_CHECKING:
    from initctl.formats.directories.location import Location
    from initctl.formats.directories.weight_names import WeightName
    from initctl.formats.table import FileTable


class Found(NamedTuple):
    """The tables of the files at a `location` that are a checkpoint in a `format`.

    `description` is the table of another file that says where tensors are, such as an index. `chosen` is the file of
    weights, or the index, that was chosen in a directory.
    """

    location: Location
    format: str
    tables: Sequence[FileTable]
    description: FileTable | None = None
    chosen: WeightName | None = None
    warnings: Sequence[Problem] = ()


def together(found: Found, root: str | None) -> Checkpoint:
    """The checkpoint of `found`. Raises `InputError`; `UsageError` if no tensor is at `root`."""
    location, tables = found.location, found.tables
    files = tuple(table.file for table in tables)
    own = frozenset(file.name for file in files)
    stale: tuple[str, ...] = ()
    around: tuple[Problem, ...] = ()
    if location.is_directory:
        from initctl.formats.directories.companions import companions

        stale, around = companions(location, own, found.chosen)
    read = [found.description, *tables] if found.description else tables
    entries = [entry for table in read for entry in table.entries]
    optimizing = optimizers(entries, {name: facts for table in read for name, facts in table.optimizers.items()})
    copies = masters((entry.tensor.name for entry in entries), optimizing)
    state_dict = rooted(entries, root, location.path, of_optimizers(optimizing, copies))
    warnings = [warning for table in read for warning in table.warnings]
    checkpoint = Checkpoint(
        path=location.path,
        directory=location.directory,
        target=location.target,
        component=location.component,
        format=found.format,
        files=files,
        tensors=state_dict.tensors,
        metadata={table.file.name: table.metadata for table in read if table.metadata},
        stale=stale,
        warnings=(*warnings, *_several_roots(location.path, state_dict), *found.warnings, *around),
        root=state_dict.root,
        outside=state_dict.outside,
        unlisted=tuple(spec for table in read for spec in table.unlisted),
        contents={table.file.name: table.contents for table in read if table.contents},
        optimizers=optimizing,
        masters=copies,
        read_only=next((table.read_only for table in tables if table.read_only), None),
        described_by=found.description.file.name if found.description else None,
    )
    return replace(checkpoint, warnings=(*checkpoint.warnings, *weights_elsewhere(checkpoint)))


def _several_roots(path: str, found: Rooted) -> Iterator[Problem]:
    if RESUMED in found.others:
        message = f"{shown(path)}: {shown(found.root)} is an average of the weights; Lightning resumes from {RESUMED}"
        yield Problem(
            "root.average", message, f"to fill both, apply the rules again to the result with --root {RESUMED}"
        )
    if others := [shown(other) for other in found.others if other != RESUMED]:
        message = f"{shown(path)}: contains several state dicts; using {shown(found.root)}, not {listed(others)}"
        yield Problem("root.several", message, "use --root to choose another")
