"""Where a checkpoint is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.directories.folder import Folder, read_folder, status_within


@dataclass(frozen=True)
class Location:
    """Where a checkpoint is: the `path` that messages call it by, the `directory` of its files, and the `target` that a
    rewrite replaces: the one file, or the directory. A `component` is the folder below the directory that the
    checkpoint is in.
    """

    path: str
    directory: str
    target: str
    component: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether a rewrite replaces the whole directory."""
        return self.target == self.directory

    @property
    def home(self) -> str:
        """The folder that the checkpoint is in: that of its `config.json`."""
        return os.path.join(self.directory, self.component)

    @property
    def whole(self) -> str:
        """What messages call the directory, of which the checkpoint may be one component."""
        return self.path.removesuffix(f"/{self.component}") if self.component else self.path

    def named(self, name: str) -> str:
        """The name relative to the directory of what is called `name` in the checkpoint's folder."""
        return f"{self.component}/{name}" if self.component else name

    @cached_property
    def folder(self) -> Folder:
        """What is directly in the checkpoint's folder. Raises `InputError` if that cannot be read."""
        return read_folder(self.home, self.directory)

    def file(self, name: str) -> CheckpointFile | None:
        """The file called `name` in the checkpoint's folder, if it is there, and in the directory."""
        status = status_within(os.path.join(self.home, name), self.directory)
        return CheckpointFile.of(self.named(name), status) if status else None
