"""What the work takes of the machine, and what happens where the machine has no more to give."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch

from tests.commit.folders import snapshot
from tests.execution.checkpoints import sharded, single

if TYPE_CHECKING:
    from pathlib import Path

FILE_BYTES = 600_000_000
RESIDENT_LIMIT = 250_000_000

APPLY_AND_MEASURE = """
import resource, sys
import initctl
source, out, *rules = sys.argv[1:]
initctl.apply(source, out, rules=rules, threads=2)
resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(resident if sys.platform == "darwin" else resident * 1024)
"""

APPLY_WITH_SMALL_FILES_ONLY = """
import resource, signal, sys
import initctl
sys.dont_write_bytecode = True  # what is imported below would be cut off
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
source, out = sys.argv[1:]
try:
    initctl.apply(source, out or None, in_place=not out, rules=["layers.*=ones"])
except initctl.StorageError as error:
    print(error)
"""


IN_BETWEEN = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True)"
"""A small process that starts another one: what a process takes is counted from what its parent took when it began."""


def run(script: str, *arguments: object) -> str:
    """What `script` prints in a process of its own."""
    command = [sys.executable, "-c", IN_BETWEEN, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


FEW = FILE_BYTES // 50
"""Bytes of a tensor that is not large."""


def holes(path: Path) -> Path:
    """A file of two tensors, `few` and `many`, that takes no room."""
    header = {
        "many": {"dtype": "F32", "shape": [(FILE_BYTES - FEW) // 4], "data_offsets": [FEW, FILE_BYTES]},
        "few": {"dtype": "F32", "shape": [FEW // 4], "data_offsets": [0, FEW]},
    }
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + FILE_BYTES)
    return path


@pytest.mark.parametrize(("rules", "filled"), [(["*=ones", "few=normal"], FILE_BYTES), (["few=trunc_normal"], FEW)])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, rules: list[str], filled: int):
    pytest.importorskip("resource")
    source, out = holes(tmp_path / "in.safetensors"), tmp_path / "out.safetensors"
    begin = source.stat().st_size - FILE_BYTES
    try:
        resident = int(run(APPLY_AND_MEASURE, source, out, *rules))
        assert resident < RESIDENT_LIMIT
        assert out.stat().st_size == source.stat().st_size
        with out.open("rb") as stream:
            stream.seek(begin + filled - 4)
            assert stream.read(4) != bytes(4)
            assert stream.read(4) == bytes(4) * (filled < FILE_BYTES)
    finally:
        source.unlink()
        out.unlink(missing_ok=True)


@pytest.mark.parametrize("rules", [["*=ones", "few=normal"], ["few=normal"]])
def test_memory_does_not_grow_with_the_file_of_torch_that_it_becomes(tmp_path: Path, rules: list[str]):
    pytest.importorskip("resource")
    source, out = holes(tmp_path / "in.safetensors"), tmp_path / "out.pt"
    try:
        resident = int(run(APPLY_AND_MEASURE, source, out, *rules))
        assert resident < RESIDENT_LIMIT
        found = torch.load(out, mmap=True)
        assert found["few"].std() > 0.9
        assert found["many"][-1] == len(rules) - 1
    finally:
        source.unlink()
        out.unlink(missing_ok=True)


@pytest.mark.parametrize("many", [True, False])
@pytest.mark.parametrize("in_place", [True, False])
def test_where_no_more_can_be_written_all_is_as_it_was(tmp_path: Path, many: bool, in_place: bool):
    pytest.importorskip("resource")
    source = sharded(tmp_path / "model") if many else single(tmp_path / "model")
    before = snapshot(tmp_path)
    told = run(APPLY_WITH_SMALL_FILES_ONLY, source, "" if in_place else tmp_path / "out")
    place = (source if in_place else tmp_path / "out") / ("model-1.safetensors" if many else "")
    assert re.fullmatch(rf"{re.escape(str(place))}: cannot be written: File too large: [\d,]+ bytes are needed\n", told)
    assert snapshot(tmp_path) == before
