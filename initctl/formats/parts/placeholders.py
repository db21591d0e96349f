"""Tensors without elements, in place of weights that are somewhere else.

DeepSpeed ZeRO-3 replaces each parameter with `torch.empty(0)` (deepspeed/runtime/zero/partition_parameters.py).
`*_model_states.pt` contains these, and so do files of transformers or accelerate if they do not gather the weights.
Small parameters are whole there, since ZeRO-3 does not partition them.
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
"""Keys that DeepSpeed saves beside a model (deepspeed/runtime/engine.py: save_checkpoint)."""
_SURELY = 2
"""This many empty tensors are certainly placeholders: a model may have one empty tensor itself."""


def placeholders(checkpoint: Checkpoint) -> list[TensorSpec]:
    """The tensors in place of weights. Their shape is [0], since the weight's shape is lost; a weight may be [0, 8]."""
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
    """What to do to get the weights; None if there are no placeholders."""
    if not placeholders(checkpoint):
        return None
    if checkpoint.incomplete and not checkpoint.files:
        return "a size of 0 makes a tensor empty"
    if _is_deepspeed(checkpoint):
        return "ZeRO-3 keeps the weights in *_optim_states.pt: run zero_to_fp32.py first"
    return "the weights were not gathered before saving; with ZeRO-3, run zero_to_fp32.py on DeepSpeed's checkpoint"


def _is_deepspeed(checkpoint: Checkpoint) -> bool:
    names = any(re.fullmatch(_ZERO_FILES, file.name) for file in checkpoint.files)
    return names or any(_ZERO_KEYS & contents.keys() for contents in checkpoint.contents.values())


def without_elements(tensors: Sequence[TensorSpec]) -> str:
    """A sentence: `a, b and 3 more have no elements`."""
    names = listed([shown(tensor.name) for tensor in tensors])
    return f"{names} {'have' if len(tensors) > 1 else 'has'} no elements"
