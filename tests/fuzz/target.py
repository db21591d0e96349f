"""One reader that is fuzzed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fuzz.mutators import Mutator

Oracle = Callable[[bytes], Any]
"""Reads an input as another library does: returns what it finds, raises what the library raises."""


@dataclass(frozen=True)
class Target:
    """A reader, and inputs for it.

    `read` reads the input at a path; it may raise `InitctlError` only. `prepare` puts what has to be beside an input
    into a folder. `check` compares what was read with the input, and with what each oracle that accepts it found.
    """

    name: str
    seeds: Callable[[], Mapping[str, bytes]]
    mutate: Mutator
    read: Callable[[Path], Any]
    file: str
    oracles: Mapping[str, Oracle]
    prepare: Callable[[Path], object] = lambda folder: None
    check: Callable[[Any, bytes, Mapping[str, Any]], object] = lambda found, content, others: None
