"""Small models on a mesh of ranks, for every way in which torch shards them, and what they hold afterwards."""

from __future__ import annotations

import warnings
from hashlib import sha256

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.fsdp import CPUOffloadPolicy, FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_module, distribute_tensor, init_device_mesh
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, SequenceParallel, parallelize_module

LAWS = {
    "zeros": ("zeros", (9, 8)),
    "ones": ("ones", (9,)),
    "constant": ("constant:val=0.3", (9, 8)),
    "eye": ("eye", (9, 8)),
    "dirac": ("dirac", (9, 8, 3)),
    "zero_hadamard": ("zero_hadamard", (9, 8)),
    "sinusoid": ("sinusoid", (9, 8)),
    "arange_log": ("arange_log", (9, 8)),
    "lstm_bias": ("lstm_bias", (20,)),
    "uniform": ("uniform:a=-0.1,b=0.1", (9, 8)),
    "normal": ("normal:std=0.02", (9, 8)),
    "normal_large": ("normal", (301, 24)),
    "trunc_normal": ("trunc_normal:std=0.02,cut=2", (9, 8)),
    "log_uniform": ("log_uniform:a=0.001,b=0.1", (9, 8)),
    "inv_softplus": ("inv_softplus_log_uniform", (9,)),
    "xavier_uniform": ("xavier_uniform", (9, 8)),
    "xavier_normal": ("xavier_normal:layout=boi", (3, 5, 8)),
    "kaiming_uniform": ("kaiming_uniform:a=1", (9, 8, 3, 3)),
    "kaiming_normal": ("kaiming_normal:mode=fan_out", (9, 8)),
    "lecun_uniform": ("lecun_uniform", (9, 8)),
    "lecun_normal": ("lecun_normal", (9, 8)),
    "variance_scaling": ("variance_scaling:scale=2,mode=fan_avg,distribution=normal", (9, 8)),
    "fused": ("xavier_uniform:split=3", (9, 8)),
    "parts": ("normal:std=0.02", (9, 8)),
    "orthogonal": ("orthogonal", (9, 8)),
    "delta_orthogonal": ("delta_orthogonal", (9, 8, 3)),
    "sparse": ("sparse:sparsity=0.3", (9, 8)),
    "nan": ("nan", (9, 8)),
    "bias_from_prob": ("bias_from_prob:p=0.01", (9,)),
    "spectral": ("spectral", (9, 8)),
    "uniform_log": ("uniform_log:a=1,b=16", (9,)),
}
"""A rule's call, and a shape, by the name of a parameter. No dim 0 but one can be cut into equal parts."""
DTYPES = {
    str(dtype).removeprefix("torch."): dtype for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
}

RARE = (
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.complex64,
    torch.complex128,
)
RARE_LAWS = {"normal": "normal", "uniform": "uniform", "constant": "constant:val=0.5", "xavier": "xavier_normal"}
RARE_RULES = [f"{law}_{str(dtype).removeprefix('torch.')}={call}" for law, call in RARE_LAWS.items() for dtype in RARE]
ZOO_RULES = [
    *(f"*.{name}={call}" for name, (call, _) in LAWS.items()),
    "*.parts[2:5]=ones",
    "*.parts[-1:]=xavier_normal",
]
MLP_RULES = ["*=normal:std=0.02", "*.bias=uniform", "embed.weight[10:]=ones", "norm.weight=trunc_normal:cut=1"]


class Zoo(nn.Module):
    """A parameter for each law and dtype, and buffers."""

    def __init__(self):
        super().__init__()
        for name, dtype in DTYPES.items():
            group = nn.Module()
            for law, (_, shape) in LAWS.items():
                group.register_parameter(law, nn.Parameter(torch.zeros(shape, dtype=dtype)))
            self.add_module(f"in_{name}", group)


