"""What is told while tensors are computed."""

from __future__ import annotations

from typing import NamedTuple


class Chosen(NamedTuple):
    """Before anything is computed: the engine that does what is planned for `device`, and why it is that one."""

    device: str
    engine: str
    reason: str


class Progress(NamedTuple):
    """Bytes done so far, and in all: written, and looked at."""

    done: int
    total: int
