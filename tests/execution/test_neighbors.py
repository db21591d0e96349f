"""Other programs at work on the same files: one that reads them, one that writes them, one that fills the disk."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

import initctl
from initctl.events import Progress
from tests.commit.folders import contents
from tests.events import on
from tests.execution.checkpoints import network, sharded, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

RULES = ["layers.*.weight=normal", "norm.weight=zeros"]
ROUNDS = 12

READ_UNTIL_TOLD = """
import hashlib, json, os, sys
path, stop = sys.argv[1:]
seen = {}

def content():
    if not os.path.isdir(path):
        with open(path, "rb") as stream:
            return stream.read()
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)  # the old one, if another takes its place meanwhile
    try:
        parts = []
        for name in sorted(name for name in os.listdir(folder) if name.startswith("model")):
            with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as stream:
                parts.append(stream.read())
        return b"".join(parts) or None  # nothing is left of it
    except FileNotFoundError:  # the old one is being removed
        return None
    finally:
        os.close(folder)

while not os.path.exists(stop):
    found = content()
    if found is not None:
        digest = hashlib.sha256(found).hexdigest()
        seen[digest] = seen.get(digest, 0) + 1
        if len(seen) == sum(seen.values()) == 1:
            print("began", flush=True)
print(json.dumps(seen))
"""

WRITE_UNTIL_TOLD = """
import os, random, sys, time
import torch
from safetensors.torch import save_file
path, stop, way = sys.argv[1:]
version = 0
while not os.path.exists(stop):
    version += 1
    tensors = {name: torch.full((50_000,), float(version)) for name in ("kept.0", "kept.1", "ruled")}
    if way == "renames":
        save_file(tensors, path + ".new")
        os.replace(path + ".new", path)
    else:
        save_file(tensors, path)
    if version == 1:
        print("began", flush=True)
    time.sleep(random.uniform(0.01, 0.05))
print(version)
"""


@contextmanager
def neighbor(script: str, path: Path, *arguments: str) -> Iterator[Callable[[], str]]:
    """Run `script` beside the body, once it has begun. Yields what ends it, and returns what it prints."""
    stop = path.with_name("stop")
    command = [sys.executable, "-c", script, str(path), str(stop), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:

        def told() -> str:
            stop.touch()
            return program.communicate(timeout=60)[0]

        try:
            assert program.stdout
            assert program.stdout.readline() == "began\n"
            yield told
        finally:
            program.kill()


def digest(path: Path) -> str:
    """Of the file, or of the files of the model in a directory."""
    files = sorted(path.glob("model*")) if path.is_dir() else [path]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def torch_file(path: Path) -> Path:
    torch.save(network(), path)
    return path


def append_forever(path: Path) -> None:
    with path.open("ab", buffering=0) as stream:
        while True:
            stream.write(bytes(100_000))


@pytest.mark.parametrize(
    ("make", "name"), [(single, "model.safetensors"), (torch_file, "model.pt"), (sharded, "model")]
)
def test_who_reads_what_is_changed_in_place_finds_the_old_or_the_new(
    tmp_path: Path, make: Callable[[Path], Path], name: str
):
    path = make(tmp_path / name)
    allowed = {digest(path)}
    with neighbor(READ_UNTIL_TOLD, path) as reader:
        for seed in range(ROUNDS):
            initctl.apply(path, in_place=True, rules=RULES, seed=seed)
            allowed.add(digest(path))
        seen = json.loads(reader())
    assert len(allowed) == ROUNDS + 1
    assert set(seen) <= allowed
    assert len(seen) > 2


@pytest.mark.parametrize("way", ["renames", "overwrites"])
def test_a_file_that_a_training_program_writes_again_and_again_is_never_a_mix_of_two(tmp_path: Path, way: str):
    path, ends = tmp_path / "model.safetensors", set()
    with neighbor(WRITE_UNTIL_TOLD, path, way) as trainer:
        for seed in range(5 * ROUNDS):
            try:
                initctl.apply(path, in_place=True, rules=["ruled=uniform:a=-2,b=-1"], seed=seed)
            except (initctl.ConflictError, initctl.InputError) as refused:  # it is changed, or written, at this moment
                ends.add(type(refused))
            else:
                ends.add(None)
            time.sleep(random.uniform(0, 0.02))
        last = float(trainer())
    found = load_file(path)
    version = found["kept.0"][0].item()
    assert 1 <= version <= last
    assert (found["kept.0"] == version).all()
    assert (found["kept.1"] == version).all()
    assert (found["ruled"] == version).all() or (found["ruled"] < 0).all()
    assert None in ends
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.safetensors", "stop"]


def test_who_fills_the_disk_meanwhile_cannot_take_the_room_of_the_result(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        path, out = single(disk / "model.safetensors"), disk / "out.safetensors"
        theirs = disk / "theirs"

        def fill(_: Progress) -> None:
            with pytest.raises(OSError, match="No space left"):
                append_forever(theirs)

        initctl.apply(path, out, rules=RULES, on_event=on(Progress, fill))
        assert theirs.stat().st_size > 10_000_000
        assert initctl.verify(path, out, rules=RULES).holds
        full = contents(disk)
        with pytest.raises(initctl.StorageError, match="No space left on device"):
            initctl.apply(path, disk / "more.safetensors", rules=RULES)
        assert contents(disk) == full
    finally:
        subprocess.run(["umount", str(disk)], check=True)
