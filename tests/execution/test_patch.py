"""Patching overwrites the ruled bytes where they lie, and nothing else; where it stops, it says so."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.commit import effects
from initctl.events import Committed, Progress
from initctl.stream import Normal
from initctl.traces import is_journal
from tests.binding import overlaid
from tests.commit.folders import contents, refusing, snapshot
from tests.events import on
from tests.execution.checkpoints import assert_written, recomputed, sharded, single

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["layers.*.weight=normal", "steps=constant:val=3"]
WEIGHTS = {f"layers.{i}.weight": recomputed(f"layers.{i}.weight", Normal(0, 1), (8, 8)) for i in range(2)}


def patch(path: Path, *, rules: list[str] = RULES, **options: object) -> initctl.Applied:
    return initctl.apply(path, in_place="patch", rules=rules, **options)


def test_the_file_is_the_same_one_and_differs_in_the_ruled_bytes_only(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    path.chmod(0o640)
    before, inode = path.read_bytes(), path.stat().st_ino
    applied = patch(path, rules=["layers.*.weight=normal"])
    assert_written(before, path.read_bytes(), WEIGHTS)
    assert path.stat().st_ino == inode
    assert path.stat().st_mode & 0o777 == 0o640
    assert applied.files == ("model.safetensors",)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("many", [True, False])
def test_it_gives_what_a_new_file_gets(tmp_path: Path, many: bool):
    source = sharded(tmp_path / "model") if many else single(tmp_path / "model")
    rules = [*RULES, "embed.weight=orthogonal", "norm.weight=uniform"]
    initctl.apply(source, tmp_path / "new", rules=rules)
    patch(source, rules=rules)
    if many:
        assert contents(source) == contents(tmp_path / "new")
    else:
        assert source.read_bytes() == (tmp_path / "new").read_bytes()


def test_once_more_changes_nothing(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    patch(path)
    once = path.read_bytes()
    patch(path)
    assert path.read_bytes() == once


def test_rules_that_change_nothing_touch_nothing_and_commit_nothing(tmp_path: Path):
    path, events = single(tmp_path / "model.safetensors"), []
    before = snapshot(tmp_path)
    applied = patch(path, rules=["nothing=keep"], allow_unused=True, on_event=events.append)
    assert applied.files == ()
    assert snapshot(tmp_path) == before
    assert not any(isinstance(event, Committed) for event in events)


def test_shards_that_no_rule_reaches_are_not_opened_for_writing(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    before = snapshot(folder)
    applied = patch(folder, rules=["layers.1.weight=normal"])
    assert applied.files == ("model-2.safetensors",)
    after = snapshot(folder)
    assert {name for name in before if before[name] != after[name]} == {"model-2.safetensors"}


def test_progress_counts_the_ruled_bytes(tmp_path: Path):
    path, told = single(tmp_path / "model.safetensors"), []
    patch(path, on_event=on(Progress, told.append))
    assert told[-1] == Progress(2 * 256 + 8, 2 * 256 + 8)


def test_it_goes_to_no_other_file(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    with pytest.raises(initctl.UsageError, match="two outputs given; use `output` or in_place=True, not both"):
        initctl.apply(path, tmp_path / "out", in_place="patch", rules=RULES)
    assert list(tmp_path.iterdir()) == [path]


def test_in_place_is_true_or_false_or_patch(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    with pytest.raises(initctl.UsageError, match="in_place: patched is not True, False, 'patch' or 'resume'"):
        initctl.apply(path, in_place="patched", rules=RULES)  # type: ignore[arg-type]


class TestIsRefusedWhereOthersSeeTheFileUnderAnotherName:
    def refused(self, path: Path, root: Path, match: str) -> None:
        before = snapshot(root)
        with pytest.raises(initctl.ConflictError, match=match):
            patch(path)
        assert snapshot(root) == before

    def test_through_a_hard_link(self, tmp_path: Path):
        path = single(tmp_path / "model.safetensors")
        os.link(path, tmp_path / "other")
        self.refused(path, tmp_path, "has other hard links, whose content would change too")

    def test_through_a_symbolic_link(self, tmp_path: Path):
        path = single(tmp_path / "real.safetensors")
        (tmp_path / "link").symlink_to(path)
        self.refused(
            tmp_path / "link", tmp_path, r"link: is a symbolic link, and its target would be overwritten; name .*real"
        )

    def test_in_the_hub_cache(self, tmp_path: Path):
        path = single(tmp_path / "blobs" / ("0" * 64))
        (tmp_path / "snapshots").mkdir()
        self.refused(path, tmp_path, "is in the Hugging Face cache")


class TestWhatStopsIt:
    def test_before_the_first_byte_leaves_all_as_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = single(tmp_path / "model.safetensors")
        before, real = snapshot(tmp_path), os.open

        def refuse(path, flags, *rest):
            if flags & os.O_ACCMODE == os.O_RDWR:
                raise PermissionError(13, "Permission denied")
            return real(path, flags, *rest)

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(initctl.StorageError, match="cannot be written: Permission denied"):
            patch(path)
        monkeypatch.undo()
        assert snapshot(tmp_path) == before

    def test_as_another_file_takes_its_place_before_it_is_opened_leaves_both_as_they_were(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        path, other = single(tmp_path / "model.safetensors"), single(tmp_path / "other.safetensors")
        before, real = contents(tmp_path), os.open

        def replace_and_open(name, flags, *rest):
            if name == str(path) and flags & os.O_ACCMODE == os.O_RDWR and other.exists():
                os.link(path, tmp_path / "old")
                other.replace(path)
            return real(name, flags, *rest)

        monkeypatch.setattr(os, "open", replace_and_open)
        with pytest.raises(initctl.ConflictError, match=r"model\.safetensors: changed while it was read"):
            patch(path)
        assert contents(tmp_path) == {
            "model.safetensors": before["other.safetensors"], "old": before["model.safetensors"],
        }  # fmt: skip

    def test_as_there_is_no_space_for_a_later_shard_leaves_all_as_it_was(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        folder, asked = sharded(tmp_path / "model"), []
        before = contents(tmp_path)

        def allocate(descriptor: int, start: int, length: int, *, unshare: bool) -> None:
            asked.append(os.fstat(descriptor).st_ino)
            if len(set(asked)) > 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(effects, "allocate", allocate)
        with pytest.raises(initctl.StorageError, match=r"No space left on device: [\d,]+ bytes are needed"):
            patch(folder)
        assert contents(tmp_path) == before

    def test_as_a_signal_comes_while_the_journal_is_removed_is_too_late(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        path, unlink = single(tmp_path / "model.safetensors"), effects.unlink

        def unlink_while_a_signal_comes(name: str) -> None:
            if is_journal(os.path.basename(name)):
                signal.raise_signal(signal.SIGTERM)
            unlink(name)

        monkeypatch.setattr(effects, "unlink", unlink_while_a_signal_comes)
        before = signal.signal(signal.SIGTERM, lambda *_: pytest.fail("the signal was not held back"))
        try:
            patch(path)
        finally:
            signal.signal(signal.SIGTERM, before)
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.parametrize(
        ("error", "reason"), [(KeyboardInterrupt, "KeyboardInterrupt"), (RuntimeError("lost"), "lost")]
    )
    def test_midway_is_told_as_uncertain_and_the_same_call_completes_it(self, tmp_path: Path, error, reason: str):
        folder = sharded(tmp_path / "model")
        before = contents(folder)
        initctl.apply(folder, tmp_path / "new", rules=RULES)

        def stop(_: Progress) -> None:
            raise error

        with pytest.raises(initctl.UncertainError) as raised:
            patch(folder, on_event=on(Progress, stop))
        assert str(raised.value) == (
            f"{folder}: the patch is incomplete, some values may be new and others old: {reason}; "
            f"fix the cause, then complete it with in_place='resume' for {folder}"
        )
        assert before != contents(folder) != contents(tmp_path / "new")
        patch(folder)
        assert contents(folder) == contents(tmp_path / "new")

    def test_at_the_end_is_told_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        path = single(tmp_path / "model.safetensors")
        inode, sync = path.stat().st_ino, os.fsync

        def fail(descriptor: int) -> None:
            if os.fstat(descriptor).st_ino == inode:
                raise OSError(5, "Input/output error")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(initctl.UncertainError, match="Input/output error; fix the cause, then complete it with"):
            patch(path)

    @pytest.mark.parametrize("is_replaced", [True, False])
    def test_as_another_file_takes_its_place_or_none_is_told(self, tmp_path: Path, is_replaced: bool):
        path = single(tmp_path / "model.safetensors")
        other = single(tmp_path / "other.safetensors")
        before = other.read_bytes()

        def replace(_: Progress) -> None:
            if other.exists():
                other.replace(path)
                if not is_replaced:
                    path.rename(tmp_path / "elsewhere")

        fault = r"model\.safetensors: another program replaced or removed it during the patch; restore what was there"
        with pytest.raises(initctl.UncertainError, match=fault):
            patch(path, on_event=on(Progress, replace))
        assert (path if is_replaced else tmp_path / "elsewhere").read_bytes() == before


@pytest.mark.parametrize("make", [single, sharded])
def test_a_file_of_a_layer_below_that_is_copied_when_it_is_opened_is_patched(
    tmp_path: Path, make: Callable[[Path], Path]
):
    """As in a container, whose image does not change."""
    image = tmp_path / "image"
    image.mkdir()
    make(image / "model")
    before = contents(image)
    with overlaid(image, tmp_path / "container") as container:
        patch(container / "model")
        assert initctl.verify(container / "model", rules=RULES).holds
    assert contents(image) == before


def after_the_journal_is_written(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]) -> None:
    rename = effects.rename_new

    def rename_and_happen(path: str, target: str) -> None:
        rename(path, target)
        happen()

    monkeypatch.setattr(effects, "rename_new", rename_and_happen)


def test_a_file_that_another_program_replaces_while_the_journal_is_written_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, other = single(tmp_path / "model.safetensors"), single(tmp_path / "other.safetensors")
    inode = other.stat().st_ino
    after_the_journal_is_written(monkeypatch, lambda: os.replace(other, path))
    with pytest.raises(initctl.ConflictError, match=r"model\.safetensors: changed while it was read; run again"):
        patch(path)
    assert path.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [path]


def test_a_journal_that_cannot_be_removed_then_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, other = single(tmp_path / "model.safetensors"), single(tmp_path / "other.safetensors")
    after_the_journal_is_written(monkeypatch, lambda: os.replace(other, path))
    monkeypatch.setattr(effects, "unlink", refusing(errno.EIO))
    with pytest.raises(initctl.UncertainError, match=r"is as it was, but .*journal-.* could not be removed; remove it"):
        patch(path)


def test_the_journal_of_another_process_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As on a file system without locks, where two patches can begin at once."""
    path = single(tmp_path / "model.safetensors")
    before, rename = path.read_bytes(), effects.rename_new

    def rename_after_the_other(source: str, target: str) -> None:
        with open(target, "x") as stream:
            stream.write("theirs")
        rename(source, target)

    monkeypatch.setattr(effects, "rename_new", rename_after_the_other)
    with pytest.raises(
        initctl.ConflictError, match=r"model\.safetensors: another process of initctl is overwriting it"
    ):
        patch(path)
    assert path.read_bytes() == before
    (journal,) = (name for name in os.listdir(tmp_path) if name != path.name)
    assert (tmp_path / journal).read_text() == "theirs"


