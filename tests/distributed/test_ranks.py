"""Ranks that share a command do what one process does, and say the same; if one fails, all do, and nothing changed."""

from __future__ import annotations

import os
import shutil
import warnings
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

import initctl
from initctl.distributed import split
from initctl.distributed.ranks import group_of_process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.ranks import Ranks

STEP = 1 << 12
RULES = (
    "*.weight=normal:std=0.02",
    "l1.weight=orthogonal",
    "l2.weight=keep",
    "l3.weight=scale:by=2",
    "l4.weight[3:9]=zeros",
    "turned=uniform",
)


@pytest.fixture
def model() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {f"l{number}.weight": torch.randn(60, 50 + number) for number in range(8)}
    found |= {f"l{number}.bias": torch.randn(60) for number in range(8)}
    return found | {"turned": torch.randn(40, 70).t()}


@pytest.fixture
def checkpoints(tmp_path: Path, model: dict[str, torch.Tensor]) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in model.items()}, tmp_path / "net.safetensors")
    torch.save(model, tmp_path / "net.pt")
    initctl.apply(tmp_path / "net.safetensors", tmp_path / "sharded", max_shard_size="40kB")
    (tmp_path / "sharded" / "tokenizer.json").write_text("{}")
    with warnings.catch_warnings(action="ignore"):
        dcp.save(model, checkpoint_id=tmp_path / "dcp", no_dist=True)
    return tmp_path


