"""What a store refuses, in the same words for all stores. The texts of their libraries are not shown: they may contain
addresses and tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from initctl.errors import ConflictError, InitctlError, InputError, Problem, StorageError, shown

PASSED = (InitctlError, MemoryError)
"""What is not an error of a library, whatever it was raised by."""
_DENIED, _BUSY = {401, 403}, {429, 503}
"""Statuses of HTTP."""


def changed(url: str) -> ConflictError:
    return ConflictError(Problem("input.changed", f"{shown(url)}: changed while it was read", "run again"))


def replaced(url: str) -> ConflictError:
    return ConflictError(Problem("output.changed", f"{shown(url)}: another program changed it", "run again"))


def missing(url: str) -> InputError:
    return InputError(Problem("file.missing", f"{shown(url)}: the object or the bucket does not exist"))


def without_bucket(url: str) -> InputError:
    return InputError(Problem("file.missing", f"{shown(url)}: the bucket does not exist"))


def failure(url: str, status: int | None, code: str, hint: str, denied: type[InitctlError]) -> InitctlError:
    """The error for a request that the store denied, or that failed, whatever it asked for. `code` is the store's."""
    if status in _DENIED:
        return denied(Problem("store.denied", f"{shown(url)}: access is denied", hint))
    if status in _BUSY:
        return StorageError(Problem("store.busy", f"{shown(url)}: the store is too busy", "run again later"))
    return StorageError(Problem("store.failed", f"{shown(url)}: the store failed: {shown(code)}"))


def odd_answer(url: str, hint: str) -> StorageError:
    """The error for an answer of another server: of a proxy, or of one that an address names by mistake."""
    return StorageError(Problem("store.failed", f"{shown(url)}: the answer is not that of a store", hint))


@contextmanager
def configuring(url: str, what: str, hint: str) -> Iterator[None]:
    """Turn whatever the body raises, which reads `what` is configured, into `StorageError`: libraries raise nearly
    anything if a file is not as they expect.
    """
    try:
        yield
    except PASSED:
        raise
    except Exception as error:  # noqa: BLE001
        fault = f"{shown(url)}: {what} cannot be used: {type(error).__name__}"
        raise StorageError(Problem("store.credentials", fault, hint)) from None


def without_credentials(url: str, hint: str) -> StorageError:
    return StorageError(Problem("store.credentials", f"{shown(url)}: no credentials are configured", hint))


def unreachable(url: str, error: Exception, hint: str, address: str = "") -> StorageError:
    """`address` is that of the server, if it was asked for; it may contain a password, which is not shown."""
    at = f" at {shown(address)}" if address else ""
    fault = f"{shown(url)}: the store cannot be reached{at}: {type(error).__name__}"
    return StorageError(Problem("store.unreachable", fault, hint))


def breaking(url: str) -> StorageError:
    return StorageError(Problem("store.unreachable", f"{shown(url)}: the connection breaks again and again"))


def without_ranges(url: str) -> StorageError:
    fault = f"{shown(url)}: the store does not answer requests for ranges"
    return StorageError(Problem("store.ranges", fault))
