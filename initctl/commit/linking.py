"""Hard links to files of other users. Systems can forbid them: Linux does if the user may not write the file."""

from __future__ import annotations

import os
from collections.abc import Container

from initctl.commit import effects
from initctl.commit.failure import storage_errors
from initctl.commit.rest import rest_of
from initctl.commit.staging import StagedDirectory


def unlinkable(directory: str, *, without: Container[str]) -> list[str]:
    """The files of the real `directory` that another user owns and that the system does not let this one link, but
    those `without`. Names are relative to the directory. The links are tried beside it.
    """
    with storage_errors(directory):
        files = (name for _, names in rest_of(directory, without) for name in names)
        others = [name for name in files if os.lstat(os.path.join(directory, name)).st_uid != os.geteuid()]
    if not others:
        return []
    with StagedDirectory(directory) as staged:
        link = os.path.join(staged.path, "link")
        return [name for name in others if not _can_link(os.path.join(directory, name), link)]


def _can_link(path: str, target: str) -> bool:
    with storage_errors(path):
        try:
            effects.link(path, target)
        except PermissionError:
            return False
        effects.unlink(target)
        return True
