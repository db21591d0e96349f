"""Statistics of tensors, as a table, by layer, and as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from initctl.display.blocks import blocks
from initctl.display.colors import BAD, WARNED
from initctl.display.folding import by_depth, folded_rows
from initctl.display.tables import Displayed, Listing, Unwrapped, count, shape_text, size_text
from initctl.errors import shown
from initctl.statistics.histogram import Histogram
from initctl.stream.engines import Moments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from initctl.display.folding import Folded, FoldedRow
    from initctl.display.tables import Report
    from initctl.formats import Checkpoint
    from initctl.statistics.tensor import TensorStatistics

_HEADING = ("tensor", "shape", "dtype", "mean", "std", "min", "max", "distribution", "")
_RIGHT = ("mean", "std", "min", "max")
_SPARE = (("dtype",), ("shape",), ("min", "max"), ("mean",))
_LAYERS_HEADING = ("tensor", "layers", "std", "from", "to", "norm", "from", "to")
_DEEPEST = 32
"""The largest number of blocks in the drawing of a series."""


@dataclass(frozen=True, repr=False)
class Statistics(Displayed):
    """Statistics of each of the `tensors` of a `checkpoint`."""

    checkpoint: Checkpoint
    tensors: tuple[TensorStatistics, ...]

    def to_json(self) -> dict[str, Any]:
        """As the `data` of a JSON document."""
        return {"tensors": [found.to_json() for found in self.tensors]}

    def report(self, *, unfold: bool = False) -> Report:
        """One row for each tensor, with its distribution. Many tensors share a row and its numbers, unless `unfold`."""
        rows = folded_rows(self.tensors, _name, _kind, unfold=unfold)
        table = Listing(_HEADING, list(map(_cells, rows)), _RIGHT, spare=_SPARE, styles=list(map(_style, rows)))
        elements = sum(found.tensor.numel for found in self.tensors)
        nbytes = sum(found.tensor.nbytes for found in self.tensors)
        totals = f"{count(len(self.tensors), 'tensor')}, {count(elements, 'element')}, {size_text(nbytes)}"
        return [table, *self._digests(), "", totals]

    def by_layer(self) -> Report:
        """How the spread and the norm change with depth, for tensors whose names differ only in layer numbers."""
        finite = ((found.tensor.name, found.moments) for found in self.tensors if found.moments.finite)
        rows = [_layers(names, moments) for names, moments in by_depth(finite)]
        if not rows:
            return ["no two tensors differ only in their layer numbers", *self._digests()]
        table = Listing(_LAYERS_HEADING, rows, right=("layers", "from", "to"))
        return [table, *self._digests()]

    def _digests(self) -> list[str]:
        """A blank line and one line for each digest, if there are any."""
        lines = [Unwrapped(f"{found.digest}  {shown(found.tensor.name)}") for found in self.tensors if found.digest]
        return ["", *lines] if lines else []


def _name(of: TensorStatistics) -> str:
    return of.tensor.name


def _kind(of: TensorStatistics) -> tuple[object, ...]:
    """A key that is equal for tensors that may share a row. A layer with NaN, with Inf, or of zeros has its own."""
    moments = of.moments
    is_zero = moments.zeros == moments.numbers
    return of.tensor.shape, of.tensor.dtype, of.unreadable, moments.nan > 0, moments.infinite > 0, is_zero


def _cells(row: FoldedRow[TensorStatistics]) -> tuple[str, ...]:
    first, *others = row.members
    kind = shape_text(first.tensor.shape), first.tensor.dtype.name
    if first.unreadable:
        return row.name, *kind, "-", "-", "-", "-", "", first.unreadable
    moments = sum((member.moments for member in row.members), Moments())
    histogram = Histogram.merged(member.histogram for member in row.members) if others else first.histogram
    drawn = histogram.drawn() if histogram else ""
    return row.name, *kind, *_numbers(moments), drawn, besides(moments)


def _style(row: FoldedRow[TensorStatistics]) -> str:
    """What cannot be read, and what is not finite, can be seen."""
    if row.members[0].unreadable:
        return WARNED
    return BAD if any(member.moments.nan or member.moments.infinite for member in row.members) else ""


def _layers(names: Folded, layers: Sequence[Moments]) -> tuple[str, ...]:
    cells: list[str] = []
    for values in ([moments.std for moments in layers], [moments.l2 for moments in layers]):
        step = -(-len(values) // _DEEPEST)
        cells += (blocks(values[::step]), number(values[0]), number(values[-1]))
    return names.shown(), str(len(layers)), *cells


def _numbers(moments: Moments) -> tuple[str, ...]:
    if not moments.finite:
        return ("-",) * 4
    return tuple(map(number, (moments.mean, moments.std, moments.least, moments.greatest)))


def number(value: float) -> str:
    return f"{value:.4g}"


def besides(moments: Moments) -> str:
    """The counts of unusual numbers, in words."""
    counts: Iterable[tuple[int, str]] = (
        (moments.nan, "NaN"),
        (moments.infinite, "Inf"),
        (moments.zeros, "zero" if moments.zeros == 1 else "zeros"),
        (moments.subnormal, "subnormal"),
    )
    return ", ".join(f"{amount:,} {word}" for amount, word in counts if amount)
