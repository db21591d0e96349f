"""What the parts of one result agree on: whatever does not fit together is refused, and the rest is left as it is."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from safetensors.torch import save_file

import initctl
from initctl.distributed.staged_job import StagedJob
from initctl.errors import ConflictError, StorageError, UsageError
from tests.commit.folders import contents, fail_to_sync_directories, snapshot
from tests.distributed.checkpoints import CASES, Case, contiguous, network
from tests.distributed.results import cut_often, in_parts, inside, written_by_hand
from tests.execution.checkpoints import sharded, single
from tests.execution.torch_files import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ["b.weight=normal", "c=zeros"]
CONTENT = bytes(range(1, 251)) * 8


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_often(monkeypatch)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    tensors = {"a": ("U8", CONTENT[:1001]), "b.weight": ("F32", CONTENT), "c": ("F32", CONTENT)}
    return written_by_hand(tmp_path / "net.safetensors", tensors)


@pytest.fixture
def parts(net: Path) -> initctl.Parts:
    return made(net)


def made(net: Path, rules: list[str] = RULES, **options: Any) -> initctl.Parts:
    return initctl.parts(net, net.with_name("out.safetensors"), rules=rules, **options)


def staging(net: Path) -> Path:
    """The directory that the parts share."""
    (found,) = net.parent.glob(".initctl-*.parts")
    return found


def refused(step: Callable[..., object], *arguments: object, code: str) -> str:
    """The message with which a step is refused. Nothing changes."""
    with pytest.raises(ConflictError) as raised:
        step(*arguments)
    (problem,) = raised.value.problems
    assert problem.code == code
    return str(raised.value)


@pytest.mark.parametrize("case", CASES[::3], ids=str)
def test_a_part_writes_the_ranges_of_its_receipt_and_no_other_byte(tmp_path: Path, case: Case):
    source = case.source(tmp_path)
    parts = initctl.parts(source, tmp_path / case.output, **case.asked)
    receipt = parts.write(2, 4)
    files: dict[str, bytearray] = {}
    for found in receipt.ranges:
        result = staging(source) / "result"
        path = result / found.file if result.is_dir() else result
        content = files.setdefault(found.file, bytearray(path.read_bytes()))
        assert zlib.crc32(path.read_bytes()[found.start : found.stop]) == found.crc32
        content[found.start : found.stop] = bytes(found.stop - found.start)
    assert not any(any(content) for content in files.values())
    assert receipt.nbytes == parts.split(4).shares[1].nbytes


def test_nothing_is_visible_at_the_output_before_the_commit(net: Path, parts: initctl.Parts):
    for number in (1, 2, 3):
        parts.write(number, 3)
        assert [path.name for path in net.parent.glob("[!.]*")] == ["net.safetensors"]
    assert staging(net).stat().st_mode & 0o777 == 0o700
    parts.commit()
    assert sorted(path.name for path in net.parent.iterdir()) == ["net.safetensors", "out.safetensors"]


def test_a_part_that_is_done_is_not_written_again(net: Path, parts: initctl.Parts):
    first = parts.write(1, 2)
    before = snapshot(staging(net))
    again = parts.write(1, 2)
    assert (first.was_done, again.was_done) == (False, True)
    assert (again.ranges, again.seconds, again.host) == (first.ranges, first.seconds, first.host)
    assert snapshot(staging(net)) == before


def test_parts_without_work_are_written_and_committed(net: Path, parts: initctl.Parts):
    for number in range(20, 0, -1):
        parts.write(number, 20)
    parts.commit()
    initctl.apply(net, net.with_name("once.safetensors"), rules=RULES)
    assert net.with_name("out.safetensors").read_bytes() == net.with_name("once.safetensors").read_bytes()


def test_another_number_of_parts_is_refused(net: Path, parts: initctl.Parts):
    parts.write(1, 2)
    message = refused(parts.write, 1, 3, code="parts.count")
    assert "is being written in 2 parts, not 3; use that number, or remove " in message
    assert message.endswith(f"{staging(net)} to begin again")


def test_the_number_of_the_first_part_is_kept_by_a_commit_that_is_refused(parts: initctl.Parts):
    parts.write(1, 2)
    refused(parts.commit, code="parts.missing")
    assert parts.status().missing == (2,)


def test_missing_parts_are_named(parts: initctl.Parts):
    assert "no part of it was written" in refused(parts.commit, code="parts.missing")
    for number in (2, 4):
        parts.write(number, 5)
    message = refused(parts.commit, code="parts.missing")
    assert "3 of 5 parts not written yet: 1, 3, 5; write them with Parts.write(I, N), then commit" in message


def test_a_commit_that_may_not_survive_a_power_failure_says_what_is_left_and_the_next_one_removes_it(
    net: Path, parts: initctl.Parts, monkeypatch: pytest.MonkeyPatch
):
    parts.write(1, 1)
    left = staging(net)
    with monkeypatch.context() as patch:
        fail_to_sync_directories(patch, net.parent)
        with pytest.raises(initctl.UncertainError, match=f"may not survive .*; {left} is left until you commit again"):
            parts.commit()
    assert left.is_dir()
    parts.commit()
    assert sorted(path.name for path in net.parent.iterdir()) == ["net.safetensors", "out.safetensors"]


def test_a_result_that_another_process_has_locked_is_not_put_in_place(net: Path, parts: initctl.Parts):
    parts.write(1, 1)
    with (staging(net) / "result").open() as result:
        fcntl.flock(result, fcntl.LOCK_EX)
        with pytest.raises(initctl.ConflictError, match="another process of initctl is changing it"):
            parts.commit()
    assert not net.with_name("out.safetensors").exists()
    parts.commit()


def test_a_commit_after_the_commit_finds_no_parts(parts: initctl.Parts):
    parts.write(1, 1)
    parts.commit()
    assert "if it was committed, it is complete" in refused(parts.commit, code="parts.missing")


def test_a_part_after_the_commit_begins_anew_and_leaves_the_result(net: Path, parts: initctl.Parts):
    parts.write(1, 1)
    parts.commit()
    result = inside(net.with_name("out.safetensors"))
    parts.write(1, 2)
    assert inside(net.with_name("out.safetensors")) == result
    parts.write(2, 2)
    assert parts.commit().replaced
    assert inside(net.with_name("out.safetensors")) == result


@pytest.mark.parametrize("step", ["write", "commit"])
def test_a_checkpoint_that_changed_since_the_first_part_is_refused(net: Path, parts: initctl.Parts, step: str):
    parts.write(1, 1 if step == "commit" else 2)
    os.utime(net, ns=(0, 0))
    call, arguments = (made(net).commit, ()) if step == "commit" else (made(net).write, (2, 2))
    message = refused(call, *arguments, code="parts.stale")
    assert f"{staging(net)}: was begun before net.safetensors changed" in message
    assert message.endswith(f"remove {staging(net)}, and write every part again")


def test_a_checkpoint_that_changes_while_parts_exist_in_this_process_is_refused(net: Path, parts: initctl.Parts):
    parts.write(1, 2)
    os.utime(net, ns=(0, 0))
    refused(parts.write, 2, 2, code="input.changed")


def test_another_checkpoint_that_is_copied_from_must_not_change_either(tmp_path: Path, net: Path):
    other = shutil.copy(net, tmp_path / "other.safetensors")
    rules = [f"b.weight=copy:from={other}#b.weight"]
    made(net, rules).write(1, 2)
    os.utime(other, ns=(0, 0))
    assert f"was begun before {other}: other.safetensors changed" in refused(
        made(net, rules).write, 2, 2, code="parts.stale"
    )


def test_other_rules_another_seed_and_another_output_are_other_results_beside_it(net: Path, parts: initctl.Parts):
    others = [
        made(net, ["b.weight=ones"]), made(net, seed=1),
        initctl.parts(net, net.with_name("b.safetensors"), rules=RULES),
        initctl.parts(net, net.with_name("d"), rules=RULES, max_shard_size="1kB"),
    ]  # fmt: skip
    parts.write(1, 2)
    own = staging(net)
    before = snapshot(own)
    for other in others:
        assert other.status().receipts == ()
        refused(other.commit, code="parts.missing")
        other.write(1, 3)
    assert len(list(net.parent.glob(".initctl-*.parts"))) == 1 + len(others)
    assert snapshot(own) == before
    parts.write(2, 2)
    parts.commit()
    initctl.apply(net, net.with_name("once.safetensors"), rules=RULES)
    assert net.with_name("out.safetensors").read_bytes() == net.with_name("once.safetensors").read_bytes()


def test_the_same_rules_from_a_recipe_at_another_path_are_the_same_result(tmp_path: Path, net: Path):
    (tmp_path / "here.toml").write_text("[[rule]]\nmatch = 'c'\ninit = 'ones'\n")
    (tmp_path / "there").mkdir()
    shutil.copy(tmp_path / "here.toml", tmp_path / "there" / "recipe.toml")
    made(net, [], recipes=[tmp_path / "here.toml"]).write(1, 2)
    made(net, [], recipes=[tmp_path / "there" / "recipe.toml"]).write(2, 2)
    made(net, [], recipes=[tmp_path / "here.toml"]).commit()


def test_new_fields_of_a_configuration_are_another_result(tmp_path: Path):
    source = sharded(tmp_path / "model")
    digests = {_digest(source, tmp_path / "out", set_config={"vocab_size": value}) for value in (1, 2)}
    assert len(digests) == 2


def _digest(source: Path, output: Path, **asked: Any) -> str:
    parts = initctl.parts(source, output, rules=["*.bias=ones"], **asked)
    with parts._job(threads=1) as job:
        assert isinstance(job, StagedJob)
        return job.digest


def test_another_version_is_refused(net: Path, parts: initctl.Parts, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        patch.setattr("initctl.distributed.note.__version__", "0.0")
        parts.write(1, 2)
    message = refused(parts.write, 2, 2, code="parts.stale")
    assert f"was begun by initctl 0.0, and this is {initctl.__version__}" in message


@pytest.mark.parametrize("note", [b"", b"{}", b"[]", b"\xff", b'{"schema":"initctl-parts/1","parts":"x"}', None])
def test_a_note_that_is_damaged_or_altered_is_refused_by_every_step(
    net: Path, parts: initctl.Parts, note: bytes | None
):
    parts.write(1, 2)
    path = staging(net) / "parts.json"
    path.write_bytes(path.read_bytes().replace(b'"parts": 2', b'"parts": 3') if note is None else note)
    for step, arguments in ((parts.write, (2, 2)), (parts.commit, ()), (parts.status, ())):
        assert f"{staging(net)}: is damaged; remove " in refused(step, *arguments, code="parts.stale")


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"schema": "initctl-part/1"}', None])
def test_a_receipt_that_is_damaged_or_altered_counts_as_missing_and_its_part_is_written_again(
    net: Path, parts: initctl.Parts, damage: bytes | None
):
    for number in (1, 2):
        parts.write(number, 2)
    path = staging(net) / "part-1-of-2.json"
    path.write_bytes(re.sub(rb'"crc32": \d', b'"crc32": 1', path.read_bytes()) if damage is None else damage)
    assert "1 of 2 parts not written yet: 1" in refused(parts.commit, code="parts.missing")
    assert not parts.write(1, 2).was_done
    parts.commit()


def test_the_receipt_of_another_result_counts_as_missing(net: Path, parts: initctl.Parts):
    parts.write(1, 1)
    of_this = (staging(net) / "part-1-of-1.json").read_bytes()
    parts.commit()
    other = made(net, seed=1)
    other.write(1, 1)
    (staging(net) / "part-1-of-1.json").write_bytes(of_this)
    refused(other.commit, code="parts.missing")


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 100), lambda path: os.truncate(path, 0)])
def test_a_staged_file_that_was_removed_or_cut_off_is_refused_by_the_commit_and_by_other_parts(
    net: Path, parts: initctl.Parts, damage: Callable[[Path], None]
):
    parts.write(1, 3)
    damage(staging(net) / "result")
    fault = r"out.safetensors is missing there, or not [\d,]+ bytes long; remove .*, and write every part again"
    assert re.search(fault, refused(parts.write, 2, 3, code="parts.stale"))
    shutil.rmtree(staging(net))
    for number in (1, 2, 3):
        parts.write(number, 3)
    damage(staging(net) / "result")
    assert re.search(fault, refused(parts.commit, code="parts.stale"))


def test_a_part_whose_directory_was_removed_meanwhile_leaves_no_receipt_in_a_new_one(
    net: Path, parts: initctl.Parts, monkeypatch: pytest.MonkeyPatch
):
    written = StagedJob._written

    def removed_meanwhile(job: StagedJob, share: Any) -> Any:
        found = written(job, share)
        monkeypatch.setattr(StagedJob, "_written", written)
        shutil.rmtree(staging(net))
        made(net).write(2, 2)
        return found

    monkeypatch.setattr(StagedJob, "_written", removed_meanwhile)
    with pytest.raises(ConflictError, match="is just being put in place"):
        parts.write(1, 2)
    assert made(net).status().missing == (1,)
    made(net).write(1, 2)
    made(net).commit()
    assert initctl.verify(net, net.with_name("out.safetensors"), rules=RULES)


def test_a_shard_that_was_removed_is_refused(tmp_path: Path):
    source = sharded(tmp_path / "model")
    parts = initctl.parts(source, tmp_path / "out", rules=["*.bias=ones"])
    for number in (1, 2):
        parts.write(number, 2)
    (staging(source) / "result" / "extra" / "deep" / "notes.txt").unlink()
    assert "extra/deep/notes.txt is missing there" in refused(parts.commit, code="parts.stale")


def test_what_an_earlier_try_wrote_does_not_shine_through_where_values_are_zero(net: Path, parts: initctl.Parts):
    for number in (1, 2):
        parts.write(number, 2)
    (staging(net) / "result").write_bytes(b"\xff" * (staging(net) / "result").stat().st_size)
    for number in (1, 2):
        (staging(net) / f"part-{number}-of-2.json").unlink()
        parts.write(number, 2)
    parts.commit()
    initctl.apply(net, net.with_name("once.safetensors"), rules=RULES)
    assert net.with_name("out.safetensors").read_bytes() == net.with_name("once.safetensors").read_bytes()


def test_a_damaged_archive_is_refused_by_the_part_that_copies_the_record(tmp_path: Path):
    source = save(tmp_path / "net.pt", contiguous(network()))
    content = bytearray(source.read_bytes())
    start = content.index(network()["rows.weight"].numpy().tobytes()) + 3
    content[start] ^= 1
    source.write_bytes(content)
    parts, refusals = initctl.parts(source, tmp_path / "out.pt", rules=["norm.bias=ones"]), 0
    for number in range(1, 8):
        try:
            parts.write(number, 7)
        except initctl.InputError as error:
            refusals += 1
            assert error.problems[0].code == "archive.checksum"
    assert refusals == 1
    refused(parts.commit, code="parts.missing")


def test_an_output_that_must_not_be_replaced_is_refused_by_parts_and_commit(net: Path):
    parts = made(net, overwrite=False)
    parts.write(1, 1)
    out = single(net.with_name("out.safetensors"))
    before = inside(out)
    for step, arguments in ((parts.write, (1, 1)), (parts.commit, ())):
        assert "exists; leave overwrite=False out" in refused(step, *arguments, code="output.exists")
    assert inside(out) == before
    out.unlink()
    parts.commit()
    assert [path.name for path in net.parent.iterdir() if path.name.startswith(".")] == []


def test_an_output_that_is_not_a_checkpoint_is_refused(net: Path, parts: initctl.Parts):
    net.with_name("out.safetensors").write_text("notes")
    refused(parts.write, 1, 1, code="output.not_checkpoint")
    assert not list(net.parent.glob(".initctl-*"))


def test_a_directory_with_other_files_is_not_replaced(tmp_path: Path):
    source = sharded(tmp_path / "model")
    parts = initctl.parts(source, tmp_path / "out", rules=["*.bias=ones"])
    parts.write(1, 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes").touch()
    refused(parts.commit, code="output.strangers")
    assert contents(tmp_path / "out") == {"notes": b""}
    (tmp_path / "out" / "notes").unlink()
    parts.commit()


@pytest.mark.parametrize("made", [single, sharded])
def test_each_machine_may_have_its_own_copy_of_the_checkpoint_if_times_are_kept(
    tmp_path: Path, made: Callable[[Path], Path]
):
    first = made(tmp_path / "first" / "model.safetensors")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    second = tmp_path / "second" / first.name
    parts = [initctl.parts(source, tmp_path / "out.safetensors/", rules=["*.bias=ones"]) for source in (first, second)]
    for number in (1, 2, 3, 4):
        parts[number % 2].write(number, 4)
    parts[1].commit()
    initctl.apply(first, tmp_path / "once.safetensors/", rules=["*.bias=ones"])
    assert inside(tmp_path / "out.safetensors") == inside(tmp_path / "once.safetensors")


def test_names_that_are_not_utf_8_are_written_too(tmp_path: Path):
    source = sharded(tmp_path / "model")
    (source / os.fsdecode(b"\xff.txt")).write_bytes(b"notes")
    initctl.apply(source, tmp_path / "once", rules=["*.bias=ones"])
    out = tmp_path / os.fsdecode(b"out-\xff")
    in_parts(source, str(out), [2, 1], 2, rules=["*.bias=ones"])
    assert inside(out) == inside(tmp_path / "once")


def test_the_input_is_not_an_output(net: Path):
    with pytest.raises(UsageError, match="is the input"):
        initctl.parts(net, net, rules=RULES).write(1, 1)


@pytest.mark.parametrize(("part", "parts_"), [(0, 4), (5, 4), (-1, 4), (1, 0), (1.5, 2), (1, 100_001), (True, 1)])
def test_a_part_that_cannot_be_is_refused(net: Path, parts: initctl.Parts, part: Any, parts_: Any):
    with pytest.raises(UsageError):
        parts.write(part, parts_)
    assert not list(net.parent.glob(".initctl-*"))


def test_torchs_generator_is_refused(net: Path):
    with pytest.raises(UsageError, match="rng='torch' draws the values of all tensors in one sequence") as raised:
        made(net, rng="torch")
    assert raised.value.problems[0].code == "usage.parts"


def test_the_permissions_and_the_place_of_a_link_are_those_of_apply(tmp_path: Path, net: Path):
    (tmp_path / "real").mkdir()
    out = tmp_path / "out.safetensors"
    out.symlink_to("real/file.safetensors")
    in_parts(net, str(out), [1, 2], 2, rules=RULES)
    assert out.is_symlink()
    assert [path.name for path in (tmp_path / "real").iterdir()] == ["file.safetensors"]
    assert out.stat().st_mode == net.stat().st_mode


def test_tensors_of_one_file_in_another_order_are_the_same_files_by_other_names(tmp_path: Path):
    """Two results of one size whose digests are equal would share a directory."""
    for name in ("one", "two"):
        save_file(contiguous(network()), tmp_path / f"{name}.safetensors")
    digests = {_digest(tmp_path / f"{name}.safetensors", tmp_path / "out.safetensors") for name in ("one", "two")}
    assert len(digests) == 1
    initctl.parts(tmp_path / "one.safetensors", tmp_path / "out.safetensors", rules=["*.bias=ones"]).write(1, 2)
    second = initctl.parts(tmp_path / "two.safetensors", tmp_path / "out.safetensors", rules=["*.bias=ones"])
    refused(second.write, 2, 2, code="parts.stale")


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 8 MiB."""
    import subprocess

    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", place]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_part_for_which_the_disk_has_no_room_is_refused_and_can_be_run_again_with_more(
    tmp_path: Path, small_disk: Path
):
    net = written_by_hand(tmp_path / "net.safetensors", {"w": ("F32", bytes(6 << 20))})
    (small_disk / "ballast").write_bytes(bytes(4 << 20))
    parts = initctl.parts(net, small_disk / "out.safetensors", rules=["w=normal"])
    parts.write(1, 2)
    with pytest.raises(StorageError, match=r"No space left on device: [\d,]+ bytes are needed, [\d,]+ are free"):
        parts.write(2, 2)
    (small_disk / "ballast").unlink()
    parts.write(2, 2)
    parts.commit()
    assert initctl.verify(net, small_disk / "out.safetensors", rules=["w=normal"]).holds


def test_room_that_an_interrupted_part_had_taken_is_not_needed_once_more(tmp_path: Path, small_disk: Path):
    net = written_by_hand(tmp_path / "net.safetensors", {"w": ("F32", bytes(6 << 20))})
    parts = initctl.parts(net, small_disk / "out.safetensors", rules=["w=normal"])
    parts.write(1, 1)
    (found,) = small_disk.glob(".initctl-*.parts")
    (found / "part-1-of-1.json").unlink()  # as if it had been killed before its end
    parts.write(1, 1)
    parts.commit()
