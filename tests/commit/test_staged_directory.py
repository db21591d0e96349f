"""A staged directory becomes its target or takes its place, whole and at once, or leaves no trace."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from initctl.commit import effects
from initctl.commit.new_files import NewDirectory
from initctl.commit.rest import Rest
from initctl.commit.staging import StagedDirectory, StagedFile
from initctl.errors import ConflictError, StorageError, UncertainError
from tests.commit.folders import contents, fail_to_sync_directories, record_commits, refusing, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

NEW = {"new": b"new", "sub": None, "sub/deep": None, "sub/deep/new": b"deep"}


def fill(staged: StagedDirectory) -> None:
    """Stage the files of NEW."""
    for name in ("new", "sub/deep/new"):
        with staged.file(name) as file:
            os.write(file.descriptor, NEW[name])
            file.sync(0o640)


def anything() -> None:
    """What is there may be replaced."""


def put(target: Path, model: Path, *, replace: bool) -> None:
    """Write the files of NEW as the directory `target`, with subdirectories as they are in `model`."""
    with StagedDirectory(str(target)) as staged:
        fill(staged)
        staged.sync(0o750, like=str(model))
        staged.commit(check_before_replacing=anything if replace else None)


def rewrite(target: Path, name: str, content: bytes) -> None:
    """Give one file of `target` new `content`, and share all others."""
    with StagedDirectory(str(target)) as staged:
        with staged.file(name) as file:
            os.write(file.descriptor, content)
            file.sync(0o600)
        Rest(str(target), {name}).link(staged.path)
        staged.sync(stat.S_IMODE(target.stat().st_mode), like=str(target))
        staged.commit(check_before_replacing=anything)


def test_what_could_not_be_written_when_a_file_was_closed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    close = effects.close

    def close_without_writing(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with StagedDirectory(str(tmp_path / "target")) as staged, monkeypatch.context() as patched:
        file = staged.file("a")
        patched.setattr(effects, "close", close_without_writing)
        with pytest.raises(StorageError, match="target/a: cannot be written: Disk quota exceeded"), file:
            pass
        with pytest.raises(LookupError), file:  # which comes first
            raise LookupError
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with what directories can hold."""
    path = tmp_path / "model"
    (path / "sub" / "deep").mkdir(parents=True)
    (path / "empty").mkdir(mode=0o700)
    for name, mode in {"one": 0o644, "two": 0o640, "sub/three": 0o400, "sub/deep/four": 0o755}.items():
        (path / name).write_text(f"old {name}")
        (path / name).chmod(mode)
    os.link(path / "two", path / "sub" / "two-again")
    os.link(path / "one", tmp_path / "outside")
    (path / "to-one").symlink_to("one")
    (path / "to-sub").symlink_to("sub")
    (path / "to-nothing").symlink_to("/nothing")
    (path / "sub").chmod(0o711)
    return path


def test_a_free_name_becomes_the_directory_with_the_modes_of_the_model(model: Path):
    out = model.parent / "out"
    put(out, model, replace=False)
    assert contents(out) == NEW
    assert sorted(path.name for path in model.parent.iterdir()) == ["model", "out", "outside"]
    modes = {name: entry.mode for name, entry in snapshot(model.parent).items()}
    assert (modes["out"], modes["out/new"]) == (0o750, 0o640)
    assert (modes["out/sub"], modes["out/sub/deep"]) == (0o711, modes["model/sub/deep"])


def test_before_the_commit_the_name_is_free_and_what_is_staged_is_private(tmp_path: Path):
    with StagedDirectory(str(tmp_path / "out")) as staged:
        fill(staged)
        (path,) = tmp_path.iterdir()
        assert path.name.startswith(".initctl-")
        assert path.name.endswith(".tmp")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == []


def test_files_then_directories_are_on_the_disk_before_the_name_and_the_name_before_the_end(
    model: Path, monkeypatch: pytest.MonkeyPatch
):
    log, out = record_commits(monkeypatch, "rename"), model.parent / "out"
    put(out, model, replace=False)
    names = ["new", "sub/deep/new", "sub/deep", "sub", ""]
    inodes = [(out / name).stat().st_ino for name in names]
    assert log == [*inodes, "rename", model.parent.stat().st_ino]


def test_an_exchange_is_on_the_disk_before_the_old_is_removed(model: Path, monkeypatch: pytest.MonkeyPatch):
    log = record_commits(monkeypatch, "remove_tree")
    rewrite(model, "one", b"new")
    directories = [(model / name).stat().st_ino for name in ("sub/deep", "sub", "empty", "")]
    synced, parent, removals = log[1:5], log[5], log[6:]
    assert log[0] == (model / "one").stat().st_ino
    assert set(synced) == set(directories)
    assert synced[-1] == directories[-1]
    assert parent == model.parent.stat().st_ino
    assert removals == ["remove_tree"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_an_exception_at_any_step_leaves_no_trace(model: Path, steps: int, error: type[BaseException]):
    before = snapshot(model.parent)

    def leave() -> None:
        with StagedDirectory(str(model)) as staged:
            taken: list[Callable[[], None]] = [
                lambda: fill(staged),
                lambda: Rest(str(model)).link(staged.path),
                lambda: staged.sync(0o700, like=str(model)),
            ]
            for step in taken[:steps]:
                step()
            raise error

    with pytest.raises(error):
        leave()
    assert snapshot(model.parent) == before


@pytest.mark.parametrize(("call", "code"), [("fsync", errno.ENOSPC), ("mkdir", errno.ENOSPC), ("rename", errno.EACCES)])
def test_what_the_system_refuses_leaves_no_trace(model: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int):
    before = snapshot(model.parent)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refusing(code))
        with pytest.raises(StorageError, match=os.strerror(code)):
            put(model.parent / "out", model, replace=False)
    assert snapshot(model.parent) == before


