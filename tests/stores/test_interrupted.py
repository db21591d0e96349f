"""A process that is ended while it writes to a store leaves the old objects; and unless it was killed, no upload."""

from __future__ import annotations

import signal

import pytest

from tests.distributed.checkpoints import one_file
from tests.stores.servers import BUCKET, ended

COMMAND = ["apply", f"s3://{BUCKET}/net.safetensors", "--in-place", "-r", "norm.bias=ones", "-r", "waves=normal"]


@pytest.mark.parametrize("step", ["BEGIN", "PART"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_the_old_object_and_no_upload(tmp_path, put, bucket, server, step, number, status):
    put(one_file(tmp_path), "net.safetensors")
    before = bucket.objects()
    assert ended(COMMAND, server, step, number) == status
    assert bucket.objects() == before
    assert not bucket.uploads


def test_a_signal_at_the_end_of_the_upload_comes_too_late(tmp_path, put, bucket, server):
    put(one_file(tmp_path), "net.safetensors")
    before = bucket.objects()
    assert ended(COMMAND, server, "COMPLETE", signal.SIGTERM) == 0
    assert bucket.objects() != before
    assert not bucket.uploads


def test_a_killed_process_leaves_the_old_object(tmp_path, put, bucket, server):
    put(one_file(tmp_path), "net.safetensors")
    before = bucket.objects()
    assert ended(COMMAND, server, "PART", signal.SIGKILL) == -signal.SIGKILL
    assert bucket.objects() == before
    assert ended(COMMAND, server, "none", 0) == 0
    assert bucket.objects() != before
