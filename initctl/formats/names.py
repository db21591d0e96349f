"""Names relative to the root: without the wrappers' prefixes that every name of a checkpoint carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

WRAPPER_PREFIXES = ("module.", "_orig_mod.")
"""Put before every name by DistributedDataParallel and by torch.compile."""


def wrapper_prefix(names: Collection[str]) -> str:
    """The run of wrapper prefixes that begins every one of `names`; empty where one lacks it."""
    prefix = ""
    while names:
        longer = [prefix + wrapper for wrapper in WRAPPER_PREFIXES]
        found = next((p for p in longer if all(name.startswith(p) and name != p for name in names)), None)
        if found is None:
            break
        prefix = found
    return prefix
