from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from initctl.commit.nameless import NamelessFile
from initctl.layout.ranges import ByteRange

FAR = 1 << 39
NBYTES = 64 << 10

UPLOADING = """
import hashlib, os
from initctl.commit.nameless import NamelessFile
from initctl.layout.ranges import ByteRange

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))

def held():
    files = [os.stat(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2
             and os.path.exists(f"/proc/self/fd/{name}")]
    return sum(file.st_blocks * 512 for file in files if not file.st_nlink)

step, data, most = 16 << 20, os.urandom(1 << 20), 0
before = peak()
for start in range(1 << 39, (1 << 39) + 20 * step, step):
    with NamelessFile("net", in_memory=True) as new:
        os.ftruncate(new.descriptor, 1 << 40)
        for place in range(start, start + step, len(data)):
            os.pwrite(new.descriptor, data, place)
        most = max(most, held())
        stream = new.stream(ByteRange(start, start + step))
        assert all(stream.read(len(data)) == data for _ in range(16)) and not stream.read(1)
print(most, held(), peak() - before)
"""


@pytest.fixture(params=["memory", "disk"])
def new(request, monkeypatch):
    if request.param == "disk":
        monkeypatch.delattr(os, "memfd_create")
    with NamelessFile("net.safetensors", in_memory=True) as new:
        yield new


@pytest.fixture
def window(new):
    """A range far into the file, and what is there; other bytes are beside it."""
    content = os.urandom(NBYTES)
    os.ftruncate(new.descriptor, 2 * FAR)
    os.pwrite(new.descriptor, b"before" + content + b"after", FAR - 6)
    return ByteRange(FAR, FAR + NBYTES), content


def test_a_window_is_read_as_a_file_of_its_bytes_alone(new, window):
    place, content = window
    assert new.stream(place).read() == content
    assert io.BufferedReader(new.stream(place)).read() == content


def test_a_window_is_read_from_any_place_in_it(new, window):
    place, content = window
    stream = new.stream(place)
    assert [stream.seek(0, os.SEEK_END), stream.tell(), stream.read(1)] == [NBYTES, NBYTES, b""]
    assert [stream.seek(-10, os.SEEK_END), stream.read(99)] == [NBYTES - 10, content[-10:]]
    assert [stream.seek(7), stream.seek(5, os.SEEK_CUR), stream.read(3)] == [7, 12, content[12:15]]
    assert [stream.seek(NBYTES + 5), stream.read(1)] == [NBYTES + 5, b""]


def test_a_buffered_reader_may_move_in_a_window(new, window):
    place, content = window
    with io.BufferedReader(new.stream(place)) as stream:
        assert [stream.seek(-10, os.SEEK_END), stream.read(99)] == [NBYTES - 10, content[-10:]]


def test_only_the_bytes_that_are_written_take_room(new, window):
    assert os.fstat(new.descriptor).st_blocks * 512 <= NBYTES + (16 << 10)


def test_the_file_has_no_name_and_is_gone_when_it_is_closed(new):
    assert os.fstat(new.descriptor).st_nlink == 0
    closed = new.descriptor
    new.__exit__()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(closed)


def test_a_file_on_the_disk_never_has_a_name_that_could_be_left_behind(tmp_path, monkeypatch):
    try:
        os.close(os.open(tmp_path, os.O_RDWR | os.O_TMPFILE))
    except (AttributeError, OSError):
        pytest.skip("this system makes no files without a name")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delattr(os, "unlink")
    with NamelessFile("net.safetensors", in_memory=False):
        assert os.listdir(tmp_path) == []


def test_an_open_file_stays_open_and_keeps_its_bytes_while_others_open_it(new, window):
    place, content = window
    with new.opened() as descriptor:
        assert os.pread(descriptor, NBYTES, place.start) == content
    new.sync(0o644)
    assert new.stream(place).read() == content


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no files in memory")
def test_memory_is_that_of_one_window_however_many_there_are():
    """Pages of such files are not in VmHWM, which shows what is read; so what the open files hold is counted too."""
    ended = subprocess.run([sys.executable, "-c", UPLOADING], capture_output=True, text=True, check=True)
    most, after, grown = map(int, ended.stdout.split())
    assert 16 << 20 <= most <= 17 << 20
    assert after == 0
    assert grown <= 8 << 20
