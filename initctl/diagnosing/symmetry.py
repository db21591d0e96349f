"""Checks for units that are equal, so that they compute and learn the same."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from functools import partial

from initctl.diagnosing.check import Check, Fault
from initctl.diagnosing.examination import LAYERS, Examination, Examined
from initctl.errors import shown
from initctl.grouping import grouped
from initctl.planning.advice.averages import COPIES

_EMBEDDING = "embedding"
_COMPARED = frozenset({*LAYERS, _EMBEDDING, "head"})
"""Roles of matrices that are never equal by chance."""
_BEGINS_AT_ZERO = re.compile(
    r"(?i)ada_?ln|modulation|zero|lora|adapter|sampling_offsets|attention_weights|bbox_embed|codebook|_integer"
)
"""Names of layers that begin at zero on purpose: DiT's adaLN-Zero, ControlNet's zero convolutions, LoRA, Deformable
DETR's attention and boxes, codebooks that k-means fills, I-BERT's codes.
"""
_COPY = re.compile(rf"(?:^|[._])(?:{'|'.join(COPIES)})[._]")
"""Names of networks that are copies of others on purpose, such as `critic_target`."""
_DISTINCT = "Bengio: Practical recommendations for gradient-based training of deep architectures (2012), 3.2"


def _constant(examination: Examination) -> Iterator[Fault]:
    for subject in examination.sound:
        if subject.is_constant and _must_vary(subject):
            value = subject.moments.least
            yield Fault(subject.name, f"is {value:g} everywhere" if value else "is all zero", subject.remedy)


def _must_vary(subject: Examined) -> bool:
    """Whether a constant makes units of the tensor equal, and neither its law nor its name says that it is constant."""
    rows, columns = (*subject.tensor.shape, 1, 1)[:2]
    is_lawful = subject.expected is not None and subject.expected.constant is not None
    begins_at_zero = subject.moments.least == 0 and _BEGINS_AT_ZERO.search(subject.name)
    return (
        (subject.role in LAYERS or subject.role == _EMBEDDING)
        and min(rows, columns) > 1
        and not (is_lawful or begins_at_zero)
    )


def _equal(examination: Examination, *, of: str) -> Iterator[Fault]:
    """Equal `rows` or `columns`."""
    for name, lines in examination.lines.items():
        if pair := getattr(lines, f"equal_{of}"):
            message = "has equal {}: {} and {}".format(of, *pair)
            yield Fault(name, message, examination.by_name[name].remedy)


def _zero_rows(examination: Examination, *, of_embeddings: bool) -> Iterator[Fault]:
    lawful = grouped((s.tensor.name, s.rows) for s in examination.row_suggestions if s.rows)
    for name, lines in examination.lines.items():
        subject = examination.by_name[name]
        rows = [int(row) for row in lines.zero if not any(start <= row < stop for start, stop in lawful.get(name, ()))]
        is_padding = of_embeddings and len(rows) == 1
        if rows and (subject.role == _EMBEDDING) == of_embeddings and not is_padding:
            more = f" (and {len(rows) - 1:,} more)" if len(rows) > 1 else ""
            yield Fault(name, f"has rows of zeros: {rows[0]}{more}", subject.remedy)


def _identical(examination: Examination) -> Iterator[Fault]:
    candidates = _alike(examination)
    digests = examination.digests(subject.tensor for subject in candidates)
    by_digest = grouped(((subject.tensor.shape, digests[subject.name]), subject) for subject in candidates)
    for first, *others in by_digest.values():
        for other in others:
            yield Fault(other.name, f"holds the same numbers as {shown(first.name)}", other.remedy)


def _alike(examination: Examination) -> list[Examined]:
    """Tensors of the same shape and moments, except for ties and copies on purpose."""
    tied = {name for tie in examination.around.ties for name in (tie.left_out, tie.kept)}
    candidates: list[tuple[Hashable, Examined]] = [
        ((subject.tensor.shape, subject.tensor.dtype.name, subject.moments), subject)
        for subject in examination.sound
        if subject.role in _COMPARED and not subject.is_constant and not subject.tensor.is_vector
        if subject.name not in tied and not _COPY.search(subject.name)
    ]
    return [subject for group in grouped(candidates).values() if len(group) > 1 for subject in group]


SYMMETRY = (
    Check(
        "symmetry.constant",
        "warning",
        "a constant weight matrix",
        "All units compute the same, get the same gradient, and stay equal: the layer acts like one unit.",
        _DISTINCT,
        _constant,
    ),
    Check(
        "symmetry.equal_rows",
        "warning",
        "equal rows",
        "Two units with the same weights compute the same. If the next layer treats them equally, they stay equal.",
        _DISTINCT,
        partial(_equal, of="rows"),
        only_fresh=True,
    ),
    Check(
        "symmetry.equal_columns",
        "warning",
        "equal columns",
        "The layer cannot distinguish two inputs with the same weights: it sees only their sum.",
        _DISTINCT,
        partial(_equal, of="columns"),
        only_fresh=True,
    ),
    Check(
        "symmetry.dead_rows",
        "warning",
        "rows of zeros",
        "A unit whose weights are all zero gives the same output for every input.",
        _DISTINCT,
        partial(_zero_rows, of_embeddings=False),
        only_fresh=True,
    ),
    Check(
        "symmetry.identical",
        "warning",
        "the same numbers in two tensors",
        "A seed was used twice, or a layer was copied, as nn.TransformerEncoder does: both start equal.",
        "torch.nn.TransformerEncoder: all layers are initialized with the same parameters",
        _identical,
        only_fresh=True,
    ),
)
EMPTY_ROWS = Check(
    "embeddings.empty_rows",
    "info",
    "embedding rows of zeros",
    "Rows that pad a vocabulary are never used; other rows of zeros start equal.",
    "transformers: resize_token_embeddings (pad_to_multiple_of)",
    partial(_zero_rows, of_embeddings=True),
    only_fresh=True,
)