def contents(path: Path) -> dict[str, tuple[int, bytes]]:
    """The permissions and the content of each file at `path`."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): (file.stat().st_mode, file.read_bytes()) for file in files}


def apply(source: str, output: str | None, named: Mapping[str, object]) -> list[str]:
    """A job: apply the rules in small pieces. Returns the names of the files."""
    split.STEP = STEP
    return sorted(initctl.apply(source, output, **{"rules": RULES, "threads": 2, **named}).files)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("source", "output", "named"),
    [
        ("net.safetensors", "out.safetensors", {}),
        ("net.pt", "out.pt", {}),
        ("net.pt", "out.safetensors", {}),
        ("net.safetensors", "out.pt", {}),
        ("sharded", "out", {}),
        ("sharded", "out.safetensors", {"seed": 7}),
        ("net.pt", "out", {"max_shard_size": "30kB"}),
        ("dcp", "out", {}),
        ("dcp", "out.safetensors", {}),
    ],
)
def test_ranks_write_what_one_process_writes(
    ranks: Ranks, checkpoints: Path, size: int, source: str, output: str, named: dict[str, object]
):
    (checkpoints / "ref").mkdir()
    alone = initctl.apply(checkpoints / source, checkpoints / "ref" / output, rules=RULES, **named)
    before = set(checkpoints.iterdir())
    found = ranks.run(size, apply, str(checkpoints / source), str(checkpoints / output), named)
    assert found == [sorted(alone.files)] * size
    assert contents(checkpoints / output) == contents(checkpoints / "ref" / output)
    assert set(checkpoints.iterdir()) - before == {checkpoints / output}


@pytest.mark.parametrize("source", ["net.safetensors", "net.pt", "sharded"])
def test_ranks_replace_a_checkpoint_in_place(ranks: Ranks, checkpoints: Path, source: str):
    reference = checkpoints / "ref"
    (shutil.copytree if (checkpoints / source).is_dir() else shutil.copy)(checkpoints / source, reference)
    initctl.apply(reference, in_place=True, rules=RULES)
    before = set(checkpoints.iterdir())
    ranks.run(3, apply, str(checkpoints / source), None, {"in_place": True})
    assert contents(checkpoints / source) == contents(reference)
    assert set(checkpoints.iterdir()) == before


def test_nothing_changes_in_place_if_no_rule_fills_anything(ranks: Ranks, checkpoints: Path):
    before = (checkpoints / "net.safetensors").stat()
    named = {"in_place": True, "rules": ["*=keep"]}
    assert ranks.run(2, apply, str(checkpoints / "net.safetensors"), None, named) == [[], []]
    assert (checkpoints / "net.safetensors").stat() == before


def failing(source: str, output: str, each: list[Mapping[str, object]]) -> str:
    """A job: apply with what this rank has of `each`. Returns the error."""
    rank = torch.distributed.get_rank()
    with pytest.raises(initctl.InitctlError) as caught:
        apply(source, output, each[rank])
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(
    ("each", "message"),
    [
        (
            [{}, {"rules": ["*=zeros"]}, {}],
            "ConflictError: rank 1 has other rules or options than rank 0; give every rank the same command, and ",
        ),
        ([{}, {"seed": 1}, {"seed": 1}], "ConflictError: ranks 1, 2 have another seed than rank 0; "),
        (
            [{}, {"in_place": True}, {}],
            "UsageError: rank 1: two outputs given; use `output` or in_place=True, not both",
        ),
        ([{"threads": 0}, {}, {}], "UsageError: rank 0: threads: 0 is not a whole number of 1 or more"),
        ([{}, {"rules": ["nothing=zeros"]}, {}], "FitError: rank 1: rule 1 (nothing=zeros): matches no tensor"),
        ([{"rules": ["nothing=zeros"]}] * 3, "FitError: rule 1 (nothing=zeros): matches no tensor"),
        ([{"rng": "torch", "rules": ["*.weight=normal"]}] * 3, "UsageError: rng='torch' draws the values of all"),
    ],
)
def test_one_error_on_all_ranks_if_they_differ_or_one_fails(
    ranks: Ranks, checkpoints: Path, each: list[dict[str, object]], message: str
):
    before = set(checkpoints.iterdir())
    found = ranks.run(3, failing, str(checkpoints / "net.safetensors"), str(checkpoints / "out.safetensors"), each)
    assert len(set(found)) == 1
    assert found[0].startswith(message)
    assert set(checkpoints.iterdir()) == before


def full(source: str, output: str) -> str:
    """A job: write to a file system that is full for rank 1."""
    import errno

    from initctl.execution import writer

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        if torch.distributed.get_rank() == 1:
            patch.setattr(writer, "reserve", refuse)
        return failing(source, output, [{}, {}])


def test_a_rank_that_cannot_write_is_named_and_the_rest_is_done_by_the_next_run(ranks: Ranks, checkpoints: Path):
    source, output = str(checkpoints / "net.safetensors"), checkpoints / "out.safetensors"
    found = ranks.run(2, full, source, str(output))
    assert found == [f"StorageError: rank 1: {output}: cannot be written: No space left on device"] * 2
    assert not output.exists()
    (staging,) = checkpoints.glob(".initctl-*")
    assert (staging / "part-1-of-2.json").exists()
    ranks.run(2, apply, source, str(output), {})
    initctl.apply(source, checkpoints / "ref.safetensors", rules=RULES)
    assert output.read_bytes() == (checkpoints / "ref.safetensors").read_bytes()
    assert list(checkpoints.glob(".initctl-*")) == []


def by_one(source: str, output: str) -> None:
    """A job: only the first rank applies. The other one does not end before all have met."""
    torch.distributed.barrier()
    if torch.distributed.get_rank() == 0:
        apply(source, output, {"alone": True})


def test_one_rank_can_write_alone(ranks: Ranks, checkpoints: Path):
    ranks.run(2, by_one, str(checkpoints / "net.safetensors"), str(checkpoints / "out.safetensors"))
    assert initctl.verify(checkpoints / "net.safetensors", checkpoints / "out.safetensors", rules=RULES)


def test_several_processes_without_a_group_do_not_write(checkpoints: Path, monkeypatch: pytest.MonkeyPatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    source, output = checkpoints / "net.safetensors", checkpoints / "out.safetensors"
    with pytest.raises(initctl.ConflictError, match="this is rank 1 of 2, and each would write the whole result"):
        initctl.apply(source, output, rules=RULES)
    assert not output.exists()
    initctl.apply(source, output, rules=RULES, alone=True)
    assert output.exists()


def looked_at(folder: str) -> dict[str, object]:
    """A job: what each command that reads finds."""
    with group_of_process(alone=False):
        return _looks(folder)


def _looks(folder: str) -> dict[str, object]:
    one, other = f"{folder}/net.safetensors", f"{folder}/net.pt"
    archive = initctl.verify(other, f"{folder}/changed.pt", rules=RULES)
    return {
        "stats": initctl.stats(one, digest=True, threads=2).to_json(),
        "diff": initctl.diff(one, f"{folder}/changed.safetensors", threads=2).to_json(),
        "equal": initctl.diff(one, other).to_json(),
        "doctor": initctl.doctor(f"{folder}/changed.pt", threads=2).to_json(),
        "fresh": initctl.doctor(one, trained=False).to_json(),
        "verify": initctl.verify(one, f"{folder}/changed.safetensors", rules=RULES, threads=2).to_json(),
        "archive": archive.to_json(),
        "sample": initctl.verify(one, f"{folder}/changed.safetensors", rules=RULES, sample=700).to_json(),
        "sharded": initctl.verify(f"{folder}/sharded", f"{folder}/other", rules=RULES).to_json(),
        "torch": initctl.verify(one, rules=["*.weight=normal"], rng="torch", seed=1).to_json(),
    }


def test_ranks_find_what_one_process_finds(ranks: Ranks, checkpoints: Path):
    for name in ("changed.safetensors", "changed.pt"):
        initctl.apply(checkpoints / f"net.{name.partition('.')[2]}", checkpoints / name, rules=RULES)
        content = bytearray((checkpoints / name).read_bytes())
        for place in range(5000, len(content) - 20_000, 7001):
            content[place] ^= 0x11
        (checkpoints / name).write_bytes(content)
    initctl.apply(checkpoints / "sharded", checkpoints / "other", rules=RULES)
    (checkpoints / "other" / "tokenizer.json").write_text("{ }")
    alone = _looks(str(checkpoints))
    assert {name: bool(alone[name]["differences"]) for name in ("verify", "archive", "sample", "torch")} == {
        "verify": True,
        "archive": True,
        "sample": True,
        "torch": True,
    }
    for size in (2, 3):
        assert ranks.run(size, looked_at, str(checkpoints)) == [alone] * size


def several(source: str, output: str) -> tuple[int, int]:
    """A job: apply several times. Returns the numbers of threads and of open files, after the first and at the end."""
    for _ in range(2):
        apply(source, output, {})
    before = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        apply(source, output, {})
    after = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    return after[0] - before[0], after[1] - before[1]


def test_no_group_is_left_after_an_apply(ranks: Ranks, checkpoints: Path):
    source, output = str(checkpoints / "net.safetensors"), str(checkpoints / "out.safetensors")
    for threads, files in ranks.run(2, several, source, output):
        assert threads <= 1
        assert files <= 2


def buggy(source: str, output: str) -> str:
    """A job: the caller's function fails on rank 1. Returns the error."""

    def fail(_: object) -> None:
        if torch.distributed.get_rank() == 1:
            raise LookupError("of the caller")

    with pytest.raises((LookupError, RuntimeError)) as caught:
        apply(source, output, {"on_event": fail})
    return f"{type(caught.value).__name__}: {caught.value}"


