"""What torch's pickles say of a tensor: by which function it is rebuilt, from which storage, in which shape.

torch/_utils.py and torch/_tensor.py define the functions, torch/serialization.py how a storage is named.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import prod
from typing import TYPE_CHECKING, Any

from initctl.dtypes import BY_NAME, DType
from initctl.errors import shown
from initctl.formats.torch_save.malformed import Malformed
from initctl.formats.torch_save.values import DICT, Global, Made, Persistent, leads_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from initctl.tensors import Shape

LARGEST_SIZE = 2**63
"""torch counts elements and bytes in 63 bits."""
_MOST_DIMS = 64
"""torch and NumPy know no more."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A run of bytes that tensors lie in: the key of its record, and how many bytes it is said to hold."""

    key: str
    nbytes: int


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor as it is described: `offset` and `strides` count elements of the storage.

    Without a storage there are no bytes, and `unwritable` says why.
    """

    dtype: DType
    shape: Shape
    storage: Storage | None = None
    offset: int = 0
    strides: Shape = ()
    unwritable: str | None = None


def is_tensor(value: object) -> bool:
    """Whether `value` is what torch rebuilds a tensor from."""
    return isinstance(value, Made) and isinstance(value.called, Global) and value.called in _REBUILT


def described(value: Made) -> Described:
    """The tensor that `value` would be. Raises `Malformed`."""
    subclass: str | None = None
    for _ in range(_MOST_WRAPPERS):
        if value.called not in _WRAPPERS:
            break
        inner, kind = _WRAPPERS[value.called](value)
        subclass = subclass or kind
        if not is_tensor(inner):
            return _unknown(inner, f"it is a tensor subclass, {subclass or 'of no known name'}")
        value = inner
    else:
        raise Malformed("is wrapped too often")
    found: Described = _REBUILT[value.called](value)
    if subclass and not found.unwritable:
        found = replace(found, unwritable=f"it is a tensor subclass, {subclass}")
    return found


def beside(value: Made) -> list[Any]:
    """What a tensor is made of or carries that may lead to storages, but for the one that it is described to lie in."""
    found: list[Any] = []
    for _ in range(_MOST_WRAPPERS):
        found += (value.state, value.pairs, value.items)
        match value:
            case Made(arguments=tuple() as arguments) if len(arguments) > _MOST_ARGUMENTS:
                return list(filter(leads_on, [*found, arguments]))
            case Made(called=called, arguments=(inner, *others)) if called in _PARAMETERS and is_tensor(inner):
                found += others
                value = inner
            case Made(called=called, arguments=(made_by, _, arguments, *others)) if called in _TYPES and is_tensor(
                inner := Made(made_by, arguments)
            ):
                found += others
                value = inner
            case Made(called=called, arguments=(_, _, _, _, *others)) if called in _IN_STORAGES:
                return list(filter(leads_on, [*found, *others]))
            case _:
                break
    return list(filter(leads_on, [*found, value.arguments]))


def storage_of(value: object) -> tuple[Storage, DType | None, int]:
    """The storage that a persistent id names, its dtype if it has one, and the element that a view of it begins at."""
    if not isinstance(value, Persistent):
        raise Malformed("has no storage")
    if isinstance(value.id, tuple) and len(value.id) > _LONGEST_ID:
        raise Malformed("names its storage in no known way")
    match value.id:
        case ("storage", Global() as kind, str(key), _, int(numel), *view) if (
            len(view) <= 1 and 0 <= numel < LARGEST_SIZE
        ):
            pass
        case _:
            raise Malformed("names its storage in no known way")
    match view:
        case [] | [None]:
            first = 0
        case [(_, int(first), int())] if 0 <= first < LARGEST_SIZE:
            pass
        case _:
            raise Malformed("names its storage in no known way")
    if kind.name in _UNTYPED:
        return Storage(key, numel), None, first
    if kind.name not in _STORAGES:
        raise Malformed(f"lies in a {shown(kind)}, of which nothing is known")
    dtype = _STORAGES[kind.name]
    return Storage(key, numel * dtype.bits // 8), dtype, first


def dtype_of(value: object) -> DType:
    """The dtype that a pickle names."""
    if isinstance(value, Global) and value.module == "torch" and value.name in BY_NAME:
        return BY_NAME[value.name]
    if isinstance(value, Global) and value.module == "torch" and _DTYPE_NAME.fullmatch(value.name):
        return DType(value.name, None, 8, "packed")
    raise Malformed("has no known dtype")


def sizes_of(value: object, name: str = "size") -> Shape:
    """A tuple of sizes, also where it is wrapped into a `torch.Size`."""
    match value:
        case Made(called=Global("torch", "Size"), arguments=(inner,)):
            value = inner
    if not isinstance(value, tuple) or len(value) > _MOST_DIMS:
        raise Malformed(f"its {name} is no tuple of numbers")
    if not all(type(size) is int and 0 <= size < LARGEST_SIZE for size in value):
        raise Malformed(f"its {name} holds what is no whole number, 0 or more, below 2^63")
    return value


def _strided(value: Made) -> Described:
    """`_rebuild_tensor(storage, storage_offset, size, stride, …)`, and versions of it that say more."""
    named, offset, size, stride, *rest = _arguments(value, 4)
    storage, dtype, first = storage_of(named)
    shape, strides = sizes_of(size), sizes_of(stride, "stride")
    if value.called.name == "_rebuild_tensor_v3":
        if len(rest) < 3:
            raise Malformed("has no dtype")
        dtype, rest = dtype_of(rest[2]), [*rest[:2], *rest[3:]]
    if dtype is None:
        raise Malformed("has no dtype")
    if type(offset) is not int or not 0 <= offset < LARGEST_SIZE:
        raise Malformed("its offset is no whole number, 0 or more, below 2^63")
    if len(shape) != len(strides):
        raise Malformed(f"has {len(shape)} dims and {len(strides)} strides")
    _check_inside(storage, dtype, first + offset, shape, strides)
    return Described(dtype, shape, storage, first + offset, strides, _reason(dtype, rest[2:]))


def _check_inside(storage: Storage, dtype: DType, offset: int, shape: Shape, strides: Shape) -> None:
    numel = prod(shape)
    if numel >= LARGEST_SIZE:
        raise Malformed("holds more elements than there can be")
    if numel:
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if (last + 1) * dtype.bits // 8 > storage.nbytes:
            fault = f"reaches byte {(last + 1) * dtype.bits // 8} of storage {shown(storage.key)}"
            raise Malformed(f"{fault}, which has {storage.nbytes}")


def _reason(dtype: DType, metadata: list[Any]) -> str | None:
    """Why a strided tensor cannot be filled, if it cannot."""
    if dtype.kind == "packed":
        return f"nothing is known of its dtype, {dtype.name}"
    for extra in metadata:
        flags = extra.pairs or () if isinstance(extra, Made) and extra.called == DICT else ()
        if len(flags) > _MOST_ARGUMENTS:
            raise Malformed("is told more of than torch has to say")
        for bit in ("conj", "neg"):
            if any(key == bit and value is True for key, value in flags if isinstance(key, str)):
                return f"it is stored with torch's {bit} bit, which changes its values as they are read"
    return None


def _quantized(value: Made) -> Described:
    found = _strided(value)
    return replace(found, unwritable="it is quantized: its numbers mean nothing without its scale")


def _meta(value: Made) -> Described:
    """`_rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad)`."""
    dtype, size, *_ = _arguments(value, 2)
    return Described(dtype_of(dtype), sizes_of(size), unwritable="it is on the meta device, and has no bytes")


def _sparse(value: Made) -> Described:
    """`_rebuild_sparse_tensor(layout, (…, values, size, …))`."""
    match value.arguments:
        case (_, tuple() as parts) if len(parts) <= _MOST_ARGUMENTS:
            for values, size in pairwise(parts):
                if _is_strided(values) and not _is_strided(size):
                    return Described(_strided(values).dtype, sizes_of(size), unwritable="it is sparse")
    return _unknown(value, "it is sparse")


def _unknown(value: object, unwritable: str) -> Described:
    """A tensor of a kind that is not known, of the dtype of the first tensor that it is made of, if any is found."""
    for part in islice(_made_of(value), _MOST_PARTS):
        if _is_strided(found := _unwrapped(part)):
            return Described(_strided(found).dtype, (), unwritable=unwritable)
    return Described(_NO_DTYPE, (), unwritable=unwritable)


def _made_of(value: object) -> Iterator[Any]:
    """What `value` is made of, one by one or in a dict."""
    parts = value.arguments if isinstance(value, Made) else ()
    for part in parts if isinstance(parts, tuple) else ():
        if isinstance(part, Made) and part.pairs:
            yield from (held for _, held in part.pairs)
        else:
            yield part


def _unwrapped(value: Any) -> Any:  # noqa: ANN401 - whatever a pickle holds
    """`value` without the wrappers around it, as far as there may be any."""
    for _ in range(_WRAPPED):
        if not (isinstance(value, Made) and isinstance(value.called, Global) and value.called in _WRAPPERS):
            break
        value, _ = _WRAPPERS[value.called](value)
    return value


def _is_strided(value: object) -> bool:
    return isinstance(value, Made) and isinstance(value.called, Global) and value.called in _STRIDED


def is_part(kind: object) -> bool:
    """Whether `kind` is a class of tensors that each rank holds a part of: a DTensor, or FSDP's ShardedTensor."""
    return isinstance(kind, Global) and kind.name in _PARTS and kind.module.startswith("torch.distributed.")


