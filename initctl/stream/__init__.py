"""Value stream v1: what makes a value depend on the seed, the tensor's name and the element's index alone.

    key.py             (seed, tensor name) -> Philox key
    philox.py          (key, block) -> four 32-bit words
    elementary.py      ln, sine and cosine, normal quantile in float32: the same bits on every processor
    elementary64.py    exp, ln, sine and cosine in float64, likewise
    draws.py           the random numbers of one tensor, by element index
    protocols.py       what a law is, and what it is computed from
    laws.py            random laws: uniform, normal, truncated normal, log-uniform; and several laws side by side
    deterministic_laws.py  those that draw nothing: constants, tables, diagonals, sinusoids, logarithms, Hadamard
    old_values.py      laws on what tensors hold
    orthonormal.py     normal matrices -> matrices with orthonormal rows or columns
    torch_generator.py torch's own random numbers, for those who ask for them
    torch_draw.py      laws of torch.nn.init, drawn from those
    devices.py         what devices are called, and when a GPU is worth starting
    engines            values -> the bytes of a dtype: the readable reference, compiled loops, and torch on a GPU

Integer steps are exact. Float steps use only IEEE add, subtract, multiply, divide, square root, conversion and
comparison, each rounded once.
"""

from initctl.stream.deterministic_laws import Constant, Table
from initctl.stream.laws import Fused, Normal, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.protocols import AnyLaw, Deterministic, Law, Old, Overflow, RevisingLaw, Source, WholeLaw

__all__ = [
    "AnyLaw",
    "Constant",
    "Deterministic",
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
