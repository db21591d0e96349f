"""Hugging Face's cache, which must not change: it names contents by their hashes, and revisions by their commits."""

from __future__ import annotations

import os
import re
from itertools import pairwise

from initctl import paths
from initctl.errors import ConflictError, Problem, shown

_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Names of files in `blobs/`: a git SHA-1, or the SHA-256 of a file in Git LFS."""
_REPOSITORY = re.compile("(models|datasets|spaces)--.+")
_PARTS = {"blobs", "snapshots"}
"""The directories in one of a repository: its files, and links to them for each commit."""


def in_hub_cache(path: str) -> bool:
    """Whether the file at `path`, a real path, is in Hugging Face's cache, named by its content's hash."""
    blobs, name = os.path.split(path)
    return bool(_HASH.fullmatch(name)) and os.path.basename(blobs) == "blobs"


def check_not_cached(path: str) -> None:
    """Raise `ConflictError` if the real `path`, of a file or a directory, is in the cache or contains a part of it."""
    if in_hub_cache(path) or _is_in_repository(path) or _is_repository(path):
        fault = f"{shown(path)}: is in the Hugging Face cache, which must not change: it names contents by their hashes"
        raise ConflictError(Problem("output.cached", fault, "write to a place outside of this cache"))


def _is_in_repository(path: str) -> bool:
    return any(_REPOSITORY.fullmatch(above) and name in _PARTS for above, name in pairwise(path.split(os.sep)))


def _is_repository(path: str) -> bool:
    is_named = _REPOSITORY.fullmatch(os.path.basename(path))
    return bool(is_named) and any(paths.is_directory(os.path.join(path, name)) for name in _PARTS)
