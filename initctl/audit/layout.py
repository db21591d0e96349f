"""Compare the layout of a result with its original's: files, what is wrong with them, and where tensors are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from initctl.audit.verification import FileDifference, Lost
from initctl.errors import shown
from initctl.formats.safetensors import LENGTH_BYTES
from initctl.formats.state_dicts.ties import FORMAT
from initctl.formats.writing.torch_save import TORCH
from initctl.reading import TensorReader

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.reshaping.renewed_files import RenewedFile
    from initctl.tensors import TensorSpec


def may_be_converted(source: Checkpoint, result: Checkpoint) -> bool:
    """Whether a conversion of `source` can give the kind of `result`.

    Any other format can be converted to safetensors or to one file of torch.save, and safetensors to other shards. But
    a checkpoint with optimizer files beside its weights cannot be converted. What had no files, or no
    values, is converted.
    """
    is_directory = source.is_directory or result.is_directory
    is_other = source.is_safetensors or source.read_only is not None
    if source.beside:
        return False
    if result.is_safetensors:
        return not source.files or source.incomplete or not source.is_safetensors or is_directory
    return result.format == TORCH.name and not result.is_directory and (is_other or is_directory)


def is_laid_out_alike(source: Checkpoint, result: Checkpoint) -> bool:
    """Whether both have the same format, files of the same sizes (and names, in a directory), and tensors at the same
    offsets. Names of tensors may differ. Shards that a conversion may have written also need the same headers.
    """
    if source is result:
        return True
    if not (_kind(source) == _kind(result) and _sizes(source) == _sizes(result) and _places(source) == _places(result)):
        return False
    return not may_be_converted(source, result) or _headers(source) == _headers(result)


def is_laid_out_as(source: Checkpoint, result: Checkpoint, renewed: Mapping[str, RenewedFile]) -> bool:
    """Whether the result has the files of `source`, of which some are `renewed`: their sizes, and in a directory their
    names. Shards that a conversion may have written also need the headers.
    """
    if _kind(source) != _kind(result) or _new_sizes(source, renewed) != _sizes(result):
        return False
    return not may_be_converted(source, result) or _headers(source, renewed) == _headers(result)


def faults(source: Checkpoint, result: Checkpoint, renewed: Mapping[str, RenewedFile]) -> Iterator[FileDifference]:
    """What is wrong with the files of a result that was not converted, but has another layout than its original.
    Some files of the original are `renewed`.
    """
    first = result.files[0].name if result.files else ""
    if _kind(source) != _kind(result):
        kinds = [f"{c.format}{', a directory' if c.is_directory else ''}" for c in (result, source)]
        yield FileDifference(first, "is {} instead of {}".format(*kinds))
        return
    sizes, before = _sizes(result), _new_sizes(source, renewed)
    for name, size in before.items():
        if name not in sizes:
            yield FileDifference(name, "is missing")
        elif sizes[name] != size:
            yield FileDifference(name or first, f"has {sizes[name]:,} bytes instead of {size:,}")
    yield from (FileDifference(name, "is new") for name in sizes if name not in before)
    if sizes == before:
        yield FileDifference(first, "has tensors at other offsets")


def metadata_faults(source: Checkpoint, result: Checkpoint) -> Iterator[FileDifference]:
    """Differences in metadata between safetensors and what they were converted to. Each new file has the metadata of
    all source files; notes about ties and about the library may be added. A file of torch.save cannot hold metadata.
    """
    if not (source.is_safetensors and result.is_safetensors):
        return
    names = {name for tensor in source.tensors for name in (tensor.name, *tensor.aliases)}
    expected: dict[str, str] = {}
    for name in [file.name for file in source.files] or source.metadata:
        expected |= source.metadata.get(name, {})
    for file in result.files:
        found = result.metadata.get(file.name, {})
        for key in sorted(expected.keys() | found.keys()):
            was, now = expected.get(key), found.get(key)
            is_added = key == FORMAT and was is None
            if was != now and was not in names and now not in names and not is_added:
                fault = "is missing" if now is None else "is new" if was is None else "differs"
                yield FileDifference(file.name, f"metadata {shown(key)} {fault}")


def _headers(checkpoint: Checkpoint, renewed: Mapping[str, RenewedFile] = MappingProxyType({})) -> list[bytes]:
    """The headers of all files of safetensors; of `renewed` ones, the new ones."""
    found = []
    for file in (file for file in checkpoint.files if file.name not in checkpoint.beside):
        if new := renewed.get(file.name):
            found.append(new.layout.parts[0][1])
            continue
        with TensorReader(checkpoint) as reader:
            length = int.from_bytes(reader.read_range(file.name, 0, LENGTH_BYTES).tobytes(), "little")
            found.append(reader.read_range(file.name, 0, LENGTH_BYTES + length).tobytes())
    return found


def _kind(checkpoint: Checkpoint) -> tuple[str, bool]:
    return checkpoint.format, checkpoint.is_directory


def _sizes(checkpoint: Checkpoint) -> dict[str, int]:
    return {file.name if checkpoint.is_directory else "": file.size for file in checkpoint.files}


def _new_sizes(checkpoint: Checkpoint, renewed: Mapping[str, RenewedFile]) -> dict[str, int]:
    sizes = {file.name: file.size for file in checkpoint.files}
    sizes |= {name: new.layout.size for name, new in renewed.items() if name in sizes}
    return {name if checkpoint.is_directory else "": size for name, size in sizes.items()}


def _places(checkpoint: Checkpoint) -> list[tuple[object, ...]]:
    named = checkpoint.is_directory
    return [
        (tensor.dtype, *((b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks))
        for tensor in (*checkpoint.tensors, *checkpoint.outside)
    ]


class Placement(NamedTuple):
    """The tensors of the result that hold each tensor of the source, by its name and blocks; and what is `lost`."""

    held: Mapping[object, tuple[TensorSpec, ...]]
    lost: tuple[Lost, ...] = ()

    def find(self, tensor: TensorSpec) -> tuple[TensorSpec, ...]:
        """The tensors of the result that hold it, its own name first. Tensors that were tied to it may be apart now."""
        return self.held.get(_key(tensor), ())


def by_place(source: Checkpoint, result: Checkpoint) -> Placement:
    """Tensors at the same offsets of the same files, as in a result that was not converted."""
    before, after = ((*table.tensors, *table.outside) for table in (source, result))
    return Placement({_key(was): (now,) for was, now in zip(before, after, strict=True)})


def by_name(source: Checkpoint, result: Checkpoint, *, is_converted: bool) -> Placement:
    """Tensors of the same names. None may be lost or added. A name that a file only notes, of a tied tensor, counts.

    If the result `is_converted`, it has no tensors from outside the root.
    """
    inside = {alias: tensor for tensor in result.tensors for alias in tensor.aliases}
    inside |= {tensor.name: tensor for tensor in result.tensors}
    outside = {tensor.name: tensor for tensor in result.outside}
    wanted = {name: tensor for tensor in source.tensors for name in (tensor.name, *tensor.aliases)}
    found = [(name, tensor, inside.get(name)) for name, tensor in wanted.items()]
    if not is_converted:
        found += [(tensor.name, tensor, outside.get(tensor.name)) for tensor in source.outside]
    held: dict[object, tuple[TensorSpec, ...]] = defaultdict(tuple)
    lost = []
    for name, tensor, there in found:
        if there and (there.dtype, there.shape) == (tensor.dtype, tensor.shape):
            held[_key(tensor)] += (there,)
        else:
            lost.append(Lost(name, _fault(tensor, there)))
    added = (Lost(name, "is new") for name in inside if name not in wanted)
    return Placement(held, (*lost, *added))


def _key(tensor: TensorSpec) -> object:
    """A key that identifies `tensor` within its checkpoint, optimizer states included."""
    return tensor.name, tensor.blocks


def _fault(tensor: TensorSpec, there: TensorSpec | None) -> str:
    if there is None:
        return "is missing"
    was, now = (f"{list(t.shape)} {shown(t.dtype.name)}" for t in (tensor, there))
    return f"is {now} instead of {was}"
