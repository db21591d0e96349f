"""Whatever happens to an upload, the old object or the new one is there."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest

from initctl.errors import ConflictError, InitctlError, StorageError, UncertainError
from tests.stores.gs_server import SHORT
from tests.stores.servers import BUCKET, Fault

OLD, THEIRS = b"old" * 200, b"theirs" * 100
NEW = os.urandom(2 * SHORT) + b"end"
STEPS = ["BEGIN", "CHUNK", "CHUNK", "END"]
ALWAYS = 99


@pytest.fixture
def server(gs_server):
    return gs_server


@pytest.fixture
def bucket(server, monkeypatch):
    """The bucket. Objects are sent in the smallest chunks, and requests repeated twice at once."""
    return opened(monkeypatch)


def opened(monkeypatch):
    from urllib3.util import Retry

    from initctl.stores import gs, gs_api, gs_upload

    monkeypatch.setattr(gs_api, "_REPEATED", Retry(2, allowed_methods={"GET", "DELETE"}, status_forcelist=gs_api.AGAIN))
    monkeypatch.setattr(gs_upload, "PAUSE", 0)
    monkeypatch.setattr(gs_upload, "RETRIES", 2)
    monkeypatch.setattr(gs_upload, "_CHUNK", SHORT)
    return gs.opened(BUCKET)


@pytest.fixture(params=[None, OLD], ids=["new", "replaced"])
def old(request, server):
    """What is at the place of the new object."""
    if request.param is not None:
        server.put("net", request.param)
    return request.param


def write(bucket, content=NEW):
    return written(bucket, bucket.find("net"), content)


def write_new(bucket):
    return written(bucket, None, NEW)


def written(bucket, replaces, content):
    """Upload an object as `execution` does, in two parts."""
    upload = bucket.upload("net", replaces)
    try:
        upload.begin()
        tags = [upload.put(1, BytesIO(content[:1000])), upload.put(2, BytesIO(content[1000:]))]
        upload.complete(tags)
    finally:
        upload.abort()


def status(function, *arguments):
    """The exit status of a step."""
    try:
        function(*arguments)
    except InitctlError as error:
        return error.exit_status
    return 0


def fault(server, method, *arguments, **keywords):
    server.faults.append(Fault(lambda found, _: found == method, *arguments, **keywords))


def before(server, method, action):
    """Let `action` happen once before a request of this method is obeyed."""
    left = [action]

    def fits(found, _):
        if found == method and left:
            left.pop()()
        return False

    server.faults.append(Fault(fits))


def steps(server):
    return [one.method for one in server.asked if one.method in (*STEPS, "STATE")]


@pytest.mark.parametrize("content", [b"", b"x", NEW[:SHORT], NEW], ids=len)
def test_chunks_make_the_object(bucket, old, server, content):
    write(bucket, content)
    assert server.content("net") == content
    assert "DELETE" not in [one.method for one in server.asked]


def test_fake_gcs_server_takes_the_chunks_by_itself(server, monkeypatch):
    """Here nothing of the tests' own is between."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.upstream)
    bucket = opened(monkeypatch)
    write(bucket)
    assert server.content("net") == NEW


def test_the_object_is_not_there_until_its_last_byte_is_sent(bucket, old, server):
    seen = []
    before(server, "END", lambda: seen.append(server.content("net")))
    write(bucket)
    assert seen == [old]
    assert steps(server) == STEPS


@pytest.mark.parametrize("number", range(len(STEPS)))
@pytest.mark.parametrize(
    ("answer", "code", "expected"),
    [
        (503, "backendError", 0),
        (503, "obeyed", 0),
        (408, "timeout", 0),
        (None, "lost", 0),
        (403, "forbidden", 5),
        (404, "notFound", 5),
        (410, "gone", 5),
        (412, "conditionNotMet", 6),
    ],
)
def test_each_request_may_fail_once(bucket, old, server, number, answer, code, expected):
    counted = iter(range(ALWAYS))
    server.faults.append(Fault(lambda method, _: method in STEPS and next(counted) == number, answer, code))
    assert status(write, bucket) == expected
    assert server.content("net") == (old if expected else NEW)


@pytest.mark.parametrize("method", [*STEPS[1:], "BEGIN"])
@pytest.mark.parametrize(("answer", "code"), [(503, "backendError"), (429, "rateLimitExceeded"), (None, "lost")])
def test_each_kind_of_request_may_fail_always(bucket, old, server, method, answer, code):
    fault(server, method, answer, code, times=ALWAYS)
    expected = 0 if answer is None and method != "BEGIN" else 5  # what is obeyed is found
    assert status(write, bucket) == expected
    assert server.content("net") == (old if expected else NEW)


def test_bytes_that_the_store_has_are_not_sent_again(bucket, server):
    fault(server, "CHUNK")
    fault(server, "END")
    write(bucket)
    assert steps(server) == ["BEGIN", "CHUNK", "STATE", "CHUNK", "END", "STATE"]
    assert sum(one.sent for one in server.asked if one.method in ("CHUNK", "END")) == len(NEW)


