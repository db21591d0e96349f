"""What is measured of laws and operators: a call, its limit beside `normal`, and a script in torch for the same."""

from __future__ import annotations

from typing import NamedTuple

ELEMENTWISE, READS_OLD, NEEDS_MOMENTS = 1.5, 2.5, 3.5
"""Limits: how many times as long as `normal` on the same tensors."""
THREE_FUNCTIONS = 2.5
"""The limit of a law that takes two exponentials and a logarithm in float64, half as many numbers at a time, where
`normal` takes a logarithm, a sine and a cosine in float32.
"""
_MATRICES = "ndim == 2 and shape[1] == 2048"
"""Nearly all of a language model, in rows of one width."""
_OF_WORDS = "ndim == 2 and shape[0] == 32000"
_WORDS = "model.embed_tokens.weight"


class Operator(NamedTuple):
    """`torch` is a statement on `tensor`, with all of `tensors` by name at hand; if torch has one.

    `where` says which tensors, in a rule's words, which are Python's as well.
    """

    call: str
    limit: float
    torch: str | None = None
    where: str = _MATRICES

    @property
    def rule(self) -> str:
        return self.instead(self.call)

    def instead(self, call: str) -> str:
        """The rule for another call on the same tensors."""
        return f"*={call} where {self.where}"


OPERATORS = {
    "uniform": Operator("uniform", ELEMENTWISE, "tensor.uniform_()"),
    "trunc_normal": Operator(
        "trunc_normal:std=0.02,cut=2", ELEMENTWISE, "init.trunc_normal_(tensor, 0, 0.02, -0.04, 0.04)"
    ),
    "log_uniform": Operator("log_uniform:a=0.001,b=0.1", ELEMENTWISE, "tensor.uniform_(-6.907755, -2.302585).exp_()"),
    "inv_softplus_log_uniform": Operator(
        "inv_softplus_log_uniform",
        THREE_FUNCTIONS,
        "tensor.uniform_(-6.907755, -2.302585).exp_().clamp_(min=1e-4).add_(torch.log(-torch.expm1(-tensor)))",
    ),
    "fused": Operator(
        "xavier_uniform:split=2:1:1",
        ELEMENTWISE,
        "[init.xavier_uniform_(part) for part in tensor.split([len(tensor) // 2, *[len(tensor) // 4] * 2])]",
    ),
    "eye": Operator("eye", ELEMENTWISE, "init.eye_(tensor)"),
    "zero_hadamard": Operator("zero_hadamard", ELEMENTWISE),
    "sinusoid": Operator("sinusoid", ELEMENTWISE),
    "arange_log": Operator("arange_log", ELEMENTWISE, "tensor.copy_(torch.arange(1.0, 1 + tensor.shape[1]).log())"),
    "scale": Operator("scale:by=0.5", READS_OLD, "tensor.mul_(0.5)"),
    "perturb": Operator(
        "perturb:scale=0.4,std=0.1", READS_OLD, "tensor.mul_(0.4).add_(torch.randn_like(tensor), alpha=0.1)"
    ),
    "reinit": Operator(
        "reinit:p=0.5,std=0.02",
        READS_OLD,
        "tensor.copy_(torch.where(torch.rand_like(tensor) < 0.5, torch.randn_like(tensor) * 0.02, tensor))",
    ),
    "copy": Operator(f"copy:from={_WORDS}", READS_OLD, f"tensor.copy_(tensors['{_WORDS}'])", _OF_WORDS),
    "copy-row": Operator(f"copy:from={_WORDS},row=5", READS_OLD, f"tensor.copy_(tensors['{_WORDS}'][5].clone())"),
    "mean_rows": Operator(
        "mean_rows:of=:,std=0.01",
        READS_OLD,
        "tensor.copy_(tensor.float().mean(0)).add_(torch.randn_like(tensor) * 0.01)",
    ),
    "permute_rows": Operator("permute_rows", READS_OLD, "tensor.copy_(tensor[torch.randperm(len(tensor))])"),
    "perturb-rel": Operator(
        "perturb:scale=0.4,std=0.1,rel=true",
        NEEDS_MOMENTS,
        "tensor.copy_(0.4 * tensor + 0.1 * tensor.float().std() * torch.randn_like(tensor))",
    ),
    "match_stats": Operator(
        "match_stats", NEEDS_MOMENTS, "tensor.normal_(tensor.float().mean().item(), tensor.float().std().item())"
    ),
}

_SCRIPT = """
import sys, torch
from torch.nn import init
from safetensors.torch import load_file, save_file
tensors = load_file(sys.argv[1])
with torch.no_grad():
    for tensor in tensors.values():
        ndim, shape = tensor.ndim, tensor.shape
        if {where}:
            {statement}
save_file(tensors, sys.argv[2])
"""


def script(operator: Operator) -> str:
    """What a user would write with torch."""
    return _SCRIPT.format(where=operator.where, statement=operator.torch)
