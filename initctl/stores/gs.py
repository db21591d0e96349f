"""Google Cloud Storage, by its JSON API. Credentials are configured as for Google's own libraries and `gcloud`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import google.auth
import requests
from google.auth.exceptions import DefaultCredentialsError
from google.auth.transport.requests import AuthorizedSession
from urllib3.exceptions import HTTPError

from initctl.stores import refusals
from initctl.stores.gs_api import CREDENTIALS, FIELDS, GONE, LOG_IN, RETRIES, Api, refusing, stored_of
from initctl.stores.refusals import configuring
from initctl.stores.upload_parts import Limits

if TYPE_CHECKING:
    from initctl.stores.store import Store, Stored, Upload

_STEP = 1 << 20
"""Bytes that are taken at once. They are copied once more, and may be lost if the connection breaks."""
_LIMITS = Limits(smallest=1, largest=5 << 30, most=1 << 20)
"""Chunks of an upload are not counted, and are cut anew."""
_SERVER = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"


def opened(bucket: str) -> GS:
    """The bucket of this name. Nothing is asked of the store yet."""
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    connect = requests.Session if emulator else partial(_session, bucket)
    return GS(bucket, connect, _with_scheme(emulator or _SERVER), is_open=bool(emulator))


def _session(bucket: str) -> requests.Session:
    with configuring(f"gs://{bucket}", CREDENTIALS, LOG_IN):
        credentials = _credentials()
    return requests.Session() if credentials is None else AuthorizedSession(credentials)


def _credentials() -> Any:  # noqa: ANN401 - of a class for each kind, some without type information
    """Those that are configured. If there are none, objects that anyone may read can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about credentials that name no project
            return google.auth.default(scopes=[_SCOPE])[0]
    except DefaultCredentialsError:
        if os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            raise
        return None


def _with_scheme(server: str) -> str:
    return (server if "://" in server else f"http://{server}").rstrip("/")


class GS(Api):
    """A bucket, as `Bucket` says."""

    limits = _LIMITS

    def now(self) -> GS:
        return self

    def find(self, name: str) -> Stored | None:
        with refusing(self.url(name)):
            found = self.metadata(name, FIELDS)
            return None if found is None else stored_of(found)

    def below(self, prefix: str, *, is_deep: bool) -> Iterator[Stored]:
        fields = f"items({FIELDS}),nextPageToken"
        asked = {"prefix": prefix, "fields": fields, **({} if is_deep else {"delimiter": "/"})}
        url = self.url(prefix.rstrip("/"))
        while True:
            with refusing(url):
                answer = self.ask("GET", self.address(), params=asked)
                if answer.status_code in GONE:
                    raise refusals.without_bucket(url)
                page = self.checked(answer, url).json()
                found = [stored_of(one) for one in page.get("items", ())]
            yield from found
            if "nextPageToken" not in page:
                return
            asked["pageToken"] = page["nextPageToken"]

    def read_into(self, stored: Stored, room: memoryview, offset: int) -> None:
        """If the connection breaks, the rest is asked for again."""
        reached = 0
        for _ in range(RETRIES):
            with refusing(self.url(stored.name)):
                reached += self._read(stored, room[reached:], offset + reached)
            if reached == len(room):
                return
        raise refusals.breaking(self.url(stored.name))

    def upload(self, name: str, replaces: Stored | None, ticket: str | None = None) -> Upload:  # noqa: ARG002 - has none
        from initctl.stores.gs_upload import GSUpload

        return GSUpload(self, name, replaces)

    def copies_from(self, other: Store) -> bool:  # noqa: ARG002 - whatever it is, no range is copied
        return False

    def _read(self, stored: Stored, room: memoryview, offset: int) -> int:
        """Fill `room`, or its beginning if the connection breaks. Returns the number of bytes."""
        url, reached = self.url(stored.name), 0
        with self.ask(
            "GET",
            self.address(stored.name, "/download"),
            params={"alt": "media", "generation": stored.version},
            headers={"Range": f"bytes={offset}-{offset + len(room) - 1}", "Accept-Encoding": "gzip"},  # as it is stored
            stream=True,
        ) as answer:
            if answer.status_code in GONE:
                raise refusals.changed(url)
            if not self.checked(answer, url).headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                raise refusals.without_ranges(url)
            try:
                while reached < len(room) and (length := answer.raw.readinto(room[reached : reached + _STEP])):
                    reached += length
            except (HTTPError, OSError):
                pass  # the caller asks for the rest
        return reached
