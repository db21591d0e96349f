"""What only looks at a checkpoint opens nothing for writing: the system's own list of calls says so."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import torch

from tests.broken.distributed_faults import right
from tests.cli.processes import SCRIPT, environment
from tests.execution.checkpoints import network, sharded, single
from tests.tracing import tracer

if TYPE_CHECKING:
    from pathlib import Path

CHANGES = (
    "creat mkdir mknod rename unlink rmdir link symlink truncate chmod fchmodat chown lchown fchownat utime setxattr"
)
WRITING = re.compile(rf"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)|^\d+ +({CHANGES.replace(' ', '|')})")
"""What stands in a line about a call that changes a file, or could."""
RUNS = (
    "plan model -r *.weight=normal",
    "plan net.pt -r embed.weight=orthogonal --rng torch",
    "plan parts -r *=ones",
    "inspect net.safetensors",
    "verify net.safetensors -r *.weight=normal",
    "stats net.safetensors",
    "doctor model",
)


@pytest.fixture
def checkpoints(folder: Path) -> Path:
    sharded(folder / "model")
    single(folder / "net.safetensors")
    torch.save(network(), folder / "net.pt")
    right(folder / "parts")
    return folder


def calls(folder: Path, run: str) -> list[str]:
    """The calls of `run` that name a file and could change one. Python keeps no compiled modules meanwhile."""
    log = folder.with_name(f"{folder.name}.log")
    command = [*tracer(log, "%file"), *SCRIPT, *run.split()]
    done = subprocess.run(command, capture_output=True, check=False, env=environment(PYTHONDONTWRITEBYTECODE="1"))
    assert done.returncode in (0, 1), done.stderr
    lines = log.read_text().splitlines()
    assert any(f"{folder}/" in line and "O_RDONLY" in line for line in lines)
    return [line for line in lines if WRITING.search(line)]


@pytest.mark.parametrize("run", RUNS)
def test_a_command_that_only_reads_opens_nothing_for_writing(checkpoints: Path, run: str):
    assert calls(checkpoints, run) == []


def test_one_that_writes_is_seen_to_write(checkpoints: Path):
    assert calls(checkpoints, "apply net.safetensors --in-place -r norm.weight=zeros")
