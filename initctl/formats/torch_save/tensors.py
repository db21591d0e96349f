"""Tensors as torch's pickles describe them: the function that rebuilds a tensor, its storage, and its shape.

torch/_utils.py and torch/_tensor.py define the functions; torch/serialization.py defines how a storage is named.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice, pairwise
from math import prod
from typing import Any, NamedTuple, TypeGuard

from initctl.dtypes import BY_NAME, DType
from initctl.errors import shown
from initctl.formats.opening import Malformed
from initctl.formats.torch_save.standins import DICT, Global, Made, MadeTensor, StorageRef, leading
from initctl.tensors import LARGEST_SIZE, Block, Shape, TensorSpec, row_major

_MOST_DIMS = 64
"""The limit of torch and NumPy."""


class Storage(NamedTuple):
    """A run of bytes with tensors: the key of its record, its bytes according to the pickle, and its dtype, if it has
    one. A view of it begins at element `first`.
    """

    key: str
    nbytes: int
    dtype: DType | None
    first: int


class _Wrapped(NamedTuple):
    """The parts of a wrapper: the tensor inside it, other values that it `carried`, and its subclass."""

    inner: Any
    carried: list[Any]
    subclass: str | None = None


class TensorView(NamedTuple):
    """A tensor as the pickle describes it. `offset` and `strides` count elements of the storage.

    If there is no storage, there are no bytes, and `unwritable` says why.
    """

    dtype: DType
    shape: Shape
    storage: Storage | None = None
    offset: int = 0
    strides: Shape = ()
    unwritable: str | None = None


def tensor_at(value: MadeTensor, storages: Mapping[str, tuple[int, int]], file: str, name: str = "") -> TensorSpec:
    """The tensor that `value` describes, under `name`.

    Its bytes are in one of `storages`: the offsets in `file` at which each begins and ends. Raises `Malformed`.
    """
    dtype, shape, storage, offset, strides, unwritable = described(value)
    if storage is None:
        return TensorSpec(name, dtype, shape, (), unwritable=unwritable)
    start = start_of(storage, storages)
    begin, strides, overlaps = _arranged(shape, strides)
    if overlaps and not unwritable:
        unwritable = "its elements share memory with each other"
    block = Block(file, start + offset * dtype.bits // 8, begin, shape, strides)
    return TensorSpec(name, dtype, shape, (block,), (), (), unwritable)


def start_of(storage: Storage, storages: Mapping[str, tuple[int, int]]) -> int:
    """The offset in the file at which `storage`, one of `storages`, begins. Raises `Malformed`."""
    if storage.key not in storages:
        raise Malformed(f"its storage {shown(storage.key)} is missing")
    start, stop = storages[storage.key]
    if stop - start != storage.nbytes:
        raise Malformed(f"its storage {shown(storage.key)} has {stop - start} bytes instead of {storage.nbytes}")
    return start


def described(value: MadeTensor) -> TensorView:
    """The tensor that `value` would be. Raises `Malformed`."""
    subclass: str | None = None
    for _ in range(_MOST_WRAPPERS):
        if (wrapped := _wrapped(value)) is None:
            break
        subclass = subclass or wrapped.subclass
        if not isinstance(wrapped.inner, MadeTensor):
            return _unknown(wrapped.inner, f"it is a tensor subclass, {subclass or 'name unknown'}")
        value = wrapped.inner
    else:
        raise Malformed("has too many wrappers")
    found = _DESCRIBED[_function(value)](value)
    if subclass and not found.unwritable:
        found = found._replace(unwritable=f"it is a tensor subclass, {subclass}")
    return found


def behind(value: MadeTensor) -> list[Any]:
    """Values that a tensor is made of or carries, and that may lead to storages, without its own storage."""
    found: list[Any] = []
    for _ in range(_MOST_WRAPPERS):
        if value.state or value.pairs or value.items:
            found += value.state, value.pairs, value.items
        try:
            wrapped = _wrapped(value)
        except Malformed:
            break
        if wrapped is None or not isinstance(wrapped.inner, MadeTensor):
            break
        value = wrapped.inner
        found += wrapped.carried
    arguments = value.arguments
    if _function(value) in _IN_STORAGES and isinstance(arguments, tuple) and 4 <= len(arguments) <= _MOST_ARGUMENTS:
        return leading((*found, *arguments[4:]))
    return leading([*found, arguments])


def storage_of(value: object) -> Storage:
    """The storage that a persistent id names. Raises `Malformed`."""
    if not isinstance(value, StorageRef):
        raise Malformed("has no storage")
    if not isinstance(value.id, tuple) or not 5 <= len(value.id) <= _LONGEST_ID:
        raise Malformed(_IN_NO_KNOWN_WAY)
    tag, kind, key, device, numel, *view = value.id
    if not (
        isinstance(kind, Global) and isinstance(numel, int) and all(isinstance(t, str) for t in (tag, key, device))
    ):
        raise Malformed(_IN_NO_KNOWN_WAY)
    if tag != "storage" or not 0 <= numel < LARGEST_SIZE:
        raise Malformed(_IN_NO_KNOWN_WAY)
    first = _first_of(view) if view else 0
    if kind.name in _UNTYPED:
        return Storage(key, numel, None, first)
    if kind.name not in _STORAGES:
        raise Malformed(f"is in a {shown(kind)}, a storage type that initctl does not know")
    dtype = _STORAGES[kind.name]
    return Storage(key, numel * width_of(dtype), dtype, first)


def width_of(dtype: DType) -> int:
    """The bytes of each element that a storage counts. If elements are smaller than a byte, it counts bytes."""
    return max(dtype.bits, 8) // 8


def _first_of(views: list[Any]) -> int:
    """The element of the storage at which a view begins. Only old files have views."""
    match views:
        case [None]:
            return 0
        case [(_, int(first), int())] if 0 <= first < LARGEST_SIZE:
            return first
    raise Malformed(_IN_NO_KNOWN_WAY)


def dtype_of(value: object) -> DType:
    if isinstance(value, Global) and value.module == "torch" and value.name in BY_NAME:
        return BY_NAME[value.name]
    if isinstance(value, Global) and value.module == "torch" and _DTYPE_NAME.fullmatch(value.name):
        return DType(value.name, None, 8, "packed")
    raise Malformed("has an unknown dtype")


def sizes_of(value: object, name: str = "size") -> Shape:
    """A tuple of sizes, or the tuple in a `torch.Size`."""
    if not isinstance(value, tuple):
        match value:
            case Made(called=Global("torch", "Size"), arguments=(tuple() as inner,)):
                value = inner
            case _:
                raise Malformed(f"its {name} must be a tuple of numbers")
    if len(value) > _MOST_DIMS:
        raise Malformed(f"its {name} must be a tuple of at most {_MOST_DIMS} numbers")
    for size in value:
        if type(size) is not int or not 0 <= size < LARGEST_SIZE:
            raise Malformed(f"its {name} must contain whole numbers, 0 or more, below 2^63")
    return value


def _strided(value: Made) -> TensorView:
    """`_rebuild_tensor(storage, storage_offset, size, stride, …)`, and versions of it with more arguments."""
    named, offset, size, stride, *rest = _arguments(value)
    storage = storage_of(named)
    dtype = storage.dtype
    shape, strides = sizes_of(size), sizes_of(stride, "stride")
    if value.called.name == "_rebuild_tensor_v3":
        dtype, rest = dtype_of(rest[2]), [*rest[:2], *rest[3:]]
    if value.called.name == "_rebuild_qtensor":
        del rest[0]  # its scale
    for requires_grad in rest[:1]:
        _check_flag(requires_grad)
    if dtype is None:
        raise Malformed("has no dtype")
    if type(offset) is not int or not 0 <= offset < LARGEST_SIZE:
        raise Malformed("its offset must be a whole number, 0 or more, below 2^63")
    if len(shape) != len(strides):
        raise Malformed(f"its size has {len(shape)} dimensions, but its stride has {len(strides)}")
    offset += storage.first
    if reach := _reach(shape, strides):
        stop = (offset + reach) * dtype.bits // 8
        if stop > storage.nbytes:
            fault = f"reaches byte {stop} of storage {shown(storage.key)}"
            raise Malformed(f"{fault}, which has {storage.nbytes} bytes")
    return TensorView(dtype, shape, storage, offset, strides, _reason(dtype, rest[2:]))


@lru_cache(maxsize=64)  # a model has few shapes; the limit is small so that no content can make this slow
def _reach(shape: Shape, strides: Shape) -> int:
    """The number of elements from the first to the last, including gaps."""
    numel = prod(shape)
    if numel >= LARGEST_SIZE:
        raise Malformed("has more elements than is possible")
    return numel and 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


@lru_cache(maxsize=64)
def _arranged(shape: Shape, strides: Shape) -> tuple[Shape, Shape, bool]:
    """The first index of a tensor, its strides, and whether its elements share memory with each other.

    In dimensions of one element torch allows any stride; it is replaced with the usual one, so that equal layouts have
    equal strides.
    """
    triples = zip(shape, strides, row_major(shape), strict=True)
    plain = tuple(usual if size == 1 else stride for size, stride, usual in triples)
    begin = (0,) * len(shape)
    block = Block("", 0, begin, shape, plain)
    return begin, plain, bool(block.numel and block.distinct.overlaps_itself)


def _reason(dtype: DType, metadata: list[Any]) -> str | None:
    """The reason if a strided tensor cannot be filled."""
    if dtype.kind == "packed":
        return f"initctl does not know its dtype, {dtype.name}"
    for extra in metadata:
        if not (extra is None or (isinstance(extra, Made) and extra.called == DICT)):
            raise Malformed("its metadata is not a dict")
        flags = extra.pairs or () if extra else ()
        if len(flags) > _MOST_ARGUMENTS:
            raise Malformed("has more metadata entries than torch ever writes")
        for bit in ("conj", "neg"):
            if any(key == bit for key, _ in flags if isinstance(key, str)):  # torch does not look at the value
                return f"it is stored with torch's {bit} bit, which changes its values on loading"
    return None


def _without_bytes(value: Made, at: int, why: str) -> TensorView:
    """A tensor whose dtype and size are the arguments at position `at` and after it."""
    dtype, size, *_ = _arguments(value)[at:]
    return TensorView(dtype_of(dtype), sizes_of(size), unwritable=why)


def _sparse(value: Made) -> TensorView:
    """`_rebuild_sparse_tensor(layout, (…, values, size, …))`."""
    match value.arguments:
        case (_, tuple() as parts) if len(parts) <= _MOST_ARGUMENTS:
            for values, size in pairwise(parts):
                if _is_strided(values) and not _is_strided(size):
                    return TensorView(_strided(values).dtype, sizes_of(size), unwritable="it is sparse")
    return _unknown(value, "it is sparse")


def _unknown(value: object, unwritable: str) -> TensorView:
    """A tensor of an unknown kind. It has the dtype of the first tensor that it is made of, if one is found."""
    for part in islice(_made_of(value), _MOST_PARTS):
        if _is_strided(found := _unwrapped(part)):
            return TensorView(_strided(found).dtype, (), unwritable=unwritable)
    return TensorView(_NO_DTYPE, (), unwritable=unwritable)


def _made_of(value: object) -> Iterator[Any]:
    """The arguments that `value` is made of, and the values of dicts among them."""
    parts = value.arguments if isinstance(value, Made) else ()
    for part in parts if isinstance(parts, tuple) else ():
        if isinstance(part, Made) and part.pairs:
            yield from (held for _, held in part.pairs)
        else:
            yield part


def _unwrapped(value: Any) -> Any:  # noqa: ANN401 - whatever a pickle holds
    """`value` without the wrappers around it; there are at most `_WRAPPED`."""
    for _ in range(_WRAPPED):
        if not (isinstance(value, MadeTensor) and (wrapped := _wrapped(value))):
            break
        value = wrapped.inner
    return value


def _is_strided(value: object) -> TypeGuard[MadeTensor]:
    return isinstance(value, MadeTensor) and _function(value) in _STRIDED


def is_part(kind: object) -> bool:
    """Whether `kind` is a class of tensors in parts, one for each rank: a DTensor, or FSDP's ShardedTensor."""
    return isinstance(kind, Global) and kind.name in _PARTS and kind.module.startswith("torch.distributed.")


