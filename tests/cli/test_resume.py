"""A patch that was killed: every command says so, and `apply --resume` completes it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from initctl import ConflictError, apply
from initctl.formats import check_files_finished, read_checkpoint
from initctl.formats.unfinished import check_not_replaced, unfinished
from tests.cli.processes import initctl
from tests.execution.checkpoints import sharded, single
from tests.formats.handwritten import float_file
from tests.nobody import nobody

if TYPE_CHECKING:
    from pathlib import Path

RULES = ("-r", "*.weight=normal:std=0.02", "--seed", "7")
KILLED = """
import os, signal, sys
from initctl.commit import effects
from initctl.__main__ import main
path = os.path.realpath(sys.argv.pop(1))
write, count = effects.write, int(sys.argv.pop(1))
def killing(descriptor, data, offset):
    global count
    target = os.readlink(f"/proc/self/fd/{descriptor}")
    if target.startswith(path) and "/.initctl-" not in target:
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)
        count -= 1
    return write(descriptor, data, offset)
effects.write = killing
main()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the test asks Linux which file is written")


def kill(path: Path, *more: str, after: int, plan: bool = False) -> list[str]:
    """Let a patch of the checkpoint at `path` be killed `after` so many writes; returns its command line."""
    how = ["--plan", str(path.with_name("plan.json"))] if plan else RULES
    command = ["apply", str(path), "--in-place", "--patch", "--threads", "1", *how, *more]
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), str(after), *command], check=False)
    assert run.returncode == -signal.SIGKILL
    return command


