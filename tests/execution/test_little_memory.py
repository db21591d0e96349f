"""With less and less address space, a command succeeds, or ends with one line and leaves everything as it was."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from tests.cli.processes import shell
from tests.commit.folders import contents

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTES = {
    "--in-place": (60, 145, 160, 200, 800),
    "-o out.safetensors": (130, 150, 180, 225, 800),
}
"""From a limit at which no command begins, to one at which all that is tried here succeeds."""
RULES = "-r '*=normal' --threads 24"
"""Each thread needs a stack."""
LINES = re.compile(r"initctl: error: .+\nsee: initctl help [a-z, ]+\n|initctl: error: .+\n")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit address space")
@pytest.mark.parametrize("how", MEGABYTES)
def test_a_limit_of_memory_ends_a_command_with_one_line_and_all_as_it_was(tmp_path: Path, how: str):
    tensors = {f"large.{n}": torch.ones(1 << 20) for n in range(4)}
    save_file(tensors, tmp_path / "net.safetensors")
    before, statuses = contents(tmp_path), set()
    for megabytes in MEGABYTES[how]:
        limits = f"cd {tmp_path}; ulimit -v {megabytes << 10}"
        run = shell(f"{limits}; exec timeout 60 initctl apply net.safetensors {how} {RULES}", OPENBLAS_NUM_THREADS="1")
        statuses.add(run.status)
        assert run.status in (0, 5), (megabytes, run)
        if run.status:
            assert LINES.fullmatch(run.err), (megabytes, run.err)
            assert (run.out, contents(tmp_path)) == ("", before)
        else:
            assert [*tmp_path.glob(".*")] == []
            (tmp_path / "out.safetensors").unlink(missing_ok=True)
            save_file(tensors, tmp_path / "net.safetensors")
    assert statuses == {0, 5}
