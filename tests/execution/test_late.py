"""What other programs do to a directory in the last moment before it is replaced, or while it is."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import initctl
from initctl.commit import effects
from initctl.events import Committed
from tests.cli.processes import initctl as initctl_command
from tests.commit.folders import contents, fail_to_sync_directories, refusing
from tests.events import on
from tests.execution.checkpoints import network, sharded
from tests.execution.test_conflict import once, replace

if TYPE_CHECKING:
    from collections.abc import Callable

linux = pytest.mark.skipif(sys.platform != "linux", reason="the test asks Linux which file is flushed")
RULES = ["layers.*.weight=normal", "norm.weight=zeros"]


@pytest.fixture
def before_exchange(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Callable[[], None]], None]:
    """Lets something happen just before the exchange that replaces a directory."""

    def before_exchange(target: Path, happen: Callable[[], None]) -> None:
        exchange = effects.exchange

        def exchange_after_it_happens(one: str, other: str) -> None:
            if os.path.realpath(other) == str(target):
                happen()
            exchange(one, other)

        monkeypatch.setattr(effects, "exchange", exchange_after_it_happens)

    return before_exchange


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Callable[[], None]], None]:
    """Lets something happen when the directory of the result is flushed, after its files were written and linked."""

    def late(folder: Path, happen: Callable[[], None]) -> None:
        flush, happened = effects.flush, []

        def flush_while_it_happens(descriptor: int) -> None:
            flush(descriptor)
            target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if not happened and target.is_dir() and target.name.startswith(".initctl-") and target.parent == folder:
                happened.append(True)
                happen()

        monkeypatch.setattr(effects, "flush", flush_while_it_happens)

    return late


def as_late_is_linked(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]) -> None:
    """Let something happen just before `late.txt` is linked into the new directory."""
    link = effects.link

    def link_after_it_happens(path: str, target: str) -> None:
        if path.endswith("late.txt"):
            happen()
        link(path, target)

    monkeypatch.setattr(effects, "link", link_after_it_happens)


@linux
def test_files_that_another_program_saves_in_the_directory_in_the_last_moment_stay(tmp_path: Path, late):
    net = sharded(tmp_path / "net")

    def save() -> None:
        (net / "notes").mkdir(mode=0o700)
        (net / "notes" / "new.txt").write_text("new")
        (net / "saved").write_text("{}")
        (net / "saved").rename(net / "config.json")

    (net / "config.json").write_text("old")
    late(tmp_path, save)
    initctl.apply(net, in_place=True, rules=RULES)
    assert (net / "notes" / "new.txt").read_text() == "new"
    assert stat.S_IMODE((net / "notes").stat().st_mode) == 0o700
    assert (net / "config.json").read_text() == "{}"
    assert initctl.verify(net, rules=RULES).holds
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_a_shard_that_another_program_saves_in_the_last_moment_is_said_to_be_lost(
    tmp_path: Path, before_exchange, monkeypatch: pytest.MonkeyPatch
):
    net = sharded(tmp_path / "net")
    before = (net / "model-1.safetensors").read_bytes()
    before_exchange(net, lambda: replace(net / "model-1.safetensors"))
    with pytest.raises(initctl.UncertainError, match=r"may lack what was .*/net/model-1\.safetensors; the") as raised:
        initctl.apply(net, in_place=True, rules=RULES)
    assert initctl.verify(net, rules=RULES).holds
    kept = [path for path in tmp_path.iterdir() if path != net]
    assert [path.suffix for path in kept] == [".old"]
    assert f"the old directory is {kept[0]}; take what you need from it, and remove it" in str(raised.value)
    assert (kept[0] / "model-1.safetensors").read_bytes() == before
    monkeypatch.undo()
    initctl.apply(net, in_place=True, rules=RULES)
    assert kept[0].is_dir()


def test_what_others_write_to_the_new_directory_or_remove_from_it_stays_so(tmp_path: Path):
    net = sharded(tmp_path / "net")
    for name in ("config.json", "old.txt"):
        (net / name).write_text("old")

    def change(_: Committed) -> None:
        (net / "saved").write_text("new")
        (net / "saved").rename(net / "config.json")
        (net / "old.txt").unlink()

    initctl.apply(net, in_place=True, rules=RULES, on_event=on(Committed, change))
    assert (net / "config.json").read_text() == "new"
    assert not (net / "old.txt").exists()


@linux
def test_what_others_write_to_the_new_directory_is_newer_than_what_they_wrote_to_the_old_one(tmp_path: Path, late):
    net = sharded(tmp_path / "net")
    names = ["both.txt", "only-new.txt", "gone.txt"]

    def save(content: str, names: list[str]) -> None:
        for name in names:
            (net / "saved").write_text(content)
            (net / "saved").rename(net / name)

    def save_and_remove(_: Committed) -> None:
        save("new", ["both.txt", "only-new.txt"])
        (net / "gone.txt").unlink()

    save("first", ["both.txt", "gone.txt"])
    late(tmp_path, lambda: save("late", names))
    initctl.apply(net, in_place=True, rules=RULES, on_event=on(Committed, save_and_remove))
    assert [(net / name).read_text() for name in names[:2]] == ["new", "new"]
    assert not (net / "gone.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


@pytest.mark.parametrize("is_there", [True, False])
def test_what_others_write_or_remove_just_as_a_late_file_is_put_there_stays_so(
    tmp_path: Path, before_exchange, monkeypatch: pytest.MonkeyPatch, is_there: bool
):
    net = sharded(tmp_path / "net")
    state = net / "state.txt"

    def save(content: str) -> None:
        (net / "saved").write_text(content)
        (net / "saved").rename(state)

    def change_just_then(one: str, other: str) -> None:
        if other == str(state) and state.read_text() == "first":
            save("newest") if is_there else state.unlink()
        exchange(one, other)

    save("first")
    before_exchange(net, lambda: save("late"))
    exchange = effects.exchange
    monkeypatch.setattr(effects, "exchange", change_just_then)
    initctl.apply(net, in_place=True, rules=RULES)
    assert (state.read_text() == "newest") if is_there else not state.exists()
    assert not kept_in(net)
    assert not kept_in(tmp_path)


@pytest.mark.parametrize("how", ["another output", "in place"])
def test_no_other_run_replaces_the_new_directory_before_everything_is_in_it(tmp_path: Path, how: str):
    net, other = sharded(tmp_path / "net"), sharded(tmp_path / "other")
    command = ["apply", str(net), "--in-place"] if how == "in place" else ["apply", str(other), "-o", str(net)]
    ends = []

    def run(_: Committed) -> None:
        ends.append(initctl_command(*command, "-r", "norm.weight=ones"))

    initctl.apply(net, in_place=True, rules=RULES, on_event=on(Committed, run))
    (end,) = ends
    assert end.status == 6
    assert "another process of initctl is changing it" in end.err
    assert initctl.verify(net, rules=RULES).holds


def test_a_file_that_appears_in_a_directory_in_the_last_moment_before_it_is_replaced_is_named_and_kept(
    tmp_path: Path, before_exchange
):
    net, out = sharded(tmp_path / "net"), tmp_path / "out"
    initctl.apply(net, out, rules=RULES)
    before_exchange(out, lambda: (out / "mine.txt").write_text("mine"))
    with pytest.raises(
        initctl.UncertainError, match=r"may lack what was written to the old one meanwhile: mine\.txt; the"
    ):
        initctl.apply(net, out, rules=RULES)
    (kept,) = tmp_path.glob(".initctl-*.old")
    assert (kept / "mine.txt").read_text() == "mine"


def test_a_new_directory_of_which_it_is_not_known_whether_it_is_on_the_disk_has_replaced_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    net = sharded(tmp_path / "net")
    fail_to_sync_directories(monkeypatch, tmp_path)
    with pytest.raises(initctl.UncertainError) as raised:
        initctl.apply(net, tmp_path / "out", rules=RULES)
    assert str(raised.value).endswith("is in place, but may not survive a power failure: Input/output error")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net", "out"]


@pytest.mark.parametrize("is_renamed", [True, False])
def test_the_old_directory_stays_whole_if_it_is_not_known_whether_the_new_one_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_renamed: bool
):
    net = sharded(tmp_path / "net")
    before = contents(net)
    fail_to_sync_directories(monkeypatch, tmp_path)
    rename, refuse = effects.rename, refusing(errno.EIO)
    if not is_renamed:
        monkeypatch.setattr(effects, "rename", lambda path, to: (refuse if to.endswith(".old") else rename)(path, to))
    with pytest.raises(initctl.UncertainError, match="may not survive a power failure") as raised:
        initctl.apply(net, in_place=True, rules=RULES)
    (kept,) = [path for path in tmp_path.iterdir() if path != net]
    assert kept.suffix == (".old" if is_renamed else ".tmp")
    hint = "take what you need from it, and remove it" if is_renamed else "move it away if you need it: the next run "
    assert f"the old directory is {kept}; {hint}" in str(raised.value)
    assert contents(kept) == before


def test_a_signal_comes_too_late_while_late_files_are_put_into_the_new_directory(
    tmp_path: Path, before_exchange, monkeypatch: pytest.MonkeyPatch
):
    net = sharded(tmp_path / "net")
    before_exchange(net, lambda: (net / "late.txt").write_text("late"))
    as_late_is_linked(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    assert initctl.apply(net, in_place=True, rules=RULES).files
    assert (net / "late.txt").read_text() == "late"
    assert initctl.verify(net, rules=RULES).holds


@linux
def test_a_late_file_that_cannot_be_put_into_the_new_directory_is_in_the_old_one(
    tmp_path: Path, late, monkeypatch: pytest.MonkeyPatch
):
    net = sharded(tmp_path / "net")
    (net / "config.json").write_text("old")
    exchange, refuse = effects.exchange, refusing(errno.EIO)

    def save() -> None:
        (net / "saved").write_text("late")
        (net / "saved").rename(net / "config.json")

    late(tmp_path, save)
    monkeypatch.setattr(
        effects, "exchange", lambda one, other: (refuse if other.endswith("config.json") else exchange)(one, other)
    )
    with pytest.raises(
        initctl.UncertainError, match=r"may lack what was .*config\.json: .*Input/output error; the old"
    ):
        initctl.apply(net, in_place=True, rules=RULES)
    (kept,) = tmp_path.glob(".initctl-*.old")
    assert [(folder / "config.json").read_text() for folder in (net, kept)] == ["old", "late"]
    assert not list(net.glob(".initctl-*"))


def test_a_directory_that_another_program_removes_in_the_last_moment_is_there_again(tmp_path: Path, before_exchange):
    net = sharded(tmp_path / "net")
    before_exchange(net, lambda: shutil.rmtree(net))
    initctl.apply(net, in_place=True, rules=RULES)
    assert initctl.verify(net, rules=RULES).holds
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def kept_in(folder: Path) -> list[Path]:
    """The old directories that stay in `folder`."""
    return [path for path in folder.iterdir() if path.name.startswith(".initctl-")]


@pytest.mark.parametrize("is_link", [False, True])
def test_what_takes_the_place_of_a_subdirectory_in_the_last_moment_stays(
    tmp_path: Path, before_exchange, is_link: bool
):
    net = sharded(tmp_path / "net")

    def put_other() -> None:
        shutil.rmtree(net / "extra")
        if is_link:
            (net / "extra").symlink_to("/elsewhere")
        else:
            (net / "extra").write_text("late")

    before_exchange(net, put_other)
    initctl.apply(net, in_place=True, rules=RULES)
    assert contents(net)["extra"] == ("/elsewhere" if is_link else b"late")
    assert not kept_in(tmp_path)


def test_a_directory_that_takes_the_place_of_a_link_in_the_last_moment_is_filled_and_not_what_the_link_led_to(
    tmp_path: Path, before_exchange
):
    net, shared = sharded(tmp_path / "net"), tmp_path / "shared"
    shared.mkdir()
    (shared / "a").write_text("shared")
    (net / "linked").symlink_to(shared)

    def put_directory() -> None:
        (net / "linked").unlink()
        (net / "linked").mkdir()
        for name in ("a", "b"):
            (net / "linked" / name).write_text("late")

    before_exchange(net, put_directory)
    initctl.apply(net, in_place=True, rules=RULES)
    assert contents(net / "linked") == {"a": b"late", "b": b"late"}
    assert contents(shared) == {"a": b"shared"}


def test_another_checkpoint_that_takes_the_place_of_the_directory_in_the_last_moment_is_not_mixed_with_the_result(
    tmp_path: Path, before_exchange
):
    net, other = sharded(tmp_path / "net"), sharded(tmp_path / "other")
    (other / "config.json").write_text("other")
    (other / "empty").unlink()
    theirs = contents(other)

    def put_other() -> None:
        net.rename(tmp_path / "aside")
        other.rename(net)

    before_exchange(net, put_other)
    with pytest.raises(
        initctl.UncertainError, match=r"another program replaced the whole directory; the old directory"
    ):
        initctl.apply(net, in_place=True, rules=RULES)
    (kept,) = kept_in(tmp_path)
    assert contents(kept) == theirs
    assert contents(net).keys() == contents(tmp_path / "aside").keys()
    assert (net / "config.json").read_text() == (tmp_path / "aside" / "config.json").read_text()


def test_what_others_remove_or_rename_in_the_last_moment_does_not_come_back(tmp_path: Path, before_exchange):
    net = sharded(tmp_path / "net")
    (net / "notes").mkdir()
    for name in ("run.lock", "saved.tmp", "notes/one", "notes/two"):
        (net / name).write_text("old")

    def change() -> None:
        (net / "run.lock").unlink()
        (net / "saved.tmp").rename(net / "saved")
        (net / "new").mkdir()
        (net / "new" / "one").write_text("new")
        shutil.rmtree(net / "notes")
        (net / "new").rename(net / "notes")
        shutil.rmtree(net / "extra")

    before_exchange(net, change)
    initctl.apply(net, in_place=True, rules=RULES)
    assert not {"run.lock", "saved.tmp", "notes/two", "extra", "extra/deep", "new"} & contents(net).keys()
    assert {name: contents(net)[name] for name in ("saved", "notes/one")} == {"saved": b"old", "notes/one": b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_what_others_write_to_a_subdirectory_of_the_new_directory_stays_if_they_removed_the_old_one(
    tmp_path: Path, before_exchange
):
    net = sharded(tmp_path / "net")

    def write(_: Committed) -> None:
        (net / "extra" / "mine").write_text("mine")
        (net / "empty").unlink()
        (net / "empty").write_text("mine")

    def remove() -> None:
        shutil.rmtree(net / "extra")
        (net / "empty").unlink()

    before_exchange(net, remove)
    initctl.apply(net, in_place=True, rules=RULES, on_event=on(Committed, write))
    assert contents(net / "extra") == {"mine": b"mine"}
    assert (net / "empty").read_text() == "mine"


@linux
def test_a_subdirectory_that_others_remove_while_it_is_flushed_does_not_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    net = sharded(tmp_path / "net")
    flush = effects.flush

    def flush_after_it_is_gone(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/deep"):
            shutil.rmtree(net / "extra", ignore_errors=True)
        flush(descriptor)

    monkeypatch.setattr(effects, "flush", flush_after_it_is_gone)
    initctl.apply(net, in_place=True, rules=RULES)
    assert not (net / "extra").exists()
    assert initctl.verify(net, rules=RULES).holds


def test_a_late_file_stays_even_if_the_caller_fails_once_the_result_is_in_place(tmp_path: Path, before_exchange):
    net = sharded(tmp_path / "net")

    def fail(_: Committed) -> None:
        raise RuntimeError("the caller")

    before_exchange(net, lambda: (net / "late.txt").write_text("late"))
    with pytest.raises(RuntimeError, match="the caller"):
        initctl.apply(net, in_place=True, rules=RULES, on_event=on(Committed, fail))
    assert (net / "late.txt").read_text() == "late"
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_the_old_directory_stays_if_there_is_no_memory_to_keep_late_files(
    tmp_path: Path, before_exchange, monkeypatch: pytest.MonkeyPatch
):
    net = sharded(tmp_path / "net")

    def fail() -> None:
        raise MemoryError

    before_exchange(net, lambda: (net / "late.txt").write_text("late"))
    as_late_is_linked(monkeypatch, fail)
    with pytest.raises(initctl.UncertainError, match=r"may lack what was .*: there is not enough memory; the old"):
        initctl.apply(net, in_place=True, rules=RULES)
    (kept,) = kept_in(tmp_path)
    assert (kept / "late.txt").read_text() == "late"


@pytest.mark.parametrize("place", ["{net}/blobs", "../net/blobs", "blobs"])
def test_a_shard_that_is_a_link_within_the_directory_is_not_taken_for_changed(tmp_path: Path, place: str):
    net = sharded(tmp_path / "net")
    (net / "blobs").mkdir()
    (net / "model-1.safetensors").rename(net / "blobs" / "one")
    (net / "model-1.safetensors").symlink_to(f"{place.format(net=net)}/one")
    initctl.apply(net, in_place=True, rules=RULES)
    assert (net / "model-1.safetensors").is_symlink()
    assert initctl.verify(net, rules=RULES).holds
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


def test_a_stale_file_that_others_write_anew_is_not_removed(tmp_path: Path, before_exchange):
    net = sharded(tmp_path / "net")
    stale = net / "pytorch_model.bin"
    torch.save(network(), stale)
    with pytest.raises(initctl.ConflictError, match=r"pytorch_model\.bin: changed while it was read"):
        initctl.apply(net, in_place=True, rules=RULES, stale="drop", on_event=once(lambda: replace(stale)))
    assert stale.exists()
    before_exchange(net, lambda: stale.write_text("new"))
    with pytest.raises(initctl.UncertainError, match=r"may lack what was .*/pytorch_model\.bin; the old"):
        initctl.apply(net, in_place=True, rules=RULES, stale="drop")
    (kept,) = kept_in(tmp_path)
    assert (kept / stale.name).read_text() == "new"
    assert not stale.exists()


def test_an_old_directory_that_stays_is_in_no_copy_and_stays_in_place(
    tmp_path: Path, before_exchange, monkeypatch: pytest.MonkeyPatch
):
    unet = sharded(tmp_path / "pipe" / "unet")
    before_exchange(unet, lambda: (unet / "model-1.safetensors").unlink())
    with pytest.raises(initctl.UncertainError):
        initctl.apply(unet, in_place=True, rules=RULES)
    monkeypatch.undo()
    (kept,) = kept_in(tmp_path / "pipe")
    (tmp_path / "pipe" / "model_index.json").write_text('{"unet": ["diffusers", "Any"]}')
    applied = initctl.apply(tmp_path / "pipe", tmp_path / "copy", component="unet", rules=RULES)
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["model_index.json", "unet"]
    assert any(kept.name in warning.message for warning in applied.plan.warnings)
    shutil.move(kept, unet)
    initctl.apply(unet, in_place=True, rules=RULES)
    assert (unet / kept.name / "config.json").exists()
    initctl.apply(unet, tmp_path / "other", rules=RULES)
    assert not kept_in(tmp_path / "other")


def test_two_runs_to_one_output_succeed_though_the_first_is_flushed_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    net, out = sharded(tmp_path / "net"), tmp_path / "out"
    initctl.apply(net, out, rules=RULES)
    ends, flush, is_committed = [], effects.flush, []

    def flush_while_another_runs(descriptor: int) -> None:
        if is_committed and not ends:
            ends.append(initctl_command("apply", str(net), "-o", str(out), "-r", "norm.weight=ones"))
        flush(descriptor)

    monkeypatch.setattr(effects, "flush", flush_while_another_runs)
    initctl.apply(net, out, rules=RULES, on_event=on(Committed, lambda _: is_committed.append(True)))
    assert [end.status for end in ends] == [0]
    assert initctl.verify(out, rules=["norm.weight=ones"]).holds
