"""torch itself: its optimizers, FSDP1 and FSDP2 on two ranks, and torch.distributed.checkpoint in its spellings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_optimizer_state_dict

from tests.field.layout import Job, Layout, Record
from tests.field.make.training import moments, named, parameters, seeded

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4))


def _trained(optimizer: type[torch.optim.Optimizer] = torch.optim.AdamW) -> tuple[nn.Module, torch.optim.Optimizer]:
    model = seeded(_model)
    made = optimizer(model.parameters(), lr=0.01)
    model(torch.randn(2, 4)).square().sum().backward()
    made.step()
    return model, made


def _writes_optimizer(kind: type[torch.optim.Optimizer]) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        model, optimizer = _trained(kind)
        saved = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": 1}
        torch.save(saved, os.path.join(folder, "last.pt"))
        return Record("last.pt", "model", parameters(model))

    return write


def _loads_optimizer(kind: type[torch.optim.Optimizer]) -> Callable[[str], dict[str, Tensor]]:
    def load(path: str) -> dict[str, Tensor]:
        saved = torch.load(path, weights_only=True)
        model, optimizer = _trained(kind)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        return {**model.state_dict(), **moments(model, optimizer)}

    return load


def _write_flattened(folder: str) -> Record:
    """As torchtitan's checkpoints: names of the model at the top, the optimizer flattened below `optimizer`."""
    model, optimizer = _trained()
    flat = get_optimizer_state_dict(model, optimizer, options=StateDictOptions(flatten_optimizer_state_dict=True))
    dcp.save({**get_model_state_dict(model), "optimizer": flat}, checkpoint_id=folder)
    return Record("", "", parameters(model))


def _write_nested(folder: str) -> Record:
    model, optimizer = _trained()
    dcp.save(
        {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizer)},
        checkpoint_id=folder,
    )
    return Record("", "model", parameters(model))


def _load_dcp(path: str) -> dict[str, Tensor]:
    """Every tensor of the directory, by `dcp.load`."""
    kept = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
    state = {n: torch.empty(m.size, dtype=m.properties.dtype) for n, m in kept.items() if hasattr(m, "size")}
    dcp.load(state, checkpoint_id=path)
    return state


def ranks(task: str, folder: str) -> tuple[str, ...]:
    """The names of the parameters that two processes of gloo write to `folder`."""
    port = str(20000 + os.getpid() % 20000)
    command = [sys.executable, "-m", "tests.field.make.ranks", task, os.path.abspath(folder)]
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    ran = [
        subprocess.Popen(command, env={**os.environ, **places, "RANK": str(r), "LOCAL_RANK": str(r)}) for r in range(2)
    ]
    if max(process.wait() for process in ran):
        raise RuntimeError(f"{task}: a rank failed")
    return parameters(_model())


