"""What a store can do, and which one a URL names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import IO, TYPE_CHECKING, NamedTuple, Protocol, cast, runtime_checkable

from initctl.errors import InputError, Problem, StorageError

if TYPE_CHECKING:
    from initctl.layout.ranges import ByteRange
    from initctl.stores.upload_parts import Limits
    from initctl.stores.url import Url


NO_UPLOAD = "store.no_upload"
"""The code of the problem that an upload is not there any more."""
OTHER_PART = "store.other_part"
"""The code of the problem that a part of an upload was sent again, and is another one now."""


class Stored(NamedTuple):
    """An object: its name in the bucket, its bytes, the version that is there now, and the second of its last change.

    The version is what the store compares: an ETag, for instance. It changes whenever the content does.
    """

    name: str
    size: int
    version: str
    modified: int


class Place(NamedTuple):
    """Where a path of a mirror is: the object `name` of a store, as it was seen last, if it was there."""

    store: Store
    name: str
    stored: Stored | None

    @property
    def bucket(self) -> Bucket:
        """The store, if it is one of objects that are written one by one."""
        return cast("Bucket", self.store)


class Upload(Protocol):
    """A new object, which is visible as a whole or not at all. It replaces only the version that was seen before.

    `put` and `copy` are safe to use from several threads at once. Every method raises `StorageError` if the store
    refuses it or cannot be reached, and `ConflictError` if another program was faster.
    """

    @property
    def ticket(self) -> str:
        """What another process needs to go on with it, once it is begun."""

    def begin(self) -> None:
        """Begin the upload. Nothing is visible before its end."""

    def put(self, number: int, body: IO[bytes]) -> str:
        """Send the part `number`, from 1. Returns its tag."""

    def copy(self, number: int, part: ByteRange, source: Place) -> str:
        """Let the store copy the bytes in `part` of the object at `source` as the part `number`. Returns its tag."""

    def complete(self, tags: Sequence[str]) -> None:
        """Make the object visible. `tags` are those of all parts, in order.

        If this raises anything but `UncertainError`, the object was not made, and the upload is gone.
        """

    def finish(self, tags: Sequence[str]) -> None:
        """The same; but if it raises, the upload is still there, and this can be tried again."""

    def is_there(self) -> bool:
        """Whether the object is visible."""

    @property
    def is_complete(self) -> bool:
        """Whether this process made the object visible."""

    def abort(self) -> None:
        """Give up the upload if it was begun and is not complete."""

    def undo(self) -> None:
        """Remove the object again, if it is complete, replaced nothing, and is still there."""


class Store(Protocol):
    """What holds objects. Every method raises `InputError` if the store refuses it, and `StorageError` if it cannot be
    reached. Safe to use from several threads at once.
    """

    def now(self) -> Store:
        """The store as it is now. It is this one, unless this one shows what was there before."""

    def url(self, name: str) -> str:
        """How messages call the object `name`."""

    def find(self, name: str) -> Stored | None:
        """The object `name`, if there is one."""

    def below(self, prefix: str, *, is_deep: bool) -> Iterator[Stored]:
        """The objects whose names begin with `prefix`. Unless it `is_deep`, no `/` may follow the prefix."""

    def read_into(self, stored: Stored, room: memoryview, offset: int) -> None:
        """Fill `room` with the object's bytes from `offset`. Raises `ConflictError` if another version is there."""


class Bucket(Store, Protocol):
    """A store of objects that are written one by one."""

    limits: Limits
    """What it accepts as the parts of an upload."""

    def upload(self, name: str, replaces: Stored | None, ticket: str | None = None) -> Upload:
        """A new object `name`, in place of the version `replaces`, or of nothing. It is not begun yet.

        With the `ticket` of one that is begun, it is that one, and replaces what that one replaces.
        """

    def copies_from(self, other: Store) -> bool:
        """Whether the parts of an upload can be copied from objects of `other`."""

    def remove(self, stored: Stored) -> None:
        """Remove an object. Raises `StorageError`, and `ConflictError` if another version of it is there."""


class Change(Protocol):
    """Files that are to be changed in one step."""

    def upload(self) -> None:
        """Send what is large. Nothing is visible. Raises `StorageError`."""

    def commit(self) -> None:
        """Make the change visible. Raises `StorageError` if it was not made, `ConflictError` if another one was made
        before, and `UncertainError` if the store says neither.
        """


@runtime_checkable
class History(Store, Protocol):
    """A store in which several files change in one step."""

    def change(self, files: Mapping[str, str], removed: Sequence[str], title: str) -> Change:
        """A change that writes `files`, each from a local path, and removes the files `removed`. It is refused if
        another change was made since the store was read.
        """


class _Scheme(NamedTuple):
    module: str
    library: str
    packages: tuple[str, ...]
    extra: str


_SCHEMES = {
    "s3": _Scheme("initctl.stores.s3", "boto3", ("boto3", "botocore"), "remote"),
    "gs": _Scheme("initctl.stores.gs", "google-auth", ("google", "requests"), "remote"),
    "hf": _Scheme("initctl.stores.hf", "huggingface_hub", ("huggingface_hub",), "remote"),
}
"""The module of each scheme, which defines `opened(bucket)`; the library that it needs; the packages that it imports;
and the extra that has them.
"""


def is_stored(scheme: str | None) -> bool:
    """Whether initctl reads and writes URLs of this scheme."""
    return scheme in _SCHEMES


def named_schemes() -> str:
    """All schemes, for a message."""
    *most, last = (f"{scheme}://" for scheme in _SCHEMES)
    return f"{', '.join(most)} and {last}"


def opened_store(url: Url) -> Store:
    """The bucket of `url`. Raises `InputError` if a library is missing or too old."""
    scheme = _SCHEMES[url.scheme]
    try:
        open_bucket = cast("Callable[[str], Store]", import_module(scheme.module).opened)
    except ImportError as error:
        if not error.name or error.name.partition(".")[0] not in scheme.packages:
            raise
        state = "is not installed" if isinstance(error, ModuleNotFoundError) else "is installed in another version"
        fault = f"{url.scheme}:// needs {scheme.library}, which {state}"
        raise InputError(Problem("store.library", fault, f"pip install 'initctl[{scheme.extra}]'")) from None
    except ValueError as error:
        fault = f"{url.scheme}:// needs {scheme.library}, which cannot be imported: {type(error).__name__}"
        hint = "check the variables of the environment that configure it"
        raise StorageError(Problem("store.library", fault, hint)) from None
    return open_bucket(url.bucket)
