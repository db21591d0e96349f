"""What was asked: new sizes of tensors, and new values of fields of `config.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from initctl.formats.config import Setting
    from initctl.reshaping.sizes import Resize


@dataclass(frozen=True, slots=True)
class Reshaping:
    """New `sizes`, of which the last one that matches a tensor decides, and `settings` of `config.json`.

    Rows and dims for the same tensor contradict each other, in any order.
    """

    sizes: tuple[Resize, ...] = ()
    settings: tuple[Setting, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sizes or self.settings)

    def __add__(self, later: Reshaping) -> Reshaping:
        """Both together; `later` decides if they differ."""
        return Reshaping(self.sizes + later.sizes, self.settings + later.settings)


UNCHANGED = Reshaping()
"""Nothing was asked."""
