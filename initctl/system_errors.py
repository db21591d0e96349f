"""Errors of the operating system as errors of this package: a file is at fault, or the environment."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from initctl.errors import InputError, Problem, StorageError, shown

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Nothing is at a path: a folder on the way is missing or is a file, or a link leads to itself."""
_OF_THE_FILE = _ABSENT | {errno.EACCES, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO, errno.EPERM}


def is_absent(error: OSError) -> bool:
    """Whether `error` says that nothing is at the path."""
    return error.errno in _ABSENT


def is_of_the_file(error: OSError) -> bool:
    """Whether the file at the path is at fault: it is missing, of another kind, or must not be read."""
    return error.errno in _OF_THE_FILE


def reason(error: OSError) -> str:
    return error.strerror or str(error)


def failure(error: OSError) -> InputError | StorageError:
    """What users read in place of an `error` that nothing else explains: the path, if it has one, and the reason."""
    if error.filename is None and error.errno == errno.ENOENT and not _has_working_directory():
        return _no_working_directory()
    if not isinstance(error.filename, str | bytes):
        return StorageError(Problem("storage.failed", f"the system failed: {shown(reason(error))}"))
    message = f"{shown(os.fsdecode(error.filename))}: {shown(reason(error))}"
    if is_of_the_file(error):
        return InputError(Problem("file.unreadable", message))
    return StorageError(Problem("storage.failed", message))


def check_working_directory() -> None:
    """Raise `StorageError` if it is gone. Call this before torch is used: its MKL would end the process."""
    if not _has_working_directory():
        raise _no_working_directory()


def explaining_failures(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """`function`, whose callers get an `InputError` or a `StorageError` in place of each `OSError`, but for those that
    their own `on_event` raises.
    """

    @wraps(function)
    def explained(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> _Result:
        if on_event := keywords.get("on_event"):
            keywords["on_event"] = _guarded(on_event)
        try:
            return function(*arguments, **keywords)
        except _CallersError as raised:
            raise raised.args[0] from None
        except OSError as error:
            raise failure(error) from error

    return explained


class _CallersError(Exception):
    """Wraps an `OSError` that the caller's own function raised, so that it is not taken for one of the system."""


def _guarded(on_event: Any) -> Callable[[object], None]:  # noqa: ANN401 - whatever the caller gave
    """The same function, whose `OSError` comes through as it is."""

    def guarded(event: object) -> None:
        try:
            on_event(event)
        except OSError as error:
            raise _CallersError(error) from error

    return guarded


def _no_working_directory() -> StorageError:
    fault = "the working directory does not exist any more"
    return StorageError(Problem("storage.failed", fault, "change to another directory"))


def _has_working_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
