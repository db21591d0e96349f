"""Checks for spreads: compared with the family's law, or with what Xavier and Kaiming give for the fans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache, partial
from math import inf, log10, prod, sqrt
from typing import TYPE_CHECKING, NamedTuple

from initctl.diagnosing.check import Check, Fault
from initctl.diagnosing.examination import LAYERS, RANDOM, Examination, Examined
from initctl.grouping import grouped

if TYPE_CHECKING:
    from initctl.tensors import Fans

_FROM_LAW = 1.5
"""With a family, a spread is a fault if it is larger or smaller than that of the law by more than this factor."""
_ABOVE, _BELOW = 4.5, 30
"""Without a family, a spread is a fault if it is larger than the largest of the usual laws by more than the first
factor, or smaller than the smallest by more than the second. In fresh models of 404 types of transformers, these
factors are at most 4.1 and 17, except in a few that draw with a standard deviation of 1 or 1e-10.
"""
_NOISE = 6
"""Standard errors that chance may add."""
_OFFSET = 0.3
"""A mean is off center if it is larger than this share of the standard deviation."""
_SLACK = 0.01
"""Share by which rounding may move a bound."""
_LARGE = 0.3
"""Embeddings are large above this standard deviation: the same models have at most 0.13, except for T5 and the like."""
_VANISHED = 1e-4
"""A signal vanishes if it is multiplied by less than this, and explodes if by more than the inverse."""
_LAST_NUMBER = re.compile(r"[0-9]+(?=[^0-9]*$)")
_CENTERED = RANDOM - {"positional", "token"}
"""Roles whose laws are centered at 0. Positions may be sines, and masks of speech begin between 0 and 1."""


class _Range(NamedTuple):
    """The usual spreads, and a clause that says where they come from."""

    low: float
    high: float
    source: str


def _far(examination: Examination, *, is_large: bool) -> Iterator[Fault]:
    for subject in examination.random:
        std, usual = subject.moments.std, _usual(subject)
        is_judged = is_large or subject.is_of_family or subject.role != "head"  # a head may begin near zero on purpose
        if (
            usual
            and is_judged
            and (std > usual.high * _noise(subject) if is_large else std < usual.low / _noise(subject))
        ):
            size = "large" if is_large else "small"
            yield Fault(subject.name, f"has too {size} a spread: {_said(subject, usual)}", subject.remedy)


def _usual(subject: Examined) -> _Range | None:
    """The spreads that are not a fault: near the family's law, or not far from all usual laws for such fans."""
    law = subject.expected
    if subject.is_of_family:
        if law is None or not law.std:
            return None
        return _Range(law.std / _FROM_LAW, law.std * _FROM_LAW, f"{subject.suggestion.initializer} gives {law.std:.3g}")
    fans = subject.tensor.fans if subject.role in (*LAYERS, "head") else None
    return _by_fans(fans, *subject.lawful_stds) if fans and prod(fans) else None


@lru_cache(1024)
def _by_fans(fans: Fans, *stds: float) -> _Range:
    """The range of Xavier, LeCun and Kaiming, the suggested law, and torch's own law."""
    spreads = [*stds, sqrt(2 / sum(fans)), *(sqrt(gain / fan) for fan in fans for gain in (1, 2))]
    low, high = min(spreads), max(spreads)
    return _Range(low / _BELOW, high * _ABOVE, f"usual initializers give {low:.3g} to {high:.3g} for its fans")


def _said(subject: Examined, usual: _Range) -> str:
    std, fans = subject.moments.std, subject.tensor.fans
    gain = "" if subject.is_of_family or not fans else f" (gain {std * sqrt(fans.fan_in):.3g} at fan_in {fans.fan_in})"
    return f"its standard deviation is {std:.3g}{gain}, but {usual.source}"


def _noise(subject: Examined) -> float:
    """The factor by which chance may change a standard deviation."""
    return 1 + _NOISE / sqrt(2 * subject.moments.numbers)


def _off_center(examination: Examination) -> Iterator[Fault]:
    for subject in examination.random:
        moments, center = subject.moments, subject.expected.mean if subject.expected else 0
        allowed = moments.std * (_OFFSET + _NOISE / sqrt(moments.numbers))
        if subject.role in _CENTERED and abs(moments.mean - center) > allowed:
            message = f"is not centered: its mean is {moments.mean:.3g}, its standard deviation {moments.std:.3g}"
            yield Fault(subject.name, message, subject.remedy)


