"""A job that is canceled as CI systems do it leaves the old checkpoint or the new one, and the next run cleans up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file

from tests.cli.processes import SCRIPT, environment, initctl
from tests.commit.folders import contents

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

WAITS = {signal.SIGINT: 0.15, signal.SIGTERM: 0.05, signal.SIGKILL: 0.0}
"""Each signal, and the seconds until the next one: a fiftieth of what GitHub's runner waits."""
LATEST = 0.4
"""Seconds after the first file was staged at which a job may be canceled: a run takes less than that from there."""
COMMAND = ["apply", "model", "--in-place", "-r", "*.weight=trunc_normal", "--threads", "2"]


def shards(folder: Path) -> None:
    """A checkpoint of two files, of 32 MB."""
    folder.mkdir()
    for part in ("one", "two"):
        save_file({f"{part}.{n}.weight": torch.ones(1 << 20) for n in range(4)}, folder / f"{part}.safetensors")
    names = [f'"{part}.{n}.weight": "{part}.safetensors"' for part in ("one", "two") for n in range(4)]
    (folder / "model.safetensors.index.json").write_text(f'{{"weight_map": {{{", ".join(names)}}}}}')


def canceled(folder: Path, after: float) -> None:
    """A shell that runs the command, in a process group that is canceled this long after it began to write."""
    command = f'{" ".join(SCRIPT)} "$@"; exit $?'
    job = subprocess.Popen(
        ["bash", "-c", command, "bash", *COMMAND],
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while job.poll() is None and not [*folder.glob(".initctl-*")]:
        time.sleep(0.002)
    time.sleep(after)
    for number, seconds in WAITS.items():
        with suppress(ProcessLookupError):
            os.killpg(job.pid, number)
        time.sleep(seconds)
    job.wait(30)


def test_a_canceled_job_leaves_the_old_or_the_new_and_the_next_run_leaves_only_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shards(tmp_path / "model")
    old = contents(tmp_path / "model")
    assert initctl(*COMMAND).status == 0
    new = contents(tmp_path / "model")
    for part in range(3):
        home = tmp_path / str(part)
        home.mkdir()
        shards(home / "model")
        canceled(home, part * LATEST / 2)
        assert contents(home / "model") in (old, new)
        monkeypatch.chdir(home)
        assert initctl(*COMMAND).status == 0
        assert contents(home) == {"model": None, **{f"model/{name}": content for name, content in new.items()}}
