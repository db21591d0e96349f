"""Two processes never change one checkpoint at once, and what a killed one left is gone and goes nowhere."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

import initctl
from initctl.commit import effects
from initctl.commit.leftovers import reclaim
from initctl.events import Progress
from initctl.traces import is_staged
from tests.commit.folders import contents, refusing
from tests.commit.test_leftovers import killed
from tests.events import on
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL, ONE = ["*.weight=constant:val={}"], ["layers.1.weight=constant:val={}"]
"""Rules that change all shards, and one."""


def rules(texts: list[str], number: int) -> list[str]:
    return [text.format(number) for text in texts]


def together(*works: Callable[[], object]) -> list[object]:
    """What each of `works` returned, or the class of the error that it raised, if all begin at once."""
    start = Barrier(len(works))

    def one(work: Callable[[], object]) -> object:
        start.wait(timeout=60)
        try:
            return work()
        except initctl.InitctlError as error:
            return type(error)

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(one, works))


def held(path: Path) -> object:
    """The content of a file, or of everything in a directory."""
    return path.read_bytes() if path.is_file() else contents(path)


@pytest.mark.parametrize("in_place", [True, "patch"])
@pytest.mark.parametrize("make", [single, sharded])
def test_of_two_that_change_one_checkpoint_at_once_no_update_is_lost_and_none_is_mixed(
    tmp_path: Path, make: Callable[[Path], Path], in_place: Any
):
    for round_ in range(8):
        path = make(tmp_path / (f"model{round_}" + (".safetensors" if make is single else "")))
        plans = [initctl.plan(path, rules=rules(ALL, number)) for number in (1, 2)]
        results = {}
        for number, plan in enumerate(plans):
            wanted = tmp_path / (f"wanted{round_}{number}" + (".safetensors" if path.is_file() else ""))
            initctl.apply(plan, wanted)
            results[number] = held(wanted)
        ended = together(*(lambda plan=plan: initctl.apply(plan, in_place=in_place) for plan in plans))
        winners = [number for number, end in enumerate(ended) if end is not initctl.ConflictError]
        assert len(winners) == 1
        assert held(path) == results[winners[0]]
        assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_while_one_works_another_is_refused_and_told(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    told = []

    def meanwhile(_: Progress) -> None:
        for how in ({"in_place": True}, {"in_place": "patch"}):
            with pytest.raises(initctl.ConflictError) as raised:
                initctl.apply(path, rules=rules(ALL, 2), **how)
            told.append(str(raised.value))

    initctl.apply(path, in_place=True, rules=rules(ALL, 1), on_event=on(Progress, meanwhile))
    assert set(told) == {f"{path}: another process of initctl is changing it; run again when it has ended"}


def test_while_it_is_patched_it_is_read_by_none(tmp_path: Path):
    path, told = single(tmp_path / "model.safetensors"), []

    def meanwhile(_: Progress) -> None:
        with pytest.raises(initctl.ConflictError) as raised:
            initctl.inspect(path)
        told.append(str(raised.value))

    initctl.apply(path, in_place="patch", rules=rules(ALL, 1), on_event=on(Progress, meanwhile))
    assert set(told) == {f"{path}: another process of initctl is overwriting it; run again when it has ended"}
    initctl.inspect(path)


@pytest.mark.parametrize("deep", ["", "a/b/c/d/e/f"])
def test_a_shard_and_its_directory_are_not_changed_at_once(tmp_path: Path, deep: str):
    folder = sharded(tmp_path / "model")
    shard = folder / deep / "model-1.safetensors"
    if deep:
        shard.parent.mkdir(parents=True)
        (folder / shard.name).rename(shard)
        index = folder / "model.safetensors.index.json"
        index.write_text(index.read_text().replace(shard.name, f"{deep}/{shard.name}"))
    works = []

    def meanwhile(_: Progress) -> None:
        with pytest.raises(initctl.ConflictError, match="another process of initctl is changing it"):
            initctl.apply(shard, in_place=True, rules=["*=ones"])
        with pytest.raises(initctl.ConflictError, match="another process of initctl is changing it"):
            initctl.plan(folder, rules=rules(ALL, 1)).save(folder / "plan.json")
        works.append(True)

    initctl.apply(folder, in_place=True, rules=rules(ALL, 1), on_event=on(Progress, meanwhile))
    assert works
    assert initctl.verify(folder, folder, rules=rules(ALL, 1)).holds


def test_who_locks_a_directory_that_all_users_share_holds_up_nobody(tmp_path: Path):
    path = single(tmp_path / "shared" / "net.safetensors")
    path.parent.chmod(0o1777)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        initctl.apply(path, in_place=True, rules=rules(ALL, 1))
    finally:
        os.close(descriptor)


def test_neighbors_in_one_directory_are_changed_at_once(tmp_path: Path):
    paths = [single(tmp_path / f"model{number}.safetensors") for number in range(4)]
    ended = together(*(lambda p=p: initctl.apply(p, in_place=True, rules=rules(ALL, 1)) for p in paths))
    assert initctl.ConflictError not in ended


def test_one_output_may_be_written_by_two_at_once_and_the_last_stays(tmp_path: Path):
    path, out = single(tmp_path / "model.safetensors"), single(tmp_path / "out.safetensors")
    for _ in range(5):
        ended = together(
            *(lambda number=number: initctl.apply(path, out, rules=rules(ALL, number)) for number in (1, 2, 3))
        )
        assert initctl.ConflictError not in ended
        assert any(initctl.verify(path, out, rules=rules(ALL, number)).holds for number in (1, 2, 3))


@pytest.mark.parametrize("is_there_before", [True, False])
def test_a_directory_that_is_being_replaced_is_not_taken_for_left_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there_before: bool
):
    folder, out, found = sharded(tmp_path / "model"), tmp_path / "out", []
    initctl.apply(folder, tmp_path / "theirs", rules=["*.bias=zeros"])
    if is_there_before:
        (tmp_path / "theirs").rename(out)
    remove = effects.remove_tree

    def reclaim_and_remove(path: str) -> None:
        if os.path.exists(os.path.join(path, "config.json")):
            found.append((path, list(reclaim(str(tmp_path)))))
        remove(path)

    def appear(_: Progress) -> None:
        if not out.exists():
            (tmp_path / "theirs").rename(out)

    monkeypatch.setattr(effects, "remove_tree", reclaim_and_remove)
    initctl.apply(folder, out, rules=["*.weight=ones"], on_event=on(Progress, appear))
    [(path, problems)] = found
    assert is_staged(os.path.basename(path))
    assert problems == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_a_result_whose_parts_are_begun_in_a_directory_keeps_it_from_being_replaced(tmp_path: Path):
    folder = sharded(tmp_path / "model")
    initctl.parts(folder / "model-1.safetensors", folder / "new.safetensors", rules=["*=ones"]).write(1, 2)
    before = contents(folder)
    with pytest.raises(initctl.ConflictError, match=r"parts: parts of another result are begun there; commit them, or"):
        initctl.apply(folder, in_place=True, rules=rules(ALL, 1))
    assert contents(folder) == before


class TestWithoutLocks:
    @pytest.fixture(autouse=True)
    def unlocked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))

    def test_a_change_in_place_is_warned_of(self, tmp_path: Path):
        path = single(tmp_path / "model.safetensors")
        (warning,) = initctl.apply(path, in_place=True, rules=rules(ALL, 1)).warnings
        assert warning.code == "storage.unlocked"
        assert str(warning) == (
            f"{path}: the file system cannot lock it, so another process could change it at the same time; "
            "let only one process change it"
        )

    def test_another_output_is_not(self, tmp_path: Path):
        path, out = single(tmp_path / "model.safetensors"), tmp_path / "out.safetensors"
        for _ in range(2):
            assert initctl.apply(path, out, rules=rules(ALL, 1)).warnings == ()


class TestWhatAKilledProcessLeft:
    def test_is_removed_by_the_next_run_beside_it_which_says_so(self, tmp_path: Path):
        path = single(tmp_path / "model.safetensors")
        left = killed(tmp_path)
        applied = initctl.apply(path, tmp_path / "out.safetensors", rules=rules(ALL, 1))
        assert sorted(warning.message for warning in applied.warnings) == [
            f"{tmp_path / name}: removed it; an initctl that was killed had left it" for name in left
        ]
        assert sorted(os.listdir(tmp_path)) == ["below", "model.safetensors", "out.safetensors"]

    @pytest.mark.parametrize("texts", [ALL, ONE], ids=["all-shards", "one-shard"])
    def test_in_the_directory_that_is_changed_is_removed_too(self, tmp_path: Path, texts: list[str]):
        folder = sharded(tmp_path / "model")
        before = set(os.listdir(folder)) | {"below"}
        killed(folder)
        initctl.apply(folder, in_place=True, rules=rules(texts, 1))
        assert set(os.listdir(folder)) == before
        assert os.listdir(tmp_path) == ["model"]

    def test_in_the_input_goes_to_no_output(self, tmp_path: Path):
        folder = sharded(tmp_path / "model")
        kept = set(os.listdir(folder))
        left = killed(folder)
        initctl.apply(folder, tmp_path / "out", rules=rules(ALL, 1))
        initctl.apply(folder, tmp_path / "converted", max_shard_size="300B")
        assert set(os.listdir(tmp_path / "out")) == kept
        assert not set(left) & set(os.listdir(tmp_path / "converted"))
        assert set(left) < set(os.listdir(folder))

    def test_in_an_output_that_is_replaced_is_not_taken_for_a_strangers_file(self, tmp_path: Path):
        folder = sharded(tmp_path / "model")
        for _ in range(2):
            initctl.apply(folder, tmp_path / "out", rules=rules(ALL, 1))
            killed(tmp_path / "out")
            (tmp_path / "out" / "below").rmdir()
        assert initctl.verify(folder, tmp_path / "out", rules=rules(ALL, 1)).holds

    def test_as_a_second_name_of_the_result_does_not_forbid_to_change_it(self, tmp_path: Path):
        """A file system without a rename that replaces nothing has both names for a moment."""
        path, out = single(tmp_path / "model.safetensors"), tmp_path / "out.safetensors"
        child = os.fork()
        if not child:
            effects.rename_new = refusing(errno.EINVAL)
            link = effects.link

            def killed_after(*arguments: str) -> None:
                link(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)

            effects.link = killed_after
            initctl.apply(path, out, overwrite=False, rules=rules(ALL, 1))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert out.stat().st_nlink == 2
        with pytest.raises(initctl.ConflictError, match="changed while it was read; run again"):
            initctl.apply(out, in_place=True, rules=rules(ALL, 2))
        initctl.apply(out, in_place=True, rules=rules(ALL, 2))
        assert out.stat().st_nlink == 1


class TestInPlaceAFileKeeps:
    ACL = "system.posix_acl_access"

    @pytest.fixture(autouse=True)
    def supported(self, tmp_path: Path) -> None:
        try:
            os.setxattr(tmp_path, "user.test", b"1")
        except (OSError, AttributeError):
            pytest.skip("this file system has no extended attributes")

    @pytest.mark.parametrize("texts", [ALL, ONE], ids=["all-shards", "one-shard"])
    def test_its_owner_group_and_attributes_and_so_does_the_directory(self, tmp_path: Path, texts: list[str]):
        folder = sharded(tmp_path / "model")
        paths = [folder, *folder.iterdir()]
        for number, path in enumerate(paths):
            os.setxattr(path, "user.number", str(number).encode())
            if os.geteuid() == 0:
                os.chown(path, 1000 + number, 2000 + number)
        before = [(os.stat(path).st_uid, os.stat(path).st_gid, os.getxattr(path, "user.number")) for path in paths]
        assert initctl.apply(folder, in_place=True, rules=rules(texts, 1)).warnings == ()
        after = [(os.stat(path).st_uid, os.stat(path).st_gid, os.getxattr(path, "user.number")) for path in paths]
        assert after == before

    def test_and_so_does_an_output_that_is_replaced(self, tmp_path: Path):
        path, out = single(tmp_path / "model.safetensors"), single(tmp_path / "out.safetensors")
        os.setxattr(out, "user.mine", b"yes")
        initctl.apply(path, out, rules=rules(ALL, 1))
        assert os.listxattr(out) == ["user.mine"]

    def test_what_it_may_not_keep_is_warned_of(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        folder = sharded(tmp_path / "model")
        for path in (folder, *folder.iterdir()):
            os.setxattr(path, "user.mine", b"yes")
        monkeypatch.setattr(effects, "set_attribute", refusing(errno.EPERM))
        warnings = initctl.apply(folder, in_place=True, rules=rules(ALL, 1)).warnings
        assert {warning.code for warning in warnings} == {"output.attributes"}
        assert (
            f"{folder}: lacks some of what the old one had, since this is not permitted: "
            "extended attribute user.mine; set them again, if you may"
        ) in map(str, warnings)
        assert initctl.verify(folder, folder, rules=rules(ALL, 1)).holds


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path):
    path = single(tmp_path / "model.safetensors")
    script = (
        "import os, signal, sys, initctl\nfrom initctl.events import Progress\n"
        "def stop(event):\n"
        "    if isinstance(event, Progress): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"initctl.apply(sys.argv[1], in_place=True, rules={rules(ALL, 1)!r}, on_event=stop)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path)) == 2
    initctl.apply(path, in_place=True, rules=rules(ALL, 2))
    assert os.listdir(tmp_path) == [path.name]
