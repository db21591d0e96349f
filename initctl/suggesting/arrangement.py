"""The layout of a weight: which dim is out and which is in, and how many weights it fuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.tensors import is_kernel

if TYPE_CHECKING:
    from initctl.suggesting.neighbors import Seen

_MATRIX = 2
_FUSED = frozenset({"in_proj_weight", "qkv", "qkv_proj", "c_attn", "query_key_value", "to_qkv", "wqkv", "kqv"})
_QKV = 3


def gates(seen: Seen) -> int:
    """The number of gates of a recurrent layer: 4 in an LSTM, 3 in a GRU, 1 in a plain one."""
    ending = seen.tensor.name.rpartition(".")[2].partition("_")[2].partition("_")[2]
    suffix = f"_{ending}" if ending else ""
    recurrent, projected = (seen.beside.get(f"weight_{of}{suffix}") for of in ("hh", "hr"))
    if recurrent is None or len(recurrent.shape) != _MATRIX:
        return 1
    hidden = projected.shape[1] if projected and len(projected.shape) == _MATRIX else recurrent.shape[1]
    return recurrent.shape[0] // hidden if hidden and recurrent.shape[0] % hidden == 0 else 1


def has_kernel(seen: Seen) -> bool:
    """Whether dims after the second are a kernel's, and not heads, or matrices of a stack."""
    is_called_so = seen.last in ("weight", "kernel", "weight_v", "weight_orig") or seen.last.startswith("original")
    return seen.ndim > _MATRIX and is_called_so and "experts" not in seen.parts


def layout(seen: Seen) -> str | None:
    """The argument for the layout of a weight, unless it is as in `torch.nn.Linear` and `Conv2d`."""
    shape = seen.tensor.shape
    if len(shape) > _MATRIX and not has_kernel(seen):
        return f"layout={_stacked(seen)}" if len(shape) == _MATRIX + 1 else None
    letters = seen.neighbors.reversed_layout(seen.tensor)
    if letters is None:
        return None
    return "transposed=true" if letters.startswith("iok") else f"layout={letters}"


def groups(seen: Seen) -> str | None:
    """The argument for a depthwise convolution, in which each channel has its own kernels: one that is not the first
    layer has one input. A law by fan_in does not need the argument.
    """
    is_behind = seen.neighbors.first_matrix is not seen.tensor
    is_depthwise = has_kernel(seen) and seen.tensor.shape[1] == 1 and not is_kernel(seen.tensor)
    return "groups=shape[0]" if is_depthwise and is_behind else None


def split(seen: Seen) -> str | None:
    """The argument for a weight that fuses several."""
    outputs, inputs = seen.neighbors.sizes(seen.tensor)
    is_fused = (seen.last in _FUSED or seen.module in _FUSED) and outputs == _QKV * inputs
    return f"split={_QKV}" if is_fused else None


def _stacked(seen: Seen) -> str:
    """`boi`, or `bio` if the biases or the shapes of the up and down projections show it."""
    _, rows, columns = seen.tensor.shape
    bias = seen.beside.get(f"{seen.tensor.name.rpartition('.')[2]}_bias")
    if bias is not None and rows != columns:
        return "bio" if bias.shape[-1:] == (columns,) else "boi"
    wide, down = seen.beside.get("gate_up_proj"), seen.beside.get("down_proj")
    if wide is not None and down is not None and wide.shape[1:2] == down.shape[2:3] and wide.shape[1] != wide.shape[2]:
        return "bio" if wide.shape[2] == 2 * down.shape[1] else "boi"
    return "boi"
