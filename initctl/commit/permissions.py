"""The permissions that a result gets: those of its source, without what would let others act as its owner."""

from __future__ import annotations

import os
import stat

_COPIED = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO


def give_permissions(path: str, mode: int) -> None:
    """Let owner, group and others read, write and execute `path` as `mode` says; nothing else of `mode` is taken over.

    Set-user-ID, set-group-ID and sticky bits are never copied. The result belongs to whoever runs initctl, so somebody
    else's set-user-ID program would run as them. Every permission of a result is set here.
    """
    os.chmod(path, mode & _COPIED)
