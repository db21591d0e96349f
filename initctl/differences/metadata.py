"""Metadata, and other contents of files beside tensors."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.formats import Checkpoint


class ChangedText(NamedTuple):
    """The texts of `one` and `other` under `key`; None if the key is missing."""

    key: str
    one: str | None
    other: str | None


def changed_metadata(one: Checkpoint, other: Checkpoint) -> tuple[ChangedText, ...]:
    """The differences in metadata, and in other contents of files of torch.save, whichever file has them.

    Nothing is compared if the formats differ, since each has other contents.
    """
    if one.format != other.format and not (one.is_safetensors and other.is_safetensors):
        return ()
    ones, others = _texts(one), _texts(other)
    changed = (ChangedText(key, ones.get(key), others.get(key)) for key in sorted(ones.keys() | others.keys()))
    return tuple(text for text in changed if text.one != text.other)


def _texts(checkpoint: Checkpoint) -> dict[str, str]:
    """The texts by key. If files have different texts under a key, they are joined."""
    found: dict[str, set[str]] = defaultdict(set)
    for entries in chain(checkpoint.metadata.values(), checkpoint.contents.values()):
        for key, text in entries.items():
            found[key].add(text)
    return {key: "; ".join(sorted(texts)) for key, texts in found.items()}
