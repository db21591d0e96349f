"""The layout of a new file, and what a format must define for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.checkpoint_file import Checksum
    from initctl.tensors import TensorSpec


Part = tuple[int, bytes]
"""The offset of some bytes in a file, and the bytes."""


class Layout(NamedTuple):
    """A new file of `size` bytes, before the bytes of its tensors are known.

    `parts` are the bytes around the tensors. `offsets` says where each tensor begins, by name; tensors are in row-major
    order. After all these and the `checksums` are written, `closing` reads from the file's descriptor and gives the
    parts that depend on them.
    """

    parts: Sequence[Part]
    offsets: Mapping[str, int]
    size: int
    checksums: Sequence[Checksum] = ()
    closing: Callable[[int], Sequence[Part]] = lambda _: ()


class Format(NamedTuple):
    """A format that initctl writes. A `Checkpoint` calls it `name`; messages call it `title`.

    `unfit(tensor)` says why a file in this format cannot contain a tensor; None if it can. `layout(file, tensors,
    source)` is the layout of a new file named `file` with `tensors` of `source`; of tied tensors only one is given.
    """

    name: str
    title: str
    unfit: Callable[[TensorSpec], str | None]
    layout: Callable[[str, Sequence[TensorSpec], Checkpoint], Layout]