@pytest.mark.parametrize("length", [-8, 8])
def test_another_program_that_changes_the_size_meanwhile_is_noticed(tmp_path: Path, length: int):
    path = single(tmp_path / "model.safetensors")

    def resize(_: Progress) -> None:
        if len(list(tmp_path.iterdir())) == 2:  # with the journal: the patch has begun
            os.truncate(path, size + length)

    size = path.stat().st_size
    words = (
        r"another program changed its size during the patch; restore what was there from a copy, and remove .*journal"
    )
    with pytest.raises(initctl.UncertainError, match=words):
        patch(path, on_event=on(Progress, resize))
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_raised_on_hearing_that_it_is_done_is_no_unfinished_patch(tmp_path: Path):
    def fail(_: Committed) -> None:
        raise LookupError

    path = single(tmp_path / "model.safetensors")
    with pytest.raises(LookupError):
        initctl.apply(path, in_place="patch", rules=["norm.weight=zeros"], on_event=on(Committed, fail))


def test_if_one_file_cannot_be_overwritten_none_is(strict_folder: Path):
    folder = sharded(strict_folder / "net")
    (folder / "model-3.safetensors").chmod(0o444)
    before = contents(folder)
    with pytest.raises(initctl.StorageError, match=r"model-3\.safetensors: cannot be written: Permission denied"):
        initctl.apply(folder, in_place="patch", rules=["*.weight=normal"])
    assert contents(folder) == before
