"""Which tensors of two checkpoints, and which of their other files, are compared with each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add
from typing import TYPE_CHECKING, Literal, NamedTuple

from initctl.dtypes import BY_NAME
from initctl.selecting import selected_names
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from initctl.formats import Checkpoint

    Kind = Literal["values", "dtype", "shape"]

_BYTE = BY_NAME["uint8"]
_OF_CODES = ("packed", "quantized")


class Pair(NamedTuple):
    """The tensors called `name` in both checkpoints. If `is_of_bytes`, their elements are not numbers."""

    name: str
    one: TensorSpec
    other: TensorSpec
    is_of_bytes: bool

    @property
    def kind(self) -> Kind:
        """What differs: the shape; or else the dtype; or else at most the values."""
        if self.one.shape != self.other.shape:
            return "shape"
        return "values" if self.one.dtype == self.other.dtype else "dtype"

    @property
    def unreadable(self) -> str | None:
        """Why elements cannot be compared, if they cannot."""
        if self.kind == "dtype":
            codes = [tensor.dtype.name for tensor in (self.one, self.other) if tensor.dtype.kind in _OF_CODES]
            if codes:
                return f"{codes[0]} holds codes, not numbers"
        return self.one.unwritable or self.other.unwritable

    @property
    def is_comparable(self) -> bool:
        """Whether elements can be compared one by one."""
        return self.kind != "shape" and not self.unreadable


class Paired(NamedTuple):
    """The tensors of two checkpoints: those in both, in the order of the first one, and those in only one."""

    pairs: tuple[Pair, ...] = ()
    only_one: tuple[TensorSpec, ...] = ()
    only_other: tuple[TensorSpec, ...] = ()

    def __add__(self, other: Paired) -> Paired:  # type: ignore[override]
        return Paired(*map(add, self, other))

    @property
    def names(self) -> list[str]:
        return [each.name for group in self for each in group]

    def taking(self, names: set[str]) -> Paired:
        """Only those that have one of `names`."""
        pairs = tuple(pair for pair in self.pairs if pair.name in names)
        one, other = (tuple(tensor for tensor in group if tensor.name in names) for group in self[1:])
        return Paired(pairs, one, other)


def common_prefix(longer: Sequence[TensorSpec], shorter: Sequence[TensorSpec]) -> str | None:
    """The keys that, put before all names of `shorter`, make them names of `longer`; None if there are no such keys."""
    names = {tensor.name for tensor in longer}
    ending = f".{shorter[0].name}" if shorter else "\0"
    prefixes = (name.removesuffix(ending) for name in sorted(names) if name.endswith(ending))
    return next((keys for keys in prefixes if all(f"{keys}.{tensor.name}" in names for tensor in shorter)), None)


def paired_tensors(one: Checkpoint, other: Checkpoint, patterns: Sequence[str]) -> Paired:
    """Tensors paired by their names: those that match one of `patterns`; or all, if there are no patterns.

    If both have tensors outside their roots, these are paired by their full names, except for those that are at the
    root of the other checkpoint. A pattern must match a name of either checkpoint. Raises what `selected_names` raises.
    """
    found = _paired(one.tensors, other.tensors)
    if patterns:
        return found.taking(selected_names(found.names, patterns))
    if not (one.outside and other.outside):
        return found
    return found + _paired(_outside_of_both(one, other.root), _outside_of_both(other, one.root))


def _outside_of_both(checkpoint: Checkpoint, root: str) -> list[TensorSpec]:
    """Tensors outside the root of `checkpoint` and outside `root`."""
    return [tensor for tensor in checkpoint.outside if not tensor.name.startswith(f"{root}.")]


def paired_files(one: Checkpoint, other: Checkpoint) -> Paired:
    """The other files of two directories, as tensors of bytes. Hidden files are left out.

    Raises `InputError` if a folder cannot be read.
    """
    if not (one.is_directory and other.is_directory):
        return Paired()
    return _paired(_files(one), _files(other), are_bytes=True)


def _paired(one: Sequence[TensorSpec], other: Sequence[TensorSpec], *, are_bytes: bool = False) -> Paired:
    """Pair by name. A tied tensor's name that a file only notes counts if the other file has a tensor of that name."""
    ones, others = _by_name(one), _by_name(other)
    names = dict.fromkeys(tensor.name for tensor in (*one, *other))
    return Paired(
        tuple(
            Pair(name, ones[name], others[name], are_bytes or ones[name].dtype.kind in _OF_CODES)
            for name in names
            if name in ones and name in others
        ),
        tuple(tensor for tensor in one if tensor.name not in others),
        tuple(tensor for tensor in other if tensor.name not in ones),
    )


def _by_name(tensors: Iterable[TensorSpec]) -> dict[str, TensorSpec]:
    noted = {alias: tensor for tensor in tensors for alias in tensor.aliases}
    return noted | {tensor.name: tensor for tensor in tensors}


def _files(checkpoint: Checkpoint) -> list[TensorSpec]:
    names = {file.name: file.size for file in checkpoint.side_files}
    return [
        TensorSpec.contiguous(name, _BYTE, (size,), name, 0)
        for name, size in names.items()
        if not any(part.startswith(".") for part in name.split("/"))
    ]
