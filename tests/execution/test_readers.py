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

LEAST, MOST = 3, 60
"""Seconds of reading: at least, and at most until all values are seen."""
ALL = {1, 2, 3, 4}
"""The values that the processes write, two each."""
WRITING = """
import os, sys
from contextlib import suppress
import initctl
path, stop, *values = sys.argv[1:]
commits = 0
while not os.path.exists(stop):
    with suppress(initctl.ConflictError):
        initctl.apply(path, in_place=True, rules=[f"*=constant:val={values[commits % 2]}"], threads=1)
        commits += 1
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
        subprocess.Popen([sys.executable, "-c", WRITING, path, stop, *values]) for values in (("1", "2"), ("3", "4"))
    ]
    seen: set[float] = set()
    begun = time.monotonic()
    try:
        while not (seen >= ALL and time.monotonic() > begun + LEAST) and time.monotonic() < begun + MOST:
            found = values(read(path))
            assert len(found) == 1
            seen |= found
    finally:
        stop.touch()
        statuses = [writer.wait(30) for writer in writers]
    assert statuses == [0, 0]
    assert seen >= ALL
    assert values(read(path)) < ALL
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, "stop"]


def values(tensors: dict[str, torch.Tensor]) -> set[float]:
    """All the values that a checkpoint holds."""
    assert tensors.keys() == TENSORS.keys()
    return {value for tensor in tensors.values() for value in tensor.unique().tolist()}
