"""Entries of dicts in a pickle, and a budget for reading them.

A pickle can refer to one value in a million places, so a small file can describe a huge object. Therefore every look at
an entry is counted, and their number is limited.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from initctl.formats.opening import Malformed
from initctl.formats.torch_save.standins import DICT, Global, Made

if TYPE_CHECKING:
    Pairs = Sequence[tuple[Any, Any]]

MOST_LOOKS = 10_000_000
"""A hundred thousand tensors with an optimizer need about four million."""
MAPPINGS = (DICT, Global("__builtin__", "dict"), Global("collections", "OrderedDict"))


class Looks:
    """Counts looks at the values of one file. All methods raise `Malformed` if there are too many."""

    def __init__(self) -> None:
        self.left = MOST_LOOKS

    def spend(self, looks: int) -> None:
        """Count looks at entries, or other steps that take as long."""
        self.left -= looks
        if self.left < 0:
            raise Malformed(f"needs more than {MOST_LOOKS:,} steps: it has too many parts, or repeats them too often")

    def pairs_of(self, value: Any) -> Pairs:  # noqa: ANN401 - whatever a pickle holds
        """The entries of a dict, an OrderedDict, or an object of any other class that was filled like a dict."""
        if not isinstance(value, Made):
            return ()
        if value.pairs is not None:
            self.spend(len(value.pairs))
            return value.pairs
        match value.arguments:
            case (list() as entries,) if value.called in MAPPINGS:  # as Python 2 wrote an OrderedDict
                self.spend(len(entries))
                return [(e[0], e[1]) for e in entries if isinstance(e, (list, tuple)) and len(e) == 2]
        return ()

    def texts_of(self, value: Any) -> dict[str, Any]:  # noqa: ANN401
        """The entries of a dict, or of a stand-in for one, whose keys are text."""
        return {key: held for key, held in self.pairs_of(value) if isinstance(key, str)}
