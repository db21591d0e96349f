"""Whatever happens to an upload, the old object or the new one is there, and no upload is left."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from io import BytesIO

import pytest

from initctl.errors import ConflictError, InitctlError, StorageError, UncertainError
from initctl.layout.ranges import ByteRange
from initctl.stores.store import Place
from tests.stores.servers import BUCKET, Fault

OLD, THEIRS, SOURCE = b"old" * 200, b"theirs" * 100, bytes(range(256)) * 4
NEW = b"a" * 300 + SOURCE[100:600] + b"end"


@pytest.fixture
def bucket(server, monkeypatch):
    """The bucket, with a source in it. Every request is sent at most twice, and parts may be short."""
    import boto3
    from botocore.config import Config

    from initctl.stores.s3 import S3

    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 256)
    config = Config(retries={"mode": "standard", "max_attempts": 1})
    bucket = S3(BUCKET, lambda: boto3.client("s3", config=config))
    put(bucket, "source", SOURCE)
    server.asked.clear()
    return bucket


@pytest.fixture(params=[None, OLD], ids=["new", "replaced"])
def old(request, bucket):
    """What is at the place of the new object."""
    if request.param is not None:
        put(bucket, "net", request.param)
    return request.param


def put(bucket, name, content):
    bucket.client.put_object(Bucket=BUCKET, Key=name, Body=content)


def content(bucket, name="net"):
    found = bucket.find(name)
    return found and bucket.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()


def uploads(bucket):
    return bucket.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])


@contextmanager
def begun(bucket):
    """An upload, which is given up at the end if it is not complete, as `execution/uploading.py` does."""
    upload = bucket.upload("net", bucket.find("net"))
    try:
        upload.begin()
        yield upload
    finally:
        with suppress(InitctlError):
            upload.abort()


def write(bucket, *, before_the_end=lambda: None, source=None):
    with begun(bucket) as upload:
        copied = upload.copy(2, ByteRange(100, 600), Place(bucket, "source", source or bucket.find("source")))
        tags = [upload.put(1, BytesIO(NEW[:300])), copied, upload.put(3, BytesIO(NEW[-3:]))]
        before_the_end()
        upload.complete(tags)


def fault(server, method, *args, **keywords):
    server.faults.append(Fault(lambda found, _: found == method, *args, **keywords))


def status(bucket, **keywords):
    """The exit status of writing the object."""
    try:
        write(bucket, **keywords)
    except InitctlError as error:
        return error.exit_status
    return 0


def test_parts_that_are_sent_and_copied_make_the_object(bucket, old, server):
    write(bucket)
    assert content(bucket) == NEW
    assert not uploads(bucket)
    assert not [one for one in server.asked if one.method == "ABORT"]


def test_copied_bytes_are_not_sent(bucket, server):
    write(bucket)
    sent = [(one.method, one.sent > 0) for one in server.asked if one.method in ("COPY", "PART")]
    assert sent == [("COPY", False), ("PART", True), ("PART", True)]


def test_the_object_is_not_there_until_it_is_complete(bucket, old):
    seen = []
    write(bucket, before_the_end=lambda: seen.append(content(bucket)))
    assert seen == [old]


@pytest.mark.parametrize("method", ["PART", "COPY", "COMPLETE"])
@pytest.mark.parametrize(
    ("answer", "code", "times", "expected"),
    [
        (503, "SlowDown", 1, 0),
        (503, "SlowDown", 9, 5),
        (500, "InternalError", 9, 5),
        (409, "ConditionalRequestConflict", 1, 6),
        (412, "PreconditionFailed", 1, 6),
        (403, "AccessDenied", 1, 5),
        (404, "NoSuchUpload", 1, 6),
        (None, "lost", 1, 0),
        (None, "lost", 9, 5),
    ],
)
def test_a_request_that_fails_leaves_the_old_object_or_the_new_one(
    bucket, old, server, method, answer, code, times, expected
):
    fault(server, method, answer, code, times=times)
    if (method, answer) == ("COMPLETE", None):
        expected = 0  # the store obeyed
    assert status(bucket) == expected
    assert content(bucket) == (old if expected else NEW)
    assert not uploads(bucket)


@pytest.mark.parametrize("method", ["BEGIN", "PART", "COPY", "COMPLETE"])
def test_an_empty_answer_is_no_success(bucket, old, server, method):
    fault(server, method, 200, times=9)
    assert status(bucket) == 5
    assert content(bucket) == old
    assert not uploads(bucket)


def test_a_part_that_was_sent_again_is_not_the_one_of_its_tag(bucket, old):
    upload = bucket.upload("net", bucket.find("net"))
    upload.begin()
    tag = upload.put(1, BytesIO(NEW))
    upload.put(1, BytesIO(THEIRS))
    with pytest.raises(ConflictError, match="another program sent a part of it again"):
        upload.finish([tag])
    upload.abort()
    assert content(bucket) == old


def test_an_object_that_another_program_wrote_meanwhile_stays(bucket, old):
    assert status(bucket, before_the_end=lambda: put(bucket, "net", THEIRS)) == 6
    assert content(bucket) == THEIRS
    assert not uploads(bucket)


def test_an_object_that_another_program_deleted_meanwhile_stays_deleted(bucket):
    put(bucket, "net", OLD)
    assert status(bucket, before_the_end=lambda: bucket.client.delete_object(Bucket=BUCKET, Key="net")) == 6
    assert content(bucket) is None
    assert not uploads(bucket)


def test_a_source_that_changed_is_not_copied(bucket, old):
    source = bucket.find("source")
    put(bucket, "source", SOURCE + b"!")
    with pytest.raises(ConflictError, match="s3://bucket/source: changed while it was read"):
        write(bucket, source=source)
    assert content(bucket) == old
    assert not uploads(bucket)


def test_an_upload_that_another_program_aborted_leaves_the_old_object(bucket):
    put(bucket, "net", OLD)
    assert status(bucket, before_the_end=lambda: abort_all(bucket)) == 6
    assert content(bucket) == OLD


def test_parts_of_an_upload_that_another_program_aborted_are_refused(bucket, old):
    with begun(bucket) as upload:
        abort_all(bucket)
        for send in (
            lambda: upload.put(1, BytesIO(NEW)),
            lambda: upload.copy(1, ByteRange(0, 9), Place(bucket, "source", bucket.find("source"))),
        ):
            with pytest.raises(ConflictError, match="s3://bucket/net: another program aborted the upload"):
                send()
    assert content(bucket) == old


def test_if_an_aborted_upload_would_have_been_new_its_end_is_uncertain(bucket):
    with pytest.raises(UncertainError, match="s3://bucket/net: the store did not say whether it was written"):
        write(bucket, before_the_end=lambda: abort_all(bucket))
    assert content(bucket) is None


def abort_all(bucket):
    for one in uploads(bucket):
        bucket.client.abort_multipart_upload(Bucket=BUCKET, Key=one["Key"], UploadId=one["UploadId"])


def test_if_the_end_is_lost_and_the_first_question_too_the_second_one_shows_the_object(bucket, old, server):
    assert status(bucket, before_the_end=lambda: lose_the_end(server)) == 0
    assert content(bucket) == NEW
    assert not uploads(bucket)


def test_if_the_store_stays_silent_the_end_is_uncertain(bucket, old, server):
    def silence():
        for method in ("COMPLETE", "HEAD", "ABORT"):
            fault(server, method, times=99)

    assert status(bucket, before_the_end=silence) == 7
    server.faults.clear()
    assert content(bucket) == NEW
    assert not uploads(bucket)


def test_if_another_program_replaces_the_new_object_at_once_that_is_reported(bucket, old, server):
    def replace_first(method, _):
        if method == "ABORT":
            put(bucket, "net", THEIRS)
        return False

    server.faults.append(Fault(replace_first))
    assert status(bucket, before_the_end=lambda: lose_the_end(server)) == 6
    assert content(bucket) == THEIRS
    assert not uploads(bucket)


def lose_the_end(server):
    """Lose all answers to the end of an upload, and refuse the question whether the object is there once."""
    fault(server, "COMPLETE", times=2)
    fault(server, "HEAD", 503, "SlowDown", times=2)


def test_a_beginning_that_fails_leaves_the_old_object(bucket, old, server):
    fault(server, "BEGIN", 503, "SlowDown", times=2)
    assert status(bucket) == 5
    assert content(bucket) == old
    assert not uploads(bucket)


def test_a_beginning_whose_answer_is_lost_leaves_an_upload_without_parts(bucket, old, server):
    """Nobody knows the name of such an upload. It takes no room."""
    fault(server, "BEGIN", times=1)
    assert status(bucket) == 0
    assert content(bucket) == NEW
    (left,) = uploads(bucket)
    assert "Parts" not in bucket.client.list_parts(Bucket=BUCKET, Key="net", UploadId=left["UploadId"])
    abort_all(bucket)


def test_leaving_without_the_end_aborts_the_upload(bucket, old):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(bucket, before_the_end=interrupt)
    assert content(bucket) == old
    assert not uploads(bucket)


def test_no_message_repeats_the_words_of_the_store(bucket, server):
    fault(server, "PART", 403, "AccessDenied")
    with pytest.raises(StorageError) as refused:
        write(bucket)
    assert "canary" not in str(refused.value)
    assert str(refused.value).startswith("s3://bucket/net: access is denied")
