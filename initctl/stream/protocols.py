"""Interfaces of laws and of old values, which laws, engines and planning share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws


class Law(Protocol):
    """The values of a tensor: a function from element indices to values, and facts that planning needs."""

    @property
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        """The values at indices `start` ≤ i < `stop`: an array of float32 (for a constant, of a type that can hold it).

        The value at an index does not depend on the range.
        """


class WholeLaw(ABC):
    """Values that depend on more than their own index: they are prepared together first."""

    __slots__ = ()

    @property
    @abstractmethod
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    @property
    @abstractmethod
    def workspace(self) -> int:
        """Bytes of memory that preparing needs, including its result."""

    @property
    def flops(self) -> float:
        """The floating-point operations of QR decompositions during preparing."""
        return 0

    @abstractmethod
    def prepared(self, draws: Draws) -> Law:
        """The law of the tensor, ready to compute its values."""


class Deterministic(Law):
    """Values that depend only on their indices: nothing is drawn."""

    __slots__ = ()

    @property
    def exact(self) -> tuple[float, ...]:
        """All values of the law, if a tensor must hold them exactly: then integer tensors are allowed."""
        return ()


class Old(Protocol):
    """The old values of a tensor, before it is filled."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def values(self, start: int, stop: int) -> NDArray[Any]:
        """The numbers at indices `start` ≤ i < `stop`: float32, or float64 for a tensor of doubles."""

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """The same numbers in the tensor's dtype. Written back unchanged, they keep their bits."""

    def rows(self, order: Sequence[int], width: int) -> NDArray[Any]:
        """The rows of `width` numbers that `order` lists, one after another, in the tensor's dtype."""

    def other(self, source: Source) -> Old:
        """The old values of another tensor, one of the `sources` of a revision."""


class Source(NamedTuple):
    """Another tensor: its name in this checkpoint, or in the one at the path `checkpoint`."""

    name: str
    checkpoint: str | None = None


class RevisingLaw(ABC):
    """Values computed from old ones of this tensor or of others: they are prepared first."""

    __slots__ = ()

    sources: tuple[Source, ...] = ()
    whole: ClassVar[bool] = False
    """Whether it applies only to whole tensors, not to some rows."""
    in_place: ClassVar[bool] = False
    """Whether the prepared law needs, for an element, no old value but the one at its place."""

    @property
    def needs_whole(self) -> bool:
        """Whether it needs old values that a process with a part of the tensor may not have."""
        return True

    @property
    def largest(self) -> float:
        """A bound on the magnitude of values that are not computed from old ones, if known."""
        return 0.0

    def rows_read(self, filled: tuple[int, int], count: int) -> tuple[int, int]:  # noqa: ARG002 - others depend on it
        """The range of the tensor's own `count` rows that is read to fill the rows `filled`; by default all of them."""
        return 0, count

    @abstractmethod
    def prepared(self, draws: Draws, old: Old) -> Law:
        """The law of the tensor, ready to compute its values. It reads `old` while it computes."""


class FromOld(ABC):
    """A law that reads old values while it computes.

    Its numbers may be infinite or NaN if old ones are; if old ones are not, it raises `Overflow`.
    """

    __slots__ = ()

    largest = 0.0

    @abstractmethod
    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        """As in `Law`, in float32, float64 or the tensor's dtype."""


AnyLaw = Law | WholeLaw | RevisingLaw


class Overflow(Exception):  # noqa: N818 - a fact that callers report with tensor and rule
    """A finite old number would become one that the tensor cannot hold; the message says how."""
