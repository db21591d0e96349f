"""Commands on a machine on which torch or the compiler cannot be loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file

from tests.cli.checkpoints import NET, shards
from tests.cli.processes import Outcome, environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = ("-r", "*.weight=normal:std=0.02", "-r", "fc1.weight=orthogonal", "-r", "*.bias=zeros")
NO_TORCH = "import sys; sys.modules['torch'] = None; from initctl.__main__ import main; main()"
NO_NUMBA = """
import sys

class Broken:
    def find_spec(self, name, *_):
        if name == "numba":
            raise {error}

sys.meta_path.insert(0, Broken())
from initctl.stream.engines import choosing
choosing._LOADING = choosing._WORTH_COMPILING = 0
from initctl.__main__ import main
main()
"""
"""Numba cannot be loaded, and all work is worth compiling."""


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return {"fc1.weight": torch.randn(4, 3), "fc1.bias": torch.randn(4), "fc2.weight": torch.randn(2, 4)}


def _distributed(path: Path) -> None:
    dcp.save(tensors(), checkpoint_id=str(path), no_dist=True)


CHECKPOINTS: dict[str, Callable[[Path], object]] = {
    "net.safetensors": lambda path: save_file(tensors(), path),
    "net.pt": lambda path: torch.save(tensors(), path),
    "legacy.pt": lambda path: torch.save(tensors(), path, _use_new_zipfile_serialization=False),
    "shards": lambda path: shards(path, a=NET, b={"head.bias": ("BF16", (5,))}),
    "distributed": _distributed,
}


def run(script: str, *arguments: str, **variables: str) -> Outcome:
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, env=environment(**variables), text=True)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch, of saving without other processes
@pytest.mark.parametrize("name", CHECKPOINTS)
def test_without_torch_a_checkpoint_is_read_planned_filled_and_verified(folder, call, name):
    CHECKPOINTS[name](folder / name)
    out = f"out{os.path.splitext(name)[1]}"
    for command in (["inspect"], ["plan", *RULES], ["apply", "-o", out, *RULES]):
        done = run(NO_TORCH, command[0], name, *command[1:])
        assert (done.status, done.err) == (0, "")
    assert run(NO_TORCH, "verify", out, *RULES, "--against", name).status == 0
    assert call("verify", out, *RULES, "--against", name).status == 0


@pytest.mark.parametrize(("name", "out"), [("net.safetensors", "out.pt"), ("net.pt", "out.safetensors")])
def test_without_torch_a_checkpoint_is_converted(folder, call, name, out):
    CHECKPOINTS[name](folder / name)
    assert run(NO_TORCH, "apply", name, "-o", out, *RULES).status == 0
    assert call("verify", out, *RULES, "--against", name).status == 0


@pytest.mark.parametrize("command", [["initializers"], ["presets", "gpt2"], ["recipe-schema"], ["--help"]])
def test_without_torch_there_is_help(folder, command):
    assert run(NO_TORCH, *command).status == 0


@pytest.mark.parametrize(
    "command",
    [
        ["apply", "net.safetensors", "-o", "out", *RULES[:2], "--rng", "torch"],
        ["plan", "net.safetensors", *RULES[:2], "--device", "cuda"],
        ["demo"],
    ],
    ids=["--rng torch", "--device", "demo"],
)
def test_what_needs_torch_says_so(folder, command):
    CHECKPOINTS["net.safetensors"](folder / "net.safetensors")
    done = run(NO_TORCH, *command)
    assert (done.status, done.out) == (5, "")
    assert done.err.startswith("initctl: error: a package that initctl needs cannot be loaded: ")
    assert "torch" in done.err
    assert os.listdir() == ["net.safetensors"]


@pytest.mark.parametrize(
    "error",
    ["ImportError('Numba needs NumPy 2.4 or less')", "ModuleNotFoundError('numba')", "SystemError('initialization')"],
    ids=["too new", "absent", "broken"],
)
def test_a_compiler_that_cannot_be_loaded_costs_time_and_nothing_else(folder, error):
    CHECKPOINTS["net.safetensors"](folder / "net.safetensors")
    apply = ("apply", "net.safetensors", "--verbose", *RULES)
    slow = run(NO_NUMBA.format(error=error), *apply, "-o", "slow.safetensors", XDG_CACHE_HOME=str(folder / "empty"))
    assert slow.status == 0
    assert "engine numpy: compiled code is not available: " in slow.err
    assert run("from initctl.__main__ import main; main()", *apply, "-o", "usual.safetensors").status == 0
    assert (folder / "slow.safetensors").read_bytes() == (folder / "usual.safetensors").read_bytes()


def test_a_module_of_initctl_itself_that_is_missing_is_a_bug(tmp_path: Path):
    save_file({"w": torch.ones(2)}, tmp_path / "net.safetensors")
    program = "import sys; sys.modules['initctl.formats.overview'] = None; from initctl.__main__ import main; main()"
    command = [sys.executable, "-c", program, "inspect", str(tmp_path / "net.safetensors")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 70
    assert run.stderr.startswith("initctl: error: this is a bug in initctl: ModuleNotFoundError: ")
