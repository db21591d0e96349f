"""Kinds of state that optimizers keep for a parameter: each with its initial value and the optimizers that write it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from initctl.grouping import grouped


@dataclass(frozen=True, slots=True)
class Option:
    """The initial value is an option of the parameter's group, or `otherwise` if the group has no such option."""

    name: str
    otherwise: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A state that cannot be reset, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class OfParameter:
    """A float32 copy that the parameter is rounded from. It gets the same new values as the parameter."""


Begins = float | Option | Unknown | OfParameter | None
"""None: the state is kept, since the optimizer computes it before each use, or it is equal for all parameters."""


class Kind(NamedTuple):
    """A state `name` of the optimizers `writer`.

    `begins` is the initial value of every element. A `distinct` name always belongs to an optimizer; any other name
    could also be a weight's. A `full` state has an element for each element of the parameter. A row counts only if the
    parameter also has a state `given`, or its group has an option `given`; the first row that counts decides.
    """

    name: str
    begins: Begins
    writer: str
    distinct: bool = False
    full: bool = False
    given: str | None = None


def _rows(
    names: str, begins: Begins, writer: str, *, distinct: bool = False, full: bool = False, given: str | None = None
) -> tuple[Kind, ...]:
    return tuple(Kind(name, begins, writer, distinct, full, given) for name in names.split())


_A_COPY = "is a copy of the parameter, which the optimizer continues from"
_GRADIENT = "is a gradient of the first step"
_MATRICES = "holds matrices that the optimizer computes from gradients"