def test_an_error_of_the_callers_own_is_raised_there_and_named_elsewhere(ranks: Ranks, checkpoints: Path):
    found = ranks.run(2, buggy, str(checkpoints / "net.safetensors"), str(checkpoints / "out.safetensors"))
    assert found == ["RuntimeError: rank 1: LookupError: of the caller", "LookupError: of the caller"]


def test_files_that_change_between_two_tries_in_place_stay_changed(ranks: Ranks, checkpoints: Path):
    folder = checkpoints / "sharded"
    (folder / "notes.txt").write_text("old")
    ranks.run(2, interrupted, str(folder))
    assert list(checkpoints.glob(".initctl-*.result/notes.txt"))
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").write_text("new")
    (folder / "notes.txt").unlink()
    ranks.run(2, apply, str(folder), None, {"in_place": True})
    assert (folder / "tokenizer.json").read_text() == "new"
    assert not (folder / "notes.txt").exists()
    assert list(checkpoints.glob(".initctl-*")) == []


def interrupted(folder: str) -> None:
    """A job: the last step of a commit in place does not come."""
    from initctl.execution import writer

    def refuse(*_: object, **__: object) -> None:
        raise initctl.StorageError(initctl.Problem("test", "refused"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "replace_directory", refuse)
        with pytest.raises(initctl.StorageError, match="refused"):
            apply(folder, None, {"in_place": True})