@pytest.fixture(params=["file", "shards"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return single(tmp_path / "net.safetensors") if request.param == "file" else sharded(tmp_path / "net")


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(below for below in path.rglob("*") if below.is_file())
    return {file.name: file.read_bytes() for file in files}


@pytest.fixture
def wanted(path: Path) -> dict[str, bytes]:
    copy = path.with_name("wanted" + path.suffix)
    (shutil.copytree if path.is_dir() else shutil.copy)(path, copy)
    assert initctl("apply", str(copy), "--in-place", *RULES).status == 0
    found = content(copy)
    (shutil.rmtree if path.is_dir() else os.unlink)(copy)
    return {path.name: next(iter(found.values()))} if path.is_file() else found


@pytest.mark.parametrize("after", [0, 2])
def test_resume_completes_it_without_rules_or_seed(path: Path, wanted: dict[str, bytes], after: int):
    kill(path, after=after)
    run = initctl("apply", str(path), "--resume")
    assert (run.status, run.err) == (0, "")
    assert run.out.splitlines()[-1].startswith(f"wrote {path} (")
    assert content(path) == wanted
    assert [name for name in os.listdir(path.parent) if name.startswith(".")] == []


def test_the_same_command_completes_it_by_rules_and_by_a_plan(path: Path, wanted: dict[str, bytes]):
    for plan in (False, True):
        initctl("plan", str(path), *RULES, "--save", str(path.with_name("plan.json")))
        assert initctl(*kill(path, after=1, plan=plan)).status == 0
        assert content(path) == wanted


COMMANDS = [
    ("inspect",),
    ("plan", *RULES),
    ("apply", "--in-place", "-r", "*.weight=zeros"),
    ("apply", "--in-place", "--patch", "-r", "*.weight=zeros"),
    ("apply", "-o", "out", *RULES),
    ("stats",),
    ("doctor",),
    ("suggest",),
]


def test_every_other_command_refuses_it_and_says_how_to_complete_it(path: Path):
    kill(path, after=1)
    before = content(path)
    for command, *options in COMMANDS:
        run = initctl(command, str(path), *options)
        assert run.status == 6, command
        assert run.out == ""
        assert f"{path}: a patch" in run.err
        assert "was interrupted" in run.err
        assert f"initctl apply --resume {path}" in run.err
        assert run.err.count("\n") == 1 + ("see: " in run.err)
    assert content(path) == before


def test_a_shard_of_it_is_refused_too(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    kill(folder, after=1)
    run = initctl("inspect", str(folder / "model-3.safetensors"))
    assert run.status == 6
    assert f"{folder}: a patch was interrupted" in run.err


def test_a_new_file_in_place_of_the_old_one_is_not_affected(tmp_path: Path):
    path, good = single(tmp_path / "net.safetensors"), single(tmp_path / "good.safetensors")
    kill(path, after=1)
    good.replace(path)
    assert initctl("inspect", str(path)).status == 0
    assert initctl("apply", str(path), "--resume").status == 6
    assert initctl("apply", str(path), "--in-place", "-r", "*.weight=zeros").status == 0


def test_a_restored_file_that_got_the_same_inode_is_not_affected(path: Path):
    good = path.with_name("good")
    (shutil.copytree if path.is_dir() else shutil.copy)(path, good)
    kill(path, after=1)
    (journal,) = path.parent.rglob(".initctl-journal*")
    document = json.loads(journal.read_text())
    assert all(isinstance(time, int) for _, time in document["files"].values())
    document["files"] = {name: [inode, time - 1] for name, (inode, time) in document["files"].items()}
    with journal.open("r+") as stream:
        stream.write(json.dumps(document))
        stream.truncate()
    assert initctl("inspect", str(path)).status == 0
    document["files"] = {name: [inode, None] for name, (inode, _) in document["files"].items()}
    with journal.open("r+") as stream:
        stream.write(json.dumps(document))
        stream.truncate()
    assert initctl("inspect", str(path)).status == 6


@pytest.mark.parametrize("name", ["net.safetensors", "net/model-1.safetensors"])
def test_a_file_that_was_renamed_meanwhile_is_refused_by_the_name_that_it_had(tmp_path: Path, name: str):
    whole, file = tmp_path / name.split("/")[0], tmp_path / name
    (single if whole == file else sharded)(whole)
    before = file.read_bytes()
    kill(whole, after=1)
    new = file.with_name("broken.safetensors")
    file.rename(new)
    for command in (["inspect", str(new)], ["apply", str(new), "--resume"]):
        run = initctl(*command)
        assert run.status == 6
        assert f"{new}: a patch of it was interrupted when it was {file}; rename it back and complete" in run.err
    new.rename(file)
    assert initctl("apply", str(whole), "--resume").status == 0
    assert file.read_bytes() != before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_output_in_a_directory_that_may_not_be_listed_is_not_replaced_either(open_folder: Path):
    path = single(open_folder / "net.safetensors")
    kill(path, after=1)
    path.chmod(0o644)
    open_folder.chmod(0o711)
    for user in (nullcontext, nobody):  # root first, who imports what only root may read
        with user(), pytest.raises(ConflictError, match="a patch was interrupted"):
            check_files_finished([str(path)])


def test_another_file_of_that_name_is_not_patched_while_the_journal_of_the_first_is_there(tmp_path: Path):
    path = single(tmp_path / "net.safetensors")
    command = kill(path, after=1)
    (journal,) = tmp_path.glob(".initctl-journal-*")
    path.rename(tmp_path / "broken.safetensors")
    single(path)
    before = path.read_bytes()
    run = initctl(*command)
    assert run.status == 6
    assert f"{journal} is of an interrupted patch of files that are no longer here; they may have" in run.err
    assert path.read_bytes() == before
    journal.unlink()
    assert initctl(*command).status == 0


@pytest.mark.parametrize("how", [[], ["--max-shard-size", "1GB"]], ids=["copied", "converted"])
def test_a_directory_is_not_copied_with_another_file_of_it_whose_patch_is_not_complete(tmp_path: Path, how: list[str]):
    net = sharded(tmp_path / "net")
    kill(single(net / "adapter.safetensors"), after=1)
    run = initctl("apply", str(net), "-o", str(tmp_path / "out"), "-r", "layers.0.*=zeros", *how)
    assert run.status == 6
    assert f"{net}/adapter.safetensors: a patch was interrupted" in run.err
    assert not (tmp_path / "out").exists()


def test_a_journal_that_cannot_complete_the_patch_says_how_to_give_it_up(tmp_path: Path):
    path = single(tmp_path / "net.safetensors")
    good, other = path.read_bytes(), float_file(tmp_path / "other.safetensors", "w").read_bytes()
    kill(path, after=1)
    (journal,) = tmp_path.glob(".initctl-journal-*")
    advice = f"; restore what was there from a copy, and remove {journal}"
    path.write_bytes(other)
    assert advice in initctl("apply", str(path), "--resume").err
    path.write_bytes(good)
    journal.write_text("")
    for options in (["--resume"], ["--in-place", "--patch", *RULES]):
        run = initctl("apply", str(path), *options)
        assert (run.status, run.err.count("\n")) == (3, 1 + run.err.count("see: "))
        assert advice in run.err
    journal.unlink()
    assert initctl("inspect", str(path)).status == 0


def test_a_damaged_journal_does_not_say_which_files_were_replaced(tmp_path: Path):
    path = single(tmp_path / "net.safetensors")
    kill(path, after=1)
    (journal,) = tmp_path.glob(".initctl-journal-*")
    float_file(tmp_path / "other.safetensors", "w").rename(path)
    with pytest.raises(ConflictError, match="was replaced after the patch of it was interrupted"):
        check_not_replaced(str(journal))
    journal.write_text("")
    check_not_replaced(str(journal))


def test_a_patch_that_was_completed_just_now_counts_as_one_that_goes_on(tmp_path: Path):
    """Between finding its journal and asking who holds the file, the other process may have ended."""
    path = single(tmp_path / "net.safetensors")
    assert str(unfinished(str(path))) == (
        f"{path}: another process of initctl is overwriting it; run again when it has ended"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_owner_of_the_file_completes_a_patch_of_root(open_folder: Path):
    good = single(open_folder / "good.safetensors")
    path = good.with_name("net.safetensors")
    path.write_bytes(good.read_bytes())
    path.chmod(0o640)
    for place in (open_folder, path):
        os.chown(place, 65534, 65534)
    for name, user in ((good, nullcontext), (path, nobody)):  # root first, who imports what only root may read
        kill(name, after=1)
        (journal,) = open_folder.glob(".initctl-journal-*")
        ids = [(place.stat().st_uid, place.stat().st_gid, place.stat().st_mode) for place in (name, journal)]
        assert ids[0] == ids[1]
        assert json.loads(journal.read_text())["own"][0] == journal.stat().st_ino
        with user():
            apply(name, in_place="resume", threads=1)
    assert path.read_bytes() == good.read_bytes()
    assert sorted(os.listdir(open_folder)) == [good.name, path.name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_journal_about_files_of_several_owners_is_one_that_all_of_them_trust(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    owners = {f"model-{number}.safetensors": 12345 + number for number in (1, 2, 3)}
    for name, owner in owners.items():
        os.chown(folder / name, owner, -1)
    folder.chmod(0o1777)
    kill(folder, after=1)
    assert (folder / ".initctl-journal").stat().st_uid == 0
    for name in owners:
        with pytest.raises(ConflictError, match="a patch was interrupted"):
            check_files_finished([str(folder / name)])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0o640, 0o600])
def test_whoever_may_not_read_the_journal_is_refused_too(open_folder: Path, mode: int):
    whole = open_folder / "pipeline"
    path = single(whole / "unet" / "diffusion_pytorch_model.safetensors")
    (whole / "model_index.json").write_text('{"_class_name": "X"}')
    path.chmod(mode)
    kill(whole, "--component", "unet", after=1)
    journal = whole / ".initctl-journal"
    assert journal.stat().st_mode & 0o777 == mode
    path.chmod(0o644)
    for user in (nullcontext, nobody):  # root first, who imports what only root may read
        with user(), pytest.raises(ConflictError, match="a patch was interrupted"):
            read_checkpoint(str(whole), component="unet")
        with user(), pytest.raises(ConflictError, match="a patch was interrupted"):
            read_checkpoint(str(path))


def test_a_shard_deep_below_its_index_is_refused_and_completed(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    shard, index = folder / "a/b/c/d/e/f/model-1.safetensors", folder / "model.safetensors.index.json"
    shard.parent.mkdir(parents=True)
    (folder / shard.name).rename(shard)
    index.write_text(index.read_text().replace(shard.name, str(shard.relative_to(folder))))
    kill(folder, after=1)
    for path in (folder, shard):
        assert initctl("inspect", str(path)).status == 6
    assert initctl("apply", str(folder), "--resume").status == 0


def test_a_shard_that_was_restored_is_not_overwritten_by_resume(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    shard = folder / "model-1.safetensors"
    good = shutil.copy(shard, tmp_path)
    kill(folder, after=3)
    os.replace(good, shard)
    before = content(folder)
    for options in (["--resume"], ["--in-place", "--patch", *RULES]):
        run = initctl("apply", str(folder), *options)
        assert run.status == 6
        assert f"{shard}: was replaced after the patch of it was interrupted; restore what was there" in run.err
    assert content(folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_copy_on_a_new_file_system_that_numbers_its_files_alike_is_refused(tmp_path: Path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
    try:
        (folders[1] / "README").touch()
        kill(single(folders[0] / "net.safetensors"), after=1)
        subprocess.run(["cp", "-a", f"{folders[0]}/.", folders[1]], check=True)
        assert initctl("inspect", str(folders[1] / "net.safetensors")).status == 6
    finally:
        for folder in folders:
            subprocess.run(["umount", folder], check=True)


def test_a_copy_with_its_journal_is_not_complete_either(path: Path, wanted: dict[str, bytes]):
    kill(path, after=1)
    copy = path.parent / "copy"
    shutil.copytree(path.parent, copy, ignore=shutil.ignore_patterns("copy"))
    assert initctl("inspect", str(copy / path.name)).status == 6
    assert initctl("apply", str(copy / path.name), "--resume").status == 0
    assert content(copy / path.name) == wanted


def test_a_neighbor_and_what_is_below_are_not_affected(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    below, neighbor = single(folder / "checkpoint-5" / "net.safetensors"), single(folder / "other.safetensors")
    kill(folder, after=1)
    for other in (below, neighbor):
        assert initctl("inspect", str(other)).status == 0


def test_a_patch_of_a_shard_by_other_rules_is_refused_while_that_of_its_directory_is_not_complete(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    shard = folder / "model-1.safetensors"
    for first, second in ((folder, shard), (shard, folder)):
        kill(first, after=0)
        run = initctl("apply", str(second), "--in-place", "--patch", "-r", "*.weight=zeros")
        assert run.status == 6
        assert f"initctl apply --resume {first}" in run.err
        assert initctl("apply", str(second), "--resume").status == 0
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_journal_of_a_neighbor_stays_if_the_directory_is_changed_and_forbids_copies(tmp_path: Path):
    folder = sharded(tmp_path / "net")
    neighbor = single(folder / "extra.safetensors")
    kill(neighbor, after=1)
    assert initctl("apply", str(folder), "--in-place", *RULES).status == 0
    assert initctl("inspect", str(neighbor)).status == 6
    run = initctl("apply", str(folder), "-o", str(tmp_path / "out"), *RULES)
    assert run.status == 6
    assert f"{neighbor}: a patch was interrupted" in run.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_journal_of_another_user_counts_only_if_that_user_could_also_replace_the_file(path: Path):
    kill(path, after=1)
    (journal,) = path.parent.rglob(".initctl-journal*")
    os.chown(journal, 12345, -1)
    assert initctl("inspect", str(path)).status == 6
    journal.parent.chmod(0o1777)
    assert initctl("inspect", str(path)).status == 0
    assert initctl("apply", str(path), "--resume").status == 6
    journal.unlink()
    os.mkfifo(journal)
    assert initctl("inspect", str(path)).status == 0


NAMING_OPENED = """
import sys
from initctl.__main__ import main
sys.addaudithook(lambda event, values: event == "open" and print(values[0], file=sys.stderr))
main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("owner", ["stranger", "owner of the file"])
def test_a_journal_that_cannot_be_trusted_is_not_even_read(open_folder: Path, owner: str):
    open_folder.chmod(0o1777)
    path, journal = single(open_folder / "home" / "net.safetensors"), open_folder / ".initctl-journal"
    journal.write_text("[" * 1000)
    os.chown(path, 12345, -1)
    os.chown(journal, 12345 if owner == "owner of the file" else 54321, -1)
    run = subprocess.run([sys.executable, "-c", NAMING_OPENED, "inspect", path], capture_output=True, check=False)
    opened = os.fsdecode(run.stderr).splitlines()
    assert str(path) in opened
    assert (str(journal) in opened) == (owner == "owner of the file")


def test_a_patch_by_the_path_of_the_index_is_completed_by_the_hint(tmp_path: Path):
    folder = sharded(tmp_path / "a net")
    index = folder / "model.safetensors.index.json"
    kill(folder, after=0)
    run = initctl("inspect", str(index))
    assert f"complete it with initctl apply --resume '{folder}'" in run.err
    assert initctl("apply", str(index), "--resume").status == 0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("-o", "out.safetensors"), "-o"),
        (("--in-place",), "--in-place"),
        (("--in-place", "--patch"), "--in-place"),
        (("--plan", "plan.json"), "--plan"),
        (("--part", "1/2"), "--part"),
        (("--report", "report.json"), "--report"),
        (("--diff",), "--diff"),
        (RULES, "--resume cannot be combined with -r, --seed"),
    ],
)
def test_resume_takes_no_other_instructions(tmp_path: Path, options: tuple[str, ...], named: str):
    path = single(tmp_path / "net.safetensors")
    run = initctl("apply", str(path), "--resume", *options)
    assert run.status == 2
    assert named in run.err


def test_there_is_nothing_to_resume_without_an_interrupted_patch(path: Path):
    run = initctl("apply", str(path), "--resume")
    assert run.status == 6
    assert f"{path}: no patch of it was interrupted, so there is nothing to complete" in run.err