@pytest.mark.parametrize("call", ["link", "mkdir", "scandir"])
def test_a_directory_whose_files_cannot_all_be_shared_stays_as_it_was(
    model: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    before = snapshot(model.parent)
    with StagedDirectory(str(model)) as staged:
        monkeypatch.setattr(os, call, refusing(errno.EIO))
        with pytest.raises(StorageError, match="Input/output error"):
            Rest(str(model)).link(staged.path)
        monkeypatch.undo()
    assert snapshot(model.parent) == before


def test_a_file_that_cannot_be_linked_is_named(model: Path, monkeypatch: pytest.MonkeyPatch):
    link = os.link

    def failing(path: str, target: str, **options: bool) -> None:
        refusing(errno.EPERM)() if path.endswith("four") else link(path, target, **options)

    monkeypatch.setattr(os, "link", failing)
    with pytest.raises(StorageError, match="model/sub/deep/four: cannot be written: Operation not permitted"):
        rewrite(model, "one", b"new")


def test_a_subdirectory_that_cannot_be_read_is_not_dropped(model: Path, monkeypatch: pytest.MonkeyPatch):
    real, before = os.scandir, snapshot(model.parent)

    def failing(path: str) -> object:
        return refusing(errno.EIO)() if path == str(model / "sub" / "deep") else real(path)

    monkeypatch.setattr(os, "scandir", failing)
    with pytest.raises(StorageError, match="Input/output error"):
        rewrite(model, "one", b"new")
    monkeypatch.undo()
    assert snapshot(model.parent) == before


def test_a_file_that_another_program_removes_before_it_is_linked_is_left_out(
    model: Path, monkeypatch: pytest.MonkeyPatch
):
    link, names = effects.link, []

    def link_after_it_is_gone(path: str, target: str) -> None:
        if not names:
            names.append(os.path.relpath(path, model))
            os.unlink(path)
        link(path, target)

    monkeypatch.setattr(effects, "link", link_after_it_is_gone)
    with StagedDirectory(str(model)) as staged:
        Rest(str(model)).link(staged.path)
        assert names
        assert set(contents(Path(staged.path))) == set(contents(model))


def test_a_file_cannot_be_linked_into_a_directory_that_is_gone(model: Path, monkeypatch: pytest.MonkeyPatch):
    link = effects.link

    def link_after_it_is_gone(path: str, target: str) -> None:
        shutil.rmtree(os.path.dirname(target))
        link(path, target)

    monkeypatch.setattr(effects, "link", link_after_it_is_gone)
    with StagedDirectory(str(model)) as staged, pytest.raises(StorageError, match="No such file or directory"):
        Rest(str(model)).link(staged.path)


@pytest.mark.parametrize("appear", ["directory", "file", "link"])
def test_what_appeared_meanwhile_is_not_replaced(model: Path, appear: str):
    out = model.parent / "out"
    with StagedDirectory(str(out)) as staged:
        fill(staged)
        staged.sync(0o755, like=str(model))
        if appear == "directory":
            out.mkdir()
            (out / "theirs").write_bytes(b"theirs")
        elif appear == "file":
            out.write_bytes(b"theirs")
        else:
            out.symlink_to("nowhere")
        theirs = {name: entry for name, entry in snapshot(model.parent).items() if not name.startswith(".initctl-")}
        with pytest.raises(ConflictError, match="out: exists"):
            staged.commit()
    assert snapshot(model.parent) == theirs


def test_a_directory_that_is_replaced_is_gone(model: Path):
    put(model, model, replace=True)
    assert contents(model) == NEW
    assert sorted(path.name for path in model.parent.iterdir()) == ["model", "outside"]


def test_where_something_vanished_meanwhile_it_is_put_nevertheless(model: Path):
    put(model.parent / "out", model, replace=True)
    assert contents(model.parent / "out") == NEW


def test_what_appeared_meanwhile_is_replaced_once_that_is_allowed(model: Path):
    asked: list[bool] = []
    with StagedDirectory(str(model)) as staged:
        fill(staged)
        staged.sync(0o750, like=str(model))
        staged.commit(check_before_replacing=lambda: asked.append((model / "one").exists()))
    assert asked == [True]
    assert contents(model) == NEW


def test_what_is_removed_between_the_check_and_the_exchange_is_replaced_nevertheless(model: Path):
    with StagedDirectory(str(model)) as staged:
        fill(staged)
        staged.sync(0o750, like=str(model))
        staged.commit(check_before_replacing=lambda: shutil.rmtree(model))
    assert contents(model) == NEW
    assert sorted(path.name for path in model.parent.iterdir()) == ["model", "outside"]


def test_what_appeared_meanwhile_stays_if_replacing_it_is_refused(model: Path):
    def refuse() -> None:
        raise KeyError

    def replace() -> None:
        with StagedDirectory(str(model)) as staged:
            fill(staged)
            staged.sync(0o750, like=str(model))
            staged.commit(check_before_replacing=refuse)

    before = snapshot(model.parent)
    with pytest.raises(KeyError):
        replace()
    assert snapshot(model.parent) == before


def test_one_file_changes_and_all_others_stay_the_same_files(model: Path):
    before = snapshot(model)
    rewrite(model, "one", b"new")
    after = snapshot(model)
    directories = {name for name, entry in before.items() if entry.content is None}
    assert set(after) == set(before)
    assert {name for name in before if after[name] != before[name]} <= directories | {"one"}
    assert after["one"].content == b"new"
    assert {name: after[name].mode for name in directories} == {name: before[name].mode for name in directories}
    assert after["sub/two-again"].inode == after["two"].inode
    assert sorted(path.name for path in model.parent.iterdir()) == ["model", "outside"]
    assert (model.parent / "outside").read_bytes() == b"old one"


def test_what_another_process_stages_in_the_directory_is_not_shared(model: Path):
    with StagedDirectory(str(model / "out")) as other, StagedFile(str(model / "sub" / "file")):
        fill(other)
        with StagedDirectory(str(model)) as staged:
            Rest(str(model)).link(staged.path)
            shared = contents(Path(staged.path))
    assert shared == contents(model)


def test_a_file_below_a_subdirectory_changes_in_its_place(model: Path):
    rewrite(model, "sub/deep/four", b"new")
    assert contents(model)["sub/deep/four"] == b"new"
    assert contents(model)["one"] == b"old one"


AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from initctl.commit.rest import Rest
from initctl.commit.staging import StagedDirectory
if os.getuid() == 0:  # who may write everywhere
    os.setuid(65534)
with tempfile.TemporaryDirectory() as folder:
    target = Path(folder, "model")
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "file").touch()
    (target / "sub").chmod(0o555)
    try:
        with StagedDirectory(str(target)) as staged:
            Rest(str(target)).link(staged.path)
            staged.sync(0o755, like=str(target))
            if "fail" in sys.argv:
                raise KeyError("fail")
            staged.commit(check_before_replacing=lambda: None)
    except KeyError:
        print("failed")
    print(os.listdir(folder), oct((target / "sub").stat().st_mode), os.listdir(target / "sub"))
    (target / "sub").chmod(0o755)
