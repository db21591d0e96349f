"""Buckets that are mounted as file systems are recognized by the system's table of mounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from initctl.commit.mounts import check_no_bucket, check_no_mount_point, mount_of
from initctl.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

TABLE = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /mnt/s3 rw,nosuid,nodev - fuse.s3fs s3fs rw,user_id=0
31 22 0:41 / /mnt/gcs rw - fuse.gcsfuse my-bucket rw
32 22 0:42 / /mnt/mountpoint rw - fuse mountpoint-s3 rw
33 22 0:43 / /mnt/rclone\040drive rw - fuse.rclone remote:bucket rw
34 22 0:44 / /mnt/sshfs rw - fuse.sshfs host:/home rw
35 22 0:45 / /mnt/nfs rw shared:9 master:3 - nfs4 server:/export rw
36 30 0:46 / /mnt/s3/tmpfs rw - tmpfs tmpfs rw
37 22 0:47 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw
38 22 0:48 / /mnt/auto rw - autofs systemd-1 rw
39 22 0:49 / /mnt/auto rw - fuse.s3fs s3fs rw
40 22 0:50 / /mnt/copies rw - fuse.sshfs host:/rclone rw
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "mountinfo").write_text(TABLE)
    return str(tmp_path / "mountinfo")


@pytest.mark.parametrize(
    ("path", "program"),
    [
        ("/mnt/s3/model", "s3fs"),
        ("/mnt/s3", "s3fs"),
        ("/mnt/gcs/a/b/c", "gcsfuse"),
        ("/mnt/mountpoint/x", "mountpoint-s3"),
        ("/mnt/rclone drive/x", "rclone"),
        ("/mnt/sshfs/x", None),
        ("/mnt/nfs/x", None),
        ("/mnt/ntfs/x", None),
        ("/mnt/auto/x", "s3fs"),
        ("/mnt/copies/x", None),
        ("/mnt/s3/tmpfs/x", None),
        ("/mnt/s3-copy", None),
        ("/home", None),
    ],
)
def test_the_nearest_mount_decides(table: str, path: str, program: str | None):
    mount = mount_of(path, table)
    assert mount
    assert mount.bucket == program


def test_a_carriage_return_in_a_mount_point_ends_no_line(tmp_path: Path):
    table = tmp_path / "mountinfo"
    table.write_bytes(TABLE.encode() + b"41 22 0:51 / /mnt/a\rb rw - tmpfs none rw\n")
    found = mount_of("/mnt/a\rb/c", str(table))
    assert found
    assert found.point == "/mnt/a\rb"


def test_a_bucket_is_named_and_what_is_impossible_there(table: str):
    with pytest.raises(StorageError) as caught:
        check_no_bucket("/mnt/rclone drive/out", "out", "a directory cannot appear in one step", table)
    assert str(caught.value) == (
        "out: is on /mnt/rclone drive, a bucket that rclone has mounted, where a directory cannot appear in one step; "
        "write to a local disk, and upload the result"
    )
    check_no_bucket("/mnt/nfs/out", "out", "it is impossible", table)


@pytest.mark.parametrize(
    ("path", "point"), [("/mnt/nfs", "/mnt/nfs"), ("/mnt", "/mnt/s3"), ("/mnt/s3", "/mnt/s3"), ("/mnt/s", None)]
)
def test_the_outermost_mount_point_at_or_below_a_path_is_named(table: str, path: str, point: str | None):
    if point is None:
        check_no_mount_point(path, table)
        return
    with pytest.raises(StorageError, match=f"^{point}: is a mount point, which cannot be replaced in one step"):
        check_no_mount_point(path, table)


def test_a_system_without_the_table_is_taken_as_it_is(tmp_path: Path):
    assert mount_of("/home", str(tmp_path / "missing")) is None
    check_no_bucket("/home", "out", "it is impossible", str(tmp_path / "missing"))
    check_no_mount_point("/", str(tmp_path / "missing"))


def test_this_system_has_one(tmp_path: Path):
    mount = mount_of(str(tmp_path))
    assert mount is None or (mount.kind and str(tmp_path).startswith(mount.point))