def _writes_ranks(task: str, checkpoint: str = "", root: str = "model", **options: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        names = ranks(task, folder)
        return Record(checkpoint, root, names, **options)

    return write


def _write_gathered(folder: str) -> Record:
    """Torch's own way from a directory to one file; FSDP1 does not gather optimizers on a CPU."""
    names = ranks("fsdp1_dcp", os.path.join(folder, "sharded"))
    dcp_to_torch_save(os.path.join(folder, "sharded"), os.path.join(folder, "full.pt"))
    shutil.rmtree(os.path.join(folder, "sharded"))
    return Record("full.pt", "model", names)


def _load_full(path: str) -> dict[str, Tensor]:
    """A full state dict, with the optimizer by names."""
    saved = torch.load(path, weights_only=True)
    model = _model()
    model.load_state_dict(saved["model"])
    kept = {f"{n}/{k}": v for n, s in saved["optimizer"]["state"].items() for k, v in s.items()}
    return {**model.state_dict(), **named("moments", kept)}


def _load_slices(path: str) -> dict[str, Tensor]:
    """The slices that ranks wrote, by torch's own reader."""
    reader = dcp.HuggingFaceStorageReader(path)
    kept = reader.read_metadata().state_dict_metadata
    state = {n: torch.empty(m.size, dtype=m.properties.dtype) for n, m in kept.items()}
    dcp.load(state, storage_reader=reader)
    return state


def _load_rank(path: str) -> dict[str, Tensor]:
    return {n: (t.to_local() if hasattr(t, "to_local") else t) for n, t in torch.load(path, weights_only=False).items()}


_HEAD = ("-r", "2.weight=normal:std=0.01")
_RESET = (*_HEAD, "--reset-optimizer")
_KEPT = "keeps the moments"
_DCP = "torch.distributed.checkpoint.load"

_KINDS = (
    "SGD",
    "AdamW",
    "Adafactor",
    "ASGD",
    "Rprop",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
)
_AFTER_A_STEP = {"ASGD": ("step", "eta", "ax"), "Rprop": ("step", "prev")}
"""By optimizer: the states that a step changes, if it does not change them all."""


def _optimizers(kind: str) -> Layout:
    """A checkpoint with torch's optimizer called `kind`; SGD with momentum, without which it remembers nothing."""
    made = partial(torch.optim.SGD, momentum=0.9) if kind == "SGD" else getattr(torch.optim, kind)
    states = (f"moments/2.weight/{state}" for state in _AFTER_A_STEP.get(kind, ("*",)))
    jobs = (
        Job("with its optimizer", _RESET, ("2.weight", *states), "out.pt"),
        Job("a wildcard", ("-r", "*=normal:std=0.02"), ("?.*",), "out.pt", warned=_KEPT),
    )
    return Layout(kind.lower(), _writes_optimizer(made), _loads_optimizer(made), "load_state_dict", jobs)


LAYOUTS = (
    *(_optimizers(kind) for kind in _KINDS),
    Layout(
        "dcp_flattened",
        _write_flattened,
        _load_dcp,
        _DCP,
        (
            Job("a wildcard", ("-r", "*.weight=normal:std=0.02"), ("?.weight",), warned=_KEPT),
            Job("with its optimizer", _RESET, ("2.weight", "optimizer.state.2.weight.*")),
        ),
    ),
    Layout(
        "dcp_nested",
        _write_nested,
        _load_dcp,
        _DCP,
        (
            Job("a wildcard", ("-r", "*.weight=normal:std=0.02"), ("model.?.weight",), warned=_KEPT),
            Job("with its optimizer", _RESET, ("model.2.weight", "optimizer.state.2.weight.*")),
        ),
    ),
    Layout(
        "fsdp2_dcp",
        _writes_ranks("fsdp2_dcp"),
        _load_dcp,
        _DCP,
        (
            Job("a wildcard", ("-r", "*.weight=normal:std=0.02"), ("model.?.weight",), warned=_KEPT),
            Job("with its optimizer", _RESET, ("model.2.weight", "optimizer.state.2.weight.*")),
        ),
    ),
    Layout(
        "fsdp2_full",
        _writes_ranks("fsdp2_full", "full.pt"),
        _load_full,
        "load_state_dict",
        (Job("with its optimizer", _RESET, ("2.weight", "moments/2.weight/*"), "out.pt"),),
    ),
    Layout(
        "fsdp1_full",
        _write_gathered,
        _load_full,
        "load_state_dict",
        (Job("with its optimizer", _RESET, ("2.weight", "moments/2.weight/*"), "out.pt"),),
    ),
    Layout(
        "fsdp1_dcp",
        _writes_ranks("fsdp1_dcp"),
        _load_dcp,
        _DCP,
        (
            Job("a wildcard", ("-r", "*.weight=normal:std=0.02"), ("model.?.weight",), warned=_KEPT),
            Job("with its optimizer", _RESET, ("model.2.weight", "optimizer.state.2.weight.*")),
        ),
    ),
    Layout(
        "fsdp2_rank_files",
        _writes_ranks("fsdp2_rank_files", "model_world_size_2_rank_0.pt", "", refused="rank"),
        _load_rank,
        "torch.load",
        (Job("one rank's file", _HEAD, output="out.pt", refused="rank"),),
    ),
    Layout(
        "hugging_face_slices",
        _writes_ranks("hugging_face_slices", "", ""),
        _load_slices,
        "HuggingFaceStorageReader",
        (Job("a wildcard", ("-r", "*.weight=normal:std=0.02"), ("?.weight",)),),
    ),
)