def _type_name(kind: object) -> str:
    if not isinstance(kind, Global):
        return "of no known name"
    return f"{shown(kind)}, and each rank saved a part of it" if is_part(kind) else shown(kind)


def _nested(value: Made) -> Described:
    """`_rebuild_nested_tensor(buffer, sizes, strides, storage_offsets)`."""
    return _unknown(value, "it is nested: it has no shape of its own")


def _wrapper(value: Made) -> Described:
    """`_rebuild_wrapper_subclass(cls, dtype, size, …)`."""
    kind, dtype, size, *_ = _arguments(value, 3)
    return Described(dtype_of(dtype), sizes_of(size), unwritable=f"it is a tensor subclass, {_type_name(kind)}")


def _parameter(value: Made) -> tuple[Any, None]:
    """`_rebuild_parameter(data, requires_grad, backward_hooks)`, and with its attributes after that."""
    return _arguments(value, 1)[0], None


def _from_type(value: Made) -> tuple[Any, str | None]:
    """`_rebuild_from_type_v2(function, type, arguments, state)`: a subclass, or a tensor with attributes."""
    function, kind, arguments, *_ = _arguments(value, 3)
    return Made(function, arguments), None if kind in _PLAIN else _type_name(kind)


def _arguments(value: Made, at_least: int) -> tuple[Any, ...]:
    if not isinstance(value.arguments, tuple) or not at_least <= len(value.arguments) <= _MOST_ARGUMENTS:
        raise Malformed(f"is rebuilt by {shown(value.called)} in no known way")
    return value.arguments


