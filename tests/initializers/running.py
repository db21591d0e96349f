"""Initializers run on one tensor, as a plan runs them."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from initctl.dtypes import BY_NAME
from initctl.initializers import REGISTRY, Resolved
from initctl.initializers.complex import on_complex
from initctl.rules import parse_call
from initctl.stream import Law, WholeLaw
from initctl.stream.draws import Draws
from initctl.stream.engines import Engine, LawRun
from initctl.tensors import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAME = "fc1.weight"
DRAWS = Draws.of(0, NAME)


def resolve(call: str, shape: tuple[int, ...], dtype: str = "float32") -> Resolved:
    """What `call` gives a tensor of that shape."""
    kind = BY_NAME[dtype]
    tensor = TensorSpec.contiguous(NAME, kind, shape, "f", 0)
    resolved = REGISTRY.bind(parse_call(call)).resolve(tensor)
    return Resolved(on_complex(resolved.law), resolved.numbers) if kind.kind == "complex" else resolved


def fill_of(call: str, shape: tuple[int, ...], dtype: str = "float32", draws: Draws = DRAWS) -> Law:
    """What fills the tensor, prepared where it must be."""
    law = resolve(call, shape, dtype).law
    return law.prepared(draws) if isinstance(law, WholeLaw) else law


def values(call: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The values of a float32 tensor of that shape."""
    return fill_of(call, shape).values(DRAWS, 0, prod(shape)).reshape(shape)


def stored(call: str, shape: tuple[int, ...], dtype: str = "float32") -> bytes:
    """The tensor's bytes."""
    kind = BY_NAME[dtype]
    count = prod(shape) * kind.parts
    out = np.empty(count * kind.width, np.uint8)
    Engine().fill([LawRun(fill_of(call, shape, dtype), DRAWS.key, 0, count, kind)], out)
    return out.tobytes()
