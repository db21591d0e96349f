"""A new file is like the one that it replaces: owner, group, access control lists, and other extended attributes."""

from __future__ import annotations

import errno
import os
import stat
import struct
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from initctl.commit import effects
from initctl.commit.attributes import give_attributes
from tests.commit.folders import refusing
from tests.nobody import nobody

if TYPE_CHECKING:
    from pathlib import Path

ACL, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER, _NOBODY = 1, 2, 4, 16, 32, 0xFFFFFFFF


def acl(user: int = 1234, mask: int = 4) -> bytes:
    """An access control list by which `user` may read: u::rw-, u:USER:r--, g::r--, m::…, o::---."""
    entries = [(_USER_OBJ, 6, _NOBODY), (_USER, 4, user), (_GROUP_OBJ, 4, _NOBODY), (_MASK, mask, _NOBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in [*entries, (_OTHER, 0, _NOBODY)])


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Two files, old and new, on a file system with extended attributes and access control lists."""
    old, new = tmp_path / "old", tmp_path / "new"
    for path in (old, new):
        path.touch(0o640)
    try:
        os.setxattr(old, "user.origin", b"here")
        os.setxattr(old, ACL, acl())
    except (OSError, AttributeError):
        pytest.skip("this file system has no access control lists")
    return str(old), str(new)


def given(path: str, mode: int, like: str) -> list[str]:
    """Give what is at `path` the attributes of `like`; returns what was not allowed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return give_attributes(descriptor, mode, like)
    finally:
        os.close(descriptor)


def attributes(path: str) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def test_extended_attributes_and_access_control_lists_are_kept(pair: tuple[str, str]):
    old, new = pair
    assert given(new, 0o640, old) == []
    assert attributes(new) == attributes(old) == {"user.origin": b"here", ACL: acl()}
    assert stat.S_IMODE(os.stat(new).st_mode) == stat.S_IMODE(os.stat(old).st_mode)


def test_what_a_directory_gives_by_default_is_taken_away(tmp_path: Path, pair: tuple[str, str]):
    old, _ = pair
    os.removexattr(old, ACL)
    os.chmod(old, 0o640)
    os.setxattr(tmp_path, DEFAULT, acl())
    new = str(tmp_path / "staged")
    os.close(os.open(new, os.O_CREAT, 0o600))
    assert ACL in attributes(new)
    assert given(new, 0o640, old) == []
    assert attributes(new) == {"user.origin": b"here"}
    assert stat.S_IMODE(os.stat(new).st_mode) == 0o640


def test_a_directory_keeps_what_it_gives_by_default(tmp_path: Path, pair: tuple[str, str]):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    os.setxattr(tmp_path / "one", DEFAULT, acl())
    assert given(str(tmp_path / "other"), 0o750, str(tmp_path / "one")) == []
    assert attributes(str(tmp_path / "other")) == {DEFAULT: acl()}


def test_only_a_directory_keeps_its_set_group_id_and_sticky_bits(tmp_path: Path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}-file").touch()
    assert given(str(tmp_path / "other"), 0o7750, str(tmp_path / "one")) == []
    assert given(str(tmp_path / "other-file"), 0o7750, str(tmp_path / "one-file")) == []
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o3750
    assert stat.S_IMODE((tmp_path / "other-file").stat().st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to a group that it is not in")
def test_a_set_group_id_bit_that_the_system_drops_without_an_error_is_named():
    with TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("one", "other")]
        for path in paths:
            os.mkdir(path)
            os.chown(path, 65534, 1234)
        os.chmod(folder, 0o755)
        with nobody():
            assert given(paths[1], 0o2750, paths[0]) == ["set-group-ID bit"]
        assert stat.S_IMODE(os.stat(paths[1]).st_mode) == 0o750


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_and_group_are_kept(pair: tuple[str, str]):
    old, new = pair
    os.chown(old, 1234, 2345)
    assert given(new, 0o640, old) == []
    assert (os.stat(new).st_uid, os.stat(new).st_gid) == (1234, 2345)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can set such attributes")
@pytest.mark.parametrize("name", ["security.capability", "security.ima", "security.evm"])
def test_rights_of_programs_and_signatures_of_the_old_content_are_not_copied(pair: tuple[str, str], name: str):
    old, new = pair
    try:
        os.setxattr(old, name, b"\1\0\0\2" + bytes(16))
    except OSError:
        pytest.skip("the system does not take it")
    given(new, 0o640, old)
    assert name not in attributes(new)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_the_system_does_not_allow_is_named(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    old, new = pair
    os.chown(old, 1234, 2345)
    for call in ("change_owner", "set_attribute"):
        monkeypatch.setattr(effects, call, refusing(errno.EPERM))
    assert given(new, 0o600, old) == [
        "group", "owner", "access control list", "extended attribute user.origin",
    ]  # fmt: skip
    assert stat.S_IMODE(os.stat(new).st_mode) == 0o600


@pytest.mark.parametrize(("mode", "wanted"), [(0o660, 0o600), (0o664, 0o644), (0o640, 0o600), (0o607, 0o677)])
def test_a_group_that_the_old_one_did_not_have_may_do_no_more_than_everybody(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, mode: int, wanted: int
):
    old, new = pair
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.removexattr(old, ACL)
    os.chown(old, -1, 2345)
    monkeypatch.setattr(effects, "change_owner", refusing(errno.EPERM))
    assert given(new, mode, old) == ["group"]
    assert stat.S_IMODE(os.stat(new).st_mode) == wanted


@pytest.mark.parametrize("call", ["set_attribute", "change_mode"])
def test_a_disk_that_fails_is_not_a_matter_of_permission(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, call: str
):
    monkeypatch.setattr(effects, call, refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        given(pair[1], 0o640, pair[0])


def test_an_owner_that_cannot_be_changed_for_another_reason_is_an_error(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(pair[0], 1234, -1)
    monkeypatch.setattr(effects, "change_owner", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        given(pair[1], 0o640, pair[0])


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.ENODATA])
def test_a_file_system_without_extended_attributes_has_none_to_keep(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch, code: int
):
    monkeypatch.setattr(os, "listxattr", refusing(code))
    assert given(pair[1], 0o640, pair[0]) == []


def test_an_attribute_that_is_gone_when_it_is_read_takes_no_other_with_it(
    pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
):
    names = os.listxattr
    monkeypatch.setattr(os, "listxattr", lambda place: ["user.gone", *names(place)])
    assert given(pair[1], 0o640, pair[0]) == []
    monkeypatch.undo()
    assert attributes(pair[1]) == attributes(pair[0])


def test_attributes_that_cannot_be_read_are_an_error(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "getxattr", refusing(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        given(pair[1], 0o640, pair[0])


def test_a_system_without_extended_attributes_has_none_to_keep(pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "listxattr")
    assert given(pair[1], 0o640, pair[0]) == []


def test_a_file_that_is_gone_meanwhile_gives_nothing_but_permissions(tmp_path: Path):
    new = tmp_path / "new"
    new.touch()
    assert given(str(new), 0o604, str(tmp_path / "gone")) == []
    assert stat.S_IMODE(new.stat().st_mode) == 0o604
