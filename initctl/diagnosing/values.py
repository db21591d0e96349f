"""Checks for numbers that no weight should have."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from functools import partial

from initctl.diagnosing.check import Check, Fault
from initctl.diagnosing.examination import ABSURD, FLOAT16, Examination


def _not_finite(examination: Examination, *, kind: str, noun: str) -> Iterator[Fault]:
    for subject in examination.subjects:
        if found := getattr(subject.moments, kind):
            yield Fault(subject.name, f"holds {noun}: {found:,} of {subject.moments.numbers:,} numbers", subject.remedy)


def _absurd(examination: Examination) -> Iterator[Fault]:
    for subject in examination.subjects:
        if subject.moments.finite and subject.moments.largest > ABSURD:
            message = f"holds numbers as large as {subject.moments.largest:.3g}"
            yield Fault(subject.name, message, subject.remedy)


def _damaged(examination: Examination) -> Iterator[Fault]:
    wrong = examination.damaged
    starts = [(file, checksum.start) for file, checksum in wrong]
    for tensor in (one.tensor for one in examination.everything) if wrong else ():
        places = ((block, bisect(starts, (block.file, block.offset)) - 1) for block in tensor.blocks)
        if any(at >= 0 and wrong[at][0] == block.file and block.offset < wrong[at][1].stop for block, at in places):
            yield Fault(tensor.name, "is damaged: its bytes do not match the CRC-32 in the archive", None)


def _near_overflow(examination: Examination) -> Iterator[Fault]:
    for subject in examination.sound:
        if subject.is_near_overflow:
            message = f"reaches {subject.moments.largest:,.0f}, and the maximum of float16 is {FLOAT16:,}"
            yield Fault(subject.name, message, subject.remedy)


def _subnormal(examination: Examination) -> Iterator[Fault]:
    for subject in examination.sound:
        if subject.is_lost and subject.role != "quantized":
            moments = subject.moments
            said = f"{moments.subnormal:,} of {moments.numbers:,} numbers are subnormal"
            said += f", and {moments.zeros:,} are 0" if moments.zeros else ""
            yield Fault(subject.name, f"is too small for {subject.tensor.dtype.name}: {said}", subject.remedy)


VALUES = (
    Check(
        "values.nan",
        "error",
        "NaN",
        "One NaN spreads to all outputs in the first forward pass.",
        "IEEE 754, 6.2",
        partial(_not_finite, kind="nan", noun="NaN"),
    ),
    Check(
        "values.infinite",
        "error",
        "infinite numbers",
        "Infinite weights give infinite outputs, and NaN once they are subtracted or multiplied by 0.",
        "IEEE 754, 7.2",
        partial(_not_finite, kind="infinite", noun="infinity"),
    ),
    Check(
        "values.absurd",
        "error",
        "numbers beyond 1e30",
        "No initializer gives such numbers: this is memory that was allocated and never filled, as by torch.empty.",
        "torch.empty: the tensor is filled with uninitialized data",
        _absurd,
    ),
    Check(
        "values.damaged",
        "error",
        "damaged bytes",
        "The file was damaged in transit, or a patch was interrupted: get the file again, or complete the patch.",
        "PKWARE: .ZIP file format specification, 4.4.7",
        _damaged,
    ),
    Check(
        "values.float16",
        "warning",
        "numbers near the maximum of float16",
        "The next product or sum overflows to infinity.",
        "Micikevicius et al.: Mixed precision training (2018)",
        _near_overflow,
    ),
    Check(
        "values.subnormal",
        "warning",
        "numbers too small for the dtype",
        "Numbers below the normal range keep few bits of precision, or none: much of the tensor is rounded away.",
        "Micikevicius et al.: FP8 formats for deep learning (2022)",
        _subnormal,
        only_fresh=True,
    ),
)
