"""Amazon S3, and stores that speak its protocol, by boto3. Credentials and the endpoint are configured as for the AWS
command line.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from getpass import GetPassWarning
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from initctl.stores import refusals
from initctl.stores.per_process import PerProcess
from initctl.stores.s3_api import GONE, Api, configuring, refusing, status_of
from initctl.stores.s3_upload import S3Upload
from initctl.stores.store import Stored
from initctl.stores.upload_parts import LIMITS

if TYPE_CHECKING:
    from initctl.stores.store import Store, Upload

_CONNECTIONS = 32
_RETRIES = 5
"""Repetitions of a request that is throttled or fails on its way."""
_CONFIGURATION = Config(max_pool_connections=_CONNECTIONS, retries={"mode": "standard", "max_attempts": _RETRIES})

_session = PerProcess(boto3.Session)
"""What all clients share: it takes long to make."""


def opened(bucket: str) -> S3:
    """The bucket of this name. Nothing is asked yet."""
    return S3(bucket, partial(_client, bucket))


def _client(bucket: str) -> Any:  # noqa: ANN401 - boto3 makes its classes when it runs
    with configuring(f"s3://{bucket}"):
        session = _session()
        if credentials := session.get_credentials():
            with warnings.catch_warnings():
                warnings.simplefilter("error", GetPassWarning)  # no one can be asked
                credentials.get_frozen_credentials()
        return session.client("s3", config=_CONFIGURATION)


class S3(Api):
    """A bucket, as `Bucket` says."""

    limits = LIMITS

    def now(self) -> S3:
        return self

    def find(self, name: str) -> Stored | None:
        with refusing(self.url(name)):
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=name)
            except ClientError as error:
                if status_of(error) in GONE:
                    return None
                raise
            return Stored(name, found["ContentLength"], found["ETag"], int(found["LastModified"].timestamp()))

    def below(self, prefix: str, *, is_deep: bool) -> Iterator[Stored]:
        asked = {"Bucket": self.bucket, "Prefix": prefix, **({} if is_deep else {"Delimiter": "/"})}
        with refusing(self.url(prefix.rstrip("/"))):
            for page in self.client.get_paginator("list_objects_v2").paginate(**asked):
                for found in page.get("Contents", ()):
                    modified = int(found["LastModified"].timestamp())
                    yield Stored(found["Key"], found["Size"], found["ETag"], modified)

    def read_into(self, stored: Stored, room: memoryview, offset: int) -> None:
        """If the connection breaks, the rest is asked for again."""
        reached, url = 0, self.url(stored.name)
        for _ in range(_RETRIES):
            with refusing(url, gone=refusals.changed(url)):
                reached += self._read(stored, room[reached:], offset + reached)
            if reached == len(room):
                return
        raise refusals.breaking(url)

    def upload(self, name: str, replaces: Stored | None, ticket: str | None = None) -> Upload:
        return S3Upload(self, name, replaces, ticket)

    def copies_from(self, other: Store) -> bool:
        return isinstance(other, S3)

    def remove(self, stored: Stored) -> None:
        found = self.find(stored.name)
        if found and found != stored:
            raise refusals.replaced(self.url(stored.name))
        if found:
            with refusing(self.url(stored.name)):
                self.client.delete_object(Bucket=self.bucket, Key=stored.name)

    def _read(self, stored: Stored, room: memoryview, offset: int) -> int:
        """Fill `room`, or its beginning if the connection breaks. Returns the number of bytes."""
        asked = f"bytes={offset}-{offset + len(room) - 1}"
        answer = self.client.get_object(Bucket=self.bucket, Key=stored.name, Range=asked, IfMatch=stored.version)
        reached = 0
        if not str(answer.get("ContentRange", "")).startswith(f"bytes {offset}-"):
            answer["Body"].close()
            raise refusals.without_ranges(self.url(stored.name))
        with closing(answer["Body"]) as body:
            try:
                while reached < len(room) and (length := body.readinto(room[reached:])):
                    reached += length
            except (BotoCoreError, HTTPError, OSError):
                pass  # the caller asks for the rest
        return reached
