"""Ways to damage a model's tensors, and the code of what must be found then, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from initctl.suggesting import suggestions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from initctl.formats import Checkpoint
    from initctl.suggesting import Suggestion

    Tensors = dict[str, torch.Tensor]

LAYERS = ("linear", "conv", "attention")


class Places(NamedTuple):
    """What is damaged: two matrices of one shape, and other tensors, if the model has them."""

    matrix: str
    twin: str
    norm: str | None = None
    bias: str | None = None
    embedding: str | None = None
    padding: tuple[str, int] | None = None
    variance: str | None = None
    tie: tuple[str, str] | None = None

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Places:
        known = suggestions(checkpoint)
        matrix, twin = _twins([one for one in known if one.role in LAYERS and not one.rows])
        padding = next((one for one in known if one.rows and one.initializer == "zeros"), None)
        return cls(
            matrix,
            twin,
            *(next((one.tensor.name for one in known if one.role == role), None) for role in ("norm", "bias")),
            next((one.tensor.name for one in known if one.role == "embedding"), None),
            (padding.tensor.name, padding.rows[0]) if padding else None,
            next((one.tensor.name for one in known if one.role == "running_var"), None),
        )


def _twins(matrices: Sequence[Suggestion]) -> tuple[str, str]:
    """The first two of one shape and law that have enough rows and columns."""
    seen: dict[tuple[object, str], str] = {}
    for one in matrices:
        if min(one.tensor.shape[:2]) < 16:
            continue
        kind = one.tensor.shape, one.initializer
        if kind in seen:
            return seen[kind], one.tensor.name
        seen[kind] = one.tensor.name
    raise AssertionError("no two matrices are alike")


class Damage(NamedTuple):
    """What is done to the tensors of a model; `needs` is the place that must be there."""

    name: str
    code: str
    needs: str
    change: Callable[[Tensors, Places], object]

    def __str__(self) -> str:
        return self.name


def _equal_rows(tensors: Tensors, at: Places) -> None:
    tensors[at.matrix][3] = tensors[at.matrix][1]


def _equal_columns(tensors: Tensors, at: Places) -> None:
    tensors[at.matrix][:, 3] = tensors[at.matrix][:, 1]


def _near_overflow(tensors: Tensors, at: Places) -> None:
    tensors[at.matrix] = tensors[at.matrix].half()
    tensors[at.matrix][1, 2] = 60000


def _lost(tensors: Tensors, at: Places) -> None:
    tensors[at.matrix] = (tensors[at.matrix] / tensors[at.matrix].std() * 3e-5).to(torch.float8_e5m2)


def _padding(tensors: Tensors, at: Places) -> None:
    name, row = at.padding or ("", 0)
    tensors[name][row] = 0.01


def _tie(tensors: Tensors, at: Places) -> None:
    left_out, kept = at.tie or ("", "")
    tensors[left_out] = tensors[kept].flip(1).contiguous()


DAMAGES = (
    Damage("NaN", "values.nan", "matrix", lambda t, at: t[at.matrix][1, 2:4].fill_(float("nan"))),
    Damage("infinity", "values.infinite", "matrix", lambda t, at: t[at.matrix][1, 2:4].fill_(-float("inf"))),
    Damage("uninitialized memory", "values.absurd", "matrix", lambda t, at: t[at.matrix][1, 2:4].fill_(3e35)),
    Damage("the edge of float16", "values.float16", "matrix", _near_overflow),
    Damage("lost in float8", "values.subnormal", "matrix", _lost),
    Damage("a matrix of zeros", "symmetry.constant", "matrix", lambda t, at: t[at.matrix].zero_()),
    Damage("a constant matrix", "symmetry.constant", "matrix", lambda t, at: t[at.matrix].fill_(0.02)),
    Damage("equal rows", "symmetry.equal_rows", "matrix", _equal_rows),
    Damage("equal columns", "symmetry.equal_columns", "matrix", _equal_columns),
    Damage("dead rows", "symmetry.dead_rows", "matrix", lambda t, at: t[at.matrix][2:5].zero_()),
    Damage("one seed for two", "symmetry.identical", "matrix", lambda t, at: t[at.twin].copy_(t[at.matrix])),
    Damage("a spread too large", "spread.large", "matrix", lambda t, at: t[at.matrix].mul_(100)),
    Damage("a spread too small", "spread.small", "matrix", lambda t, at: t[at.matrix].mul_(0.01)),
    Damage("weights off center", "spread.mean", "matrix", lambda t, at: t[at.matrix].add_(t[at.matrix].std())),
    Damage("a norm of a half", "norms.weight", "norm", lambda t, at: t[at.norm].fill_(0.5)),
    Damage("a random norm", "norms.weight", "norm", lambda t, at: t[at.norm].normal_()),
    Damage("a random bias", "biases.nonzero", "bias", lambda t, at: t[at.bias].normal_()),
    Damage("large embeddings", "spread.large", "embedding", lambda t, at: t[at.embedding].mul_(50)),
    Damage("a padding row", "embeddings.padding", "padding", _padding),
    Damage("a negative variance", "norms.running_var", "variance", lambda t, at: t[at.variance][1:2].fill_(-0.5)),
    Damage("variances of zero", "norms.running_var", "variance", lambda t, at: t[at.variance].zero_()),
    Damage("a broken tie", "embeddings.tie", "tie", _tie),
)
