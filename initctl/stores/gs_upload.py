"""New objects in Google Cloud Storage: uploaded in chunks, and visible as a whole or not at all.

The store takes the bytes of an object in their order, and judges the condition when it has the last one. Until then
nothing is visible, and an upload that is left needs no cleaning up: the store forgets it. Its address is a secret,
because who knows it can write.

If an answer is lost, the store is asked how far the upload is. If even this does not say whether the object was made,
the object that is there is looked at: ours carries a random token.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition
from typing import IO, TYPE_CHECKING, Any, NoReturn

from initctl.errors import (
    ConflictError,
    InitctlError,
    InputError,
    Problem,
    StorageError,
    UncertainError,
    UsageError,
    shown,
)
from initctl.stores import refusals
from initctl.stores.gs_api import AGAIN, FIELDS, GONE, PAUSE, RETRIES, refusing, stored_of

if TYPE_CHECKING:
    import requests

    from initctl.layout.ranges import ByteRange
    from initctl.stores.gs_api import Api
    from initctl.stores.store import Place, Stored

_UNIT = 256 << 10
"""The store takes multiples of this many bytes, unless they are the last ones."""
_CHUNK = 64 * _UNIT
"""Bytes that are sent at once."""
_TOKEN = "initctl-upload"  # noqa: S105 - not a secret
"""The name of the token in the object's metadata."""
_KEPT = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "metadata",
    "storageClass",
)
"""What an object has besides its content, as the store calls it."""
_DONE, _UNFINISHED, _CHANGED, _CANCELED = {200, 201}, 308, 412, 499
"""Statuses of HTTP."""
_REACHED = re.compile(r"bytes=0-(?P<last>\d+)")


