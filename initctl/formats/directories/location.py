"""Where a checkpoint is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

from initctl.formats.checkpoint_file import CheckpointFile
from initctl.formats.directories.folder import Folder, read_folder, status_within


@dataclass(frozen=True)
class Location:
    """Where a checkpoint is.

    Messages call it `path`. `directory` contains its files. A rewrite replaces `target`: a file or the directory.
    `component` is the folder below the directory with the checkpoint, if the user named one.
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
        """The folder with the checkpoint and its `config.json`."""
        return os.path.join(self.directory, self.component)

    @property
    def whole(self) -> str:
        """The path of the whole directory in messages, without the component."""
        return self.path.removesuffix(f"/{self.component}") if self.component else self.path

    def named(self, name: str) -> str:
        """The name, relative to the directory, of `name` in the checkpoint's folder."""
        return f"{self.component}/{name}" if self.component else name

    @cached_property
    def folder(self) -> Folder:
        """The entries directly in the checkpoint's folder. Raises `InputError` if it cannot be read."""
        return read_folder(self.home, self.directory)

    def file(self, name: str) -> CheckpointFile | None:
        """The file `name` in the checkpoint's folder; None if it does not exist or is outside of the directory."""
        status = status_within(os.path.join(self.home, name), self.directory)
        return CheckpointFile.of(self.named(name), status) if status else None
