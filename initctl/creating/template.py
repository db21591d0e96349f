"""A table to fill, and what goes along with it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from initctl.execution.output_format import WRITABLE, ending
from initctl.formats.directories.nested import folders_with_weights
from initctl.formats.directories.weight_names import is_another_copy, weight_name

if TYPE_CHECKING:
    from initctl.errors import Problem
    from initctl.formats import Checkpoint

_ABOUT_WEIGHTS = ("directory.stale", "directory.other_weights", "directory.weights_below")
"""Codes of warnings about other weights in a directory. A new checkpoint goes without them."""


class Template(NamedTuple):
    """A table, most of whose tensors have no values. Its stale files are all those in its directory that hold weights,
    or the state of training: a new checkpoint goes without them.

    `warnings` are about the source. With `has_layout`, the new files may be laid out as those of the table.
    """

    checkpoint: Checkpoint
    warnings: tuple[Problem, ...] = ()
    has_layout: bool = False

    @classmethod
    def beside_files(cls, checkpoint: Checkpoint, *, has_layout: bool = False) -> Template:
        """The template with the other files of the checkpoint's directory, if it is one. Raises `InputError`."""
        warnings = tuple(warning for warning in checkpoint.warnings if warning.code not in _ABOUT_WEIGHTS)
        stale = _weights_beside(checkpoint)
        return cls(replace(checkpoint, warnings=warnings, stale=stale), has_layout=has_layout)


def _weights_beside(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The other files of the directory that hold weights, of this model or of any other, or the state of training."""
    if not checkpoint.is_directory:
        return ()
    folders = tuple(f"{folder}/" for folder in folders_with_weights(checkpoint.home))
    names = (file.name for file in checkpoint.side_files)
    return tuple(name for name in names if name.startswith(folders) or _holds_weights(os.path.basename(name)))


def _holds_weights(name: str) -> bool:
    return ending(name, WRITABLE) in WRITABLE or weight_name(name) is not None or is_another_copy(name)