def _type_name(kind: object) -> str:
    if not isinstance(kind, Global):
        return "name unknown"
    return f"{shown(kind)}, and each rank saved a part of it" if is_part(kind) else shown(kind)


def _wrapped(value: MadeTensor) -> _Wrapped | None:
    """The parts of `value` if it is a wrapper: a parameter, a subclass, or a tensor with attributes."""
    function = _function(value)
    if function in _PARAMETERS:  # (data, requires_grad, backward_hooks), and attributes
        inner, *carried = _arguments(value)
        _check_flag(carried[0])
        if not isinstance(inner, Made):
            raise Malformed("is a parameter without a tensor")
        return _Wrapped(inner, carried)
    if function in _TYPES:  # (function, type, arguments, state)
        rebuild, kind, arguments, *carried = _arguments(value)
        return _Wrapped(_made_by(rebuild, arguments), carried, None if kind in _PLAIN else _type_name(kind))
    return None


def _made_by(function: Any, arguments: Any) -> Made:  # noqa: ANN401 - whatever a pickle holds
    rebuilds = isinstance(function, Global) and (function.module, function.name) in REBUILDING
    return (MadeTensor if rebuilds else Made)(function, arguments)


def _function(value: MadeTensor) -> tuple[str, str]:
    """The module and the name of the function that rebuilds a tensor."""
    return value.called.module, value.called.name


