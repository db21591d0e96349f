"""Tensors that start as constants: norms at one or zero, biases at zero, running variances above zero."""

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
"""The relative error that a standard deviation may have, apart from chance."""
_NOISE = 6
_SLACK = 0.01
_FARTHEST = 0.5
"""The bound of torch's uniform law for biases of a layer with 4 inputs. Layers with fewer inputs are not expected."""
_FEWEST = 16
"""The law of a bias with fewer numbers cannot be recognized."""
_NEARLY_ZERO = 1e-4
"""Biases up to this size count as 0: JAX's ViT draws them with a standard deviation of 1e-6."""


def is_as_made(subject: Examined) -> bool:
    """Whether a norm or a bias has its initial values, by the law of its family or else by any usual law. Always true
    for complex ones, which are not judged.
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
    """The uniform law with the range of the numbers: torch's law for a bias, if the fan of its weight is not known."""
    reach = min(moments.largest, _FARTHEST)
    return LawNumbers(0, reach / sqrt(3), -reach, reach)


def _gives(law: LawNumbers, subject: Examined) -> bool:
    """Whether the numbers of `subject` may come from `law`."""
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
    """The expected and the actual values."""
    moments, law = subject.moments, subject.expected
    wanted = f"what {subject.suggestion.initializer} gives"
    if law and law.constant is not None:
        wanted = f"{law.constant:g}"
    least = f"{moments.least:.3g}"
    held = f"is {least} everywhere" if subject.is_constant else f"ranges from {least} to {moments.greatest:.3g}"
    return f"is not {wanted}: it {held}"


def _is_chosen(subject: Examined, examination: Examination) -> bool:
    """Whether a bias is set on purpose: a constant in the last layer, as the prior of each class; or the places around
    a query that Deformable DETR looks at first.
    """
    role = examination.roles.get(f"{subject.name.removesuffix('bias')}weight")
    is_prior = subject.is_constant and role == "head"
    return is_prior or subject.name.endswith("sampling_offsets.bias")


def _variance(examination: Examination) -> Iterator[Fault]:
    for subject in examination.sound:
        least, is_zero = subject.moments.least, subject.is_constant and subject.moments.least == 0
        if subject.role == VARIANCE and (least < 0 or is_zero or (least == 0 and not examination.is_trained)):
            yield Fault(subject.name, f"holds a variance of {least:.3g}", subject.remedy)


CONSTANTS = (
    Check(
        "norms.weight",
        "warning",
        "norm weights that are not 1, or not 0 if the norm adds 1",
        "A norm should start by passing on normalized values unchanged; other weights scale every later layer.",
        "torch.nn.LayerNorm.reset_parameters; transformers: GemmaRMSNorm multiplies by 1 + weight",
        partial(_moved, role=NORM),
        only_fresh=True,
    ),
    Check(
        "norms.running_var",
        "error",
        "a running variance that is not positive",
        "The layer divides by its square root: a negative one gives NaN, and 0 multiplies inputs by hundreds.",
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
