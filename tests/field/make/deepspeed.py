"""DeepSpeed: `save_checkpoint` of ZeRO stages 0 to 3, on two ranks, with bfloat16 parameters and float32 masters."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import torch
from deepspeed.utils.zero_to_fp32 import get_fp32_state_dict_from_zero_checkpoint

from tests.field.layout import Job, Layout, Record
from tests.field.make.torch import ranks

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_STATES = "global_step1/mp_rank_00_model_states.pt"
_EMPTY = "global_step1/zero_pp_rank_0_mp_rank_00_model_states.pt"


def _writes(stage: int, checkpoint: str, **options: object) -> Callable[[str], Record]:
    def write(folder: str) -> Record:
        names = ranks(f"deepspeed_{stage}", folder)
        for script in ("zero_to_fp32.py", "zero_to_torch.py"):  # copies of DeepSpeed's own
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(folder, script))
        return Record(checkpoint, "module", names, **options)

    return write


def _load(path: str) -> dict[str, Tensor]:
    """The parameters that the engine loads, and the masters, as DeepSpeed's own `zero_to_fp32` puts them together."""
    folder = os.path.dirname(os.path.dirname(path))
    found = {}
    if "zero_pp_rank" not in path:
        found = torch.load(path, weights_only=False)["module"]
    if any("zero" in name and "optim" in name for name in os.listdir(os.path.dirname(path))):
        masters = get_fp32_state_dict_from_zero_checkpoint(folder, "global_step1")
        found = {**found, **{f"master/{name}": tensor.clone() for name, tensor in masters.items()}}
    return found


_HEAD = ("-r", "2.weight=normal:std=0.01")


def _jobs(words: str) -> tuple[Job, ...]:
    return (
        Job("reset the head", _HEAD, ("2.weight",), None, warned=words),
        Job("with its optimizer", (*_HEAD, "--reset-optimizer"), output=None, refused=words),
    )


_MASTERS = "optim_states.pt"
_LOADER = "module state dict, zero_to_fp32"

LAYOUTS = (
    Layout("zero0", _writes(0, _STATES, warned=("fp32_groups",)), _load, _LOADER, _jobs("fp32_groups")),
    Layout("zero1", _writes(1, _STATES, warned=(_MASTERS,)), _load, _LOADER, _jobs(_MASTERS)),
    Layout("zero2", _writes(2, _STATES, warned=(_MASTERS,)), _load, _LOADER, _jobs(_MASTERS)),
    Layout(
        "zero3",
        _writes(3, _EMPTY, refused="zero_to_fp32"),
        _load,
        _LOADER,
        (Job("reset the head", _HEAD, output=None, refused="zero_to_fp32"),),
    ),
)
