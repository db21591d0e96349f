"""What execution tells while it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Chosen(NamedTuple):
    """Before anything is written: the engine that computes what is planned for `device`, and why it is that one."""

    device: str
    engine: str
    reason: str


@dataclass(frozen=True, slots=True)
class Committed:
    """The result is in place, and stays whatever comes."""


class Progress(NamedTuple):
    """Bytes written so far, and in all; those that are looked at before count too."""

    done: int
    total: int


Event = Chosen | Progress | Committed
