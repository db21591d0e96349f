"""Two processes commit to one checkpoint again and again, while others read it as they always do: never a mix."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECONDS = 1.5
START = 30
WRITING = """
import os, sys
import initctl
path, stop, *values = sys.argv[1:]
commits = conflicts = 0
while not os.path.exists(stop):
    try:
        initctl.apply(path, in_place=True, rules=[f"*=constant:val={values[commits % 2]}"], threads=1)
        commits += 1
    except initctl.ConflictError:
        conflicts += 1
print(commits, conflicts)
"""
TENSORS = {f"layers.{number}.weight": torch.zeros(300, 300) for number in range(6)}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def read_torch(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [("net.safetensors", save_file, read_safetensors), ("net.pt", torch.save, read_torch)],
    ids=["safetensors", "torch"],
)
def test_no_reader_sees_values_of_two_commits(tmp_path: Path, name: str, write: Callable, read: Callable):
    path, stop = tmp_path / name, tmp_path / "stop"
    write(TENSORS, path)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITING, path, stop, *values], stdout=subprocess.PIPE, text=True)
        for values in (("1", "2"), ("3", "4"))
    ]
    seen = set()
    try:
        latest = time.monotonic() + START
        while {0} >= seen and time.monotonic() < latest:
            seen |= values(read(path))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            found = values(read(path))
            assert len(found) == 1
            seen |= found
    finally:
        stop.touch()
        told = [writer.communicate(timeout=30)[0].split() for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    assert all(int(commits) > 2 for commits, _ in told)
    assert seen >= {1, 2, 3, 4}
    assert values(read(path)) < {1, 2, 3, 4}
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, "stop"]


def values(tensors: dict[str, torch.Tensor]) -> set[float]:
    """All the values that a checkpoint holds."""
    assert tensors.keys() == TENSORS.keys()
    return {value for tensor in tensors.values() for value in tensor.unique().tolist()}