def test_what_the_store_does_not_keep_is_sent_again(bucket, server, monkeypatch):
    monkeypatch.setattr("initctl.stores.gs_upload._CHUNK", 2 * SHORT)
    server.short = 2
    write(bucket)
    assert server.content("net") == NEW


def test_a_store_that_keeps_nothing_is_given_up(bucket, old, server):
    server.short = ALWAYS
    assert status(write, bucket) == 5
    assert server.content("net") == old


def test_an_object_that_another_program_wrote_meanwhile_stays(bucket, old, server):
    before(server, "CHUNK", lambda: server.put("net", THEIRS))
    with pytest.raises(ConflictError, match=r"^gs://bucket/net: another program changed it") as refused:
        write(bucket)
    assert refused.value.problems[0].code == "output.changed"
    assert server.content("net") == THEIRS


def test_an_object_that_another_program_deleted_meanwhile_stays_deleted(bucket, server):
    server.put("net", OLD)
    before(server, "CHUNK", lambda: server.delete("net"))
    assert status(write, bucket) == 6
    assert server.content("net") is None


@pytest.mark.parametrize("state", [404, 410, 412, 403, 503, None])
def test_if_the_state_does_not_say_it_the_object_shows_that_it_was_made(bucket, old, server, state):
    fault(server, "END")
    fault(server, "STATE", state, times=ALWAYS)
    assert status(write, bucket) == 0
    assert server.content("net") == NEW


@pytest.mark.parametrize(("state", "expected"), [(404, 5), (410, 5), (412, 6), (403, 7), (503, 7)])
def test_if_the_end_was_not_obeyed_and_the_state_does_not_say_it_the_old_object_stays(
    bucket, old, server, state, expected
):
    fault(server, "END", 503, times=ALWAYS)
    fault(server, "STATE", state, times=ALWAYS)
    assert status(write, bucket) == expected
    assert server.content("net") == old


def test_if_the_upload_is_gone_and_another_program_wrote_that_is_a_conflict(bucket, old, server):
    before(server, "END", lambda: server.put("net", THEIRS))
    fault(server, "END", 503)
    fault(server, "STATE", 410)
    assert status(write, bucket) == 6
    assert server.content("net") == THEIRS


def test_if_the_store_stays_silent_after_the_last_byte_the_end_is_uncertain(bucket, old, server):
    def silence():
        for method in ("END", "STATE", "GET"):
            fault(server, method, times=ALWAYS)

    before(server, "CHUNK", silence)
    with pytest.raises(UncertainError, match=r"^gs://bucket/net: the store did not say whether it was written"):
        write(bucket)
    assert server.content("net") == NEW


def test_if_the_store_stays_silent_before_the_last_byte_nothing_was_written(bucket, old, server):
    for method in ("CHUNK", "STATE"):
        fault(server, method, times=ALWAYS)
    with pytest.raises(StorageError, match=r"^gs://bucket/net: the store cannot be reached"):
        write(bucket)
    assert server.content("net") == old


def test_an_answer_that_is_not_the_store_s_is_not_trusted(bucket, old, server):
    fault(server, "END", 200, "obeyed")
    write(bucket)
    assert server.content("net") == NEW


def test_a_server_that_is_away_is_asked_no_more_often_than_any_other(monkeypatch):
    from urllib3.util import connection

    tried, connect = [], connection.create_connection
    monkeypatch.setattr(connection, "create_connection", lambda *a, **more: tried.append(1) or connect(*a, **more))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match="the store cannot be reached: ConnectionError"):
        write_new(opened(monkeypatch))
    assert len(tried) == 3


def test_a_bucket_that_does_not_exist_is_named(server, monkeypatch):
    from initctl.stores import gs

    with pytest.raises(StorageError, match=r"^gs://none/net: the bucket does not exist"):
        write_new(gs.opened("none"))


@pytest.mark.parametrize("method", [*STEPS[1:], "BEGIN"])
@pytest.mark.parametrize("answer", [400, 403, 410, 412, 503, None])
def test_no_message_has_the_words_of_the_store_or_the_address_of_an_upload(bucket, server, method, answer):
    fault(server, method, answer, "odd", times=ALWAYS)
    fault(server, "STATE", answer, "odd", times=ALWAYS)
    fault(server, "GET", answer and 503, times=ALWAYS) if method == "END" else None
    with pytest.raises(InitctlError) as refused:
        write_new(bucket)
    assert str(refused.value).startswith("gs://bucket/net: ")
    assert not [word for word in ("canary", "upload", "http") if word in str(refused.value).replace("the upload", "")]


@pytest.mark.parametrize("answer", [None, 503])
@pytest.mark.parametrize("times", [0, 1])
def test_an_object_is_removed(bucket, server, answer, times):
    server.put("net", OLD)
    fault(server, "DELETE", answer, times=times)
    bucket.remove(bucket.find("net"))
    assert server.content("net") is None


