"""Tensors without elements, in the place of weights that are somewhere else.

DeepSpeed ZeRO-3 puts `torch.empty(0)` in the place of each parameter (deepspeed/runtime/zero/partition_parameters.py).
`*_model_states.pt` holds these, and so does what transformers or accelerate save if they do not gather the weights:
large ones are placeholders there, while small ones, which ZeRO-3 does not partition, are whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from initctl.errors import Problem, listed, shown

if TYPE_CHECKING:
    from initctl.formats.checkpoint import Checkpoint
    from initctl.tensors import TensorSpec

_ZERO_FILES = r"(?:.*/)?(?:bf16_|fp16_)?zero_pp_rank_\d+_mp_rank_\d+_(?:model|optim)_states\.pt"
_ZERO_KEYS = frozenset(("param_shapes", "ds_version", "ds_config"))
"""What DeepSpeed saves beside a model (deepspeed/runtime/engine.py: save_checkpoint)."""
_SURELY = 2
"""So many placeholders are not an accident: a model may have one empty tensor of its own."""


def placeholders(checkpoint: Checkpoint) -> list[TensorSpec]:
    """The tensors that stand for weights: even the shape is lost, whereas a weight may be [0, 8]."""
    found = [tensor for tensor in checkpoint.tensors if tensor.shape == (0,) and tensor.dtype.is_floating]
    surely = len(found) >= _SURELY or len(found) == len(checkpoint.tensors) or (found and _is_deepspeed(checkpoint))
    return found if surely else []


def weights_elsewhere(checkpoint: Checkpoint) -> Iterator[Problem]:
    """A warning if there are placeholders."""
    if found := placeholders(checkpoint):
        weights = "its weight is" if len(found) == 1 else "their weights are"
        message = f"{shown(checkpoint.path)}: {without_elements(found)}: {weights} kept elsewhere"
        yield Problem("tensor.placeholder", message, where_they_are(checkpoint))


def where_they_are(checkpoint: Checkpoint) -> str | None:
    """What to do to get the weights, if there are placeholders for them."""
    if not placeholders(checkpoint):
        return None
    if _is_deepspeed(checkpoint):
        return "ZeRO-3 keeps the weights in *_optim_states.pt: run zero_to_fp32.py first"
    return (
        "the weights were not gathered when it was saved: under ZeRO-3, run zero_to_fp32.py on DeepSpeed's checkpoint"
    )


def _is_deepspeed(checkpoint: Checkpoint) -> bool:
    names = any(re.fullmatch(_ZERO_FILES, file.name) for file in checkpoint.files)
    return names or any(_ZERO_KEYS & contents.keys() for contents in checkpoint.contents.values())


def without_elements(tensors: Sequence[TensorSpec]) -> str:
    """`a, b and 3 more have no elements`."""
    names = listed([shown(tensor.name) for tensor in tensors])
    return f"{names} {'have' if len(tensors) > 1 else 'has'} no elements"
