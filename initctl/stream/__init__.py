"""Value stream v1: a value depends only on the seed, the tensor's name and the element's index.

    key.py             (seed, tensor name) -> Philox key
    philox.py          (key, block) -> four 32-bit words
    elementary.py      ln, sine and cosine, normal quantile in float32: the same bits on every processor
    elementary64.py    exp, ln, sine and cosine in float64: also the same bits
    draws.py           the random numbers of one tensor, by element index
    protocols.py       interfaces of laws, and of old values
    laws.py            random laws: uniform, normal, truncated normal, log-uniform; and several laws side by side
    deterministic_laws.py  without random numbers: constants, NaN, tables, diagonals, sinusoids, logarithms, Hadamard
    old_values.py      laws that compute new values from old ones
    orthonormal.py     normal matrices -> matrices with orthonormal rows or columns
    torch_generator.py torch's own random numbers, with rng=torch
    torch_draw.py      laws of torch.nn.init, drawn from them
    devices.py         the name of the processor, and when a GPU is worth starting
    engines            values -> the bytes of a dtype: the readable reference, compiled loops, and torch on a GPU

Integer steps are exact. Float steps use only IEEE add, subtract, multiply, divide, square root, conversion and
comparison, each rounded once.
"""

from initctl.stream.deterministic_laws import SAME_EVERYWHERE, Constant, NotANumber, Table
from initctl.stream.laws import Fused, Normal, TruncNormal, Uniform, ZeroedNormal
from initctl.stream.protocols import AnyLaw, Deterministic, Law, Old, Overflow, RevisingLaw, Source, WholeLaw

__all__ = [
    "SAME_EVERYWHERE",
    "AnyLaw",
    "Constant",
    "Deterministic",
    "Fused",
    "Law",
    "Normal",
    "NotANumber",
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