"""


@pytest.mark.parametrize(("arguments", "told"), [([], ""), (["fail"], "failed\n")])
def test_subdirectories_that_nobody_may_write_into_are_shared_and_leave_nothing(arguments: list[str], told: str):
    command = [sys.executable, "-c", AS_NOBODY, *arguments]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (completed.stdout, completed.stderr) == (f"{told}['model'] 0o40555 ['file']\n", "")


def test_a_system_that_cannot_exchange_leaves_the_old_as_it_was(model: Path, monkeypatch: pytest.MonkeyPatch):
    before = snapshot(model.parent)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace())
    with pytest.raises(StorageError, match=r"cannot be replaced in one step: .*; write to a directory that does not"):
        rewrite(model, "one", b"new")
    assert snapshot(model.parent) == before


@pytest.mark.parametrize("replace", [True, False])
def test_a_parent_that_cannot_be_synced_makes_the_result_uncertain_but_it_is_in_place(
    model: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
):
    goal = model if replace else model.parent / "out"
    fail_to_sync_directories(monkeypatch, model.parent)
    with pytest.raises(UncertainError, match="may not survive a power failure"):
        put(goal, model, replace=replace)
    assert contents(goal) == NEW
    assert len(list(model.parent.glob(".initctl-*.tmp"))) == replace  # whoever replaced it may still need the old one


def test_an_old_directory_that_cannot_be_removed_is_told(model: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "rmdir", refusing(errno.EBUSY))
    with pytest.raises(UncertainError, match=r"is in place, but .*/\.initctl-.*\.tmp could not be removed; remove it"):
        put(model, model, replace=True)
    assert contents(model) == NEW
    assert len(list(model.parent.glob(".initctl-*.tmp"))) == 1


def test_a_file_that_is_already_staged_is_not_overwritten(tmp_path: Path):
    with StagedDirectory(str(tmp_path / "out")) as staged:
        fill(staged)
        again = staged.file("new")
        with pytest.raises(StorageError, match="out/new: cannot be written: File exists"):
            again.__enter__()


def test_a_directory_that_may_not_be_written_to_is_the_reason_why_a_file_is_not_created_in_it(strict_folder: Path):
    folder = strict_folder / "staged"
    folder.mkdir(0o555)
    with (
        pytest.raises(StorageError, match="that directory is not writable"),
        NewDirectory(str(folder), "out").file("new"),
    ):
        pytest.fail("it was created")
