"""What a file of torch.save holds, in either container: a pickle, and the storages that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.formats.checkpoint_file import Checksum
    from initctl.formats.torch_save.pickle import Pickle


class SavedObject(NamedTuple):
    """What torch.save wrote: the object's pickle and the byte of the file that places in it count from, the bytes where
    each storage begins and ends, by its key, and what the file says of it.
    """

    pickle: Pickle
    origin: int
    storages: Mapping[str, tuple[int, int]]
    checksums: tuple[Checksum, ...]
    metadata: Mapping[str, str]
