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

import errno
import os
import shutil
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Self

from initctl.commit.copying import write_all
from initctl.commit.exchange import exchange
from initctl.commit.failure import storage_errors
from initctl.commit.tree import tree
from initctl.commit.undisturbed import undisturbed
from initctl.errors import ConflictError, Problem, StorageError, UncertainError, shown

if TYPE_CHECKING:
    from types import TracebackType

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_NEW_FILE = 0o666
_COPIED = stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
"""The permission bits that are copied from the source."""
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
"""Error codes of renaming a directory to the name of a file, or of a directory that is not empty."""


class NewFile:
    """A new file, to be written through `descriptor`. Messages call it `target`.

    The first `with` creates it; a later one opens it again.
    """

    def __init__(self, path: str, target: str) -> None:
        self.path = path
        self.target = target
        self.descriptor = -1
        self._made = False

    def __enter__(self) -> Self:
        flags = os.O_RDWR if self._made else os.O_RDWR | os.O_CREAT | os.O_EXCL
        with storage_errors(self.target):
            self.descriptor = os.open(self.path, flags, stat.S_IRUSR | stat.S_IWUSR)
        self._made = True
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # a file that is kept was closed by `sync`, which reports errors
            self._close()

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The descriptor. If the file is not open, it is opened for the body of the `with`."""
        with nullcontext() if self.descriptor >= 0 else self:
            yield self.descriptor

    def sync(self, mode: int) -> None:
        """Flush the content to the disk, with the permissions `mode`."""
        with storage_errors(self.target):
            _give_permissions(self.path, mode)
            os.fsync(self.descriptor)
            self._close()

    def _close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class StagedFile(NewFile):
    """A new file that replaces `target`."""

    def __init__(self, target: str) -> None:
        super().__init__(_staged_path(target), target)

    def __enter__(self) -> Self:
        with _removed_on_a_signal(self):
            return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        with suppress(OSError):  # after a commit there is nothing to remove
            os.unlink(self.path)

    def commit(self, *, no_clobber: bool = False, on_commit: Callable[[], None] = lambda: None) -> None:
        """Replace the target, and call `on_commit` before anything else can happen.

        With `no_clobber`, raises `ConflictError` if the target exists.
        """
        with undisturbed():
            with storage_errors(self.target):
                if no_clobber:
                    _link_as(self.path, self.target)
                else:
                    os.replace(self.path, self.target)
            _committed(self.target, on_commit)


class StagedDirectory:
    """A new directory that becomes `target`, or replaces it."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.path = _staged_path(target)

    def __enter__(self) -> Self:
        with _removed_on_a_signal(self), storage_errors(self.target):
            os.mkdir(self.path, 0o700)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with undisturbed():
            _remove(self.path)
        if error is None and os.path.lexists(self.path):
            message = f"{shown(self.target)}: is in place, but {shown(self.path)} could not be removed"
            raise UncertainError(Problem("storage.leftover", message, "remove it"))

    def file(self, name: str) -> NewFile:
        """The new file `name`, a path relative to the directory."""
        path, target = (os.path.join(folder, name) for folder in (self.path, self.target))
        with storage_errors(target):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        return NewFile(path, target)

    def link_rest(self, source: str, *, without: Container[str] = ()) -> None:
        """Hard-link every file of the directory `source` into this one, unless a file of its name is here.

        Files in `without` are not linked. Their names are relative to `source`.
        """
        with storage_errors(self.target):
            for parent, names in tree(source):
                below = os.path.relpath(parent, source)
                os.makedirs(os.path.join(self.path, below), exist_ok=True)
                for name in names:
                    relative = os.path.normpath(os.path.join(below, name))
                    here = os.path.join(self.path, relative)
                    if relative not in without and not os.path.lexists(here):
                        os.link(os.path.join(parent, name), here, follow_symlinks=False)

    def sync(self, mode: int, *, like: str) -> None:
        """Flush all names to the disk, with the permissions `mode`. Subdirectories get those they have in `like`."""
        with storage_errors(self.target):
            for directory, _ in tree(self.path):
                below = os.path.relpath(directory, self.path)
                _give_permissions(directory, os.stat(os.path.join(like, below)).st_mode)
                sync_directory(directory)
            _give_permissions(self.path, mode)

    def commit(
        self, *, check_before_replacing: Callable[[], None] | None = None, on_commit: Callable[[], None] = lambda: None
    ) -> None:
        """Become the target, or replace it, in one step. Then call `on_commit`.

        If the target exists by then, `check_before_replacing` is called first; it raises an error to prevent the
        replacement. The old directory is removed. Without that function, an existing target is a `ConflictError`.
        """
        with undisturbed():
            while not self._took_place(check_before_replacing):
                pass
            _committed(self.target, on_commit)

    def _took_place(self, check_before_replacing: Callable[[], None] | None) -> bool:
        """Whether it is at the target now. If not, another process removed the target meanwhile: try again."""
        with storage_errors(self.target):
            if _renamed_to(self.path, self.target):
                return True
        if check_before_replacing is None:
            raise _taken(self.target)
        check_before_replacing()
        return self._exchanged()

    def _exchanged(self) -> bool:
        try:
            exchange(self.path, self.target)
        except FileNotFoundError:
            return False
        except OSError as error:
            message = f"{shown(self.target)}: cannot be replaced in one step: {error.strerror}"
            raise StorageError(
                Problem("storage.no_exchange", message, "write to a directory that does not exist yet with -o")
            ) from error
        return True


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


def new_file_mode() -> int:
    """The permissions that a new file gets: all but those that the process's umask takes away."""
    mask = os.umask(0)
    os.umask(mask)
    return _NEW_FILE & ~mask


def _give_permissions(path: str, mode: int) -> None:
    """Give `path` the read, write and execute permissions of `mode`, and nothing else.

    Set-user-ID, set-group-ID and sticky bits are never copied: the result belongs to the user who runs initctl, and
    somebody else's set-user-ID program would run with that user's rights. All permissions of results are set here.
    """
    os.chmod(path, mode & _COPIED)


def sync_directory(path: str) -> None:
    """Flush the names in the directory `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _link_as(path: str, target: str) -> None:
    """Give the file `path` the name `target` in one step, unless that name is taken."""
    try:
        os.link(path, target)
    except FileExistsError:
        raise _taken(target) from None


def _renamed_to(path: str, target: str) -> bool:
    """Rename the directory `path` to `target` in one step. False if a file or a non-empty directory is there."""
    try:
        os.rename(path, target)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    return True


def _remove(path: str) -> None:
    """Remove the directory `path` as far as possible, read-only subdirectories included."""
    with suppress(OSError):
        for directory, _ in tree(path):
            os.chmod(directory, stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def _taken(target: str) -> ConflictError:
    return ConflictError(Problem("output.exists", f"{shown(target)}: exists"))


def _staged_path(target: str) -> str:
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
