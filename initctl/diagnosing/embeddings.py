"""Checks for embeddings: broken ties, padding rows, large spreads, and rows of zeros."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from initctl.diagnosing.check import Check, Fault
from initctl.diagnosing.remedies import Remedy
from initctl.diagnosing.spread import LARGE_EMBEDDINGS
from initctl.diagnosing.symmetry import EMPTY_ROWS
from initctl.errors import shown

if TYPE_CHECKING:
    from initctl.diagnosing.examination import Examination


def _broken_ties(examination: Examination) -> Iterator[Fault]:
    tensors = examination.around.tensors
    examined = {found.tensor.name for found in examination.everything}
    for tie in examination.around.ties:
        one, other = tensors.get(tie.left_out), tensors.get(tie.kept)
        if not (tie.sure and one and other) or one.shape != other.shape or other.name in one.tied:
            continue
        if examined.isdisjoint((one.name, other.name)):
            continue
        digests = examination.digests((one, other))
        if digests[one.name] != digests[other.name]:
            message = f"differs from {shown(other.name)}, to which config.json ties it"
            yield Fault(one.name, message, Remedy((one.name,), f"copy:from={other.name}"))


def _padding(examination: Examination) -> Iterator[Fault]:
    for suggestion in examination.row_suggestions:
        tensor, rows = suggestion.tensor, suggestion.rows
        if suggestion.initializer == "zeros" and rows and not examination.are_zero(tensor, rows):
            which = f"row {rows[0]}" if rows[1] - rows[0] == 1 else f"rows {rows[0]} to {rows[1] - 1}"
            message = f"is not zero in the padding {which}"
            yield Fault(tensor.name, message, Remedy.of(suggestion))


EMBEDDINGS = (
    Check(
        "embeddings.tie",
        "warning",
        "a broken tie",
        "A loader keeps one of the two tensors and drops the other, so it loads another model than was saved.",
        "transformers: PreTrainedModel.tie_weights; Press, Wolf: Using the output embedding (2017)",
        _broken_ties,
    ),
    Check(
        "embeddings.padding",
        "warning",
        "a padding row that is not zero",
        "Padding gets no gradient, so its values stay in all sums and means.",
        "torch.nn.Embedding: padding_idx",
        _padding,
        only_fresh=True,
    ),
    LARGE_EMBEDDINGS,
    EMPTY_ROWS,
)
