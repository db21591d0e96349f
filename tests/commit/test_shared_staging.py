"""A directory that several processes stage one result in: its notes, its locks, and how far a commit came."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
from pathlib import Path

import pytest

from initctl.commit import effects
from initctl.commit.new_files import NewDirectory
from initctl.commit.replacing import replace_directory, replace_file
from initctl.commit.shared_staging import SharedStaging
from initctl.errors import ConflictError, StorageError, UncertainError
from tests.commit.folders import contents, record_commits, refusing

NOTE = "note.json"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def staging(target: Path) -> SharedStaging:
    made = begun(target)
    made.leave(NOTE, b"note")
    return made


def begun(target: Path) -> SharedStaging:
    made = SharedStaging(str(target), "name")
    made.make()
    return made


def write(staging: SharedStaging, name: str | None = None) -> None:
    with staging.file(name) as new:
        os.pwrite(new.descriptor, b"new", 0)


def test_the_name_of_the_directory_is_flushed(target: Path, monkeypatch: pytest.MonkeyPatch):
    log = record_commits(monkeypatch, "make_directory")
    begun(target)
    assert log == ["make_directory", os.stat(target.parent).st_ino]


def test_the_directory_is_beside_the_target_and_private(target: Path):
    staging = begun(target)
    assert staging.path == str(target.parent / ".name.parts")
    assert os.stat(staging.path).st_mode & 0o777 == 0o700
    staging.make()


def test_it_cannot_be_made_beside_a_target_whose_directory_is_missing(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot be written"):
        begun(tmp_path / "missing" / "target")


def test_of_several_first_notes_one_stays_and_all_read_it(staging: SharedStaging):
    assert staging.leave_first("first", b"one") == b"one"
    assert staging.leave_first("first", b"other") == b"one"
    assert staging.leave_first(NOTE, b"other") == b"note"
    staging.leave("empty", b"")
    assert staging.leave_first("empty", b"other") == b""
    assert sorted(os.listdir(staging.path)) == ["empty", "first", NOTE]


def test_a_note_is_replaced_in_one_step_and_flushed(staging: SharedStaging, monkeypatch: pytest.MonkeyPatch):
    log = record_commits(monkeypatch, "rename")
    staging.leave(NOTE, b"more")
    inode, directory = os.stat(os.path.join(staging.path, NOTE)).st_ino, os.stat(staging.path).st_ino
    assert log == [inode, "rename", directory]
    assert staging.note(NOTE) == b"more"
    assert staging.note("other") is None


def test_a_first_note_is_flushed_before_it_is_there(staging: SharedStaging, monkeypatch: pytest.MonkeyPatch):
    log = record_commits(monkeypatch, "rename_new")
    staging.leave_first("first", b"one")
    inode, directory = os.stat(os.path.join(staging.path, "first")).st_ino, os.stat(staging.path).st_ino
    assert log == [inode, "rename_new", directory]


def test_the_names_of_all_files_of_a_directory_are_flushed(staging: SharedStaging, monkeypatch: pytest.MonkeyPatch):
    write(staging, "a")
    write(staging, "sub/b")
    log = record_commits(monkeypatch)
    staging.sync_names()
    assert log == [os.stat(os.path.join(staging.result, name)).st_ino for name in ("sub", ".")]


def test_every_process_may_open_a_file_and_what_is_in_it_stays(staging: SharedStaging):
    write(staging)
    with staging.file(None) as again:
        assert os.pread(again.descriptor, 9, 0) == b"new"


def test_a_file_that_a_killed_commit_made_read_only_is_written_again(strict_folder: Path):
    staging = begun(strict_folder / "target")
    with staging.file(None) as new:
        os.pwrite(new.descriptor, b"old", 0)
        new.sync(0o444)
    assert not os.access(staging.result, os.W_OK, effective_ids=True)
    with staging.file(None) as again:
        os.pwrite(again.descriptor, b"new", 0)
        assert stat.S_IMODE(os.stat(staging.result).st_mode) == 0o600
    assert contents(strict_folder / ".name.parts") == {"result": b"new"}


def test_a_commit_that_begins_again_keeps_only_the_files_of_its_result(staging: SharedStaging):
    for name in ("a", "sub/b", "linked", "sub/linked"):
        write(staging, name)
    NewDirectory(staging.result, staging.target).keep_only({"a", "sub/b"})
    assert contents(Path(staging.result)) == {"a": b"new", "sub": None, "sub/b": b"new"}


def test_users_share_it_and_a_commit_is_alone(staging: SharedStaging):
    with staging.used(NOTE), staging.used(NOTE), pytest.raises(ConflictError, match="just writing or committing it"):
        staging.alone(NOTE).__enter__()
    with staging.alone(NOTE), pytest.raises(ConflictError, match="is just being put in place; wait until it has ended"):
        staging.used(NOTE).__enter__()
    with staging.alone(NOTE):
        pass


def test_one_note_is_worked_on_by_one_process(staging: SharedStaging):
    with staging.leaving("part"), staging.leaving("other"), pytest.raises(ConflictError, match="writing this part"):
        staging.leaving("part").__enter__()
    with staging.leaving("part"):
        pass


def test_a_directory_that_was_removed_or_made_anew_meanwhile_is_not_used(
    staging: SharedStaging, monkeypatch: pytest.MonkeyPatch
):
    system = os.open

    def open_before_it_is_made_anew(path: str, *arguments: int) -> int:
        descriptor = system(path, *arguments)
        monkeypatch.undo()
        staging.remove()
        staging.make()
        staging.leave(NOTE, b"new")
        return descriptor

    monkeypatch.setattr(os, "open", open_before_it_is_made_anew)
    with pytest.raises(ConflictError, match="is just being put in place"):
        staging.used(NOTE).__enter__()
    staging.remove()
    with pytest.raises(ConflictError, match="is just being put in place"):
        staging.used(NOTE).__enter__()


def test_a_file_system_without_locks_goes_without(staging: SharedStaging, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("fcntl.flock", refusing(errno.ENOLCK))
    with staging.used(NOTE), staging.alone(NOTE), staging.leaving("part"):
        pass


def test_a_file_takes_the_targets_place_from_inside_the_directory(staging: SharedStaging, target: Path):
    write(staging)
    path = staging.begin_commit()
    assert (path, staging.is_spent, staging.is_in_place) == (os.path.join(staging.path, "result"), False, False)
    assert staging.begin_commit() == path
    replace_file(path, str(target))
    assert (staging.is_spent, staging.is_in_place) == (True, True)
    staging.remove()
    assert contents(target.parent) == {"target": b"new"}


def test_a_signal_comes_too_late_to_leave_a_part_of_it(
    staging: SharedStaging, target: Path, monkeypatch: pytest.MonkeyPatch
):
    write(staging)
    replace_file(staging.begin_commit(), str(target))
    rename = effects.rename

    def rename_while_a_signal_comes(path: str, other: str) -> None:
        rename(path, other)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(effects, "rename", rename_while_a_signal_comes)
    before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the signal was not held back"))
    try:
        staging.remove()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert contents(target.parent) == {"target": b"new"}


def test_a_file_that_has_both_names_is_in_place(staging: SharedStaging, target: Path):
    write(staging)
    replace_file(staging.begin_commit(), str(target), no_clobber=True)
    assert (staging.is_spent, staging.is_in_place) == (True, True)
    staging.remove()
    assert contents(target.parent) == {"target": b"new"}


def test_a_directory_is_moved_beside_the_target_and_found_there_by_all(staging: SharedStaging, target: Path):
    write(staging, "file")
    path = staging.begin_commit()
    assert path == str(target.parent / ".name.result")
    assert begun(target).result == path == staging.begin_commit()
    assert ".name.parts and " in staging.shown
    with staging.file("file") as again:
        assert os.pread(again.descriptor, 9, 0) == b"new"
    target.mkdir()
    (target / "old").touch()
    replace_directory(path, str(target), check_before_replacing=lambda: None)
    assert (staging.is_spent, staging.is_in_place) == (True, True)
    assert contents(target.parent / ".name.result") == {"old": b""}
    staging.remove()
    assert contents(target.parent) == {"target": None, "target/file": b"new"}


def test_what_an_earlier_result_left_beside_the_target_is_not_taken_for_this_one(staging: SharedStaging, target: Path):
    write(staging, "file")
    (target.parent / ".name.result").mkdir()
    (target.parent / ".name.result" / "stranger").touch()
    assert contents(target.parent / os.path.basename(staging.begin_commit())) == {"file": b"new"}


def test_a_result_that_is_nowhere_any_more_is_spent_and_not_in_place(staging: SharedStaging, target: Path):
    write(staging)
    target.write_bytes(b"other")
    os.unlink(staging.begin_commit())
    assert (staging.is_spent, staging.is_in_place) == (True, False)


@pytest.mark.parametrize("content", [b"", b"x", b"-1", "²".encode()])
def test_a_damaged_note_of_a_commit_is_none(staging: SharedStaging, content: bytes):
    write(staging)
    staging.begin_commit()
    staging.leave("committing", content)
    assert (staging.is_spent, staging.is_in_place) == (False, False)


def test_what_is_left_of_a_removal_is_swept(staging: SharedStaging, target: Path):
    gone = target.parent / ".name.gone"
    write(staging)
    staging.begin_commit()
    os.rename(staging.path, gone)
    assert (staging.is_left_over, staging.is_in_place) == (False, False)  # the target was removed meanwhile
    os.rename(gone / "result", target)
    assert (staging.is_left_over, staging.is_in_place) == (True, True)
    target.rename(target.with_name("moved"))
    target.touch()
    assert not staging.is_left_over  # it is another one by now
    (gone / "committing").unlink()
    assert staging.is_left_over
    staging.sweep()
    assert not gone.exists()
    assert not staging.is_left_over
    staging.sweep()


def test_a_new_directory_beside_what_is_left_of_a_removal_is_no_leftover(staging: SharedStaging, target: Path):
    os.rename(staging.path, target.parent / ".name.gone")
    staging.make()
    assert not staging.is_left_over


def test_what_cannot_be_removed_is_named(staging: SharedStaging, target: Path, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(UncertainError, match=r"target: is in place, but .*\.name\.gone could not be removed"):
            staging.remove()
    staging.sweep()
    assert contents(target.parent) == {}
