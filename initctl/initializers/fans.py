"""Fan-in and fan-out: how many inputs reach an output of a layer, and how many outputs an input reaches.

As torch computes them, from `[out, in, *kernel]`, unless a layout says what each dim stands for. A layout has one
letter a dim: `o` out, `i` in, `k` kernel, `b` batch (independent matrices, which torch would take for outputs).
`io` is GPT-2's Conv1D, `boi` a stack of experts.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from initctl.initializers.initializer import Unfit


class Fans(NamedTuple):
    """Both counts, of elements."""

    fan_in: int
    fan_out: int


def fans(shape: tuple[int, ...], layout: str | None = None) -> Fans:
    """The fans of a tensor. Raises `Unfit` below two dims and where the layout has another number of letters."""
    letters = layout_of(shape, layout)
    out, into, kernel = (
        prod(size for size, letter in zip(shape, letters, strict=True) if letter == wanted) for wanted in "oik"
    )
    return Fans(into * kernel, out * kernel)


def layout_of(shape: tuple[int, ...], layout: str | None) -> str:
    """One letter for each dim of `shape`; torch's own layout where none is given. Raises `Unfit`."""
    if len(shape) < 2:
        dims = "1 dim" if len(shape) == 1 else f"{len(shape)} dims"
        raise Unfit(f"inputs and outputs take at least 2 dims, and it has {dims}")
    if layout is None:
        return "oi" + "k" * (len(shape) - 2)
    if len(layout) != len(shape):
        raise Unfit(f"layout={layout} has {len(layout)} letters for {len(shape)} dims")
    return layout
