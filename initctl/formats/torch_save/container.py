"""The content of a file of torch.save, in either container: a pickle, and the storages that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.formats.checkpoint_file import Checksum
    from initctl.formats.torch_save.pickle import Pickle


class SavedObject(NamedTuple):
    """An object that torch.save wrote: its `pickle`, which begins at byte `origin` of the file, and its `storages`.

    `storages` are the offsets at which each storage begins and ends, by key. `metadata` describes the file.
    """

    pickle: Pickle
    origin: int
    storages: Mapping[str, tuple[int, int]]
    checksums: tuple[Checksum, ...]
    metadata: Mapping[str, str]
