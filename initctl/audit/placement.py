"""Where a result holds the tensors of the checkpoint that it came of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from initctl.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.formats import Checkpoint
    from initctl.tensors import TensorSpec


@dataclass(frozen=True, slots=True)
class FileDifference:
    """What is wrong with a `file`; where it is a byte, the first, `at` is its number."""

    file: str
    fault: str
    at: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "fault": self.fault, "byte": self.at}


@dataclass(frozen=True, slots=True)
class Lost:
    """A tensor that the result holds as another, or not at all; `fault` says which."""

    tensor: str
    fault: str

    def to_json(self) -> dict[str, str]:
        return {"tensor": self.tensor, "fault": self.fault}


class ByPlace:
    """In the same places of the same files, as `apply` leaves all that it does not convert."""

    lost: tuple[Lost, ...] = ()

    def __init__(self, source: Checkpoint, result: Checkpoint) -> None:
        self.files = {was.name: now for was, now in zip(source.files, result.files, strict=True)}

    def find(self, tensor: TensorSpec) -> TensorSpec:
        return replace(tensor, blocks=tuple(replace(b, file=self.files[b.file].name) for b in tensor.blocks))


class ByName:
    """Wherever tensors of the same names lie."""

    def __init__(self, source: Checkpoint, result: Checkpoint) -> None:
        self._tensors = {name: tensor for tensor in result.tensors for name in (*tensor.aliases, tensor.name)}
        told = ((tensor.name, self._fault(tensor)) for tensor in source.tensors)
        self.lost = tuple(Lost(name, fault) for name, fault in told if fault)
        self._lost = {lost.tensor for lost in self.lost}

    def find(self, tensor: TensorSpec) -> TensorSpec | None:
        return None if tensor.name in self._lost else self._tensors[tensor.name]

    def _fault(self, tensor: TensorSpec) -> str | None:
        there = self._tensors.get(tensor.name)
        if there is None:
            return "is not there"
        if (there.dtype, there.shape) != (tensor.dtype, tensor.shape):
            was, now = (f"{list(t.shape)} {shown(t.dtype.name)}" for t in (tensor, there))
            return f"is {now}, and was {was}"
        return None


def is_of_a_kind(source: Checkpoint, result: Checkpoint) -> bool:
    """Whether both are of one format, and both files or both directories: then nothing was converted."""
    return (source.format, source.is_directory) == (result.format, result.is_directory)


def is_laid_out_alike(source: Checkpoint, result: Checkpoint) -> bool:
    """Whether they are of a kind, of files of the same sizes (and names, in a directory), with tensors in the same
    places, whatever these are called.
    """
    return is_of_a_kind(source, result) and _sizes(source) == _sizes(result) and _places(source) == _places(result)


def faults(source: Checkpoint, result: Checkpoint) -> Iterator[FileDifference]:
    """What is wrong with the files of a checkpoint that is of a kind with its source, and laid out otherwise."""
    sizes, before = _sizes(result), _sizes(source)
    names = {} if source.is_directory else {"": result.files[0].name}
    for name, size in before.items():
        if name not in sizes:
            yield FileDifference(name, "is not there")
        elif sizes[name] != size:
            yield FileDifference(names.get(name, name), f"has {sizes[name]:,} bytes, and had {size:,}")
    if sizes == before:
        yield FileDifference(result.files[0].name, "has tensors in other places")


def _sizes(checkpoint: Checkpoint) -> dict[str, int]:
    return {file.name if checkpoint.is_directory else "": file.size for file in checkpoint.files}


def _places(checkpoint: Checkpoint) -> list[tuple[object, ...]]:
    named = checkpoint.is_directory
    return [
        (tensor.dtype, *((b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks))
        for tensor in (*checkpoint.tensors, *checkpoint.outside)
    ]
