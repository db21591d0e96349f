"""Fan-in and fan-out: how many inputs reach an output of a layer, and how many outputs an input reaches.

As torch computes them, from `[out, in, *kernel]`, unless a rule says how a weight lies:

    layout       one letter a dim: `o` out, `i` in, `k` kernel, `b` batch (independent weights, which torch would take
                 for outputs). `io` is GPT-2's Conv1D, `boi` a stack of experts
    transposed   a transposed convolution, `[in, out / groups, *kernel]`
    groups       groups of a convolution, `[out, in / groups, *kernel]`, of which none sees another's inputs
    split        a fused weight of several one after another along the outputs: so many equal ones (`3` for queries,
                 keys and values), or of these sizes in proportion (`4:1:1`)

Groups and equal parts are a batch dim of their own; unequal parts are weights of their own.
"""

from __future__ import annotations

from math import gcd, prod
from typing import NamedTuple, TypedDict, cast

from initctl.errors import Problem, RuleError
from initctl.initializers.initializer import Arguments, Unfit
from initctl.tensors import Fans

_MANY = {"o": "outputs", "i": "inputs"}


class Arrangement(TypedDict, total=False):
    """How a rule says that a weight is laid out."""

    layout: str | None
    transposed: str
    groups: int
    split: str | None


def arrangement_of(arguments: Arguments) -> Arrangement:
    return cast("Arrangement", {key: arguments[key] for key in Arrangement.__annotations__ if key in arguments})


class Weight(NamedTuple):
    """One weight, or several alike in batch dims: a shape that gives each dim one meaning, and the letters of these."""

    shape: tuple[int, ...]
    letters: str

    def size(self, wanted: str) -> int:
        """Places along the dims of one letter."""
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
        """With a batch dim of `count` split off the one dim of `letter`; `into` names what that is. Raises `Unfit`."""
        axis = self._axis(letter)
        size, rest = self.shape[axis], self.shape[axis + 1 :]
        if size % count:
            raise Unfit(f"its {size} {_MANY[letter]} do not divide into {count} {into}")
        letters = f"{self.letters[:axis]}b{self.letters[axis:]}"
        return Weight((*self.shape[:axis], count, size // count, *rest), letters)

    def parted(self, proportion: tuple[int, ...]) -> tuple[Weight, ...]:
        """Weights one after another along the outputs. Raises `Unfit`."""
        axis = self._axis("o")
        unit, rest = divmod(self.shape[axis], sum(proportion))
        if rest:
            raise Unfit(f"its {self.shape[axis]} outputs do not divide as {':'.join(map(str, proportion))}")
        before, behind = self.shape[:axis], self.shape[axis + 1 :]
        return tuple(Weight((*before, unit * share, *behind), self.letters) for share in proportion)

    def _axis(self, letter: str) -> int:
        if self.letters.count(letter) > 1:
            raise Unfit(f"layout={self.letters} has more than one {letter}, and groups and parts divide one dim")
        return self.letters.index(letter)


def weights(
    shape: tuple[int, ...],
    *,
    layout: str | None = None,
    transposed: str = "false",
    groups: int = 1,
    split: str | None = None,
) -> tuple[Weight, ...]:
    """The weights of different fans that a tensor of `shape` holds, in order of their outputs: nearly always one.

    Raises `Unfit` as `layout_of` does, and where groups or parts do not divide the dim that they are of.
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
    """One letter for each dim of `shape`; torch's own layout where none is given. Raises `Unfit`."""
    needs = f"ndim == {len(layout)}" if layout and len(layout) > 1 else "ndim >= 2"
    if len(shape) < 2:
        dims = "1 dim" if len(shape) == 1 else f"{len(shape)} dims"
        raise Unfit(f"it needs at least 2 dims (inputs and outputs), and the tensor has {dims}", needs=needs)
    if layout is None:
        return "oi" + "k" * (len(shape) - 2)
    if len(layout) != len(shape):
        raise Unfit(f"layout={layout} has {len(layout)} letters for {len(shape)} dims", needs=needs)
    return layout


def check_arrangement(arguments: Arguments) -> None:
    """Refuse what would say the same thing in two ways, or leaves open whether groups hold parts or parts groups."""
    if arguments.get("transposed") == "true" and "layout" in arguments:
        raise _contradiction("layout and transposed do not go together", "a layout may say io, and k for the rest")
    if arguments.get("groups", 1) != 1 and "split" in arguments:
        raise _contradiction("groups and split do not go together")


def check_equal_parts(arguments: Arguments) -> None:
    """The same, and refuse unequal parts."""
    check_arrangement(arguments)
    split = arguments.get("split")
    if split is not None and _parts(str(split))[1]:
        raise _contradiction(f"split={split}: each part is a matrix of its own, and all must be equal")


def _parts(split: str | None) -> tuple[int, tuple[int, ...]]:
    """How many equal parts; or 1, and the sizes of unequal ones in proportion."""
    sizes = tuple(map(int, split.split(":"))) if split else (1,)
    if len(sizes) == 1:
        return sizes[0], ()
    unit = gcd(*sizes)
    return (len(sizes), ()) if len(set(sizes)) == 1 else (1, tuple(size // unit for size in sizes))


def _contradiction(message: str, hint: str | None = None) -> RuleError:
    return RuleError(Problem("rule.parameter", message, hint))
