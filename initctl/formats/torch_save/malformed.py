"""The one fact that the readers here raise, each about its own layer."""

from __future__ import annotations


class Malformed(ValueError):  # noqa: N818 - a fact that the reader of a checkpoint turns into an error
    """A file is not what torch.save writes: the message says why, `hint` what to do where there is something."""

    def __init__(self, fault: str, hint: str | None = None) -> None:
        super().__init__(fault)
        self.hint = hint