class GSUpload:
    """An upload to Google Cloud Storage, as `Upload` says. An object keeps what its old version has besides its
    content. `put` waits until all parts with smaller numbers were sent.

    The store has the bytes before `_reached`; those that follow are `_pending`. The object `_may_be_made` if its last
    byte was sent without an answer, and the store has not said since then that it is not. The upload `_is_over` if the
    store does not have it any more.
    """

    def __init__(self, bucket: Api, name: str, replaces: Stored | None) -> None:
        self._bucket, self._name, self._url = bucket, name, bucket.url(name)
        self._replaced = replaces.version if replaces else None
        self._token = os.urandom(16).hex()
        self._address = ""
        self._reached, self._pending = 0, bytearray()
        self._size: int | None = None
        self._turn, self._next = Condition(), 1
        self._failure: BaseException | None = None
        self._may_be_made = self._is_over = False
        self._made: Stored | None = None

    @property
    def ticket(self) -> NoReturn:
        """Raises `UsageError`: the store takes bytes in their order, so that processes would wait for each other."""
        fault = f"{shown(self._url)}: several processes cannot write one object of Google Cloud Storage"
        raise UsageError(Problem("store.parts", fault, "run one process"))

    def begin(self) -> None:
        properties = self._kept() if self._replaced else {}
        with refusing(self._url):
            properties["metadata"] = {**properties.get("metadata", {}), _TOKEN: self._token}
        answer = _repeated(
            lambda: self._ask(
                "POST",
                self._bucket.address(service="/upload"),
                params={"uploadType": "resumable", "ifGenerationMatch": self._replaced or "0"},
                json={"name": self._name, **properties},
            )
        )
        if answer.status_code in GONE:
            raise StorageError(Problem("store.missing", f"{shown(self._url)}: the bucket does not exist"))
        if answer.status_code not in _DONE or "Location" not in answer.headers:
            raise self._refusal(answer)
        self._address = answer.headers["Location"]

    def put(self, number: int, body: IO[bytes]) -> str:
        with self._turn:
            self._turn.wait_for(lambda: self._next == number or self._failure)
            if self._failure:
                raise self._failure
            try:
                self._take(body)
            except BaseException as error:
                self._failure = error
                raise
            finally:
                self._next += 1
                self._turn.notify_all()
        return str(number)

    def copy(self, number: int, part: ByteRange, source: Place) -> NoReturn:
        """The store cannot copy ranges."""
        raise NotImplementedError

    def complete(self, tags: Sequence[str]) -> None:  # noqa: ARG002 - the store knows the parts by their order
        self._size = self._reached + len(self._pending)
        try:
            while self._made is None:
                self._made = self._sent()
        except InitctlError as error:
            self._made = self._settled(error)

    def finish(self, tags: Sequence[str]) -> None:
        self.complete(tags)

    def is_there(self) -> bool:
        with refusing(self._url):
            return self._is_own(self._bucket.metadata(self._name, "metadata"))

    @property
    def is_complete(self) -> bool:
        return self._made is not None

    def abort(self) -> None:
        """The store would forget the upload by itself."""
        if self._address and not self._made and not self._is_over:
            with suppress(_UnansweredError):
                self._ask("DELETE", self._address)
            self._is_over = True

    def undo(self) -> None:
        if self._made and not self._replaced:
            with suppress(ConflictError):
                self._bucket.remove(self._made)

    def _take(self, body: IO[bytes]) -> None:
        """Send `body`, except for its last bytes."""
        while data := body.read(_CHUNK):
            self._pending += data
            while len(self._pending) > _CHUNK:
                self._sent()
        while len(self._pending) > _UNIT:
            self._sent()

    def _sent(self) -> Stored | None:
        """Send pending bytes until the store has some of them. Returns the object if they were the last ones."""
        failure: InitctlError = refusals.breaking(self._url)
        for failures in range(1, RETRIES + 2):
            before = self._reached
            try:
                found = self._send_chunk()
            except _UnansweredError as unanswered:
                failure = unanswered.error
                found = self._state()
            if found or self._reached > before:
                return found
            if failures <= RETRIES:
                _pause(failures)
        raise failure

    def _send_chunk(self) -> Stored | None:
        is_last = self._size is not None and len(self._pending) <= _CHUNK
        length = len(self._pending) if is_last else min(_CHUNK, (len(self._pending) - 1) // _UNIT * _UNIT)
        place = f"{self._reached}-{self._reached + length - 1}" if length else "*"
        headers = {"Content-Range": f"bytes {place}/{self._total}"}
        try:
            answer = self._ask("PUT", self._address, data=bytes(self._pending[:length]), headers=headers)
        except _UnansweredError:
            self._may_be_made = is_last
            raise
        return self._noted(answer)

    def _state(self) -> Stored | None:
        """Ask how far the upload is. Returns the object if it is complete."""
        headers = {"Content-Range": f"bytes */{self._total}"}
        return self._noted(_repeated(lambda: self._ask("PUT", self._address, data=b"", headers=headers)))

    @property
    def _total(self) -> str:
        """The size of the object, as far as it is known."""
        return "*" if self._size is None else str(self._size)

    def _noted(self, answer: requests.Response) -> Stored | None:
        """Note how far the upload is by `answer`. Returns the object if it is complete."""
        if answer.status_code in _DONE:
            self._may_be_made = True
            with refusing(self._url):
                return stored_of(answer.json())
        if answer.status_code != _UNFINISHED:
            raise self._refusal(answer)
        self._may_be_made = False
        found = _REACHED.fullmatch(answer.headers.get("Range", ""))
        reached = int(found["last"]) + 1 if found else 0
        if not self._reached <= reached <= self._reached + len(self._pending):
            raise self._lost()
        del self._pending[: reached - self._reached]
        self._reached = reached
        return None

    def _settled(self, error: InitctlError) -> Stored:
        """The object, if it was made although the upload ended with `error`. Raises `error` if it was not."""
        if not self._may_be_made:
            raise error
        try:
            with refusing(self._url):
                found = self._bucket.metadata(self._name, f"{FIELDS},metadata")
                there = stored_of(found) if found else None
                if there and self._is_own(found):
                    return there
        except InitctlError:
            raise self._uncertain() from None
        if not self._is_over:
            raise self._uncertain()
        raise error if self._replaced == (there.version if there else None) else self._conflict()

    def _is_own(self, found: dict[str, Any] | None) -> bool:
        """Whether this upload made the object that the store describes."""
        return found is not None and found.get("metadata", {}).get(_TOKEN) == self._token

    def _kept(self) -> dict[str, Any]:
        """What the object that is replaced has besides its content."""
        try:
            found = self._bucket.metadata(self._name, ",".join(_KEPT)) or {}
        except InputError as error:
            raise StorageError(*error.problems) from None
        return {name: found[name] for name in _KEPT if found.get(name)}

    def _ask(self, method: str, address: str, **asked: Any) -> requests.Response:  # noqa: ANN401 - as requests takes it
        try:
            with refusing(self._url):
                answer = self._bucket.ask(method, address, **asked)
        except StorageError as error:
            raise _UnansweredError(error) from None
        if answer.status_code in AGAIN:
            raise _UnansweredError(self._refusal(answer))
        return answer

    def _refusal(self, answer: requests.Response) -> InitctlError:
        if answer.status_code == _CHANGED:
            self._is_over = True
            return self._conflict()
        if answer.status_code in {*GONE, _CANCELED}:
            self._is_over = True
            return self._lost()
        return self._bucket.failure(answer, self._url, StorageError)

    def _lost(self) -> StorageError:
        return StorageError(Problem("store.failed", f"{shown(self._url)}: the store lost the upload", "run again"))

    def _conflict(self) -> ConflictError:
        fault = f"{shown(self._url)}: another program changed it"
        return ConflictError(Problem("output.changed", fault, "run again"))

    def _uncertain(self) -> UncertainError:
        fault = f"{shown(self._url)}: the store did not say whether it was written"
        return UncertainError(Problem("store.uncertain", fault, "look whether it is there before you run again"))


class _UnansweredError(Exception):
    """The store did not answer a request, or asked for a repetition; what to say if there is none."""

    def __init__(self, error: InitctlError) -> None:
        super().__init__(error)
        self.error = error


def _repeated(request: Callable[[], requests.Response]) -> requests.Response:
    """The answer to `request`, which changes nothing that others see, and so may be repeated."""
    for failures in range(1, RETRIES + 1):
        try:
            return request()
        except _UnansweredError:
            _pause(failures)
    try:
        return request()
    except _UnansweredError as unanswered:
        raise unanswered.error from None


def _pause(failures: int) -> None:
    """Wait after this many failures, longer each time."""
    time.sleep(PAUSE * 2 ** (failures - 1))
