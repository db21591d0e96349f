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
    """A tensor that the result holds as another, or not at all, or has no reason to hold; `fault` says which."""

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
    """Wherever tensors of the same names lie: as many as there were, and no more."""

    def __init__(self, source: Checkpoint, result: Checkpoint) -> None:
        aliases = {alias: tensor for tensor in result.tensors for alias in tensor.aliases}
        self._tensors = aliases | {tensor.name: tensor for tensor in result.tensors}
        told = ((tensor.name, self._fault(tensor)) for tensor in source.tensors)
        known = {name for tensor in source.tensors for name in (tensor.name, *tensor.aliases)}
        self._lost = {name: fault for name, fault in told if fault}
        self.lost = (
            *(Lost(name, fault) for name, fault in self._lost.items()),
            *(Lost(name, "was not there") for name in self._tensors if name not in known),
        )

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


def may_be_converted(source: Checkpoint, result: Checkpoint) -> bool:
    """Whether a conversion gives what is of the kind of `result`: safetensors, in shards anew if it was that before."""
    return result.is_safetensors and (not source.is_safetensors or source.is_directory or result.is_directory)


def is_laid_out_alike(source: Checkpoint, result: Checkpoint) -> bool:
    """Whether they are of a format, of files of the same sizes (and names, in a directory), with tensors in the same
    places, whatever these are called.
    """
    return _kind(source) == _kind(result) and _sizes(source) == _sizes(result) and _places(source) == _places(result)


def faults(source: Checkpoint, result: Checkpoint) -> Iterator[FileDifference]:
    """What is wrong with the files of what was not converted, and is laid out otherwise."""
    first = result.files[0].name if result.files else ""
    if _kind(source) != _kind(result):
        kinds = [f"{c.format}{', a directory' if c.is_directory else ''}" for c in (result, source)]
        yield FileDifference(first, "is {}, and was {}".format(*kinds))
        return
    sizes, before = _sizes(result), _sizes(source)
    for name, size in before.items():
        if name not in sizes:
            yield FileDifference(name, "is not there")
        elif sizes[name] != size:
            yield FileDifference(name or first, f"has {sizes[name]:,} bytes, and had {size:,}")
    yield from (FileDifference(name, "was not there") for name in sizes if name not in before)
    if sizes == before:
        yield FileDifference(first, "has tensors in other places")


def _kind(checkpoint: Checkpoint) -> tuple[str, bool]:
    return checkpoint.format, checkpoint.is_directory


def _sizes(checkpoint: Checkpoint) -> dict[str, int]:
    return {file.name if checkpoint.is_directory else "": file.size for file in checkpoint.files}


def _places(checkpoint: Checkpoint) -> list[tuple[object, ...]]:
    named = checkpoint.is_directory
    return [
        (tensor.dtype, *((b.file if named else "", b.offset, b.start, b.shape, b.strides) for b in tensor.blocks))
        for tensor in (*checkpoint.tensors, *checkpoint.outside)
    ]
