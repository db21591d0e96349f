"""What is staged is gone where a signal ends its making, and told as soon as it is in place."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from initctl.commit import effects, replacing
from initctl.commit.places import check_file_place
from initctl.commit.staging import StagedDirectory, StagedFile, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Ended(BaseException):
    """What a signal's handler raises."""


@pytest.mark.parametrize(("staged", "call"), [(StagedFile, "open"), (StagedDirectory, "mkdir")])
def test_nothing_is_left_where_a_signal_comes_with_the_systems_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, staged: type, call: str
):
    system, made = getattr(os, call), []

    def interrupted(path: str, *arguments: int) -> None:
        made.append((system(path, *arguments), list(tmp_path.iterdir())))
        raise Ended

    with monkeypatch.context() as patched:
        patched.setattr(os, call, interrupted)
        with pytest.raises(Ended), staged(str(tmp_path / "target")):
            pass
    assert [len(there) for _, there in made] == [1]
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def signaled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets a signal come right before and right after each call of an effect. Its handler raises `Ended`."""

    def signaled(name: str) -> None:
        system = getattr(effects, name)

        def called(*arguments: object) -> object:
            signal.raise_signal(signal.SIGTERM)
            result = system(*arguments)
            signal.raise_signal(signal.SIGTERM)
            return result

        monkeypatch.setattr(effects, name, called)

    def end(*_: object) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    yield signaled
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("call", ["rename", "exchange"])
def test_a_directory_takes_its_place_whole_even_if_a_signal_comes(
    tmp_path: Path, signaled: Callable[[str], None], call: str
):
    folder, told = tmp_path / "folder", []
    if call == "exchange":
        folder.mkdir()
        (folder / "old").touch()
    signaled(call)
    with StagedDirectory(str(folder)) as staged:
        (Path(staged.path) / "new").touch()
        staged.sync(0o700, like=str(tmp_path))
        staged.commit(check_before_replacing=lambda: None, on_commit=lambda: told.append(True))
    assert told == [True]
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["folder", "folder/new"]


@pytest.mark.parametrize("no_clobber", [False, True])
def test_a_file_takes_its_place_even_if_a_signal_comes(
    tmp_path: Path, signaled: Callable[[str], None], no_clobber: bool
):
    told: list[bool] = []
    signaled("rename_new" if no_clobber else "rename")
    with StagedFile(str(tmp_path / "target")) as staged:
        staged.sync(stat.S_IRUSR)
        staged.commit(no_clobber=no_clobber, on_commit=lambda: told.append(True))
    assert told == [True]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize(("staged", "call"), [(StagedFile, "unlink"), (StagedDirectory, "remove_tree")])
def test_what_is_staged_is_removed_whole_even_if_a_signal_comes(
    tmp_path: Path, signaled: Callable[[str], None], staged: type, call: str
):
    signaled(call)
    with pytest.raises(Ended) as ended, staged(str(tmp_path / "target")):
        raise LookupError
    assert isinstance(ended.value.__context__, LookupError)
    assert list(tmp_path.iterdir()) == []


def test_a_signal_while_a_probe_or_a_note_is_written_ends_the_work(tmp_path: Path, signaled: Callable[[str], None]):
    path = str(tmp_path / "file")
    signaled("rename")
    with pytest.raises(Ended):
        write_file(path, [b"note"], is_the_end=False)
    write_file(path, [b"result"])
    signaled("unlink")
    with pytest.raises(Ended):
        check_file_place(path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"result")]


@pytest.mark.parametrize("replaces", [False, True])
def test_it_is_told_as_soon_as_it_is_in_place(tmp_path: Path, replaces: bool):
    target, told = tmp_path / "target", []
    with StagedFile(str(target)) as staged:
        staged.sync(stat.S_IRUSR)
        staged.commit(no_clobber=not replaces, on_commit=lambda: told.append(target.exists()))
    folder = tmp_path / "folder"
    if replaces:
        folder.mkdir()
        (folder / "old").touch()
    with StagedDirectory(str(folder)) as staged:
        staged.sync(0o700, like=str(tmp_path))
        before = staged.path
        staged.commit(
            check_before_replacing=(lambda: None) if replaces else None,
            on_commit=lambda: told.append(os.path.exists(before) is replaces),
        )
    assert told == [True, True]


def test_the_new_name_is_brought_to_the_disk_whatever_comes_of_telling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise LookupError

    synced: list[str] = []
    monkeypatch.setattr(replacing, "sync_directory", synced.append)
    with StagedFile(str(tmp_path / "target")) as staged:
        staged.sync(stat.S_IRUSR)
        with pytest.raises(LookupError):
            staged.commit(on_commit=fail)
    assert synced == [str(tmp_path)]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
