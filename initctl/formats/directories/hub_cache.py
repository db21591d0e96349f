"""Hugging Face's cache: content in `blobs/`, links to it in `snapshots/`."""

from __future__ import annotations

import os
import re

_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""Names of files in `blobs/`: a git SHA-1, or the SHA-256 of what Git LFS holds."""


def in_hub_cache(path: str) -> bool:
    """Whether the file at `path` (not a link to it) is one of Hugging Face's cache, named by its content's hash."""
    blobs, name = os.path.split(path)
    return bool(_HASH.fullmatch(name)) and os.path.basename(blobs) == "blobs"