def _arguments(value: Made) -> tuple[Any, ...]:
    """The arguments of a function that rebuilds a tensor: as many as it takes in torch."""
    least, most = _COUNTS[value.called.name]
    if not isinstance(value.arguments, tuple) or not least <= len(value.arguments) <= most:
        raise Malformed(f"is rebuilt by {shown(value.called)} with unknown arguments")
    return value.arguments


def _check_flag(requires_grad: object) -> None:
    if type(requires_grad) is not bool:
        raise Malformed("its requires_grad must be true or false")


_UTILS = "torch._utils"
_STRIDED = frozenset((_UTILS, name) for name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"))
_PARAMETERS = frozenset((_UTILS, name) for name in ("_rebuild_parameter", "_rebuild_parameter_with_state"))
_TYPES = frozenset(
    (
        ("torch._tensor", "_rebuild_from_type"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch.tensor", "_rebuild_from_type"),
    )
)
_IN_STORAGES = _STRIDED | {(_UTILS, "_rebuild_qtensor")}
_DESCRIBED: dict[tuple[str, str], Callable[[Made], TensorView]] = {
    **dict.fromkeys(_STRIDED, _strided),
    (_UTILS, "_rebuild_qtensor"): lambda value: _strided(value)._replace(
        unwritable="it is quantized: its numbers have no meaning without its scale"
    ),
    (_UTILS, "_rebuild_meta_tensor_no_storage"): lambda value: _without_bytes(
        value, 0, "it is on the meta device, so it has no bytes"
    ),
    (_UTILS, "_rebuild_sparse_tensor"): _sparse,
    (_UTILS, "_rebuild_sparse_csr_tensor"): _sparse,
    (_UTILS, "_rebuild_nested_tensor"): lambda value: _unknown(value, "it is nested: it has no single shape"),
    (_UTILS, "_rebuild_wrapper_subclass"): lambda value: _without_bytes(
        value, 1, f"it is a tensor subclass, {_type_name(_arguments(value)[0])}"
    ),
}
_COUNTS = {
    "_rebuild_tensor": (4, 4), "_rebuild_tensor_v2": (6, 7), "_rebuild_tensor_v3": (7, 8), "_rebuild_qtensor": (7, 7),
    "_rebuild_parameter": (3, 3), "_rebuild_parameter_with_state": (4, 4), "_rebuild_from_type": (4, 4),
    "_rebuild_from_type_v2": (4, 4), "_rebuild_meta_tensor_no_storage": (4, 4), "_rebuild_wrapper_subclass": (8, 8),
}  # fmt: skip
"""The fewest arguments that a function takes, and the most."""
REBUILDING = _PARAMETERS | _TYPES | _DESCRIBED.keys()
"""The functions that rebuild tensors: pairs of a module and a name."""
_PARTS = ("DTensor", "ShardedTensor")
"""Only names, since torch has moved these classes from module to module."""
_PLAIN = (
    Global("torch", "Tensor"),
    Global("torch._tensor", "Tensor"),
    Global("torch.nn.parameter", "Parameter"),
    Global("torch.nn.parameter", "Buffer"),
)
_DTYPE_NAME = re.compile(r"[a-z0-9_]{1,40}")
"""The form of a torch dtype's name, for dtypes that initctl does not know."""
_IN_NO_KNOWN_WAY = "names its storage in an unknown way"
_MOST_WRAPPERS, _WRAPPED = 8, 2
"""A parameter of a subclass is wrapped twice."""
_MOST_PARTS = 4
"""How many parts of a tensor that is made of others are searched for its dtype."""
_MOST_ARGUMENTS = 16
"""The limit for arguments of a function that rebuilds a tensor, and for its metadata entries. Real files have fewer."""
_LONGEST_ID = 6
"""The parts of a storage's id: its kind, type, key, device and size, and in old files a view of it."""
_NO_DTYPE = DType("unknown", None, 8, "packed")
_UNTYPED = ("UntypedStorage", "_UntypedStorage")
_STORAGES = {
    f"{name}Storage": BY_NAME[dtype]
    for name, dtype in {
        "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
        "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
        "ComplexDouble": "complex128", "ComplexFloat": "complex64", "QInt8": "qint8", "QUInt8": "quint8",
        "QInt32": "qint32", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
    }.items()
}  # fmt: skip
"""The dtypes of storage classes, in torch or torch.cuda, by name."""
STORAGE_NAMES = {dtype.name: name for name, dtype in _STORAGES.items()}
"""Names of storage classes, by dtype. Tensors of newer dtypes are in untyped storages."""
