"""Checks for quantized weights that were filled like plain ones.

No rule fixes them: codes and scales are computed from the original weight, which is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from initctl.diagnosing.check import Check, Fault

if TYPE_CHECKING:
    from initctl.diagnosing.examination import Examination
    from initctl.planning.quantized_weights import QuantizedWeight
    from initctl.statistics import TensorStatistics
    from initctl.statistics.histogram import Histogram

_SIGNED = frozenset({"MLX", "HIGGS", "AQLM", "VPTQ", "EXL3", "QuIP#"})
"""Schemes whose scales may be negative."""
_UNEVEN = ("GPTQ", "AWQ", "bitsandbytes 8-bit", "compressed-tensors", "quanto", "int8 with a scale")
"""Schemes whose codes are mostly near the middle: they divide the range of normal weights into equal steps."""
_SCALES = ("absmax", "SCB")
_EVEN = 3.0
"""If the codes are uniform, chi-squared divided by its degrees of freedom is hardly ever larger than this."""
_FEWEST = 1024
_REACH = 0.25
"""Codes reach at least this share of the range of float8: a scale is chosen so that its largest code is at the end."""


def _scales(examination: Examination) -> Iterator[Fault]:
    for weight, found in _parts(examination):
        last = found.tensor.name.rpartition(".")[2]
        is_scale = ("scale" in last or last in _SCALES) and found.tensor.dtype.kind == "float"
        if is_scale and weight.scheme not in _SIGNED and found.moments.finite and found.moments.least < 0:
            message = f"holds negative scales, down to {found.moments.least:.3g} ({weight.scheme})"
            yield Fault(found.tensor.name, message, None)


def _codes(examination: Examination) -> Iterator[Fault]:
    for weight, found in _parts(examination):
        if found.tensor.name != weight.parts[0] or len(weight.parts) == 1 or found.moments.numbers < _FEWEST:
            continue
        dtype, largest = found.tensor.dtype, found.moments.largest
        is_uneven = dtype.kind == "integer" and weight.scheme in _UNEVEN
        if is_uneven and found.histogram and _is_even(found.histogram):
            yield Fault(found.tensor.name, f"holds codes that are uniformly distributed ({weight.scheme})", None)
        elif dtype.kind == "float" and dtype.bits == 8 and largest < _REACH * dtype.largest:
            message = f"holds no code above {largest:.3g}, but {dtype.name} reaches {dtype.largest:g} ({weight.scheme})"
            yield Fault(found.tensor.name, message, None)


def _parts(examination: Examination) -> Iterator[tuple[QuantizedWeight, TensorStatistics]]:
    quantized = examination.around.quantized
    return ((quantized[f.tensor.name], f) for f in examination.everything if f.tensor.name in quantized)


def _is_even(histogram: Histogram) -> bool:
    """Whether chance explains how much the counts of its bins differ: the chi-squared test."""
    counts = histogram.counts.astype(np.float64)
    even = counts.mean()
    return bool(np.square(counts - even).sum() / even < _EVEN * (len(counts) - 1))


QUANTIZED = (
    Check(
        "quantized.scale",
        "warning",
        "negative scales of a quantized weight",
        "Scales are magnitudes: a negative one flips the signs of a whole group of weights. Quantize the model again.",
        "GPTQModel, AutoAWQ, compressed-tensors: scales follow from the range of a group",
        _scales,
    ),
    Check(
        "quantized.codes",
        "warning",
        "random codes of a quantized weight",
        "Codes are meaningful only together with their scales. Quantize the model again.",
        "GPTQModel, compressed-tensors, DeepSeek-V3: codes use the range that their scale gives them",
        _codes,
    ),
)
