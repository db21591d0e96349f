"""A checkpoint whose pickle would run a command runs nothing, whatever is done with it; torch is not even loaded."""

from __future__ import annotations

import copyreg
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.utils.data.datapipes.datapipe import _IterDataPipeSerializationWrapper

from tests.cli.processes import Outcome, environment
from tests.execution.torch_files import index_of, lightning, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUNNER = """
import sys
try:
    from initctl.__main__ import main
    main()
finally:
    with open("modules", "w") as stream:
        stream.write("\\n".join(sys.modules))
"""
"""The command as the script runs it; then a list of all that was imported."""
HEAVY = {"torch", "transformers", "pickle5", "dill", "cloudpickle", "joblib"}


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.made_by = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.made_by


class Rebuilt:
    """Becomes an object of a class of torch that unpickles a bomb when it gets its state."""

    def __init__(self, bomb: Bomb) -> None:
        self.state = pickle.dumps(bomb), False

    def __reduce__(self) -> tuple[Any, ...]:
        made = _IterDataPipeSerializationWrapper, object, None
        return copyreg._reconstructor, made, self.state  # type: ignore[attr-defined]


def bombs(fuse: Path) -> dict[str, Bomb | Rebuilt]:
    """Ways to bring `fuse` into being."""
    return {
        "os.system": Bomb(os.system, f"touch {fuse}"),
        "subprocess": Bomb(subprocess.check_call, ["touch", str(fuse)]),
        "exec": Bomb(exec, f"open({str(fuse)!r}, 'w').close()"),
        "open": Bomb(open, str(fuse), "w"),
        "rebuilt": Rebuilt(Bomb(os.system, f"touch {fuse}")),
    }


NAMES = ("os.system", "subprocess", "exec", "open", "rebuilt")


def state() -> dict[str, torch.Tensor]:
    return {"fc.weight": torch.full((2, 3), 0.5), "fc.bias": torch.full((2,), 0.5)}


def zipped(folder: Path, bomb: Bomb) -> str:
    save(folder / "model.ckpt", {**lightning(state()), "bomb": bomb})
    return "model.ckpt"


def legacy(folder: Path, bomb: Bomb) -> str:
    save(folder / "model.ckpt", {**lightning(state()), "bomb": bomb}, "legacy")
    return "model.ckpt"


def among_tensors(folder: Path, bomb: Bomb) -> str:
    """It stands before tensors in a list, and is a key."""
    save(folder / "model.ckpt", {**state(), "list": [bomb, torch.ones(2), {bomb: 3}]})
    return "model.ckpt"


def in_shards(folder: Path, bomb: Bomb) -> str:
    save(folder / "model" / "pytorch_model-1.bin", {**state(), "bomb": bomb})
    index = index_of((name, "pytorch_model-1.bin") for name in state())
    (folder / "model" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return "model"


def distributed(folder: Path, bomb: Bomb) -> str:
    """In `.metadata`, and in the bytes of an item."""
    stream = io.BytesIO()
    pickle.dump(bomb, stream)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells that there are no other processes
        dcp.save({**state(), "bomb": stream}, checkpoint_id=folder / "model", no_dist=True)
    described = folder / "model" / ".metadata"
    metadata = pickle.loads(described.read_bytes())
    metadata.storage_meta = bomb
    described.write_bytes(pickle.dumps(metadata))
    return "model"


MADE = {"zip": zipped, "legacy": legacy, "among tensors": among_tensors, "shards": in_shards, "dcp": distributed}
ONES = ("-r", "fc.bias=ones")
COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": (),
    "inspect of all": ("--all", "--root", ""),
    "plan": ONES,
    "apply to a new path": ("-o", "out", *ONES),
    "apply in place": ("--in-place", *ONES),
    "apply patched": ("--in-place", "--patch", *ONES),
    "apply and reset": ("-o", "out", "--reset-optimizer", *ONES),
    "apply and convert": ("-o", "out.safetensors"),
    "apply and fill and convert": ("-o", "out.safetensors", *ONES),
    "apply and split": ("-o", "out", "--max-shard-size", "20B"),
}
REFUSED = {
    ("dcp", "apply in place"): "output.distributed",
    ("dcp", "apply patched"): "output.distributed",
    ("among tensors", "apply and reset"): "optimizer.unmatched",
    ("shards", "apply and reset"): "optimizer.unmatched",
    ("dcp", "apply and reset"): "optimizer.unmatched",
}
"""What is not offered, or where there is no optimizer: told by which code."""


def initctl(*arguments: str, **variables: str) -> Outcome:
    command = [sys.executable, "-c", RUNNER, *arguments]
    run = subprocess.run(command, capture_output=True, check=False, env=environment(COLUMNS="200", **variables))
    return Outcome(run.returncode, run.stdout.decode(), run.stderr.decode())


def imported(folder: Path) -> set[str]:
    return {name.partition(".")[0] for name in (folder / "modules").read_text().split("\n")}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("made", MADE)
