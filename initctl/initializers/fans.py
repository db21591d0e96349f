"""Fan-in and fan-out: how many inputs reach an output of a layer, and how many outputs an input reaches.

As torch computes them, from `[out, in, *kernel]`, unless a rule gives another arrangement:

    layout       one letter a dim: `o` out, `i` in, `k` kernel, `b` batch (independent weights, which torch would count
                 as outputs). `io` is GPT-2's Conv1D, `boi` a stack of experts
    transposed   a transposed convolution, `[in, out / groups, *kernel]`
    groups       groups of a convolution, `[out, in / groups, *kernel]`: each sees only its own inputs
    split        a fused weight, several weights one after another along the outputs: a number of equal ones (`3` for
                 queries, keys and values), or their sizes in proportion (`4:1:1`)

Groups and equal parts become a batch dim; unequal parts become separate weights.
"""

from __future__ import annotations

from math import gcd, prod
from typing import NamedTuple, TypedDict, cast

from initctl.errors import Problem, RuleError
from initctl.initializers.initializer import Arguments, Unfit
from initctl.tensors import Fans

_MANY = {"o": "outputs", "i": "inputs"}


class Arrangement(TypedDict, total=False):
    """The arguments of a rule that describe the layout of a weight."""

    layout: str | None
    transposed: str
    groups: int
    split: str | None


def arrangement_of(arguments: Arguments) -> Arrangement:
    return cast("Arrangement", {key: arguments[key] for key in Arrangement.__annotations__ if key in arguments})


class Weight(NamedTuple):
    """One weight, or several equal ones in batch dims: its shape, and one letter for the meaning of each dim."""

    shape: tuple[int, ...]
    letters: str

    def size(self, wanted: str) -> int:
        """The product of the dims with the letter `wanted`."""
        return prod(size for size, letter in zip(self.shape, self.letters, strict=True) if letter == wanted)

    @property
    def fans(self) -> Fans:
        kernel = self.size("k")
        return Fans(self.size("i") * kernel, self.size("o") * kernel)

    @property
    def inner(self) -> int:
        """Elements from one output to the next."""
        return prod(self.shape[self.letters.index("o") + 1 :])

    def divided(self, letter: str, count: int, into: str) -> Weight:
        """With a batch dim of `count` split off the dim of `letter`; messages call it `into`. Raises `Unfit`."""
        axis = self._axis(letter)
        size, rest = self.shape[axis], self.shape[axis + 1 :]
        if size % count:
            raise Unfit(f"its {size} {_MANY[letter]} cannot be divided into {count} {into}")
        letters = f"{self.letters[:axis]}b{self.letters[axis:]}"
        return Weight((*self.shape[:axis], count, size // count, *rest), letters)

    def parted(self, proportion: tuple[int, ...]) -> tuple[Weight, ...]:
        """Weights one after another along the outputs. Raises `Unfit`."""
        axis = self._axis("o")
        unit, rest = divmod(self.shape[axis], sum(proportion))
        if rest:
            raise Unfit(f"its {self.shape[axis]} outputs cannot be divided as {':'.join(map(str, proportion))}")
        before, behind = self.shape[:axis], self.shape[axis + 1 :]
        return tuple(Weight((*before, unit * share, *behind), self.letters) for share in proportion)

    def _axis(self, letter: str) -> int:
        if self.letters.count(letter) > 1:
            raise Unfit(f"layout={self.letters} has more than one {letter}, but groups and parts divide a single dim")
        return self.letters.index(letter)


def weights(
    shape: tuple[int, ...],
    *,
    layout: str | None = None,
    transposed: str = "false",
    groups: int = 1,
    split: str | None = None,
) -> tuple[Weight, ...]:
    """The weights with different fans in a tensor of `shape`, in the order of their outputs: nearly always one.

    Raises `Unfit` as `layout_of` does, and if groups or parts do not divide their dim evenly.
    """
    is_transposed = transposed == "true"
    weight = Weight(shape, layout_of(shape, "io" + "k" * (len(shape) - 2) if is_transposed else layout))
    if groups > 1:
        weight = weight.divided("i" if is_transposed else "o", groups, "groups")
    count, proportion = _parts(split)
    if proportion:
        return weight.parted(proportion)
    return (weight.divided("o", count, "parts") if count > 1 else weight,)


def layout_of(shape: tuple[int, ...], layout: str | None) -> str:
    """One letter for each dim of `shape`; by default torch's own layout. Raises `Unfit`."""
    needs = f"ndim == {len(layout)}" if layout and len(layout) > 1 else "ndim >= 2"
    if len(shape) < 2:
        dims = "1 dim" if len(shape) == 1 else f"{len(shape)} dims"
        raise Unfit(f"it needs at least 2 dims (inputs and outputs), but the tensor has {dims}", needs=needs)
    if layout is None:
        return "oi" + "k" * (len(shape) - 2)
    if len(layout) != len(shape):
        raise Unfit(f"layout={layout} has {len(layout)} letters for {len(shape)} dims", needs=needs)
    return layout


def check_arrangement(arguments: Arguments) -> None:
    """Refuse two ways of saying the same, and groups with parts, whose nesting would be ambiguous."""
    if arguments.get("transposed") == "true" and "layout" in arguments:
        raise _contradiction("layout and transposed exclude each other", "write layout=io…, with k for the kernel dims")
    if arguments.get("groups", 1) != 1 and "split" in arguments:
        raise _contradiction("groups and split exclude each other")


def check_equal_parts(arguments: Arguments) -> None:
    """As `check_arrangement`, and refuse unequal parts."""
    check_arrangement(arguments)
    split = arguments.get("split")
    if split is not None and _parts(str(split))[1]:
        raise _contradiction(f"split={split}: all parts must have the same size")


def _parts(split: str | None) -> tuple[int, tuple[int, ...]]:
    """The number of equal parts; or 1, and the sizes of unequal parts in proportion."""
    sizes = tuple(map(int, split.split(":"))) if split else (1,)
    if len(sizes) == 1:
        return sizes[0], ()
    unit = gcd(*sizes)
    return (len(sizes), ()) if len(set(sizes)) == 1 else (1, tuple(size // unit for size in sizes))


def _contradiction(message: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("rule.parameter", message, hint))
