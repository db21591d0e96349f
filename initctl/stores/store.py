"""What a store can do, and which one a URL names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from initctl.errors import InputError, Problem

if TYPE_CHECKING:
    from initctl.stores.url import Url


class Stored(NamedTuple):
    """An object: its name in the bucket, its bytes, the version that is there now, and the second of its last change.

    The version is what the store compares: an ETag, for instance. It changes whenever the content does.
    """

    name: str
    size: int
    version: str
    modified: int


class Store(Protocol):
    """One bucket. Every method raises `InputError` if the store refuses it, and `StorageError` if it cannot be reached.
    Safe to use from several threads at once.
    """

    def find(self, name: str) -> Stored | None:
        """The object `name`, if there is one."""

    def below(self, prefix: str, *, is_deep: bool) -> Iterator[Stored]:
        """The objects whose names begin with `prefix`. Unless it `is_deep`, no `/` may follow the prefix."""

    def read_into(self, stored: Stored, room: memoryview, offset: int) -> None:
        """Fill `room` with the object's bytes from `offset`. Raises `ConflictError` if another version is there."""


class _Scheme(NamedTuple):
    module: str
    library: str
    extra: str


_SCHEMES = {"s3": _Scheme("initctl.stores.s3", "boto3", "remote")}
"""The module of each scheme, which defines `opened(bucket)`; the library that it imports; and the extra that has it."""


def is_stored(scheme: str | None) -> bool:
    """Whether initctl reads URLs of this scheme."""
    return scheme in _SCHEMES


def opened_store(url: Url) -> Store:
    """The bucket of `url`. Raises `InputError` if a library is missing."""
    scheme = _SCHEMES[url.scheme]
    try:
        open_bucket = cast("Callable[[str], Store]", import_module(scheme.module).opened)
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] not in (scheme.library, "botocore"):
            raise
        fault = f"{url.scheme}:// needs {scheme.library}, which is not installed"
        raise InputError(Problem("store.library", fault, f"pip install 'initctl[{scheme.extra}]'")) from None
    return open_bucket(url.bucket)
