"""The arguments of a tensor as torch.save writes them: some thirty instructions, which are nearly always the same.

The machine that reads a pickle takes them in one step instead of one by one, in a third of the time. Whatever differs
in anything is left to it: what is taken here is what it would make of the same bytes.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from initctl.formats.torch_save.standins import Call, Global, StorageRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from initctl.tensors import Shape

_GET, _PUT, _NUMBER = "(h.|j.{4})", "(q.|r.{4})", "(?:K.|M..|J.{4})"
_SIZES = rf"({_NUMBER}{{1,3}}[\x85-\x87]|\({_NUMBER}{{4,8}}t|\))"
_ARGUMENTS = re.compile(
    rf"\({_GET}{_GET}X(.{{4}})([0-9]+){_PUT}{_GET}({_NUMBER})t{_PUT}Q"
    rf"({_NUMBER}){_SIZES}{_PUT}?{_SIZES}{_PUT}?([\x88\x89]){_GET}\)R{_PUT}t{_PUT}".encode("latin-1"),
    re.DOTALL,
)
"""What follows a mark: ("storage", type, key, device, elements), offset, size, stride, requires_grad, hooks()."""
_COST = 28
"""What the instructions count as, but for sizes."""


class TensorArguments(NamedTuple):
    """The arguments of a tensor, the byte behind their instructions, and what these count as."""

    values: tuple[StorageRef, int, Shape, Shape, bool, Call]
    stop: int
    cost: int


def tensor_arguments(
    data: bytes, at: int, memo: dict[int, Any], make: Callable[[Global, tuple[()]], Call]
) -> TensorArguments | None:
    """The arguments that follow a mark before byte `at`, if they are such. What is put into `memo` is there then.

    `make` gives what stands for a call.
    """
    found = _ARGUMENTS.match(data, at)
    if found is None:
        return None
    *stored, offset, size, of_size, stride, of_stride, flag, hooks, of_hooks, of_all = found.groups()
    storage = _storage(memo, *stored)
    (shape, n_shape), (strides, n_strides) = _sizes(size), _sizes(stride)
    if storage is None or not n_shape or not n_strides:
        return None
    for place, sizes in ((of_size, shape), (of_stride, strides)):
        if place is not None:
            memo[_place(place)] = sizes
    function = memo.get(_place(hooks))
    if type(function) is not Global:
        return None
    nothing = memo[_place(of_hooks)] = make(function, ())
    values = storage, _number(offset), shape, strides, flag == b"\x88", nothing
    memo[_place(of_all)] = values
    cost = _COST + n_shape + n_strides + 2 * (of_size is not None) + 2 * (of_stride is not None)
    return TensorArguments(values, found.end(), cost)


def _storage(
    memo: dict[int, Any], tag: bytes, kind: bytes, length: bytes, key: bytes, of_key: bytes, device: bytes,
    numel: bytes, of_id: bytes,
) -> StorageRef | None:  # fmt: skip
    """What stands for a storage."""
    named, of_type = memo.get(_place(tag)), memo.get(_place(kind))
    text = memo[_place(of_key)] = key.decode("ascii")
    where = memo.get(_place(device))
    are_texts = type(named) is str and named == "storage" and type(where) is str and where != "step"
    if not are_texts or type(of_type) is not Global or int.from_bytes(length, "little") != len(key):
        return None
    identity = memo[_place(of_id)] = named, of_type, text, where, _number(numel)
    return StorageRef(identity)


def _place(instruction: bytes) -> int:
    """The number in the memo that an instruction names."""
    return instruction[1] if len(instruction) == 2 else int.from_bytes(instruction[1:], "little")


@lru_cache(maxsize=256)
def _number(instruction: bytes) -> int:
    return int.from_bytes(instruction[1:], "little", signed=instruction[:1] == b"J")


@lru_cache(maxsize=256)
def _sizes(instructions: bytes) -> tuple[Shape, int]:
    """A tuple of numbers, and what its instructions count as: nothing if they make another one."""
    numbers = tuple(map(_number, _NUMBERS.findall(instructions)))
    last = instructions[-1]
    if last == ord(")"):
        return (), 1
    if last == ord("t"):
        return numbers, len(numbers) + 4
    return numbers, len(numbers) + 2 if len(numbers) == last - ord("\x84") else 0


_NUMBERS = re.compile(_NUMBER.encode(), re.DOTALL)
