"""A new file or directory that becomes visible at its target only when it is complete.

Both are used in the same way:

    with StagedFile(target) as staged:
        ...                      # write to staged.descriptor
        staged.sync(mode)        # on the disk, but not yet visible
        ...                      # last checks
        staged.commit()          # visible and complete

Leaving without a commit removes what was staged. The staged file is beside the target, so that the last step is a
rename within one directory.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

from initctl.commit.copying import write_all
from initctl.commit.failure import storage_errors
from initctl.commit.new_files import NewDirectory, NewFile, new_file_mode
from initctl.commit.replacing import replace_directory, replace_file
from initctl.commit.tree import tree
from initctl.commit.undisturbed import undisturbed
from initctl.errors import Problem, UncertainError, shown

if TYPE_CHECKING:
    from types import TracebackType

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class StagedFile(NewFile):
    """A new file that replaces `target`."""

    def __init__(self, target: str) -> None:
        super().__init__(staged_path(target), target)

    def __enter__(self) -> Self:
        with _removed_on_a_signal(self):
            return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        with suppress(OSError):  # after a commit there is nothing to remove
            os.unlink(self.path)

    def commit(self, *, no_clobber: bool = False, on_commit: Callable[[], None] = lambda: None) -> None:
        """Replace the target, as `replace_file` does."""
        replace_file(self.path, self.target, no_clobber=no_clobber, on_commit=on_commit)


class StagedDirectory(NewDirectory):
    """A new directory that becomes `target`, or replaces it."""

    def __init__(self, target: str) -> None:
        super().__init__(staged_path(target), target)

    def __enter__(self) -> Self:
        with _removed_on_a_signal(self), storage_errors(self.target):
            os.mkdir(self.path, 0o700)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with undisturbed():
            remove_directory(self.path)
        if error is None and os.path.lexists(self.path):
            message = f"{shown(self.target)}: is in place, but {shown(self.path)} could not be removed"
            raise UncertainError(Problem("storage.leftover", message, "remove it"))

    def commit(
        self, *, check_before_replacing: Callable[[], None] | None = None, on_commit: Callable[[], None] = lambda: None
    ) -> None:
        """Become the target, or replace it, as `replace_directory` does. The old directory is removed at the end."""
        replace_directory(self.path, self.target, check_before_replacing=check_before_replacing, on_commit=on_commit)


@contextmanager
def _removed_on_a_signal(staged: StagedFile | StagedDirectory) -> Iterator[None]:
    """Remove what the body creates if a signal interrupts it: Python raises only after the file exists."""
    try:
        yield
    except Exception:
        raise
    except BaseException as error:
        staged.__exit__(type(error), error, None)
        raise


def write_file(path: str, parts: Iterable[bytes]) -> None:
    """Write `parts`, in order, to the file `path`, in one step. It keeps the permissions of the old file, if there is
    one.
    """
    target = os.path.realpath(path)
    with storage_errors(path):
        mode = os.stat(target).st_mode if os.path.exists(target) else new_file_mode()
    with StagedFile(target) as staged:
        offset = 0
        for part in parts:
            with storage_errors(path):
                write_all(staged.descriptor, part, offset)
            offset += len(part)
        staged.sync(mode)
        staged.commit()


def remove_directory(path: str) -> None:
    """Remove the directory `path` as far as possible, read-only subdirectories included."""
    with suppress(OSError):
        for directory, _ in tree(path):
            os.chmod(directory, stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def staged_path(target: str) -> str:
    """A name beside `target` that identifies its process: boot, process ID, and a random part."""
    name = f".initctl-{_boot()}-{os.getpid()}-{os.urandom(4).hex()}.tmp"
    return os.path.join(os.path.dirname(target), name)


@cache
def _boot() -> str:
    try:
        with open(_BOOT_ID, "rb") as stream:
            return blake2b(stream.read(), digest_size=3).hexdigest()
    except OSError:
        return "0" * 6
