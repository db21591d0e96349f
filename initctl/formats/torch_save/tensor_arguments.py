"""The arguments of a tensor as torch.save writes them: about thirty instructions, which are nearly always the same.

The machine that reads a pickle reads them in one step here, in a third of the time. The result is the same. If anything
differs from the usual form, the machine executes the instructions one by one.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from initctl.formats.torch_save.standins import Global, Made, StorageRef

if TYPE_CHECKING:
    from initctl.tensors import Shape

    Arguments = tuple[StorageRef, int, Shape, Shape, bool, Made]

_GET, _PUT, _NUMBER = "(h.|j.{4})", "(q.|r.{4})", "(?:K.|M..|J.{4})"
_SIZES = rf"({_NUMBER}{{1,3}}[\x85-\x87]|\({_NUMBER}{{4,8}}t){_PUT}"
_ARGUMENTS = re.compile(
    rf"\({_GET}{_GET}X(.{{4}})([0-9]+){_PUT}{_GET}({_NUMBER})t{_PUT}Q"
    rf"({_NUMBER}){_SIZES}{_SIZES}([\x88\x89]){_GET}\)R{_PUT}t{_PUT}".encode("latin-1"),
    re.DOTALL,
)
"""The bytes after a mark: ("storage", type, key, device, elements), offset, size, stride, requires_grad, hooks()."""
_COST = 32
"""How many instructions they count as, without those of sizes."""
_LONG = struct.Struct("<" + 6 * "xI")


def tensor_arguments(
    data: bytes, at: int, memo: dict[int, Any], make: Callable[[Global, tuple[()]], Made]
) -> tuple[Arguments, int, int] | None:
    """The arguments after a mark that ends at byte `at`, the offset of their end, and how many instructions they count
    as; None if the bytes have another form. Adds their entries to `memo`. `make` gives the stand-in for a call.
    """
    found = _ARGUMENTS.match(data, at)
    if found is None:
        return None
    (
        tag, kind, length, digits, of_key, device, numel, of_id, offset, size, of_size, stride, of_stride, flag, hooks,
        of_hooks, of_all,
    ) = found.groups()  # fmt: skip
    places = _places((of_key, of_id, of_size, of_stride, of_hooks, of_all))
    if not memo.keys().isdisjoint(places):
        return None  # an instruction could read the old or the new value
    name, of_type, where, function = map(memo.get, map(_number, (tag, kind, device, hooks)))
    (shape, cost), (strides, more) = _sizes(size), _sizes(stride)
    if not _are_usual(name, of_type, where) or type(function) is not Global:
        return None
    if not (cost and more) or int.from_bytes(length, "little") != len(digits):
        return None
    key = digits.decode("ascii")
    identity = name, of_type, key, where, _number(numel)
    nothing = make(function, ())
    arguments = StorageRef(identity), _number(offset), shape, strides, flag == b"\x88", nothing
    memo.update(zip(places, (key, identity, shape, strides, nothing, arguments), strict=True))
    return arguments, found.end(), _COST + cost + more


def _are_usual(name: object, of_type: object, device: object) -> bool:
    """Whether values of the memo are the usual ones of a storage. After `step`, a number would be patchable."""
    are_texts = type(name) is str and name == "storage" and type(device) is str and device != "step"
    return are_texts and type(of_type) is Global


def _places(instructions: Sequence[bytes]) -> tuple[int, ...]:
    joined = b"".join(instructions)
    return _LONG.unpack(joined) if len(joined) == _LONG.size else tuple(map(_number, instructions))


@lru_cache(maxsize=256)
def _number(instruction: bytes) -> int:
    return int.from_bytes(instruction[1:], "little", signed=instruction[:1] == b"J")


@lru_cache(maxsize=256)
def _sizes(instructions: bytes) -> tuple[Shape, int]:
    """A tuple of numbers, and how many instructions it counts as: 0 if the instructions do not make this tuple."""
    numbers = tuple(map(_number, _NUMBERS.findall(instructions)))
    if instructions.endswith(b"t") and instructions.startswith(b"("):
        return numbers, len(numbers) + 4
    return numbers, len(numbers) + 2 if len(numbers) == instructions[-1] - ord("\x84") else 0


_NUMBERS = re.compile(_NUMBER.encode(), re.DOTALL)
