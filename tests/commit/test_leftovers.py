"""What a killed process has left is removed, and nothing else is."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from initctl.commit import effects, leftovers
from initctl.commit.leftovers import reclaim
from initctl.commit.mounts import Mount
from initctl.commit.staging import StagedDirectory, StagedFile
from initctl.locks import lock, release
from initctl.traces import is_of_living_process, is_staged, is_trace, journal_path, staged_path
from tests.commit.folders import contents, refusing
from tests.nobody import nobody

KILLED = """
import os, signal, sys
from initctl.commit.staging import StagedDirectory, StagedFile
at = [os.path.join(sys.argv[1], name) for name in ("file", "folder")]
with StagedFile(at[0]) as file, StagedDirectory(at[1]) as folder:
    with folder.file("below/shard") as shard:
        os.write(shard.descriptor, b"half")
        file.sync(0o444)
        shard.sync(0o444)
    folder.sync(0o555, like=sys.argv[1])
    print("staged", flush=True)
    if sys.argv[2] == "wait":
        sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(folder: Path) -> list[str]:
    """The names that a process leaves in `folder`, which is killed while it stages a file and a directory there."""
    (folder / "below").mkdir(exist_ok=True)
    before = set(os.listdir(folder))
    subprocess.run([sys.executable, "-c", KILLED, str(folder), "now"], check=False, stdout=subprocess.DEVNULL)
    return sorted(set(os.listdir(folder)) - before)


def test_what_a_killed_process_staged_is_removed_and_named(tmp_path: Path):
    left = killed(tmp_path)
    assert len(left) == 2
    problems = sorted(reclaim(str(tmp_path)))
    assert [problem.code for problem in problems] == ["storage.reclaimed"] * 2
    assert [problem.message for problem in problems] == [
        f"{tmp_path / name}: removed it; an initctl that was killed had left it" for name in left
    ]
    assert os.listdir(tmp_path) == ["below"]


def test_what_a_live_process_stages_stays(tmp_path: Path):
    (tmp_path / "below").mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "staged\n"
        before = contents(tmp_path)
        assert list(reclaim(str(tmp_path))) == []
        assert contents(tmp_path) == before
        process.kill()
    assert len(list(reclaim(str(tmp_path)))) == 2


def test_what_a_live_process_is_just_about_to_lock_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made, locks = Path(staged_path(str(tmp_path / "file"))), []
    made.touch()
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda _: locks.append(lock(str(made))))
        assert list(reclaim(str(tmp_path))) == []
    assert made.exists()
    release(*locks)
    assert [problem.code for problem in reclaim(str(tmp_path))] == ["storage.reclaimed"]


@pytest.mark.parametrize("error", [PermissionError, OverflowError])
def test_a_process_of_another_user_lives_and_one_of_an_impossible_number_does_not(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, "kill", fail)
    assert is_of_living_process(staged_path("file")) is (error is PermissionError)


@pytest.mark.parametrize(
    "name",
    [
        ".initctl-0a1b2c-77-0123abcd.tmp.bak",
        "x.initctl-0a1b2c-77-0123abcd.tmp",
        ".initctl-0a1b2c-77-0123ABCD.tmp",
        ".initctl-0a1b2c-77.tmp",
        ".initctl-journal",
        ".initctl-0123.parts",
    ],
)
def test_other_names_stay(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    assert list(reclaim(str(tmp_path))) == []
    assert os.listdir(tmp_path) == [name]


def test_links_and_pipes_of_such_a_name_stay(tmp_path: Path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / ".initctl-0a1b2c-77-0123abcd.tmp").symlink_to("theirs")
    (tmp_path / ".initctl-0a1b2c-77-0123abce.tmp").symlink_to("nowhere")
    os.mkfifo(tmp_path / ".initctl-0a1b2c-77-0123abcf.tmp")
    assert list(reclaim(str(tmp_path))) == []
    assert len(os.listdir(tmp_path)) == 4


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user_stay_unless_root_finds_them(open_folder: Path):
    left = killed(open_folder)
    for name in left:  # as root stages them for their owner
        os.chown(open_folder / name, 1234, -1)
    open_folder.chmod(0o777)
    with nobody():
        assert list(reclaim(str(open_folder))) == []
    assert set(left) < set(os.listdir(open_folder))
    assert [problem.code for problem in reclaim(str(open_folder))] == ["storage.reclaimed"] * 2
    assert os.listdir(open_folder) == ["below"]


def test_a_file_system_without_locks_cannot_say_so_it_is_only_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (name, *_) = killed(tmp_path)
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    problems = sorted(reclaim(str(tmp_path)))
    assert [problem.code for problem in problems] == ["storage.leftover"] * 2
    assert str(problems[0]) == (
        f"{tmp_path / name}: may be left of an initctl that was killed; remove it if no other initctl writes there"
    )
    assert (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("kind", "is_removed"), [("nfs4", False), ("fuse.sshfs", False), ("ext4", True), (None, False)]
)
def test_what_another_machine_may_be_staging_is_only_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, is_removed: bool
):
    """A file system that several machines share may keep the locks of each to itself."""
    path = tmp_path / ".initctl-ffffff-77-0123abcd.tmp"
    path.touch()
    monkeypatch.setattr(leftovers, "mount_of", lambda _: kind and Mount(str(tmp_path), kind, "there"))
    (problem,) = reclaim(str(tmp_path))
    assert problem.code == ("storage.reclaimed" if is_removed else "storage.leftover")
    assert path.exists() is not is_removed
    own = killed(tmp_path)
    assert len(own) == 2
    assert {problem.code for problem in reclaim(str(tmp_path))} >= {"storage.reclaimed"}
    assert not any((tmp_path / name).exists() for name in own)