_STRIDED = frozenset(
    Global("torch._utils", name) for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3")
)
_PARAMETERS = frozenset(
    (Global("torch._utils", "_rebuild_parameter"), Global("torch._utils", "_rebuild_parameter_with_state"))
)
_TYPES = frozenset(
    (
        Global("torch._tensor", "_rebuild_from_type"),
        Global("torch._tensor", "_rebuild_from_type_v2"),
        Global("torch.tensor", "_rebuild_from_type"),
    )
)
_WRAPPERS: dict[Any, Callable[[Made], tuple[Any, str | None]]] = {
    **dict.fromkeys(_PARAMETERS, _parameter),
    **dict.fromkeys(_TYPES, _from_type),
}
_PARTS = ("DTensor", "ShardedTensor")
"""Torch has moved them from module to module."""
_QUANTIZED = Global("torch._utils", "_rebuild_qtensor")
_IN_STORAGES = _STRIDED | {_QUANTIZED}
_REBUILT: dict[Any, Callable[[Made], Any]] = {
    **dict.fromkeys(_STRIDED, _strided),
    **_WRAPPERS,
    _QUANTIZED: _quantized,
    Global("torch._utils", "_rebuild_meta_tensor_no_storage"): _meta,
    Global("torch._utils", "_rebuild_sparse_tensor"): _sparse,
    Global("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
    Global("torch._utils", "_rebuild_nested_tensor"): _nested,
    Global("torch._utils", "_rebuild_wrapper_subclass"): _wrapper,
}
_PLAIN = (
    Global("torch", "Tensor"),
    Global("torch._tensor", "Tensor"),
    Global("torch.nn.parameter", "Parameter"),
    Global("torch.nn.parameter", "Buffer"),
)
_DTYPE_NAME = re.compile(r"[a-z0-9_]{1,40}")
"""What torch may call a dtype that is not known here."""
_MOST_WRAPPERS, _WRAPPED = 8, 2
"""A parameter of a subclass is wrapped twice."""
_MOST_PARTS = 4
"""Of a tensor that is made of others: the first tells its dtype."""
_MOST_ARGUMENTS = 16
"""Of a function that rebuilds a tensor, or bits that it is told of: none has so many."""
_LONGEST_ID = 6
"""What a storage is named by: its kind, type, key, device and size, and in old files a view of it."""
_NO_DTYPE = DType("unknown", None, 8, "packed")
_UNTYPED = ("UntypedStorage", "_UntypedStorage")
_STORAGES = {
    f"{name}Storage": BY_NAME[dtype]
    for name, dtype in {
        "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
        "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
        "ComplexDouble": "complex128", "ComplexFloat": "complex64", "QInt8": "qint8", "QUInt8": "quint8",
        "QInt32": "qint32",
    }.items()
}  # fmt: skip
"""torch's storage classes, of torch or of torch.cuda, by their names."""
STORAGE_NAMES = {dtype.name: name for name, dtype in _STORAGES.items()}
"""By dtype. Tensors of newer dtypes are in untyped storages."""
