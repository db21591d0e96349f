"""File systems that refuse several calls together, such as a network's, or one of FUSE."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.protocol.counting import watched

Refusals = dict[str, int]
"""An error code for each call that is refused."""
OF_DIRECTORIES = "flush of a directory"

NFS = {
    "rename_new": errno.EINVAL,
    "exchange": errno.EINVAL,
    "flock": errno.ENOLCK,
    "allocate": errno.EOPNOTSUPP,
    "share": errno.EOPNOTSUPP,
    "copy": errno.EXDEV,
    "listxattr": errno.EOPNOTSUPP,
    "set_attribute": errno.EOPNOTSUPP,
    "remove_attribute": errno.EOPNOTSUPP,
    "change_owner": errno.EPERM,
}
"""A server that squashes root, mounted without the daemon of locks."""
FUSE = NFS | {
    "rename_new": errno.ENOSYS,
    "exchange": errno.ENOSYS,
    "flock": errno.ENOSYS,
    "copy": errno.ENOSYS,
    "listxattr": errno.ENOSYS,
    "link": errno.EPERM,
    OF_DIRECTORIES: errno.EINVAL,
}
"""A program that has implemented little more than reading, writing and renaming."""
OLD_KERNEL = {"rename_new": errno.ENOSYS, "exchange": errno.ENOSYS, "copy": errno.ENOSYS}
"""Linux before renameat2, or a sandbox that forbids what it does not know."""

PROFILES = {"an old kernel": OLD_KERNEL, "NFS": NFS, "FUSE": FUSE}


@contextmanager
def refusing(refusals: Refusals) -> Iterator[None]:
    """Let the calls of the body be refused. Faults that are watched for happen at the other calls."""

    def refuse(name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        if name == "flush" and stat.S_ISDIR(os.fstat(*arguments).st_mode):
            name = OF_DIRECTORIES
        if code := refusals.get(name):
            raise OSError(code, os.strerror(code))
        return call()

    with watched(refuse):
        yield
