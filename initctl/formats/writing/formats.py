"""What a new file is made of, and what a format has to say for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.formats.checkpoint_file import Checksum
    from initctl.tensors import TensorSpec


Part = tuple[int, bytes]
"""Bytes of a file, and where they begin."""


class Layout(NamedTuple):
    """A new file of `size` bytes, before the bytes of its tensors are known.

    `parts` are around the tensors. The tensor of each name in `offsets` begins there, in row-major order. Once all that
    is written, and the `checksums` are computed, `closing` reads the file's descriptor and gives the parts that depend
    on it.
    """

    parts: Sequence[Part]
    offsets: Mapping[str, int]
    size: int
    checksums: Sequence[Checksum] = ()
    closing: Callable[[int], Sequence[Part]] = lambda _: ()


class Format(NamedTuple):
    """A format that new files can have. `name` is what a `Checkpoint` read from one says, `title` what messages say.

    `unfit(tensor)` says why a file of this format cannot hold a tensor, if it cannot. `layout(file, tensors, source)`
    is that of a new file called `file`, of some `tensors` of `source`: of those that are tied, one.
    """

    name: str
    title: str
    unfit: Callable[[TensorSpec], str | None]
    layout: Callable[[str, Sequence[TensorSpec], Checkpoint], Layout]
