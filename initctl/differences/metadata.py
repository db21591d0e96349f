"""What the files of two checkpoints say beside tensors."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initctl.formats import Checkpoint


class ChangedText(NamedTuple):
    """What the `one` and the `other` say under `key`; None if they say nothing."""

    key: str
    one: str | None
    other: str | None


def changed_metadata(one: Checkpoint, other: Checkpoint) -> tuple[ChangedText, ...]:
    """What differs in metadata, and in what is beside tensors in files of torch.save, whatever file it is in.

    Checkpoints of different formats hold other things there: nothing is compared.
    """
    if one.format != other.format and not (one.is_safetensors and other.is_safetensors):
        return ()
    ones, others = _texts(one), _texts(other)
    changed = (ChangedText(key, ones.get(key), others.get(key)) for key in sorted(ones.keys() | others.keys()))
    return tuple(text for text in changed if text.one != text.other)


def _texts(checkpoint: Checkpoint) -> dict[str, str]:
    """By key; what files say differently is put together."""
    found: dict[str, set[str]] = defaultdict(set)
    for entries in chain(checkpoint.metadata.values(), checkpoint.contents.values()):
        for key, text in entries.items():
            found[key].add(text)
    return {key: "; ".join(sorted(texts)) for key, texts in found.items()}
