"""`python -m tests.field.make.ranks TASK FOLDER`: what one rank of two does; the environment says which."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_optimizer_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

from tests.field.make.training import seeded

if TYPE_CHECKING:
    from collections.abc import Callable


def _plain() -> nn.Module:
    return seeded(lambda: nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 4)))


def _stepped(model: nn.Module) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.randn(2, 4)).square().sum().backward()
    optimizer.step()
    return optimizer


def _fsdp2() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = _plain()
    mesh = init_device_mesh("cpu", (2,))
    for layer in (model[0], model[2]):
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model, _stepped(model)


def _fsdp1() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = FullyShardedDataParallel(_plain(), device_id=torch.device("cpu"), use_orig_params=True)
    return model, _stepped(model)


def _dcp(made: tuple[nn.Module, torch.optim.Optimizer], folder: str) -> None:
    model, optimizer = made
    state = {"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizer)}
    dcp.save(state, checkpoint_id=folder)


def _full(made: tuple[nn.Module, torch.optim.Optimizer], folder: str) -> None:
    model, optimizer = made
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = {
        "model": get_model_state_dict(model, options=options),
        "optimizer": get_optimizer_state_dict(model, optimizer, options=options),
    }
    if dist.get_rank() == 0:
        torch.save(state, os.path.join(folder, "full.pt"))


def _rank_files(made: tuple[nn.Module, torch.optim.Optimizer], folder: str) -> None:
    """As verl's FSDPCheckpointManager: the local part of each rank, as DTensors, in a file of its own."""
    model, optimizer = made
    name = f"world_size_{dist.get_world_size()}_rank_{dist.get_rank()}.pt"
    torch.save(model.state_dict(), os.path.join(folder, f"model_{name}"))
    torch.save(optimizer.state_dict(), os.path.join(folder, f"optim_{name}"))


def _slices(made: tuple[nn.Module, torch.optim.Optimizer], folder: str) -> None:
    state = get_model_state_dict(made[0])
    writer = dcp.HuggingFaceStorageWriter(folder, fqn_to_index_mapping=dict.fromkeys(state, 1), save_distributed=True)
    dcp.save(state, storage_writer=writer)


def _deepspeed(stage: int, folder: str) -> None:
    import deepspeed

    sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: (
        None
    )  # would be compiled here, and only makes sums on one machine faster
    model = _plain()
    config = {
        "train_batch_size": 4,
        "bf16": {"enabled": True},
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
    }
    engine, *_ = deepspeed.initialize(
        model=model, optimizer=torch.optim.AdamW(model.parameters(), lr=0.01), config=config
    )
    torch.manual_seed(0)
    loss = engine(torch.randn(2, 4, dtype=torch.bfloat16)).float().square().sum()
    engine.backward(loss)
    engine.step()
    engine.save_checkpoint(folder, tag="global_step1")


TASKS: dict[str, Callable[[str], None]] = {
    "fsdp2_dcp": lambda folder: _dcp(_fsdp2(), folder),
    "fsdp1_dcp": lambda folder: _dcp(_fsdp1(), folder),
    "fsdp2_full": lambda folder: _full(_fsdp2(), folder),
    "fsdp2_rank_files": lambda folder: _rank_files(_fsdp2(), folder),
    **{f"deepspeed_{stage}": partial(_deepspeed, stage) for stage in range(4)},
    "hugging_face_slices": lambda folder: _slices(_fsdp2(), folder),
}

if __name__ == "__main__":
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    TASKS[sys.argv[1]](sys.argv[2])
    dist.barrier()
    dist.destroy_process_group()