def test_nothing_is_run_and_torch_is_not_imported(folder: Path, made: str, command: str):
    fuse = folder / "fuse"
    path = MADE[made](folder, bombs(fuse)["os.system"])
    done = initctl(command.partition(" ")[0], path, *COMMANDS[command], "--json")
    assert not fuse.exists()
    assert not imported(folder) & HEAVY
    if code := REFUSED.get((made, command)):
        assert [error["code"] for error in done.document["errors"]] == [code]
    else:
        assert done.status == 0, done.err
        (warning,) = (told for told in done.document["warnings"] if told["code"] == "torch.runs_code")
        assert f"{os.system.__module__}.system" in warning["message"]
        assert warning["message"] in done.err


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("made", ["zip", "legacy"])
def test_whatever_it_would_call_is_not_called_and_told(folder: Path, made: str, name: str):
    fuse = folder / "fuse"
    path = MADE[made](folder, bombs(fuse)[name])
    for arguments in (("inspect", path), ("apply", path, "-o", "out.safetensors")):
        done = initctl(*arguments, "--json")
        assert not fuse.exists()
        assert done.status == 0
        assert [warning["code"] for warning in done.document["warnings"]] == ["torch.runs_code"]
        assert done.err.startswith(f"initctl: warning: {path}: ")


def test_a_directory_that_contains_it_too_is_named(folder: Path):
    model = folder / "model"
    model.mkdir()
    (folder / MADE["zip"](folder, bombs(folder / "fuse")["os.system"])).rename(model / "pytorch_model.bin")
    told = initctl("apply", model, "-o", "out", "-r", "*=zeros", "--json").document["warnings"]
    carried = [warning["message"] for warning in told if warning["code"] == "torch.carried_along"]
    assert carried == ["out: a pickle in it contains the same calls"]


@pytest.mark.parametrize(("output", "is_carried"), [("out.pt", True), ("out.safetensors", False)])
def test_an_output_that_contains_it_too_is_named(folder: Path, output: str, is_carried: bool):
    path = MADE["zip"](folder, bombs(folder / "fuse")["os.system"])
    told = initctl("apply", path, "-o", output, "-r", "*=zeros", "--json").document["warnings"]
    carried = [warning["message"] for warning in told if warning["code"] == "torch.carried_along"]
    assert carried == ([f"{output}: its pickle contains the same calls"] if is_carried else [])
    assert [warning["code"] for warning in initctl("inspect", output, "--json").document["warnings"]] == (
        ["torch.runs_code"] if is_carried else []
    )


@pytest.mark.parametrize("variable", ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"])
@pytest.mark.parametrize("made", ["zip", "legacy", "dcp"])
def test_variables_that_decide_how_torch_loads_change_nothing(folder: Path, made: str, variable: str):
    path = MADE[made](folder, bombs(folder / "fuse")["os.system"])
    for arguments in (("inspect", path), ("apply", path, "-o", "out", *ONES)):
        done = initctl(*arguments, "--json", **{variable: "1"})
        assert (done.status, done.document["warnings"][0]["code"]) == (0, "torch.runs_code")
        assert not (folder / "fuse").exists()
        assert not imported(folder) & HEAVY


def test_torch_itself_obeys_the_variable_that_allows_all(folder: Path, monkeypatch: pytest.MonkeyPatch):
    path = zipped(folder, bombs(folder / "fuse")["os.system"])
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
    assert not (folder / "fuse").exists()
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with warnings.catch_warnings(action="ignore"):
        torch.load(path)
    assert (folder / "fuse").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("made", ["zip", "legacy"])
def test_the_bombs_are_live(folder: Path, made: str, name: str):
    """Torch itself runs them: else all that is claimed here would be nothing."""
    fuse = folder / "fuse"
    path = MADE[made](folder, bombs(fuse)[name])
    loaded: Any = torch.load(path, weights_only=False)["bomb"]
    if hasattr(loaded, "close"):
        loaded.close()
    assert fuse.exists()


def test_the_bomb_of_a_distributed_checkpoint_is_live(folder: Path):
    path = distributed(folder, bombs(folder / "fuse")["os.system"])
    pickle.loads((folder / path / ".metadata").read_bytes())
    assert (folder / "fuse").exists()


def test_the_bomb_is_carried_along(folder: Path):
    path = zipped(folder, bombs(folder / "fuse")["os.system"])
    assert initctl("apply", path, "-o", "out.ckpt", *ONES).status == 0
    assert not (folder / "fuse").exists()
    torch.load("out.ckpt", weights_only=False)
    assert (folder / "fuse").exists()


def test_a_checkpoint_without_one_is_not_warned_of(folder: Path):
    torch.save({"state_dict": state(), "hyper_parameters": {"lr": 0.1}}, "model.ckpt")
    done = initctl("apply", "model.ckpt", "-o", "out.ckpt", *ONES, "--json")
    assert (done.status, done.err, done.document["warnings"]) == (0, "", [])


@pytest.mark.parametrize("arguments", [("-o", "out.ckpt", "-r", "*=normal"), ("-o", "out.safetensors"), ("-o", "out/")])
def test_a_name_that_is_not_unicode_is_no_bug(folder: Path, arguments: tuple[str, ...]):
    save(folder / "model.ckpt", {"a\ud800.weight": torch.ones(2), "b.weight": torch.ones(2)})
    done = initctl("apply", "model.ckpt", *arguments)
    assert done.status in (0, 3, 4)
    assert "this is a bug in initctl" not in done.err
