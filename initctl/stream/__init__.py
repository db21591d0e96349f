"""Value stream v1: what makes a value depend on the seed, the tensor's name and the element's index alone.

    key.py             (seed, tensor name) -> Philox key
    philox.py          (key, block) -> four 32-bit words
    elementary.py      ln, sine and cosine, normal quantile in float32: the same bits on every processor
    elementary64.py    exp, ln, sine and cosine in float64, likewise
    draws.py           the random numbers of one tensor, by element index
    protocols.py       what a law is, and what it is computed from
    laws.py            the laws: constant, uniform, normal, truncated normal, and what tables hold
    formulas.py        laws in float64: log-uniform, sinusoids, logarithms
    old_values.py      laws on what tensors hold
    fused.py           several laws side by side in one tensor
    orthonormal.py     normal matrices -> matrices with orthonormal rows or columns
    torch_generator.py torch's own random numbers, for those who ask for them
    torch_draw.py      laws of torch.nn.init, drawn from those
    devices.py         what devices are called, and when a GPU is worth starting
    encode.py          float32 values -> the bytes of a dtype
    engines            the same once more, fast: compiled loops, and torch operations on a GPU

Integer steps are exact. Float steps use only IEEE add, subtract, multiply, divide, square root, conversion and
comparison, each rounded once. What stands here is the readable reference, in NumPy.
"""

from typing import TYPE_CHECKING

from initctl.stream.fused import Fused
from initctl.stream.laws import Constant, Normal, Table, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.protocols import AnyLaw, Deterministic, Law, Old, Overflow, RevisingLaw, Source, WholeLaw

if TYPE_CHECKING:
    from initctl.stream.draws import Draws

__all__ = [
    "AnyLaw",
    "Constant",
    "Deterministic",
    "Draws",
    "Fused",
    "Law",
    "Normal",
    "Old",
    "Overflow",
    "RevisingLaw",
    "Source",
    "Table",
    "TruncNormal",
    "Uniform",
    "WholeLaw",
    "ZeroedNormal",
]


def __getattr__(name: str) -> type:
    """`Draws` loads NumPy; laws are data, and a plan of them needs none."""
    if name != "Draws":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from initctl.stream.draws import Draws

    return Draws
