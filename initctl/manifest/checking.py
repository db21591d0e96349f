"""Whether a checkpoint matches a manifest. Neither the rules nor the original are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.audit import FileDifference, Lost
from initctl.audit.result import read_like
from initctl.coworkers import ALONE
from initctl.display.colors import BAD, GOOD
from initctl.display.folding import FOLDED_ABOVE
from initctl.display.tables import Displayed, Listing, Report, Toned, count
from initctl.errors import UsageError, shown
from initctl.manifest.digests import Hashers, file_digests, tensor_digests

if TYPE_CHECKING:
    from initctl.coworkers import Coworkers
    from initctl.events import Progress
    from initctl.formats import Checkpoint, CheckpointFile
    from initctl.manifest.attested import Attested, AttestedTensor
    from initctl.tensors import TensorSpec


@dataclass(frozen=True, slots=True, repr=False)
class ManifestCheck(Displayed):
    """The outcome of comparing the checkpoint at `path` with a manifest. It is true if everything `holds`.

    `manifest` is the path of the manifest's file, if it has one. `tensors` and `files` are the numbers of those that
    were compared; `differences` and `file_differences` are those that differ. `files` is None if the checkpoint was
    converted or sharded anew, so that its files are other ones.
    """

    path: str
    manifest: str | None
    tensors: int
    files: int | None
    differences: tuple[Lost, ...]
    file_differences: tuple[FileDifference, ...]

    @property
    def holds(self) -> bool:
        """Whether everything matches the manifest."""
        return not (self.differences or self.file_differences)

    def __bool__(self) -> bool:
        return self.holds

    def to_json(self) -> dict[str, Any]:
        return {
            "checkpoint": self.path,
            "report": self.manifest,
            "converted": self.files is None,
            "compared": self.tensors,
            "compared_files": self.files,
            "differences": [{"tensor": found.tensor, "fault": found.fault} for found in self.differences],
            "differences_files": [{"file": found.file, "fault": found.fault} for found in self.file_differences],
        }

    def report(self, *, unfold: bool = False) -> Report:
        """What differs, and what was compared. A long list is cut, unless `unfold`."""
        compared = f"compared {count(self.tensors, 'tensor')}"
        if self.files is None:
            compared += "; its files were not compared, since the report lists other files"
        else:
            compared += f" and {count(self.files, 'file')}"
        path = shown(self.path)
        manifest = shown(self.manifest or "the manifest")
        if self.holds:
            return [Toned(f"{path}: holds what {manifest} says", GOOD), compared]
        rows = [(shown(found.tensor), found.fault) for found in self.differences]
        rows += [(shown(found.file), found.fault) for found in self.file_differences]
        listed = rows if unfold else rows[:FOLDED_ABOVE]
        more = [f"and {len(rows) - len(listed):,} more; --all lists them"] if len(listed) < len(rows) else []
        counts = (len(self.differences), "tensor"), (len(self.file_differences), "file")
        differing = " and ".join(count(number, noun) for number, noun in counts if number)
        verb = "differs" if len(rows) == 1 else "differ"
        verdict = Toned(f"{path}: {differing} {verb} from what {manifest} says", BAD)
        return [Listing(("tensor or file", "difference"), listed), *more, "", verdict, compared]


def checked(
    attested: Attested,
    path: str,
    manifest: str | None,
    *,
    threads: int,
    coworkers: Coworkers = ALONE,
    on_event: Callable[[Progress], None] | None = None,
) -> ManifestCheck:
    """Compare the checkpoint at `path` with what is `attested` in the file `manifest`. Each of `coworkers` hashes some.

    Raises `InputError` and `ConflictError`.
    """
    checkpoint = _read(attested, path)
    by = Hashers(threads, coworkers, on_event)
    held = tensor_digests(checkpoint, checkpoint.tensors, by)
    files = _files(attested, checkpoint)
    digests = file_digests(checkpoint, list((files or {}).values()), by)
    return ManifestCheck(
        path,
        manifest,
        len(attested.tensors),
        None if files is None else len(files),
        tuple(_tensor_faults(attested, checkpoint, held)),
        () if files is None else tuple(_file_faults(attested, checkpoint, files, digests)),
    )


def _read(attested: Attested, path: str) -> Checkpoint:
    """The checkpoint at `path`, at the root of the attested tensors. What was a component may be a directory by itself
    now.
    """
    wanted = {name: (tensor.dtype, tensor.shape) for name, tensor in attested.tensors.items()}
    with suppress(UsageError):
        return read_like(path, attested.root, attested.component, _kinds, wanted)
    return read_like(path, attested.root, "", _kinds, wanted)


def _kinds(checkpoint: Checkpoint) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape of each tensor by name: all that is known without reading tensors."""
    return {name: (tensor.dtype.name, tensor.shape) for name, tensor in checkpoint.by_name.items()}


def _files(attested: Attested, checkpoint: Checkpoint) -> dict[str, CheckpointFile] | None:
    """The attested files of `checkpoint`, by their names in the manifest. A single file may have been renamed.

    None if tensors are in files that are not attested: it has another format, or other shards.
    """
    names = attested.files
    if checkpoint.format != attested.format:
        return None
    if len(names) == 1 and not checkpoint.is_directory:
        return dict(zip(names, checkpoint.files, strict=True))
    if any(file.name not in names for file in checkpoint.files):
        return None
    return {file.name: file for file in (*checkpoint.files, *checkpoint.other_files) if file.name in names}


def _file_faults(
    attested: Attested, checkpoint: Checkpoint, files: Mapping[str, CheckpointFile], digests: Mapping[str, str]
) -> Iterator[FileDifference]:
    """Files that differ or are missing. If the checkpoint is a single file, no other file is expected."""
    for name, digest in attested.files.items():
        if name in files and digests[files[name].name] != digest:
            yield FileDifference(files[name].name, "has other bytes")
        elif name not in files and checkpoint.is_directory:
            yield FileDifference(name, "is missing")


def _tensor_faults(attested: Attested, checkpoint: Checkpoint, digests: Mapping[str, str | None]) -> Iterator[Lost]:
    found = checkpoint.by_name
    for name, tensor in attested.tensors.items():
        if fault := _fault(tensor, found.get(name), digests):
            yield Lost(name, fault)
    yield from (Lost(name, "is new") for name in found if name not in attested.tensors)


def _fault(tensor: AttestedTensor, found: TensorSpec | None, digests: Mapping[str, str | None]) -> str | None:
    if found is None:
        return "is missing"
    if (found.dtype.name, found.shape) != (tensor.dtype, tensor.shape):
        now, was = f"{list(found.shape)} {found.dtype.name}", f"{list(tensor.shape)} {shown(tensor.dtype)}"
        return f"is {now} instead of {was}"
    return "has other values" if tensor.digest not in (None, digests[found.name]) else None
