"""Every tensor that files hold, by file and by the keys that lead to it, without the libraries that wrote them."""

from __future__ import annotations

import os
import pickle
import types
import warnings
from typing import TYPE_CHECKING, Self

import torch
import torch.distributed.checkpoint as dcp
from safetensors import safe_open
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

if TYPE_CHECKING:
    from collections.abc import Iterator

_KNOWN = ("torch", "collections", "builtins", "numpy", "_codecs", "argparse", "pathlib", "copyreg")
_OF_SUBCLASSES = ("_rebuild_wrapper_subclass", "_rebuild_from_type_v2")
_DEEPEST = 40


class _Inert:
    """Stands for an object whose class is not installed: holds what it was built from."""

    def __new__(cls, *arguments: object, **keywords: object) -> Self:
        made = object.__new__(cls)
        made.__dict__["arguments"] = [*arguments, keywords]
        return made

    def __init__(self, *arguments: object, **keywords: object) -> None: ...

    def __setstate__(self, state: object) -> None:
        self.__dict__["state"] = state

    def __reduce_ex__(self, protocol: object) -> object:
        raise TypeError("stands for an object that cannot be written")

    def append(self, item: object) -> None:
        self.__dict__.setdefault("items", []).append(item)

    def __setitem__(self, key: object, item: object) -> None:
        self.__dict__.setdefault("entries", {})[key] = item


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        """The class, if torch or Python has it; something inert instead of all others, and of tensors' subclasses."""
        if name in _OF_SUBCLASSES:
            return _Inert
        if module.partition(".")[0] in _KNOWN:
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                pass
        return type(name, (_Inert,), {"__module__": module})


_PICKLE = types.ModuleType("inert_pickle")
_PICKLE.Unpickler, _PICKLE.load, _PICKLE.loads = _Unpickler, pickle.load, pickle.loads  # type: ignore[attr-defined]


def leaves(path: str) -> dict[str, torch.Tensor | bytes]:
    """What `path`, a file or a folder, holds: tensors by file and keys; of files without tensors, their bytes."""
    if os.path.isfile(path):
        return dict(_of_file(path, ""))
    if os.path.exists(os.path.join(path, ".metadata")):
        return dict(_distributed(path))
    found: dict[str, torch.Tensor | bytes] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            whole = os.path.join(folder, name)
            found.update(_of_file(whole, os.path.relpath(whole, path)))
    return found


def _distributed(path: str) -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors of a directory of torch.distributed.checkpoint, by torch's own loader."""
    held = dcp.FileSystemReader(path).read_metadata().state_dict_metadata
    tensors = {name: found for name, found in held.items() if isinstance(found, TensorStorageMetadata)}
    state = {name: torch.empty(found.size, dtype=found.properties.dtype) for name, found in tensors.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that there is one process
        dcp.load(state, checkpoint_id=path, no_dist=True)
    yield from state.items()


def _of_file(path: str, name: str) -> Iterator[tuple[str, torch.Tensor | bytes]]:
    with open(path, "rb") as file:
        start = file.read(16)
        if start[8:9] == b"{" and path.endswith(".safetensors"):
            yield from _of_safetensors(path, name)
        elif start[:2] == b"PK" or start.startswith(b"\x80\x02\x8a\nl\xfc"):
            found = torch.load(path, weights_only=False, pickle_module=_PICKLE, map_location="cpu")
            yield from _below(found, name, set(), 0)
        else:
            yield name, start + file.read()


def _of_safetensors(path: str, name: str) -> Iterator[tuple[str, torch.Tensor]]:
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 (not a dict)
            yield f"{name}/{key}", file.get_tensor(key)


def _below(found: object, name: str, above: set[int], depth: int) -> Iterator[tuple[str, torch.Tensor | bytes]]:
    if isinstance(found, torch.Tensor):
        yield name, found
    elif id(found) not in above and depth < _DEEPEST:
        for key, item in _items(found):
            yield from _below(item, f"{name}/{key}", above | {id(found)}, depth + 1)


def _items(found: object) -> Iterator[tuple[object, object]]:
    if isinstance(found, dict):
        yield from found.items()
    elif isinstance(found, (list, tuple)):
        yield from enumerate(found)
    elif hasattr(found, "__dict__") and not isinstance(found, (type, types.ModuleType)):
        yield from vars(found).items()


def bits(leaf: torch.Tensor | bytes) -> bytes | tuple[object, ...]:
    """What tells a leaf from another one: its dtype, shape and bytes."""
    if isinstance(leaf, bytes):
        return leaf
    if type(leaf) is not torch.Tensor and type(leaf) is not torch.nn.Parameter:
        return (str(leaf),)
    if leaf.layout is not torch.strided:
        return (str(leaf),)
    flat = leaf.detach().contiguous().reshape(-1)
    return str(leaf.dtype), tuple(leaf.shape), flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
