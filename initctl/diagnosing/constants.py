"""Tensors that start from one number: norms from one or zero, biases from zero, running variances above zero."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import sqrt
from typing import TYPE_CHECKING

from initctl.diagnosing.check import Check, Fault
from initctl.diagnosing.expected import LawNumbers

if TYPE_CHECKING:
    from initctl.diagnosing.examination import Examination, Examined
    from initctl.stream.engines import Moments

NORM, BIAS, VARIANCE = "norm", "bias", "running_var"
_CLOSE = 0.15
"""Share by which a spread may be off, apart from chance."""
_NOISE = 6
_SLACK = 0.01
_FARTHEST = 0.5
"""The bound of torch's uniform law for the biases of a layer with 4 inputs: fewer inputs are not expected."""
_FEWEST = 16
"""Numbers that a bias has at least if its law can be recognized."""
_NEARLY_ZERO = 1e-4
"""What biases may begin at instead of 0: JAX's ViT draws them with a standard deviation of 1e-6."""


def is_as_made(subject: Examined) -> bool:
    """Whether a norm or a bias holds what it starts from: by its family's law, or else by any that is in use. Complex
    ones are not judged.
    """
    if subject.tensor.dtype.kind != "float" or (subject.expected and _gives(subject.expected, subject)):
        return True
    if subject.is_of_family:
        return subject.expected is None
    moments, customary = subject.moments, subject.customary
    if subject.role == BIAS:
        untold = _FARTHEST if moments.numbers < _FEWEST else _NEARLY_ZERO
        return moments.largest < untold or _gives(customary or _even(moments), subject)
    return (subject.is_constant and moments.least in (0, 1)) or (customary is not None and _gives(customary, subject))


def _even(moments: Moments) -> LawNumbers:
    """A law that is even as far as the numbers reach: torch's for a bias, whatever the fan of its weight is."""
    reach = min(moments.largest, _FARTHEST)
    return LawNumbers(0, reach / sqrt(3), -reach, reach)


def _gives(law: LawNumbers, subject: Examined) -> bool:
    """Whether such numbers may come from `law`."""
    moments = subject.moments
    if law.constant is not None:
        return subject.is_constant and moments.least == subject.tensor.dtype.rounded(law.constant)
    error = _NOISE / sqrt(2 * moments.numbers)
    is_spread_alike = abs(moments.std / law.std - 1) < _CLOSE + error if law.std else False
    is_centered_alike = abs(moments.mean - law.mean) < 2 * error * law.std
    return is_spread_alike and is_centered_alike and _is_within(law, moments)


def _is_within(law: LawNumbers, moments: Moments) -> bool:
    slack = _SLACK * law.std
    return moments.least >= law.low - slack and moments.greatest <= law.high + slack


def _moved(examination: Examination, *, role: str) -> Iterator[Fault]:
    for subject in examination.sound:
        if subject.role == role and not is_as_made(subject) and not _is_chosen(subject, examination):
            yield Fault(subject.name, _said(subject), subject.remedy)


def _said(subject: Examined) -> str:
    """What it should hold, and what it holds."""
    moments, law = subject.moments, subject.expected
    wanted = f"as {subject.suggestion.initializer} gives it"
    if law and law.constant is not None:
        wanted = f"{law.constant:g}"
    held = "everywhere" if subject.is_constant else f"to {moments.greatest:.3g}"
    return f"is not {wanted}: it holds {moments.least:.3g} {held}"


def _is_chosen(subject: Examined, examination: Examination) -> bool:
    """Whether it is a bias of the last layer that is one constant: how likely each class is before anything is learned;
    or the places around a query that Deformable DETR looks at first.
    """
    weight = examination.by_name.get(f"{subject.name.removesuffix('bias')}weight")
    is_prior = subject.is_constant and weight is not None and weight.role == "head"
    return is_prior or subject.name.endswith("sampling_offsets.bias")


def _variance(examination: Examination) -> Iterator[Fault]:
    for subject in examination.sound:
        least, is_zero = subject.moments.least, subject.is_constant and subject.moments.least == 0
        if subject.role == VARIANCE and (least < 0 or is_zero or (least == 0 and not examination.is_trained)):
            yield Fault(subject.name, f"holds variances of {least:.3g}", subject.remedy)


CONSTANTS = (
    Check(
        "norms.weight",
        "warning",
        "a norm that is not one, or zero if one is added",
        "A norm starts by passing on what it has normalized; any other number scales every layer behind it.",
        "torch.nn.LayerNorm.reset_parameters; transformers: GemmaRMSNorm multiplies by 1 + weight",
        partial(_moved, role=NORM),
        only_fresh=True,
    ),
    Check(
        "norms.running_var",
        "error",
        "a running variance that is not above zero",
        "The layer divides by its square root: that is NaN, or multiplies what comes in by hundreds.",
        "Ioffe, Szegedy: Batch normalization (2015); torch.nn.BatchNorm2d.reset_running_stats",
        _variance,
    ),
    Check(
        "biases.nonzero",
        "warning",
        "biases that are not zero",
        "Random weights already make units differ; a bias only shifts their activations.",
        "Goodfellow, Bengio, Courville: Deep Learning (2016), 8.4",
        partial(_moved, role=BIAS),
        only_fresh=True,
    ),
)