KINDS: tuple[Kind, ...] = (
    *_rows("step", 0.0, "nearly all"),
    # Same shape as the parameter, initially zero.
    *_rows("exp_avg", 0.0, "torch Adam and variants; Lion, Sophia, Lamb", distinct=True, full=True),
    *_rows("exp_avg_sq max_exp_avg_sq", 0.0, "torch Adam and variants", distinct=True, full=True),
    *_rows("exp_inf", 0.0, "torch Adamax", distinct=True, full=True),
    *_rows("momentum_buffer", 0.0, "torch SGD, RMSprop, Muon", distinct=True, full=True),
    *_rows("square_avg", 1.0, "timm RMSpropTF", distinct=True, full=True, given="lr_in_momentum"),
    *_rows("square_avg grad_avg acc_delta", 0.0, "torch RMSprop, Adadelta", distinct=True, full=True),
    *_rows("exp_avg_diff", 0.0, "Adan of timm and others", distinct=True, full=True),
    *_rows("exp_avg_var max_exp_avg_var", 0.0, "AdaBelief of timm", distinct=True, full=True),
    *_rows("exp_avg_slow", 0.0, "AdEMAMix of pytorch_optimizer", distinct=True, full=True),
    *_rows("exp_hessian_diag_sq", 0.0, "Adahessian of timm", distinct=True, full=True),
    *_rows("exp_avg_lr", 0.0, "AdaMod", distinct=True, full=True),
    *_rows("hessian hessian_moment", 0.0, "Sophia", full=True),
    *_rows("last_grad", 0.0, "Mars of timm", full=True),
    *_rows("kahan_comp compensation", 0.0, "optimi; AnyPrecisionAdamW", full=True),
    *_rows("variance", 0.0, "torch Adafactor", full=True),
    *_rows("grad_sum_sq", 0.0, "MADGRAD", distinct=True, full=True),
    *_rows("s", 0.0, "MADGRAD", full=True, given="grad_sum_sq"),
    # Other shapes, initially zero.
    *_rows("row_var col_var", 0.0, "torch Adafactor"),
    *_rows("exp_avg_sq_row exp_avg_sq_col", 0.0, "Adafactor of transformers, fairseq, timm", distinct=True),
    *_rows("exp_avg_sq_r exp_avg_sq_c", 0.0, "Adafactor (Big Vision) of timm", distinct=True),
    *_rows("exp_avg_res_row exp_avg_res_col", 0.0, "CAME", distinct=True),
    *_rows("exp_avg_lr_1 exp_avg_lr_2", 0.0, "LaProp of timm", distinct=True),
    *_rows("second_momentum_buffer", 0.0, "NorMuon", distinct=True),
    # Other initial values.
    *_rows("mu_product", 1.0, "torch NAdam", distinct=True),
    *_rows("m_schedule", 1.0, "NAdam of timm"),
    *_rows("sum", Option("initial_accumulator_value", 0.0), "torch Adagrad", full=True),
    *_rows("eta", Option("lr"), "torch ASGD", given="ax"),
    *_rows("mu", 1.0, "torch ASGD", given="ax"),
    *_rows("ax", 0.0, "torch ASGD", full=True, given="eta"),
    *_rows("prev", 0.0, "torch Rprop", full=True, given="step_size"),
    *_rows("step_size", Option("lr"), "torch Rprop", full=True, given="prev"),
    # bitsandbytes: a code of 0 does not mean the number 0, but all numbers of a block are 0 if its absmax is 0.
    *_rows("state1 state2", 0.0, "bitsandbytes", distinct=True, full=True),
    *_rows("absmax1 absmax2", 0.0, "bitsandbytes, by blocks", distinct=True),
    *_rows("max1 max2 new_max1 new_max2", 0.0, "bitsandbytes, by tensors", given="qmap1"),
    *_rows("qmap1 qmap2", None, "bitsandbytes", distinct=True),
    *_rows("unorm_vec", None, "bitsandbytes", distinct=True),
    # Computed at each step, before it is used.
    *_rows("RMS", None, "Adafactor of transformers, fairseq, timm"),
    *_rows("weight_norm adam_norm trust_ratio", None, "Lamb", given="exp_avg"),
    # No constant resets these.
    *_rows("neg_pre_grad previous_grad pre_grad", Unknown(_GRADIENT), "Adan", distinct=True, full=True),
    *_rows("z", Unknown(_A_COPY), "schedule-free optimizers", full=True),
    *_rows("p0", Unknown(_A_COPY), "Prodigy", full=True),
    *_rows("x0", Unknown(_A_COPY), "MADGRAD, D-Adaptation", full=True),
    *_rows("slow_buffer lookahead_slow_buff", Unknown(_A_COPY), "Lookahead of timm", distinct=True, full=True),
    *_rows("slow_params backup_params", Unknown(_A_COPY), "Lookahead of pytorch_optimizer", distinct=True, full=True),
    *_rows("fp32_param", OfParameter(), "Megatron-core", distinct=True, full=True),
    *_rows("master_param", OfParameter(), "Transformer Engine", distinct=True, full=True),
    *_rows("sk", Unknown("depends on all parameters together"), "D-Adaptation", full=True),
    *_rows("GG Q", Unknown(_MATRICES), "SOAP"),
    *_rows("precond pre_conditioner preconditioner preconditioners", Unknown(_MATRICES), "Shampoo", distinct=True),
    *_rows("projector", Unknown("is computed from gradients"), "GaLore"),
)  # fmt: skip

FACTORED: tuple[tuple[str, str, bool], ...] = (
    ("exp_avg_sq_row", "exp_avg_sq_col", False),
    ("row_var", "col_var", True),
)
"""Pairs of kinds with one number for each row, and for each column, of the last two dimensions. The flag: the other
dimension is kept with size 1, not removed.
"""
FACTORED_OTHERWISE = "min_dim_size_to_factor"
"""An option of timm's Adafactor, which may factor other dimensions than the last two."""

BY_NAME = grouped((kind.name, kind) for kind in KINDS)
DISTINCT = frozenset(kind.name for kind in KINDS if kind.distinct)
"""Kinds whose name alone shows that a tensor is an optimizer's."""
FULL = frozenset(kind.name for kind in KINDS if kind.full)
"""Kinds that have an element for each element of the parameter."""
MASTERS = {kind.name: kind.writer for kind in KINDS if kind.begins in (OfParameter(), Unknown(_A_COPY))}
"""Kinds that are copies of the parameter, and the optimizers that write them."""


def kind_of(name: str, states: Collection[str], options: Iterable[str]) -> Kind | None:
    """The row for the state `name` of a parameter that has `states`, in a group with `options`."""
    there = {*states, *options}
    return next((kind for kind in BY_NAME.get(name, ()) if kind.given is None or kind.given in there), None)
