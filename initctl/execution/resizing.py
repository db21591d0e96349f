"""The files of a checkpoint whose tensors get other shapes: a new header, rows that stay, rows that are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import Problem, UsageError, listed, shown
from initctl.execution.content import Content, target_at
from initctl.formats.config import CONFIG
from initctl.formats.file_formats import SLICES
from initctl.tensors import TensorPart

if TYPE_CHECKING:
    from initctl.execution.output_format import Conversion
    from initctl.formats import Checkpoint
    from initctl.planning import Plan
    from initctl.reshaping.renewed_files import RenewedFile

_CONVERT = "convert it on the way, with -o 'out.safetensors'"


def renewed_content(plan: Plan, new: RenewedFile) -> Content:
    """The content of `new`. Tensors and rows that no rule fills are moved."""
    begins = {id(tensor): begin for tensor, begin in new.tensors}
    filled = [a for a in plan.distinct_actions if a.part.numel and id(a.tensor) in begins]
    targets = [target_at(action, begins[id(action.tensor)]) for action in filled]
    outside = [TensorPart(tensor) for tensor in plan.checkpoint.outside]
    kept = [part for part in (*(left.part for left in plan.kept), *outside) if id(part.tensor) in begins]
    moved = [(part, begins[id(part.tensor)]) for part in kept if part.numel]
    return Content(new.layout, new.file.mode, targets, moved=moved)


def check_resizable(
    checkpoint: Checkpoint, output: str | None, conversion: Conversion | None, *, patch: bool, is_reset: bool
) -> None:
    """Raise `UsageError` if the new shapes, or the new fields of `config.json`, cannot be written in this way."""
    if checkpoint.resized:
        _check_shapes(checkpoint, conversion, patch=patch, is_reset=is_reset)
    if checkpoint.result.fields and patch:
        fault = f"--patch overwrites only the bytes of weights, and cannot change {CONFIG}"
        raise UsageError(Problem("output.patch", fault, "leave out --patch"))
    has_config = conversion.is_directory if conversion else checkpoint.is_directory
    if checkpoint.result.fields and not (has_config and checkpoint.is_directory):
        place = shown(output if output is not None else checkpoint.path)
        fault = f"set-config: {place} is one file, and {CONFIG} is not written with it"
        hint = "name the directory of the checkpoint" if not checkpoint.is_directory else "write to a directory"
        raise UsageError(Problem("output.config", fault, hint))


def _check_shapes(checkpoint: Checkpoint, conversion: Conversion | None, *, patch: bool, is_reset: bool) -> None:
    names = listed([shown(tensor.name) for tensor in checkpoint.resized])
    if patch:
        fault = f"--patch overwrites bytes in their places, but other sizes move them: {names}"
        raise UsageError(Problem("output.patch", fault, "leave out --patch"))
    if is_reset:
        fault = f"--reset-optimizer cannot follow new sizes: the optimizer keeps the old size of {names}"
        hint = "leave it out, and start training with a new optimizer"
        raise UsageError(Problem("output.reset_optimizer", fault, hint))
    if not conversion and (not checkpoint.is_safetensors or checkpoint.format == SLICES):
        fault = f"{shown(checkpoint.path)}: tensors can get other sizes only in whole files of safetensors: {names}"
        raise UsageError(Problem("output.sizes", fault, _CONVERT))
