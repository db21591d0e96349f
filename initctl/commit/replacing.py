"""The one step in which something complete takes its place: before it every reader sees the old, after it the new."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from initctl.commit import effects
from initctl.commit.failure import storage_errors
from initctl.commit.new_files import sync_directory
from initctl.errors import ConflictError, Problem, StorageError, UncertainError, shown
from initctl.traces import staged_path
from initctl.undisturbed import delayed, undisturbed

_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
"""Error codes of renaming a directory to the name of a file, or of a directory that is not empty."""
_UNABLE = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}
"""Error codes of a system or a file system without such a call."""


def replace_file(
    path: str,
    target: str,
    *,
    no_clobber: bool = False,
    on_commit: Callable[[], None] = lambda: None,
    is_the_end: bool = True,
) -> None:
    """Let the file at `path` become `target`, or replace it, and call `on_commit` before anything else can happen.

    With `no_clobber`, raises `ConflictError` if the target exists. A signal that comes meanwhile is dropped, if this
    `is_the_end` of the work.
    """
    with undisturbed(even_if=UncertainError) if is_the_end else delayed():
        with storage_errors(target):
            if no_clobber:
                _rename_new(path, target)
            else:
                effects.rename(path, target)
        _committed(target, on_commit)


def replace_directory(
    path: str,
    target: str,
    *,
    check_before_replacing: Callable[[], None] | None = None,
    on_commit: Callable[[], None] = lambda: None,
) -> None:
    """Let the directory at `path` become `target`, or replace it, in one step. Then call `on_commit`.

    If the target exists by then, `check_before_replacing` is called first; it raises an error to prevent the
    replacement. The old directory is at `path` afterwards. Without that function, a target that exists and is not an
    empty directory is a `ConflictError`.
    """
    with undisturbed(even_if=UncertainError):
        while not _took_place(path, target, check_before_replacing):
            pass
        _committed(target, on_commit)


def check_exchange(staged: str, target: str) -> None:
    """Raise `StorageError` if no directory can replace the one at `target` in one step. Two empty ones try it, in the
    directory `staged`, so that nothing else is left if this process is killed.
    """
    one, other = (staged_path(os.path.join(staged, "")) for _ in range(2))
    with storage_errors(target):
        try:
            for path in (one, other):
                effects.make_directory(path)
            _exchange(one, other, target)
            for path in (one, other):
                effects.remove_directory(path)  # if it cannot be removed, it would be part of the result
        except BaseException:
            for path in (one, other):
                effects.remove_tree(path)
            raise


def _took_place(path: str, target: str, check_before_replacing: Callable[[], None] | None) -> bool:
    """Whether it is at the target now. If not, another process removed the target meanwhile: try again."""
    with storage_errors(target):
        if _renamed_to(path, target):
            return True
    if check_before_replacing is None:
        raise _taken(target)
    check_before_replacing()
    return _exchanged(path, target)


def _exchanged(path: str, target: str) -> bool:
    try:
        _exchange(path, target, target)
    except FileNotFoundError:
        return False
    return True


def _exchange(path: str, other: str, target: str) -> None:
    try:
        effects.exchange(path, other)
    except FileNotFoundError:
        raise
    except OSError as error:
        message = f"{shown(target)}: cannot be replaced in one step: {error.strerror}"
        raise StorageError(
            Problem("storage.no_exchange", message, "write to a directory that does not exist yet with -o")
        ) from error


def _renamed_to(path: str, target: str) -> bool:
    """Rename the directory `path` to `target` in one step. False if a file or a non-empty directory is there."""
    try:
        effects.rename(path, target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _rename_new(path: str, target: str) -> None:
    """Move the file `path` to `target` in one step, unless something is there."""
    try:
        effects.rename_new(path, target)
    except FileExistsError:
        raise _taken(target) from None
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        _link_as(path, target)


def _link_as(path: str, target: str) -> None:
    """The same for a file system that cannot rename so: the file has both names for a moment."""
    try:
        effects.link(path, target)
    except FileExistsError:
        raise _taken(target) from None
    with suppress(OSError):  # whoever staged it notices that it is still there
        effects.unlink(path)


def _committed(target: str, on_commit: Callable[[], None]) -> None:
    """Call `on_commit`, then flush the name `target` to the disk, even if the call raises an error."""
    try:
        on_commit()
    finally:
        _sync_committed(os.path.dirname(target))


def _sync_committed(directory: str) -> None:
    try:
        sync_directory(directory)
    except OSError as error:
        message = f"{shown(directory)}: the result is in place, but may not survive a power failure: {error.strerror}"
        raise UncertainError(Problem("storage.uncertain", message)) from error


def _taken(target: str) -> ConflictError:
    return ConflictError(Problem("output.exists", f"{shown(target)}: exists", "leave --no-clobber out to replace it"))
