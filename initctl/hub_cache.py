"""Hugging Face's cache, whose files must not change: their names are the hashes of their contents."""

from __future__ import annotations

import os
import re

from initctl.errors import ConflictError, Problem, shown

_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Names of files in `blobs/`: a git SHA-1, or the SHA-256 of a file in Git LFS."""


def in_hub_cache(path: str) -> bool:
    """Whether the file at `path`, a real path, is in Hugging Face's cache, named by its content's hash."""
    blobs, name = os.path.split(path)
    return bool(_HASH.fullmatch(name)) and os.path.basename(blobs) == "blobs"


def check_not_cached(path: str, hint: str = "name another file") -> None:
    """Raise `ConflictError` if the real `path` is in the cache."""
    if in_hub_cache(path):
        fault = f"{shown(path)}: is in the Hugging Face cache, whose files must not change: their names are hashes"
        raise ConflictError(Problem("output.cached", fault, hint))
