"""What a caller asked for: a source, changes to it, and an output."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from initctl.creating.from_checkpoint import like_checkpoint
from initctl.creating.from_table import from_table
from initctl.creating.template import float_dtype
from initctl.errors import Problem, UsageError, listed, shown
from initctl.execution import Conversion
from initctl.execution.output_format import FOREIGN, TEXTS, WRITABLE, ending, names_directory
from initctl.formats.writing.safetensors import SAFETENSORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.creating.template import Template
    from initctl.formats import Checkpoint

_ENDING = ".safetensors"
_SOURCES = "--like, --config or --table"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOptions:
    """The arguments of `initctl.new` about its source and its output. Raises `UsageError` if they contradict."""

    output: str
    like: str | None = None
    table: str | None = None
    config: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    root: str | None = None
    dtype: str | None = None
    max_shard_size: str | None = None
    overwrite: bool | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        sources = {"--like": self.like, "--table": self.table, "--config": self.config}
        given = [name for name, path in sources.items() if path is not None]
        if not given:
            raise UsageError(Problem("new.source", "new: no source given", f"name one: {_SOURCES}"))
        if len(given) > 1:
            raise UsageError(Problem("new.source", f"new: {listed(given)} exclude each other", "leave one"))
        if self.settings and self.config is None:
            fault = "--set changes a configuration, and needs --config"
            raise UsageError(Problem("usage.set", fault, "--dtype changes the dtype of any source"))
        if self.root is not None and self.like is None:
            raise UsageError(Problem("usage.root", "--root needs --like, whose file it looks into", "leave it out"))
        if self.dtype is not None:
            float_dtype(self.dtype)
        try:
            json.dumps(self.settings, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(Problem("usage.set", f"settings: cannot be written as JSON: {shown(error)}")) from None

    def template(self) -> Template:
        """The table to fill. Raises the errors of its source."""
        dtype = None if self.dtype is None else float_dtype(self.dtype)
        if self.like is not None:
            return like_checkpoint(self.like, root=self.root, dtype=dtype)
        if self.table is not None:
            return from_table(self.table, dtype=dtype)
        from initctl.creating.from_config import from_config

        return from_config(str(self.config), self.settings, dtype=dtype)

    def conversion(self, template: Template) -> Conversion | None:
        """How the result is laid out: one file of safetensors, or a directory of shards; None if as in `template`.

        Raises `UsageError` if the output names a file that is not of safetensors, or is the template's directory.
        """
        checkpoint = template.checkpoint
        if os.path.exists(self.output) and os.path.samefile(self.output, checkpoint.directory):
            fault = f"{shown(self.output)}: is the directory of the source"
            raise UsageError(Problem("output.is_input", fault, "name another directory"))
        if os.path.isfile(self.output) and any(os.path.samefile(self.output, file) for file in _paths(checkpoint)):
            raise UsageError(Problem("output.is_input", f"{shown(self.output)}: is the input", "name another file"))
        is_directory = self._is_directory()
        if self.max_shard_size is None and template.has_layout:
            keeps_name = names_directory(self.output) and checkpoint.files[0].name.endswith(_ENDING)
            if is_directory == checkpoint.is_directory or (is_directory and keeps_name):
                return None
        from initctl.formats.directories.shards import LARGEST, parse_size

        size = LARGEST if self.max_shard_size is None else self.max_shard_size
        return Conversion(SAFETENSORS, parse_size(size) if is_directory else None)

    def _is_directory(self) -> bool:
        found = ending(self.output, WRITABLE)
        if names_directory(self.output):
            return True
        if found == _ENDING:
            if self.max_shard_size is not None:
                fault = f"{shown(self.output)}: names a file, but --max-shard-size writes a directory"
                raise UsageError(Problem("output.kind", fault, "name a directory"))
            return False
        if found in (*WRITABLE, *FOREIGN, *TEXTS):
            fault = f"{shown(self.output)}: a new checkpoint is written as safetensors"
            raise UsageError(Problem("output.ending", fault, "name a .safetensors file or a directory"))
        return True


def _paths(checkpoint: Checkpoint) -> Iterator[str]:
    """The paths of the checkpoint's files."""
    return (os.path.join(checkpoint.directory, file.name) for file in checkpoint.files)
