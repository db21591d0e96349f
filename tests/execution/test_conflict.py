"""What changes while the work goes on: the run gives way, and leaves nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.events import Progress
from initctl.planning import Plan
from tests.commit.folders import contents, snapshot
from tests.events import on
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


RULES = ["layers.*.weight=normal", "norm.weight=zeros"]


def overwrite(path: Path) -> None:
    """Change one byte, and not the size."""
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"\x55")


def replace(path: Path) -> None:
    """Put another file with the same content in its place."""
    path.with_name("theirs").write_bytes(path.read_bytes())
    path.with_name("theirs").replace(path)


def touch(path: Path) -> None:
    os.utime(path, ns=(0, 0))


def lengthen(path: Path) -> None:
    os.truncate(path, path.stat().st_size + 1)


def remove(path: Path) -> None:
    path.unlink()


CHANGES = [overwrite, replace, touch, lengthen, remove]


def once(change: Callable[[], None]) -> Callable[[object], None]:
    """A callback that makes `change` when progress is first told."""
    rest = [change]

    def make_it(_: Progress) -> None:
        if rest:
            rest.pop()()

    return on(Progress, make_it)


def run_into_conflict(checkpoint: Path, output: Path | None, change: Callable[[], None]) -> str:
    """Let `change` happen when the first bytes are written; nothing but that change remains."""
    root, after = checkpoint.parent, {}

    def change_and_remember() -> None:
        change()
        after.update({name: entry for name, entry in contents(root).items() if ".initctl-" not in name})

    with pytest.raises(initctl.ConflictError) as raised:
        initctl.apply(checkpoint, output, in_place=output is None, rules=RULES, on_event=once(change_and_remember))
    assert contents(root) == after
    return str(raised.value)


def test_a_staged_shard_that_somebody_removes_is_an_error_and_not_an_empty_shard(tmp_path: Path):
    net, out = sharded(tmp_path / "net"), tmp_path / "out"

    def remove_shard() -> None:
        (staged,) = tmp_path.glob(".initctl-*.tmp")
        (staged / "model-2.safetensors").unlink()

    with pytest.raises(initctl.StorageError, match=r"model-2\.safetensors: cannot be .*: No such file or directory"):
        initctl.apply(net, out, rules=RULES, on_event=once(remove_shard))
    assert not out.exists()


def test_an_unfinished_file_that_another_program_lengthens_does_not_become_the_result(tmp_path: Path):
    net, out = single(tmp_path / "net"), tmp_path / "out.safetensors"

    def lengthen_staged() -> None:
        (staged,) = tmp_path.glob(".initctl-*.tmp")
        lengthen(staged)

    with pytest.raises(initctl.StorageError, match="another program changed the unfinished result"):
        initctl.apply(net, out, rules=RULES, on_event=once(lengthen_staged))
    assert list(tmp_path.iterdir()) == [net]


@pytest.mark.parametrize("is_link", [False, True])
def test_what_takes_the_place_of_a_staged_file_does_not_become_the_result(tmp_path: Path, is_link: bool):
    net, out, theirs = single(tmp_path / "net"), tmp_path / "out.safetensors", tmp_path / "theirs"
    theirs.write_text("theirs")
    theirs.chmod(0o600)

    def swap() -> None:
        (staged,) = tmp_path.glob(".initctl-*.tmp")
        staged.unlink()
        if is_link:
            staged.symlink_to(theirs)
        else:
            staged.write_bytes(b"other")

    with pytest.raises(initctl.StorageError, match="another program changed the unfinished result"):
        initctl.apply(net, out, rules=RULES, on_event=once(swap))
    assert not os.path.lexists(out)
    assert (theirs.read_text(), stat.S_IMODE(theirs.stat().st_mode)) == ("theirs", 0o600)


def test_a_file_that_appears_at_the_output_meanwhile_is_only_replaced_if_it_is_a_checkpoint(tmp_path: Path):
    net, out = single(tmp_path / "net"), tmp_path / "out.safetensors"
    initctl.apply(net, out, rules=RULES, on_event=once(lambda: out.write_bytes(net.read_bytes())))
    assert initctl.verify(out, rules=RULES).holds
    with pytest.raises(initctl.ConflictError, match=r"out\.safetensors: .*overwrite=True"):
        initctl.apply(net, out, rules=RULES, on_event=once(lambda: out.write_text("my notes")))
    assert out.read_text() == "my notes"
    initctl.apply(net, out, rules=RULES, overwrite=True, on_event=once(lambda: out.write_text("my other notes")))
    assert initctl.verify(out, rules=RULES).holds


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_changes_while_it_is_copied_is_a_conflict(
    tmp_path: Path, change: Callable[[Path], None], in_place: bool
):
    path = single(tmp_path / "model.safetensors")
    told = run_into_conflict(path, None if in_place else tmp_path / "out", lambda: change(path))
    assert told == f"{path}: changed while it was read; run again"


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["model-1.safetensors", "model-2.safetensors", "config.json"])
def test_any_file_of_a_directory_that_changes_is_a_conflict(tmp_path: Path, name: str, change: Callable[[Path], None]):
    folder = sharded(tmp_path / "model")
    told = run_into_conflict(folder, tmp_path / "out", lambda: change(folder / name))
    assert f"{name}: changed while it was read" in told


@pytest.mark.parametrize("change", [overwrite, replace, touch, lengthen])
@pytest.mark.parametrize("name", ["model-1.safetensors", "model-3.safetensors"])
def test_a_touched_shard_that_changes_is_a_conflict_in_place(tmp_path: Path, name: str, change: Callable[[Path], None]):
    folder = sharded(tmp_path / "model")
    assert f"{name}: changed while it was read" in run_into_conflict(folder, None, lambda: change(folder / name))


def test_files_that_appear_beside_the_shards_while_they_are_rewritten_are_kept(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    appear = once(lambda: (folder / "theirs.txt").write_text("theirs"))
    initctl.apply(folder, in_place=True, rules=RULES, on_event=appear)
    assert (folder / "theirs.txt").read_text() == "theirs"


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_it_was_planned_is_a_conflict(
    tmp_path: Path, in_place: bool, change: Callable[[Path], None]
):
    path, told = single(tmp_path / "model.safetensors"), []

    def after_the_plan(_: object) -> None:
        change(path)
        told.append(snapshot(tmp_path))

    output = None if in_place else tmp_path / "out"
    with pytest.raises(initctl.ConflictError, match="changed while it was read"):
        initctl.apply(path, output, in_place=in_place, rules=RULES, on_event=on(Plan, after_the_plan))
    assert [snapshot(tmp_path)] == told


@pytest.mark.parametrize(
    ("overwrite", "words"),
    [(False, "out: exists"), (None, "out: contains files that are not part of the result: theirs")],
)
def test_a_directory_of_others_that_appears_at_the_output_stays(tmp_path: Path, overwrite: bool | None, words: str):
    folder, out = sharded(tmp_path / "model"), tmp_path / "out"

    def appear() -> None:
        out.mkdir()
        (out / "theirs").write_text("theirs")

    with pytest.raises(initctl.ConflictError, match=words):
        initctl.apply(folder, out, rules=RULES, overwrite=overwrite, on_event=once(appear))
    assert contents(out) == {"theirs": b"theirs"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_the_same_result_that_appears_at_the_output_is_replaced(tmp_path: Path):
    folder, out = sharded(tmp_path / "model"), tmp_path / "out"
    initctl.apply(folder, tmp_path / "theirs", rules=["*.bias=zeros"])
    initctl.apply(folder, out, rules=RULES, on_event=once(lambda: (tmp_path / "theirs").rename(out)))
    assert initctl.verify(folder, out, rules=RULES).holds
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_a_file_that_appears_at_the_output_of_a_directory_is_not_replaced(tmp_path: Path):
    folder, out = sharded(tmp_path / "model"), tmp_path / "out"
    with pytest.raises(initctl.UsageError, match="out: is a file, but the result is a directory"):
        initctl.apply(folder, out, rules=RULES, on_event=once(lambda: out.write_text("theirs")))
    assert out.read_text() == "theirs"


@pytest.mark.parametrize("options", [[], ["--max-shard-size", "300B"]])
def test_of_two_processes_that_write_one_new_directory_both_succeed(tmp_path: Path, options: list[str]):
    folder, out = sharded(tmp_path / "model"), tmp_path / "out"
    command = [sys.executable, "-m", "initctl", "apply", str(folder), "-o", str(out), "-q", *options]
    started = [
        subprocess.Popen([*command, "-r", f"*.weight=constant:val={number}"], stderr=subprocess.PIPE, text=True)
        for number in (1, 2, 3, 4)
    ]
    ended = [process.communicate()[1] for process in started]
    assert [(process.returncode, text) for process, text in zip(started, ended, strict=True)] == [(0, "")] * 4
    assert any(initctl.verify(folder, out, rules=[f"*.weight=constant:val={number}"]).holds for number in (1, 2, 3, 4))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_of_two_processes_that_write_one_new_directory_under_no_clobber_one_is_refused(tmp_path: Path):
    folder, out = sharded(tmp_path / "model"), tmp_path / "out"
    command = [sys.executable, "-m", "initctl", "apply", str(folder), "-o", str(out), "-q", "--no-clobber"]
    started = [subprocess.Popen([*command, "-r", "*=zeros"], stderr=subprocess.PIPE) for _ in range(3)]
    for process in started:
        process.communicate()
    assert sorted(process.returncode for process in started) == [0, 6, 6]


def test_a_file_that_appears_at_the_output_is_not_replaced_under_no_clobber(tmp_path: Path):
    path, out = single(tmp_path / "model.safetensors"), tmp_path / "out"
    with pytest.raises(initctl.ConflictError, match="out: exists"):
        initctl.apply(path, out, rules=RULES, overwrite=False, on_event=once(lambda: out.write_text("theirs")))
    assert out.read_text() == "theirs"


def test_a_stranger_that_appears_in_a_directory_that_is_to_be_replaced_saves_it(tmp_path: Path):
    folder, out = sharded(tmp_path / "model"), tmp_path / "out"
    initctl.apply(folder, out, rules=["*.bias=zeros"])
    before = contents(out)
    with pytest.raises(initctl.ConflictError, match="contains files that are not part of the result: theirs"):
        initctl.apply(folder, out, rules=RULES, on_event=once(lambda: (out / "theirs").write_text("theirs")))
    assert contents(out) == before | {"theirs": b"theirs"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError, MemoryError])
@pytest.mark.parametrize("output", ["out", None])
@pytest.mark.parametrize("many", [True, False])
def test_an_exception_out_of_the_callback_leaves_no_trace(
    tmp_path: Path, error: type[BaseException], output: str | None, many: bool
):
    source = sharded(tmp_path / "model") if many else single(tmp_path / "model.safetensors")
    before = snapshot(tmp_path)

    def interrupt(_: Progress) -> None:
        raise error

    with pytest.raises(error):
        initctl.apply(
            source, output and tmp_path / output, in_place=output is None, rules=RULES, on_event=on(Progress, interrupt)
        )
    assert snapshot(tmp_path) == before


def test_a_file_that_becomes_shorter_where_the_kernel_cannot_copy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    path = single(tmp_path / "model.safetensors")

    def read_nothing(_: object) -> None:
        monkeypatch.setattr(os, "preadv", lambda *_: 0)

    with pytest.raises(initctl.ConflictError, match=r"model\.safetensors: changed while it was read"):
        initctl.apply(path, tmp_path / "out", rules=["layers.*.weight=normal"], on_event=on(Plan, read_nothing))
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.safetensors"]
