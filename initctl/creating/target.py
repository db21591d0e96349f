"""Where a new checkpoint goes: one file of safetensors, or a directory of shards."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from initctl.creating.created import Created
from initctl.errors import Problem, UsageError, shown
from initctl.escaping import as_named
from initctl.execution import Conversion, Delivery, execute, would_replace
from initctl.execution.output_format import FOREIGN, TEXTS, WRITABLE, ending, names_directory
from initctl.formats.writing.safetensors import SAFETENSORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initctl.creating.template import Template
    from initctl.events import Event
    from initctl.formats import Checkpoint
    from initctl.planning import Plan

_ENDING = ".safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The arguments of `initctl.new` about its output.

    Attributes:
        path: a `.safetensors` file, or a directory.
        max_shard_size: the most bytes of tensors in one file of a directory, as text such as `5GB`; None for the
            default, or for the shards of the template.
        overwrite: whether any file may be replaced (True), only a checkpoint (None), or nothing (False).
    """

    path: str
    max_shard_size: str | None = None
    overwrite: bool | None = None

    def conversion(self, template: Template) -> Conversion | None:
        """How the result is laid out: one file of safetensors, or a directory of shards; None if as in `template`.

        Raises `UsageError` if the path names a file that is not of safetensors, or is the template's.
        """
        self._check_is_other(template.checkpoint)
        is_directory = self._is_directory()
        if self.max_shard_size is None and self._keeps_layout(template, is_directory=is_directory):
            return None
        from initctl.formats.directories.shards import LARGEST, parse_size

        size = LARGEST if self.max_shard_size is None else self.max_shard_size
        return Conversion(SAFETENSORS, parse_size(size) if is_directory else None)

    def write(
        self,
        plan: Plan,
        conversion: Conversion | None,
        *,
        threads: int | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Created:
        """Carry out `plan`, whose result is laid out as `conversion` says. Raises what `execute` raises."""
        written = execute(self._delivery(plan, conversion), threads=threads, on_event=on_event)
        return Created(plan, written.path, written.files, engines=written.engines, replaced=written.replaced)

    def rehearse(self, plan: Plan, conversion: Conversion | None) -> Created:
        """What `write` would write. Raises what it raises about the output before it writes."""
        names = self._names(plan, conversion)
        replaced = would_replace(self._delivery(plan, conversion), self.path, names)
        return Created(plan, as_named(self.path), names, replaced=replaced, dry_run=True)

    def _delivery(self, plan: Plan, conversion: Conversion | None) -> Delivery:
        return Delivery(plan, self.path, conversion, self.overwrite, plan.checkpoint.stale)

    def _names(self, plan: Plan, conversion: Conversion | None) -> tuple[str, ...]:
        """The names of the files that would be written. Raises `FitError` if safetensors cannot hold a tensor."""
        checkpoint, own = plan.checkpoint, os.path.basename(os.path.realpath(self.path))
        if conversion:
            from initctl.execution.converting import converted

            return tuple(converted(plan, conversion, own, checkpoint.stale).contents)
        if not checkpoint.is_directory:
            return (checkpoint.files[0].name if names_directory(self.path) else own,)
        files = (*checkpoint.files, *checkpoint.other_files)
        return tuple(file.name for file in files if file.name not in checkpoint.stale)

    def _keeps_layout(self, template: Template, *, is_directory: bool) -> bool:
        if not template.has_layout:
            return False
        checkpoint = template.checkpoint
        keeps_name = names_directory(self.path) and checkpoint.files[0].name.endswith(_ENDING)
        return is_directory == checkpoint.is_directory or (is_directory and keeps_name)

    def _check_is_other(self, checkpoint: Checkpoint) -> None:
        if os.path.exists(self.path) and os.path.samefile(self.path, checkpoint.directory):
            fault = f"{shown(self.path)}: is the directory of the source"
            raise UsageError(Problem("output.is_input", fault, "name another directory"))
        if os.path.isfile(self.path) and any(os.path.samefile(self.path, file) for file in _paths(checkpoint)):
            raise UsageError(Problem("output.is_input", f"{shown(self.path)}: is the input", "name another file"))

    def _is_directory(self) -> bool:
        found = ending(self.path, WRITABLE)
        if names_directory(self.path):
            return True
        if found == _ENDING:
            if self.max_shard_size is not None:
                fault = f"{shown(self.path)}: names a file, but --max-shard-size writes a directory"
                raise UsageError(Problem("output.kind", fault, "name a directory"))
            return False
        if found in (*WRITABLE, *FOREIGN, *TEXTS):
            fault = f"{shown(self.path)}: a new checkpoint is written as safetensors"
            raise UsageError(Problem("output.ending", fault, "name a .safetensors file or a directory"))
        return True


def _paths(checkpoint: Checkpoint) -> Iterator[str]:
    """The paths of the checkpoint's files."""
    return (os.path.join(checkpoint.directory, file.name) for file in checkpoint.files)
