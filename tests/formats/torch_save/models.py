"""Objects to save, and what torch reads of the bytes that a table points at."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.tensors import TensorSpec


class Twin(nn.Module):
    """A module with all that a state dict lists, in the order in which it does, and with what it leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        self.body = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2, bias=False))
        self.body[1].weight = self.head.weight
        self.scale = nn.Parameter(torch.ones(3))
        self.nothing = None
        self.register_parameter("absent", None)
        self.register_buffer("kept", torch.ones(2))
        self.register_buffer("gone", torch.ones(3), persistent=False)
        self.many = nn.ParameterList([torch.ones(1), torch.ones(2)])


class Networks(nn.Module):
    """A module whose parts are called as frameworks call whole models."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(2, 2)
        self.head = nn.Linear(2, 1)


class Subclass(torch.Tensor):
    """A subclass of which the reader knows nothing."""


def strided() -> dict[str, Callable[[], torch.Tensor]]:
    """Tensors whose bytes a table must find, whatever the order that they lie in."""
    base = torch.arange(120.0)
    return {
        "whole": lambda: base.clone(),
        "parameter": lambda: nn.Parameter(base.clone()),
        "buffer": lambda: nn.Buffer(base.clone()),
        "parameter with attributes": lambda: with_attribute(nn.Parameter(base.clone())),
        "tensor with attributes": lambda: with_attribute(base.clone()),
        "scalar": lambda: torch.tensor(3.0),
        "empty": lambda: torch.empty(0, 3),
        "view": lambda: base[7:31].reshape(4, 6),
        "every third": lambda: base[5:60:3],
        "transposed": lambda: base.reshape(10, 12).t(),
        "permuted": lambda: base.reshape(2, 3, 4, 5).permute(3, 1, 0, 2),
        "channels last": lambda: base.reshape(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "expanded": lambda: base[:3].reshape(3, 1).expand(3, 4),
        "expanded scalar": lambda: torch.tensor(2.0).expand(5, 5),
        "overlapping": lambda: base.as_strided((5, 4), (1, 1)),
        "real part": lambda: torch.view_as_real(torch.arange(6.0).to(torch.complex64))[..., 1],
        "untyped view": lambda: torch.arange(8).to(torch.uint16)[2:5],
    }


def with_attribute(tensor: torch.Tensor) -> torch.Tensor:
    tensor.__dict__["note"] = "an attribute"
    return tensor


def strange() -> dict[str, Callable[[], torch.Tensor]]:
    """Tensors that no rule can fill; the file that holds one is read all the same."""
    ones = torch.ones(2, 3)
    return {
        "sparse": lambda: ones.to_sparse(),
        "sparse CSR": lambda: ones.to_sparse_csr(),
        "sparse CSC": lambda: ones.to_sparse_csc(),
        "sparse BSR": lambda: ones.to_sparse_bsr((1, 1)),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "jagged": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
        "meta": lambda: torch.ones(2, 3, device="meta"),
        "conj": lambda: torch.ones(2, 3, dtype=torch.complex64).conj(),
        "neg": lambda: torch.ones(2, 3, dtype=torch.complex64).conj().imag,
        "subclass": lambda: ones.as_subclass(Subclass),
        "subclass in a parameter": lambda: nn.Parameter(ones.as_subclass(Subclass)),
        "quantized": lambda: torch.quantize_per_tensor(ones, 0.1, 0, torch.qint8),
        "quantized by channel": lambda: torch.quantize_per_channel(
            ones, torch.ones(2), torch.zeros(2), 0, torch.quint8
        ),
        "quantized to 4 bits": lambda: torch.quantize_per_channel(
            ones, torch.ones(2), torch.zeros(2), 0, torch.quint4x2
        ),
        "shared elements": lambda: torch.arange(12.0).as_strided((5, 4), (2, 1)),
        "sub-byte": lambda: torch.zeros(2, 3, dtype=torch.float4_e2m1fn_x2),
    }


def made(make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """A tensor, without torch's words on what is a prototype or deprecated."""
    with warnings.catch_warnings(action="ignore"):
        return make()


def read_at(content: bytes, spec: TensorSpec, dtype: Any) -> torch.Tensor:
    """The tensor that `spec` describes, by its block, from the bytes of the file."""
    (block,) = spec.blocks
    if not block.numel:
        return torch.empty(spec.shape, dtype=dtype)
    stored = torch.frombuffer(
        bytearray(content[block.offset : block.offset + block.extent * spec.dtype.bits // 8]), dtype=dtype
    )
    assert block.start == (0,) * len(spec.shape)
    return stored.as_strided(spec.shape, block.strides)


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    one, other = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (one, other))
    return torch.equal(one, other)
