"""The pickle of a plain state dict, byte for byte as torch.save writes it, without torch and without tensors.

torch/serialization.py uses pickle protocol 2; torch/_tensor.py says how a tensor is rebuilt, and torch/storage.py how
its storage is named. Python's pickle memoizes each value under a number, to refer to it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from initctl.formats.torch_save.tensors import STORAGE_NAMES
from initctl.tensors import Shape, TensorSpec, row_major

_AT_ONCE = 1000
"""The most items of a dict that one instruction sets."""
_MARK, _TUPLE, _REDUCE, _STOP = b"(", b"t", b"R", b"."
_EMPTY_TUPLE, _FALSE, _PERSISTENT = b")", b"\x89", b"Q"
_SHORT_TUPLES = (b"\x85", b"\x86", b"\x87")
"""Tuples of one to three elements."""


class Named(NamedTuple):
    """A tensor under a name, and the key of its storage, which tied tensors share."""

    name: str
    tensor: TensorSpec
    storage: str


def state_dict(entries: Iterable[Named]) -> bytes:
    """The pickle of an `OrderedDict` of contiguous tensors."""
    pickle = _Pickle()
    pickle.imported("collections", "OrderedDict")
    pickle.called(_EMPTY_TUPLE)
    ordered = list(entries)
    for first in range(0, len(ordered), _AT_ONCE):
        pickle.items(ordered[first : first + _AT_ONCE])
    return pickle.ended()


class _Pickle:
    """A pickle that is being written, and the memo's numbers of values."""

    def __init__(self) -> None:
        self._written = bytearray(b"\x80\x02")
        self._noted: dict[tuple[str, str], int] = {}
        self._count = 0

    def ended(self) -> bytes:
        return bytes(self._written + _STOP)

    def items(self, entries: Sequence[Named]) -> None:
        """Set `entries` of the dict that was written last."""
        if len(entries) > 1:
            self._written += _MARK
        for entry in entries:
            self._text(entry.name)
            self._tensor(entry)
        self._written += b"u" if len(entries) > 1 else b"s"

    def imported(self, module: str, name: str) -> None:
        """A class or function, by its name."""
        if not self._again(module, name):
            self._written += b"c" + f"{module}\n{name}\n".encode()
            self._note(module, name)

    def called(self, arguments: bytes) -> None:
        """Call the function that was written last with `arguments`."""
        self._written += arguments + _REDUCE
        self._note()

    def _tensor(self, entry: Named) -> None:
        """A tensor, as torch/_tensor.py reduces one that needs no gradient and has no hooks."""
        tensor, storage = entry.tensor, STORAGE_NAMES.get(entry.tensor.dtype.name)
        self.imported("torch._utils", "_rebuild_tensor_v2" if storage else "_rebuild_tensor_v3")
        self._written += _MARK
        self._storage(entry, storage)
        self._number(0)
        self._numbers(tensor.shape)
        self._numbers(row_major(tensor.shape))
        self._written += _FALSE
        self.imported("collections", "OrderedDict")
        self.called(_EMPTY_TUPLE)
        if storage is None:
            self.imported("torch", tensor.dtype.name)
        self._written += _TUPLE
        self._note()
        self.called(b"")

    def _storage(self, entry: Named, kind: str | None) -> None:
        """Write the reference to a tensor's storage. Newer dtypes have no `kind`: their storage is untyped bytes."""
        self._written += _MARK
        self._text("storage", once=True)
        self.imported(*(("torch", kind) if kind else ("torch.storage", "UntypedStorage")))
        self._text(entry.storage, once=True)
        self._text("cpu", once=True)
        self._number(entry.tensor.numel if kind else entry.tensor.nbytes)
        self._written += _TUPLE
        self._note()
        self._written += _PERSISTENT

    def _text(self, text: str, *, once: bool = False) -> None:
        """Write `text`; if `once`, later uses refer to the first one."""
        if not (once and self._again("", text)):
            content = text.encode(errors="surrogatepass")
            self._written += b"X" + len(content).to_bytes(4, "little") + content
            self._note(*(("", text) if once else ()))

    def _numbers(self, numbers: Shape) -> None:
        if not numbers:
            self._written += _EMPTY_TUPLE
            return
        is_short = len(numbers) <= len(_SHORT_TUPLES)
        self._written += b"" if is_short else _MARK
        for number in numbers:
            self._number(number)
        self._written += _SHORT_TUPLES[len(numbers) - 1] if is_short else _TUPLE
        self._note()

    def _number(self, number: int) -> None:
        for opcode, width, limit in ((b"K", 1, 1 << 8), (b"M", 2, 1 << 16), (b"J", 4, 1 << 31)):
            if number < limit:
                self._written += opcode + number.to_bytes(width, "little")
                return
        width = number.bit_length() // 8 + 1
        self._written += b"\x8a" + bytes([width]) + number.to_bytes(width, "little")

    def _note(self, *called: str) -> None:
        """Memoize the last value, and remember its number if it is `called` something."""
        if called:
            self._noted[called[0], called[1]] = self._count
        self._written += self._numbered(b"q", b"r", self._count)
        self._count += 1

    def _again(self, module: str, name: str) -> bool:
        """Write a reference to a memoized value. Returns whether there is one."""
        number = self._noted.get((module, name))
        if number is not None:
            self._written += self._numbered(b"h", b"j", number)
        return number is not None

    @staticmethod
    def _numbered(short: bytes, long: bytes, number: int) -> bytes:
        return short + bytes([number]) if number < 1 << 8 else long + number.to_bytes(4, "little")
