"""What writing comes to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: the path, and the files, by their names in the result.

    `files` is empty where nothing was to be changed in place.
    """

    path: str
    files: tuple[str, ...]
