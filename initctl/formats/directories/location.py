"""Where a checkpoint is."""

from __future__ import annotations

import os
from typing import NamedTuple


class Location(NamedTuple):
    """Where a checkpoint is: the path that messages call it by, the directory of its files, and the file or directory
    that a rewrite replaces. A `component` is the folder below the directory that the checkpoint is in.
    """

    path: str
    directory: str
    target: str
    component: str = ""

    @property
    def home(self) -> str:
        """The folder that the checkpoint is in."""
        return os.path.join(self.directory, self.component)

    @property
    def whole(self) -> str:
        """What messages call the directory, of which the checkpoint may be one component."""
        return self.path.removesuffix(f"/{self.component}") if self.component else self.path

    def named(self, name: str) -> str:
        """The name relative to the directory of what is called `name` in the checkpoint's folder."""
        return f"{self.component}/{name}" if self.component else name
