"""Who may do what with a new file or directory: its permissions, and what it keeps of the one that it replaces."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from initctl.commit import effects

_COPIED = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
"""The permission bits that are copied."""
_OF_DIRECTORIES = stat.S_ISGID | stat.S_ISVTX
"""Bits that say whose the new files of a directory are, and who may remove them. Those of a file lend an identity."""
_GROUP = "group"
_OF_CONTENT = ("security.capability", "security.evm", "security.ima")
"""Extended attributes that are never copied: rights for one program, and signatures of the old content."""
_NAMES = {"system.posix_acl_access": "access control list", "system.posix_acl_default": "default access control list"}
_ABSENT = (errno.ENOTSUP, errno.ENOSYS, errno.ENODATA)
"""Errors that mean that the file system has no extended attributes, or that one is gone."""


def new_file_mode() -> int:
    """The permissions that a new file gets: all but those that the process's umask takes away."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def give_permissions(descriptor: int, mode: int) -> None:
    """Give a file or a directory the read, write and execute permissions of `mode`, and nothing else.

    Set-user-ID, set-group-ID and sticky bits are never copied: the result belongs to the user who runs initctl, and
    somebody else's set-user-ID program would run with that user's rights.
    """
    effects.change_mode(descriptor, mode & _COPIED)


def give_attributes(descriptor: int, mode: int, like: str) -> list[str]:
    """Give a file or a directory the permissions of `mode`, and the owner, group, access control lists and other
    extended attributes of that at the path `like`. A directory also gets its set-group-ID and sticky bits. Returns the
    names of those that the system does not allow.

    A new file has those that its directory gives by default. They are removed: they could let others read it. If the
    group cannot be kept, the other one may do no more than everybody.
    """
    try:
        old = os.stat(like)
    except FileNotFoundError:  # it was removed meanwhile
        give_permissions(descriptor, mode)
        return []
    lost = list(_change_owner(descriptor, old))
    if _GROUP in lost:
        mode = mode & ~stat.S_IRWXG | (mode & stat.S_IRWXO) << 3
    wanted, found = _attributes(like), _attributes(descriptor)
    differing = (name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name))
    refused = [name for name in differing if not _set(descriptor, name, wanted.get(name))]
    bits = mode & _OF_DIRECTORIES if stat.S_ISDIR(old.st_mode) else 0
    effects.change_mode(descriptor, mode & _COPIED | bits)  # last: it would widen what an access control list gives
    if bits & ~os.fstat(descriptor).st_mode:  # the system drops this bit without an error
        lost.append("set-group-ID bit")
    return lost + [_NAMES.get(name, f"extended attribute {name}") for name in refused]


def _change_owner(descriptor: int, like: os.stat_result) -> Iterator[str]:
    """Yields what cannot be changed. Only root may give a file away; a user may give it to a group of the user's."""
    found = os.fstat(descriptor)
    for name, is_same, ids in (
        (_GROUP, found.st_gid == like.st_gid, (-1, like.st_gid)),
        ("owner", found.st_uid == like.st_uid, (like.st_uid, -1)),
    ):
        if not is_same:
            try:
                effects.change_owner(descriptor, *ids)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL, errno.EACCES):
                    raise
                yield name


def _attributes(place: str | int) -> dict[str, bytes]:
    """The extended attributes that are copied of what is at a path, or open, by name."""
    if not hasattr(os, "listxattr"):
        return {}
    found: dict[str, bytes] = {}
    with _absent():
        for name in os.listxattr(place):
            if name not in _OF_CONTENT:
                with _absent():
                    found[name] = os.getxattr(place, name)
    return found


@contextmanager
def _absent() -> Iterator[None]:
    """The body reads what may be absent, or what this file system does not have."""
    try:
        yield
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


def _set(descriptor: int, name: str, value: bytes | None) -> bool:
    """Set an attribute, or remove it if `value` is None. False if the system does not allow that."""
    try:
        if value is None:
            effects.remove_attribute(descriptor, name)
        else:
            effects.set_attribute(descriptor, name, value)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.ENOMEM):
            raise
        return False
    return True
