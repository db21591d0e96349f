"""Whether tensors follow the law of other samples: what is fixed in these is equal, what is drawn is alike.

Deviations are told in sigmas: how many standard errors a mean, a spread or a share lies off, and for the shape of a
distribution, the sigmas at which a normal variable would be as improbable. In 4,096 elements a spread that is 7 % off
lies 5 sigma off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri
from scipy.stats import ks_2samp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Tensors = Mapping[str, NDArray[np.generic]]

BOUND = 5.0
"""Sigmas."""
FLAT = 2.2
"""Kurtosis below which samples are those of a uniform law (1.8), whose range is known as well as its spread."""
FAR = 2.5
"""Standard deviations beyond which a normal law has 1.2 % of its values, and one that is cut at two has none."""
CHANCE = 3
"""Zeros that may be drawn: of a uniform law, one value in 2^24."""
ROUNDED = {"encoder.embed_positions.weight": 1e-5, "A_log": 3e-7}
"""Endings of tensors that transformers computes in float32, and how far off: their exact values are ours."""


@dataclass(frozen=True, order=True)
class Deviation:
    sigmas: float
    tensor: str
    statistic: str

    def __str__(self) -> str:
        return f"{self.sigmas:.1f} sigma: {self.statistic} of {self.tensor}"


NONE = Deviation(0, "", "")
"""Where nothing is drawn."""


@dataclass(frozen=True)
class Comparison:
    """How many tensors and elements were compared, and the worst of all deviations."""

    tensors: int
    elements: int
    worst: Deviation


def compare(tensors: Tensors, samples: Sequence[Tensors]) -> Comparison:
    """`tensors` against `samples` of the same names. Raises `AssertionError` where they deviate beyond `BOUND`."""
    assert all(set(tensors) == set(sample) for sample in samples)
    deviations: list[Deviation] = []
    for name, tensor in tensors.items():
        several = [sample[name] for sample in samples]
        assert all(tensor.shape == sample.shape and tensor.dtype == sample.dtype for sample in several), name
        deviations += _deviations(name, tensor.ravel(), np.stack([sample.ravel() for sample in several]))
    far = [deviation for deviation in sorted(deviations, reverse=True) if deviation.sigmas > BOUND]
    assert not far, "; ".join(map(str, far[:8]))
    return Comparison(len(tensors), sum(tensor.size for tensor in tensors.values()), max(deviations, default=NONE))


def _deviations(name: str, values: NDArray[np.generic], samples: NDArray[np.generic]) -> Iterator[Deviation]:
    """What of `values` deviates. An element that all `samples` agree on is fixed, and must be equal."""
    fixed = np.all(samples == samples[0], axis=0)
    allowed = next((bound for ending, bound in ROUNDED.items() if name.endswith(ending)), 0)
    wrong = abs(values[fixed] - samples[0][fixed]) > allowed
    assert not wrong.any(), f"{name}: {wrong.sum()} of {fixed.sum()} constants differ: {values[fixed][wrong][:3]}"
    if fixed.all():
        return
    drawn, others = values[~fixed].astype(float), samples[:, ~fixed].ravel().astype(float)
    assert (drawn == 0).sum() <= CHANCE, f"{name}: zeros stand where values should be drawn"
    yield from (Deviation(float(sigmas), name, statistic) for statistic, sigmas in statistics(drawn, others))


def statistics(drawn: NDArray[np.float64], samples: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """How far `drawn` lies off `samples` of the same law."""
    mean, std = samples.mean(), samples.std()
    kurtosis = np.mean((samples - mean) ** 4) / std**4
    error = np.sqrt(1 / drawn.size + 1 / samples.size)
    yield "mean", abs(drawn.mean() - mean) / (std * error)
    if drawn.size > 1:
        yield "spread", abs(drawn.std(ddof=1) - std) / (std * error * np.sqrt((kurtosis - 1) / 4))
    yield "shape", -ndtri(max(ks_2samp(drawn, samples).pvalue, 1e-300) / 2)
    far, share = (np.mean(abs(some - mean) > FAR * std) for some in (drawn, samples))
    if share * drawn.size > 20:
        yield "tails", abs(far - share) / (error * np.sqrt(share * (1 - share)))
    if kurtosis < FLAT:
        reach, widest = (abs(some - mean).max() for some in (drawn, samples))
        yield "range", max(reach / widest - 1, 0) * samples.size / 4
