"""Statistics of one tensor."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from initctl.statistics.histogram import Histogram
    from initctl.stream.engines.moments import Moments
    from initctl.tensors import TensorSpec


class TensorStatistics(NamedTuple):
    """The `moments` of a `tensor`, and the `histogram` of a sample of it, if it has a finite number.

    Numbers are its elements, or the real and imaginary parts of complex elements. `digest` is the SHA-256 of its bytes
    in row-major order, if it was requested. If the tensor could not be measured, `unreadable` says why.
    """

    tensor: TensorSpec
    moments: Moments
    histogram: Histogram | None = None
    digest: str | None = None
    unreadable: str | None = None

    def to_json(self) -> dict[str, Any]:
        tensor = self.tensor
        return {"name": tensor.name, "dtype": tensor.dtype.name, "shape": list(tensor.shape), **self.measures()}

    def measures(self) -> dict[str, Any]:
        """Everything that was measured, for JSON."""
        return {
            **self.numbers(),
            "histogram": self.histogram.to_json() if self.histogram else None,
            "digest": self.digest,
            "unreadable": self.unreadable,
        }

    def numbers(self) -> dict[str, Any]:
        """The moments, for JSON."""
        moments, is_known = self.moments, self.moments.finite > 0
        return {
            "count": moments.numbers,
            "mean": _finite(moments.mean),
            "std": _finite(moments.std),
            "min": moments.least if is_known else None,
            "max": moments.greatest if is_known else None,
            "absmax": _finite(moments.largest),
            "l2": _finite(moments.l2) if is_known else None,
            "nan": moments.nan,
            "inf": moments.infinite,
            "zeros": moments.zeros,
            "subnormal": moments.subnormal,
        }


def _finite(number: float) -> float | None:
    """`number`, or None if JSON cannot hold it."""
    return number if isfinite(number) else None