class Rare(nn.Module):
    """Parameters of the dtypes that collectives know least of."""

    def __init__(self):
        super().__init__()
        for dtype in RARE:
            for law in RARE_LAWS:
                tensor = torch.zeros(9, 8, dtype=dtype)
                name = f"{law}_{str(dtype).removeprefix('torch.')}"
                self.register_parameter(name, nn.Parameter(tensor, requires_grad=tensor.element_size() > 1))


class Mlp(nn.Module):
    """A transformer's feed-forward block and its embedding, whose sizes two ranks cannot share equally on each dim."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(13, 8)
        self.up = nn.Linear(8, 10)
        self.norm = nn.LayerNorm(8)
        self.down = nn.Linear(10, 8)
        self.register_buffer("scale", torch.zeros(5))
        self.register_buffer("temperature", torch.zeros(()))

    def forward(self, ids):
        return self.norm(self.down(self.up(self.embed(ids))))


def fsdp2(model, **options):
    for child in model.children():
        fully_shard(child, **options)
    return fully_shard(model, **options)


def fsdp2_dim1(model):
    size = dist.get_world_size()
    return fsdp2(model, shard_placement_fn=lambda p: Shard(1 if p.ndim > 1 and p.shape[1] % size == 0 else 0))


def fsdp2_offloaded(model):
    return fsdp2(model, offload_policy=CPUOffloadPolicy(pin_memory=False))


def hsdp(model):
    return fsdp2(model, mesh=init_device_mesh("cpu", (2, dist.get_world_size() // 2), mesh_dim_names=("copy", "shard")))


def replicated(model):
    return distribute_module(model, init_device_mesh("cpu", (dist.get_world_size(),)))


def tp(model, mesh=None):
    plan = {"embed": RowwiseParallel(), "up": ColwiseParallel(), "norm": SequenceParallel(), "down": RowwiseParallel()}
    return parallelize_module(model, mesh or init_device_mesh("cpu", (dist.get_world_size(),)), plan)


def fsdp2_tp(model):
    mesh = init_device_mesh("cpu", (2, dist.get_world_size() // 2), mesh_dim_names=("dp", "tp"))
    return fsdp2(tp(model, mesh["tp"]), mesh=mesh["dp"])


def cut_in_two_dims(model):
    return _placed(model, lambda dims: [Shard(0), Shard(1)] if dims > 1 else [Replicate(), Shard(0)])


def cut_twice_in_one_dim(model):
    return _placed(model, lambda dims: [Shard(dims - 1), Shard(dims - 1)])


def _placed(model, placements):
    """`model` with each parameter as a DTensor on a mesh of two rows."""
    mesh = init_device_mesh("cpu", (2, dist.get_world_size() // 2))
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            found = placements(parameter.ndim) if parameter.ndim else [Replicate(), Replicate()]
            sharded = distribute_tensor(parameter.detach(), mesh, found, src_data_rank=None)
            module.register_parameter(name, nn.Parameter(sharded))
    return model


def from_meta(kind, shard):
    """A model as torchtitan makes it: sharded on the meta device, then given memory, which is made poisonous."""
    with torch.device("meta"):
        model = kind()
    model = shard(model).to_empty(device="cpu")
    for tensor in [*model.parameters(), *model.buffers()]:
        local(tensor).fill_(torch.nan)
    return model


def local(tensor):
    with torch.no_grad():
        return tensor.to_local().detach() if isinstance(tensor, DTensor) else tensor.detach()


def held(model):
    """The digest of each whole tensor of a sharded model."""
    return {name: digest(tensor) for name, tensor in model.state_dict().items()}


def digest(tensor):
    whole = _whole(tensor) if isinstance(tensor, DTensor) else tensor
    return sha256(whole.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


def _whole(tensor):
    """Gloo does not send every dtype."""
    if tensor.dtype.itemsize == 1:
        return tensor.to(torch.float32).full_tensor().to(tensor.dtype)
    return tensor.full_tensor()


def fsdp1(model, **options):
    with warnings.catch_warnings(action="ignore"):  # of the size 1, and of no GPU
        return FullyShardedDataParallel(model, device_id=torch.device("cpu"), **options)
