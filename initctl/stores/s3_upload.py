"""New objects in Amazon S3: uploaded in parts, and visible as a whole or not at all.

No answer of the store says by itself that an object was not made: botocore repeats a request whose answer is lost, and
the store refuses the repetition because the object is there. So the object carries a random token, and whatever
`complete` ends with, the token decides.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

from botocore.exceptions import ClientError

from initctl.errors import ConflictError, InitctlError, Problem, StorageError, UncertainError, shown
from initctl.stores.s3_api import CHANGED, GONE, code_of, failure, refusing, status_of
from initctl.stores.store import NO_UPLOAD, OTHER_PART

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    from initctl.layout.ranges import ByteRange
    from initctl.stores.s3_api import Api
    from initctl.stores.store import Place, Stored

_TOKEN = "initctl-upload"  # noqa: S105 - not a secret
"""The name of the token in the object's metadata."""
_TICKET = " "
"""What is between the token, the name of the upload, and the version that it replaces, in a ticket."""
_KEPT = (
    "BucketKeyEnabled",
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
    "WebsiteRedirectLocation",
)
"""What an object has besides its content, as boto3 calls it in answers and in requests."""
_NO_UPLOAD = "NoSuchUpload"
"""The store's code if an upload is not there any more."""
_NO_OBJECT = "NoSuchKey"
_OTHER_PART = "InvalidPart"
"""The store's code if it has another part than the one whose tag it is given."""
_CONFLICTS = {
    "ConditionalRequestConflict": "writes it",
    _NO_OBJECT: "deleted it",
}
"""What another program did, by the store's code."""