@pytest.mark.parametrize("answer", [404, 412])
def test_an_object_that_is_gone_already_is_removed(bucket, server, answer):
    server.put("net", OLD)
    stored = bucket.find("net")
    server.delete("net")
    fault(server, "DELETE", answer)
    bucket.remove(stored)


def test_only_the_version_that_was_seen_is_removed(bucket, server):
    server.put("net", OLD)
    stored = bucket.find("net")
    server.put("net", THEIRS)
    with pytest.raises(ConflictError, match="gs://bucket/net: another program changed it"):
        bucket.remove(stored)
    assert server.content("net") == THEIRS


@pytest.mark.parametrize("answer", [403, 503])
def test_an_object_that_cannot_be_removed_is_named(bucket, server, answer):
    server.put("net", OLD)
    fault(server, "DELETE", answer, times=ALWAYS)
    with pytest.raises(StorageError, match=r"^gs://bucket/net: "):
        bucket.remove(bucket.find("net"))
    assert server.content("net") == OLD


def test_parts_may_come_from_threads_in_any_order(bucket, server):
    upload = bucket.upload("net", None)
    upload.begin()
    step = len(NEW) // 7
    parts = [NEW[start : start + step] for start in range(0, len(NEW), step)]
    with ThreadPoolExecutor(len(parts)) as pool:
        sent = [pool.submit(upload.put, number, BytesIO(parts[number - 1])) for number in range(len(parts), 0, -1)]
    upload.complete([one.result() for one in reversed(sent)])
    assert server.content("net") == NEW


def test_if_a_part_fails_those_that_wait_for_it_fail_too(bucket, server):
    fault(server, "CHUNK", 403, times=ALWAYS)
    upload = bucket.upload("net", None)
    upload.begin()
    with ThreadPoolExecutor(2) as pool:
        later, first = [pool.submit(upload.put, number, BytesIO(NEW)) for number in (2, 1)]
    assert first.exception() is later.exception()
    assert later.exception().problems[0].code == "store.denied"


def test_an_upload_that_is_given_up_cannot_become_an_object(bucket, old, server):
    upload = bucket.upload("net", bucket.find("net"))
    upload.begin()
    upload.put(1, BytesIO(NEW))
    upload.abort()
    with pytest.raises(StorageError, match="the store lost the upload"):
        upload.complete(["1"])
    assert server.content("net") == old


def test_an_upload_knows_whether_its_object_is_there(bucket, server):
    upload = bucket.upload("net", None)
    upload.begin()
    upload.put(1, BytesIO(NEW))
    assert not upload.is_there()
    upload.finish(["1"])
    assert upload.is_there()
    server.put("net", THEIRS)
    assert not upload.is_there()


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_replaced_nothing_can_be_undone(bucket, old, server, is_changed):
    upload = bucket.upload("net", bucket.find("net"))
    upload.begin()
    upload.complete([upload.put(1, BytesIO(NEW))])
    if is_changed:
        server.put("net", THEIRS)
    upload.undo()
    assert server.content("net") == (THEIRS if is_changed else NEW if old else None)


def test_an_object_keeps_what_its_old_version_has_besides_its_content(bucket, server):
    server.put("net", OLD, contentType="model/x", cacheControl="no-transform", metadata={"owner": "ann"})
    write(bucket)
    found = bucket.metadata("net", "contentType,cacheControl,metadata")
    assert (found["contentType"], found["cacheControl"]) == ("model/x", "no-transform")
    assert {"owner": "ann"}.items() < found["metadata"].items()


def test_little_of_a_part_is_in_memory_and_less_of_it_waits_for_the_end(bucket, monkeypatch):
    """Many objects wait for their end at the same time."""
    monkeypatch.setattr("initctl.stores.gs_upload._CHUNK", 2 * SHORT)
    upload, held = bucket.upload("net", None), []

    class Watched(BytesIO):
        def read(self, length):
            held.append(len(upload._pending))
            return super().read(length)

    upload.begin()
    upload.put(1, Watched(bytes(8 * SHORT)))
    assert max(held) == 2 * SHORT
    assert len(upload._pending) == SHORT
    upload.abort()


def test_a_store_that_forgets_what_it_had_is_not_sent_the_rest(bucket, old, server):
    def forget():
        (upload,) = server._uploads.values()
        upload.reached = 0

    before(server, "STATE", forget)
    fault(server, "END", 503)
    with pytest.raises(StorageError, match="the store lost the upload"):
        write(bucket)
    assert server.content("net") == old


def test_an_old_object_that_cannot_be_read_is_not_replaced(bucket, server):
    server.put("net", OLD)
    stored = bucket.find("net")
    fault(server, "GET", 403)
    assert status(written, bucket, stored, NEW) == 5
    assert server.content("net") == OLD