def test_what_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    left = killed(tmp_path)
    monkeypatch.setattr(effects, "unlink", refusing(errno.EIO))
    monkeypatch.setattr(effects, "remove_tree", lambda _: None)
    problems = sorted(reclaim(str(tmp_path)))
    assert [problem.message for problem in problems] == [
        f"{tmp_path / name}: is left of an initctl that was killed, and could not be removed" for name in left
    ]


def test_a_directory_that_cannot_be_listed_has_nothing_to_reclaim(tmp_path: Path):
    assert list(reclaim(str(tmp_path / "missing"))) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_files_whose_owner_the_system_does_not_tell_stay(open_folder: Path):
    left = killed(open_folder)
    open_folder.chmod(0o744)
    with nobody():
        assert set(left) < set(os.listdir(open_folder))
        assert list(reclaim(str(open_folder))) == []
    assert set(left) < set(os.listdir(open_folder))


def test_a_file_that_vanishes_meanwhile_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    killed(tmp_path)
    monkeypatch.setattr(leftovers, "lock", lambda path, **_: os.path.isdir(path) or os.unlink(path))
    monkeypatch.setattr(leftovers, "_is_own", lambda path: os.path.isfile(path))
    assert list(reclaim(str(tmp_path))) == []


@pytest.mark.parametrize("staged", [StagedFile, StagedDirectory])
def test_what_is_reclaimed_before_it_is_locked_is_staged_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staged: type
):
    """Another process may find a new file between its creation and its lock."""
    flock, calls = fcntl.flock, []

    def reclaimed_before(descriptor: int, kind: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            assert len(list(reclaim(str(tmp_path)))) == 1
            assert os.listdir(tmp_path) == []
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", reclaimed_before)
    with staged(str(tmp_path / "out")) as new:
        assert os.listdir(tmp_path) == [os.path.basename(new.path)]
        new.sync(0o700, **({"like": str(tmp_path)} if staged is StagedDirectory else {}))
        new.commit()
    assert os.listdir(tmp_path) == ["out"]


def test_what_another_process_is_just_reclaiming_is_staged_under_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    flock, calls = fcntl.flock, []

    def found_locked(descriptor: int, kind: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            raise BlockingIOError
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", found_locked)
    with StagedFile(str(tmp_path / "out")) as new:
        assert os.listdir(tmp_path) == [os.path.basename(new.path)]


def test_every_name_that_initctl_uses_beside_a_checkpoint_is_known_as_its_own(tmp_path: Path):
    staged, file = staged_path(str(tmp_path / "m")), str(tmp_path / "m.pt")
    assert os.path.dirname(staged) == str(tmp_path)
    assert is_staged(os.path.basename(staged))
    names = [staged, journal_path(file), journal_path(str(tmp_path)), ".initctl-0a.parts", ".initctl-0a.gone"]
    assert all(is_trace(os.path.basename(name)) for name in names)
    assert len({*names}) == 5
    assert not any(map(is_trace, ["model.safetensors", ".initctl", ".initctl-notes", "initctl-journal"]))


def test_a_journal_of_the_longest_name_has_a_short_one(tmp_path: Path):
    path = tmp_path / ("x" * 255)
    path.touch()
    with open(journal_path(str(path)), "x"):
        pass
    assert stat.S_ISREG(os.stat(journal_path(str(path))).st_mode)
