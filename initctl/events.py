"""What a caller is informed of while a plan is carried out, or a checkpoint verified."""

from __future__ import annotations

from typing import NamedTuple


class Chosen(NamedTuple):
    """Before anything is computed: the engine that does what is planned for `device`, and why it is that one."""

    device: str
    engine: str
    reason: str


class Progress(NamedTuple):
    """Bytes done so far, and in all: written, and compared."""

    done: int
    total: int


class Committed(NamedTuple):
    """The result is in place, and stays whatever happens next."""


Event = Chosen | Progress | Committed
