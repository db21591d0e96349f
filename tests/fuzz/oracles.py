"""What other libraries say of an input. None of them runs anything that the input names."""

from __future__ import annotations

import io
import json
import pickle
import tomllib
import zipfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Self

import torch
from safetensors import deserialize
from torch._weights_only_unpickler import _get_allowed_globals

Tensors = dict[str, tuple[str, list[int]]]


def safetensors(content: bytes) -> Tensors:
    """Dtypes and shapes, by name."""
    return {name: (tensor["dtype"], tensor["shape"]) for name, tensor in deserialize(content)}


def weights_only(content: bytes) -> Any:
    """What torch.load gives."""
    return torch.load(io.BytesIO(content), weights_only=True)


class Opaque(dict):  # type: ignore[type-arg]
    """Stands for a class or function that torch does not allow: it can be called, built and filled, to no effect."""

    def __new__(cls, *arguments: object, **named: object) -> Self:
        return super().__new__(cls)

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        pass

    def __hash__(self) -> int:  # type: ignore[override]
        return id(self)

    def __call__(self, *arguments: object) -> Opaque:
        return self

    def append(self, value: object) -> None:
        pass

    def extend(self, values: object) -> None:
        pass

    def add(self, value: object) -> None:
        pass


class _Unpickler(pickle.Unpickler):
    """Python's, which finds only what torch allows. All else is opaque."""

    def find_class(self, module: str, name: str) -> Any:
        return allowed().get(f"{module}.{name}", Opaque)


def allowed() -> dict[str, Any]:
    return _get_allowed_globals()


def unpickler(content: bytes) -> Any:
    """What torch.load(weights_only=False) gives, if every class that the file names were there and did nothing."""
    module = SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="pickle")
    return torch.load(io.BytesIO(content), weights_only=False, pickle_module=module)


def _load(stream: io.BufferedIOBase, **options: Any) -> Any:
    return _Unpickler(stream, **options).load()


def metadata(content: bytes) -> Any:
    """The object in `.metadata`, as Python's unpickler gives it."""
    return _Unpickler(io.BytesIO(content)).load()


def zip_file(content: bytes) -> dict[str, int]:
    """Sizes of records by name. All checksums are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(damaged)
        return {info.filename: info.file_size for info in archive.infolist()}


def json_object(content: bytes) -> dict[str, Any]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise TypeError("not an object")
    return found


def toml(content: bytes) -> dict[str, Any]:
    return tomllib.loads(content.decode("utf-8-sig"))


def tensors_in(value: Any, deepest: int = 8) -> Iterator[tuple[tuple[Any, ...], torch.Tensor]]:
    """The tensors in dicts, with the keys that lead to them."""
    if isinstance(value, torch.Tensor):
        yield (), value
    elif isinstance(value, dict) and deepest:
        for key, held in value.items():
            for keys, tensor in tensors_in(held, deepest - 1):
                yield (key, *keys), tensor