class S3Upload:
    """An upload to S3, as `Upload` says. An object keeps what its old version has besides its content."""

    def __init__(self, bucket: Api, name: str, replaces: Stored | None, ticket: str | None = None) -> None:
        self._client, self._url = bucket.client, bucket.url(name)
        self._place = {"Bucket": bucket.bucket, "Key": name}
        self._token, self._replaced = os.urandom(16).hex(), replaces.version if replaces else ""
        self._upload: dict[str, str] = {}
        self._is_over = self.is_complete = False
        if ticket:
            self._token, upload, self._replaced = ticket.split(_TICKET)
            self._upload = {**self._place, "UploadId": upload}

    @property
    def ticket(self) -> str:
        return _TICKET.join((self._token, self._upload["UploadId"], self._replaced))

    def begin(self) -> None:
        with _writing(self._url):
            properties = self._kept() if self._replaced else {}
            properties["Metadata"] = {**properties.get("Metadata", {}), _TOKEN: self._token}
            begun = self._client.create_multipart_upload(**self._place, **properties)
            self._upload = {**self._place, "UploadId": begun["UploadId"]}

    def abort(self) -> None:
        if self._upload and not self._is_over:
            self._abort()

    def undo(self) -> None:
        if self.is_complete and not self._replaced and self.is_there():
            with _writing(self._url):
                self._client.delete_object(**self._place)

    def put(self, number: int, body: IO[bytes]) -> str:
        with _writing(self._url):
            tag: str = self._client.upload_part(**self._upload, PartNumber=number, Body=body)["ETag"]
        return tag

    def copy(self, number: int, part: ByteRange, source: Place) -> str:
        """Raises `ConflictError` also if another version of the object at `source` is there."""
        bucket, stored = cast("Api", source.store), cast("Stored", source.stored)
        whole = part == (0, stored.size)  # a range must be of an object of more than 5 MiB
        place = {} if whole else {"CopySourceRange": f"bytes={part.start}-{part.stop - 1}"}
        with _writing(self._url, source=bucket.url(stored.name)):
            answer = self._client.upload_part_copy(
                **self._upload,
                PartNumber=number,
                CopySource={"Bucket": bucket.bucket, "Key": stored.name},
                CopySourceIfMatch=stored.version,
                **place,
            )
            tag: str = answer["CopyPartResult"]["ETag"]
        return tag

    def complete(self, tags: Sequence[str]) -> None:
        try:
            self._complete(tags)
        except InitctlError as error:
            if not self._is_seen():
                self._give_up(error)
        self._is_over = self.is_complete = True

    def finish(self, tags: Sequence[str]) -> None:
        try:
            self._complete(tags)
        except InitctlError as error:
            try:
                is_there = self.is_there()
            except InitctlError:
                self._leave()
            if not is_there and not _is_refusal(error):
                self._leave()
            if not is_there:
                raise error from None
        self._is_over = self.is_complete = True

    def is_there(self) -> bool:
        return self._seen() == self._token

    def _complete(self, tags: Sequence[str]) -> None:
        parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]
        condition = {"IfMatch": self._replaced} if self._replaced else {"IfNoneMatch": "*"}
        with _writing(self._url):
            answer = self._client.complete_multipart_upload(
                **self._upload, MultipartUpload={"Parts": parts}, **condition
            )
        if not str(answer.get("ETag", "")).strip('"').endswith(f"-{len(parts)}"):  # as those of uploads in parts end
            raise StorageError(Problem("store.failed", f"{shown(self._url)}: the store did not say that it is written"))

    def _kept(self) -> dict[str, Any]:
        """What the object that is replaced has besides its content."""
        try:
            found = self._client.head_object(**self._place)
        except ClientError as error:
            if status_of(error) in GONE:
                raise _changed(self._url, "deleted it") from None
            raise
        return {name: found[name] for name in _KEPT if found.get(name)}

    def _is_seen(self) -> bool:
        """Whether the object is visible. If the store does not answer, it is not."""
        with suppress(InitctlError):
            return self.is_there()
        return False

    def _give_up(self, error: InitctlError) -> None:
        """Abort the upload, so that it can never be completed, and raise `error`. Returns if it is complete already:
        a store may say that it has aborted what is complete.
        """
        try:
            is_aborted = self._abort()
            seen = self._seen()
        except InitctlError:
            self._leave()
        if seen == self._token:
            return
        if is_aborted:
            raise error
        if seen is None:
            self._leave()
        raise _changed(self._url, "replaced it, or aborted the upload")

    def _leave(self) -> NoReturn:
        fault = f"{shown(self._url)}: the store did not say whether it was written"
        raise UncertainError(Problem("store.uncertain", fault, "look whether it is there before you run again"))

    def _abort(self) -> bool:
        """Abort the upload. Returns whether there was one."""
        with _writing(self._url):
            try:
                self._client.abort_multipart_upload(**self._upload)
                was_there = True
            except ClientError as error:
                if code_of(error) != _NO_UPLOAD:
                    raise
                was_there = False
        self._is_over = True
        return was_there

    def _seen(self) -> str | None:
        """The token of the object that is visible now, which is empty if another program made it."""
        with _writing(self._url):
            try:
                found = self._client.head_object(**self._place)
            except ClientError as error:
                if status_of(error) in GONE:
                    return None
                raise
            token: str = found["Metadata"].get(_TOKEN, "")
        return token


@contextmanager
def _writing(url: str, source: str | None = None) -> Iterator[None]:
    """Turn errors of boto3 into those of this package, for a request that writes `url`, from `source` if given."""
    with refusing(url):
        try:
            yield
        except ClientError as error:
            if source is not None and (status_of(error) in CHANGED or code_of(error) == _NO_OBJECT):
                fault = f"{shown(source)}: changed while it was read"
                raise ConflictError(Problem("input.changed", fault, "run again")) from None
            raise _refusal(url, error) from None


def _is_refusal(error: InitctlError) -> bool:
    """Whether the store says that it has not obeyed."""
    return isinstance(error, ConflictError) or error.problems[0].code == "store.denied"


def _changed(url: str, what: str, code: str = "output.changed") -> ConflictError:
    return ConflictError(Problem(code, f"{shown(url)}: another program {what}", "run again"))


def _refusal(url: str, error: ClientError) -> InitctlError:
    status, code = status_of(error), code_of(error)
    if code == _NO_UPLOAD:
        return _changed(url, "aborted the upload", NO_UPLOAD)
    if code == _OTHER_PART:
        return _changed(url, "sent a part of it again", OTHER_PART)
    if code in _CONFLICTS or status in CHANGED:
        return _changed(url, _CONFLICTS.get(code, "changed it"))
    if status in GONE:
        return StorageError(Problem("store.missing", f"{shown(url)}: the bucket does not exist"))
    return failure(url, error, StorageError)