def _embedding(examination: Examination) -> Iterator[Fault]:
    for subject in examination.random:
        std = subject.moments.std
        if subject.role == "embedding" and not subject.is_of_family and std > _LARGE:
            yield Fault(subject.name, f"is large for an embedding: its standard deviation is {std:.3g}", subject.remedy)


def _uncut(examination: Examination) -> Iterator[Fault]:
    for subject in examination.random:
        law, moments = subject.expected, subject.moments
        slack = _SLACK * law.std if law else 0
        if law and law.is_cut and (moments.least < law.low - slack or moments.greatest > law.high + slack):
            message = (
                f"is not truncated: it ranges from {moments.least:.3g} to {moments.greatest:.3g}, but "
                f"{subject.suggestion.initializer} is cut at {law.low:.3g} and {law.high:.3g}"
            )
            yield Fault(subject.name, message, subject.remedy)


def _depth(examination: Examination) -> Iterator[Fault]:
    """Layers of a chain that multiply the signal too much or too little, if there are no norms between them."""
    if not set(examination.roles.values()) <= {"linear", "conv", "head", "bias"}:
        return
    for chain in grouped(_ratios(examination)).values():
        product = sum(log10(ratio) for _, ratio in chain)
        if len(chain) < 2 or abs(product) < -log10(_VANISHED):
            continue
        becomes = "vanishes" if product < 0 else "explodes"
        for subject, ratio in chain:
            if (ratio < 1) == (product < 0) and not 1 / _FROM_LAW < ratio < _FROM_LAW:
                message = (
                    f"multiplies the signal by {ratio:.3g}, and the signal {becomes}: "
                    f"{len(chain)} layers multiply it by {10**product:.1g}"
                )
                yield Fault(subject.name, message, subject.remedy)


def _ratios(examination: Examination) -> Iterator[tuple[str, tuple[Examined, float]]]:
    """Each layer with its spread, relative to the spread that keeps the signal; and the name of its chain. Names in a
    chain differ only in their last number. So other networks in the same file, and layers of a block, are other chains.
    """
    for subject in examination.random:
        if subject.expected and 0 < subject.expected.std < inf:
            yield _LAST_NUMBER.sub("#", subject.name), (subject, subject.moments.std / subject.expected.std)


_GLOROT = "Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks (2010)"
_HE = "He, Zhang, Ren, Sun: Delving deep into rectifiers (2015)"

SPREAD = (
    Check(
        "spread.large",
        "warning",
        "a spread far above the usual",
        "Outputs grow with every such layer: activations saturate or overflow, and training diverges.",
        _HE,
        partial(_far, is_large=True),
        only_fresh=True,
    ),
    Check(
        "spread.small",
        "warning",
        "a spread far below the usual",
        "Outputs shrink with every such layer, and so do the gradients of all earlier layers.",
        _GLOROT,
        partial(_far, is_large=False),
        only_fresh=True,
    ),
    Check(
        "spread.mean",
        "warning",
        "weights that are not centered",
        "The mean adds the same to all units. This grows with the number of inputs, and hides how units differ.",
        "LeCun, Bottou, Orr, Müller: Efficient BackProp (1998), 4.6",
        _off_center,
        only_fresh=True,
    ),
    Check(
        "spread.depth",
        "warning",
        "a signal that vanishes or explodes over depth",
        "Without norms, the gains of all layers multiply: forward for activations, backward for gradients.",
        f"{_GLOROT}; {_HE}",
        _depth,
        only_fresh=True,
    ),
    Check(
        "spread.truncation",
        "warning",
        "a truncated normal that truncates nothing",
        "The bounds of torch's trunc_normal_ are absolute: at std=0.02, the default of ±2 is 100 standard deviations.",
        "torch.nn.init.trunc_normal_",
        _uncut,
        only_fresh=True,
    ),
)
LARGE_EMBEDDINGS = Check(
    "embeddings.large",
    "warning",
    "embeddings with a large spread",
    "torch's nn.Embedding has a standard deviation of 1: inputs are large, and so are logits if it is tied.",
    "Radford et al.: Language models are unsupervised multitask learners (2019); torch.nn.Embedding",
    _embedding,
    only_fresh=True,
)
