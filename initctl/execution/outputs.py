"""Which kind of checkpoint an output is to become: the input's own, or another one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.formats.shards import LARGEST, parse_size

if TYPE_CHECKING:
    from initctl.formats import Checkpoint

_SAFETENSORS = ".safetensors"
_TORCH = (".pt", ".pth", ".bin", ".ckpt")


class Conversion(NamedTuple):
    """To safetensors: to one file, or to a directory of shards with at most `largest` bytes of tensors."""

    largest: int | None


def conversion_to(output: str, checkpoint: Checkpoint, max_shard_size: str | None) -> Conversion | None:
    """What `checkpoint` is converted to by being written to `output`, if it is converted.

    A file of torch.save becomes a directory if `output` is one, or ends like one; any checkpoint does if shards have a
    `max_shard_size`. One file of safetensors is put into a directory as it is. Raises `UsageError` if this is not
    offered.
    """
    is_directory = names_directory(output)
    if max_shard_size is not None:
        if output.endswith(_SAFETENSORS) and not is_directory:
            message = f"{shown(output)}: names a file, and shards of a size go to a directory"
            raise UsageError(Problem("output.kind", message, "name a directory"))
        return Conversion(parse_size(max_shard_size))
    if is_directory:
        stays = checkpoint.is_directory or _is_called_safetensors(checkpoint)
        return None if stays else Conversion(parse_size(LARGEST))
    if checkpoint.is_safetensors and output.endswith(_TORCH) and not checkpoint.is_directory:
        message = f"{shown(output)}: safetensors is not converted to what torch.save writes"
        raise UsageError(Problem("output.kind", message, "name a .safetensors file"))
    if output.endswith(_SAFETENSORS) and (checkpoint.is_directory or not checkpoint.is_safetensors):
        return Conversion(None)
    return None


def _is_called_safetensors(checkpoint: Checkpoint) -> bool:
    """Whether it is one file that is found in a directory under its own name."""
    return checkpoint.is_safetensors and checkpoint.files[0].name.endswith(_SAFETENSORS)


def names_directory(output: str) -> bool:
    """Whether `output` is a directory, or is to be one."""
    return os.path.isdir(output) or output.endswith(("/", os.sep))
