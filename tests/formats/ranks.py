"""Checkpoints that torch.distributed.checkpoint writes: from several processes that talk over gloo, or from one."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
import torch.multiprocessing as mp
from safetensors.torch import load
from torch import nn
from torch.distributed.checkpoint import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.filesystem import FileSystemWriter, SerializationFormat
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.device_mesh import init_device_mesh

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

WORLDS = (1, 2, 4)
"""Numbers of ranks."""
RULES = (
    "*.weight=normal:std=0.02", "fc.weight=orthogonal", "fc.bias=constant:val=0.5", "rows=xavier_normal",
    "columns=orthogonal:gain=2", "grid=sparse:sparsity=0.4", "half.rows=kaiming_uniform", "half.columns=lecun_normal",
    "copied=trunc_normal:cut=2", "plain=uniform:a=-1", "transposed=normal", "scalar=normal", "empty=ones",
)  # fmt: skip
"""One for each tensor, so that no value is left over from what was saved."""


class Net(nn.Module):
    """A network with as many rows as ranks, and with other numbers of rows."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(5, 6)
        self.fc = nn.Linear(6, 7)
        self.head = nn.Linear(7, 4, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.fc(self.embed(tokens)))


def whole() -> dict[str, Tensor]:
    """Tensors beside the network, before they are spread: named for how they will be."""
    numbers = torch.linspace(-2, 2, 35)
    return {
        "rows": numbers.reshape(5, 7).clone(),
        "columns": numbers.reshape(7, 5) * 3,
        "grid": numbers.reshape(5, 7) * 5,
        "half.rows": numbers.reshape(5, 7).bfloat16(),
        "half.columns": numbers.reshape(7, 5).bfloat16() * 2,
        "copied": numbers.reshape(5, 7) * 7,
        "plain": numbers.double(),
        "transposed": numbers.reshape(7, 5).T * 11,
        "scalar": torch.tensor(4.5),
        "empty": torch.zeros(0, 3),
    }


def spread(tensors: Mapping[str, Tensor], ranks: int) -> dict[str, Tensor]:
    """The same as they are held by `ranks` processes."""
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    line = init_device_mesh("cpu", (ranks,))
    square = init_device_mesh("cpu", (2, 2) if ranks == 4 else (1, ranks))
    placements = {
        "rows": (line, [Shard(0)]),
        "columns": (line, [Shard(1)]),
        "grid": (square, [Shard(0), Shard(1)]),
        "copied": (line, [Replicate()]),
    }
    known = {name: placements.get(name.rpartition(".")[2]) for name in tensors}
    return {name: distribute_tensor(t, *known[name]) if known[name] else t for name, t in tensors.items()}


def saved_by_ranks(folder: Path) -> None:
    """Write `folder`/pickled-N and `folder`/safetensors-N, each from N of the `WORLDS`, all at the same time.

    In `folder`/slices-N and `folder`/two-files-N each rank's slices are in one file or in two, as
    HuggingFaceStorageWriter leaves them; in `folder`/rank-files-N are the files that verl writes.
    """
    multiprocessing.set_forkserver_preload(["torch.distributed.fsdp", "torch.distributed.tensor", __name__])
    contexts = [mp.start_processes(_rank, (n, str(folder)), n, join=False, start_method="forkserver") for n in WORLDS]
    for context in contexts:
        while not context.join():
            pass


def _rank(rank: int, ranks: int, folder: str) -> None:
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store-{ranks}", rank=rank, world_size=ranks)
    net = Net()
    fully_shard(net, mesh=init_device_mesh("cpu", (ranks,)))
    untrained = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.arange(5)).sum().backward()
    optimizer.step()
    model = {**untrained, **spread(whole(), ranks)}
    state = {"model": model, "optimizer": optimizer.state_dict(), "step": 3}
    dcp.save(state, checkpoint_id=f"{folder}/pickled-{ranks}")
    writer = FileSystemWriter(
        f"{folder}/safetensors-{ranks}", serialization_format=SerializationFormat.SAFETENSORS, thread_count=1
    )
    model.pop("transposed")  # which that format cannot hold
    dcp.save({"model": model}, storage_writer=writer)
    dcp.save(model, storage_writer=HuggingFaceStorageWriter(f"{folder}/slices-{ranks}", save_distributed=True))
    index = {name: 1 + number % 2 for number, name in enumerate(sorted(model))}
    writer = HuggingFaceStorageWriter(f"{folder}/two-files-{ranks}", index, save_distributed=True)
    dcp.save(model, storage_writer=writer)
    os.makedirs(f"{folder}/rank-files-{ranks}", exist_ok=True)
    torch.save(model, f"{folder}/rank-files-{ranks}/model_world_size_{ranks}_rank_{rank}.pt")
    dist.destroy_process_group()


def loaded_slices(folder: Path, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What torch's own reader finds in a directory of slices, for tensors `like` these."""
    state = {name: torch.full_like(tensor, -7) for name, tensor in like.items()}
    with alone():
        dcp.load(state, storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    return state


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@contextmanager
def alone() -> Iterator[None]:
    """Without the warnings that torch gives where it saves from one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def saved_alone(folder: Path, state: Mapping[str, Any], *, writer: Any = None) -> Path:
    """A checkpoint of `state` from this process alone."""
    with alone():
        dcp.save(dict(state), checkpoint_id=folder, storage_writer=writer, no_dist=True)
    return folder


def loaded(folder: Path, file: Path) -> dict[str, Any]:
    """What torch reads from the checkpoint in `folder`, as one object; nothing in it may be harmful."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    with alone():
        dcp_to_torch_save(folder, file)
    return torch.load(file, weights_only=False)


def assembled(folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint in safetensors, which torch writes and does not read, by their flat names."""
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    tensors = {}
    for name, listed in metadata.state_dict_metadata.items():
        if isinstance(listed, TensorStorageMetadata):
            tensors[name] = torch.empty(listed.size, dtype=listed.properties.dtype)
    for index, place in metadata.storage_data.items():
        if index.fqn in tensors:
            part = load((folder / place.relative_path).read_bytes()[place.offset :])[index.fqn]
            where = zip(index.offset, part.shape, strict=True)
            tensors[index.fqn][tuple(slice(start, start + size) for start, size in where)] = part
    return tensors
