"""What a law is, and what it is computed from: the interfaces that laws, engines and planning share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from initctl.stream.draws import Draws


class Law(Protocol):
    """What fills a tensor: a function from element indices to values, and what planning must know about it."""

    @property
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        """The values at indices `start` ≤ i < `stop`: one array of float32 (a constant: of a type that holds it).

        The value at an index is the same whatever range it is asked for in.
        """


class WholeLaw(ABC):
    """What fills a tensor in which a value depends on more than its own index: it is prepared first."""

    __slots__ = ()

    @property
    @abstractmethod
    def largest(self) -> float:
        """A bound on the magnitude of every value."""

    @property
    @abstractmethod
    def workspace(self) -> int:
        """Bytes of memory that preparing takes, with what it returns."""

    @property
    def flops(self) -> float:
        """Floating-point operations of the QR decompositions that preparing takes."""
        return 0

    @abstractmethod
    def prepared(self, draws: Draws) -> Law:
        """What fills the tensor, once all that its values share is known."""


class Deterministic(Law):
    """What fills a tensor with values that follow from their indices alone: nothing is drawn."""

    __slots__ = ()

    @property
    def exact(self) -> tuple[float, ...]:
        """All values that there are, if a tensor must hold them exactly: then it may be one of integers."""
        return ()


class Old(Protocol):
    """What a tensor holds before it is filled."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def values(self, start: int, stop: int) -> NDArray[Any]:
        """The numbers at indices `start` ≤ i < `stop`: float32, or float64 of a tensor of doubles."""

    def stored(self, start: int, stop: int) -> NDArray[Any]:
        """The same numbers in the tensor's own type: what is given back like that stays as it is, to the bit."""

    def rows(self, order: Sequence[int], width: int) -> NDArray[Any]:
        """Those rows of `width` numbers that `order` lists, one after another, as `stored` gives them."""

    def other(self, source: Source) -> Old:
        """What one of the tensors holds that a revision has among its `sources`."""


class Source(NamedTuple):
    """Another tensor: its name in this checkpoint, or in that at the path `checkpoint`."""

    name: str
    checkpoint: str | None = None


class RevisingLaw(ABC):
    """What fills a tensor from what it holds, or from what others hold: it is prepared first."""

    __slots__ = ()

    sources: tuple[Source, ...] = ()
    whole: ClassVar[bool] = False
    """Whether it makes no sense on some rows of a tensor."""

    @property
    def largest(self) -> float:
        """A bound on the magnitude of values that do not come from old ones, if known."""
        return 0.0

    @abstractmethod
    def prepared(self, draws: Draws, old: Old) -> Law:
        """What fills the tensor, which reads `old` as it goes, once all that its values share is known."""


class FromOld(ABC):
    """What fills a tensor from old values, which it reads as it goes.

    Its numbers may be infinite or NaN if old ones are: it raises `Overflow` if old ones are not.
    """

    __slots__ = ()

    largest = 0.0

    @abstractmethod
    def values(self, draws: Draws, start: int, stop: int) -> NDArray[Any]:
        """As those of `Law`, in float32, float64 or the tensor's own type."""


AnyLaw = Law | WholeLaw | RevisingLaw


class Overflow(Exception):  # noqa: N818 - a fact that callers report with tensor and rule
    """A finite old number has led to one that cannot be held; the message says how."""
