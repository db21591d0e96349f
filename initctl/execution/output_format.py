"""The format of a result, by the ending of its path: the input's own, or another one."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TYPE_CHECKING, NamedTuple

from initctl.errors import Problem, UsageError, shown
from initctl.formats.writing.safetensors import SAFETENSORS
from initctl.formats.writing.torch_save import TORCH

if TYPE_CHECKING:
    from initctl.formats import Checkpoint
    from initctl.formats.writing.formats import Format

WRITABLE: dict[str, Format] = {
    ".safetensors": SAFETENSORS,
    ".pt": TORCH,  # torch's own documentation
    ".pth": TORCH,
    ".bin": TORCH,  # transformers
    ".ckpt": TORCH,  # Lightning
    ".th": TORCH,  # AllenNLP, demucs
    ".pth.tar": TORCH,  # torch's ImageNet example
}
"""Endings of files that can be written, and their formats."""

FOREIGN: dict[str, str] = {
    ".gguf": "GGUF",  # llama.cpp
    ".ggml": "GGML",
    ".onnx": "ONNX",
    ".h5": "HDF5",  # Keras
    ".hdf5": "HDF5",
    ".keras": "Keras",
    ".pb": "TensorFlow",
    ".tflite": "TensorFlow Lite",
    ".msgpack": "msgpack",  # flax
    ".npy": "NumPy",
    ".npz": "NumPy",
    ".mlmodel": "Core ML",
    ".mlpackage": "Core ML",
    ".engine": "TensorRT",
    ".pt2": "torch.export",
    ".pte": "ExecuTorch",
    ".mar": "TorchServe",
    ".nemo": "NeMo",
    ".distcp": "torch.distributed.checkpoint",
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".zip": "zip",
    ".tar": "tar",
    ".tgz": "tar",
    ".gz": "gzip",
    ".bz2": "bzip2",
    ".xz": "xz",
    ".zst": "zstd",
    ".7z": "7z",
    ".json": "JSON",
    ".jsonl": "JSON",
    ".toml": "TOML",
    ".yaml": "YAML",
    ".yml": "YAML",
    ".xml": "XML",
    ".csv": "CSV",
    ".parquet": "Parquet",
}
"""Endings of formats that initctl does not write, because other programs read them."""

TEXTS = (
    ".txt", ".md", ".rst", ".log", ".html", ".pdf", ".ini", ".cfg", ".py", ".ipynb", ".sh", ".c", ".cpp", ".h", ".rs",
)  # fmt: skip
"""Endings of files without weights. No directory has such a name."""

_NAME_ANOTHER = "name a .safetensors file, a .pt file, or a directory"


class Conversion(NamedTuple):
    """A conversion to `format`: one file, or a directory of shards with at most `largest` bytes of tensors each."""

    format: Format
    largest: int | None = None

    @property
    def is_directory(self) -> bool:
        return self.largest is not None


class FormatChoice(NamedTuple):
    """What a checkpoint is converted to, or None, and warnings about the name of the result."""

    conversion: Conversion | None = None
    warnings: tuple[Problem, ...] = ()


def decide_format(output: str | None, checkpoint: Checkpoint, max_shard_size: str | None) -> FormatChoice:
    """What `checkpoint` is converted to, or None, when it is written to `output` or in place.

    The ending of `output` decides the format of a file. A file of torch.save becomes a directory if `output` is one or
    ends like one; any checkpoint does if `max_shard_size` is given. One file of safetensors is put into a directory
    unchanged. Raises `UsageError` if initctl cannot write the format.
    """
    found = _decide_format(output, checkpoint, max_shard_size)
    if checkpoint.read_only and not found.conversion:
        message = f"{shown(checkpoint.path)}: is {checkpoint.read_only}, which initctl can read but not write"
        raise UsageError(Problem("output.read_only", message, f"convert it: {_NAME_ANOTHER} with -o"))
    return found


def _decide_format(output: str | None, checkpoint: Checkpoint, max_shard_size: str | None) -> FormatChoice:
    if output is None:
        return FormatChoice()
    is_directory = names_directory(output)
    found = ending(output, WRITABLE)
    if max_shard_size is not None:
        if not is_directory and found in (*WRITABLE, *FOREIGN, *TEXTS):
            message = f"{shown(output)}: names a file, but --max-shard-size writes a directory"
            raise UsageError(Problem("output.kind", message, "name a directory"))
        return FormatChoice(_to_shards(max_shard_size))
    if is_directory:
        has_safetensors_name = checkpoint.is_safetensors and checkpoint.files[0].name.endswith(".safetensors")
        is_kept = checkpoint.is_directory or has_safetensors_name  # in a directory, under its own name
        return FormatChoice(None if is_kept else _to_shards())
    if checkpoint.is_directory and found not in (*WRITABLE, *FOREIGN):
        if ending(output) in TEXTS:
            message = f"{shown(output)}: names a file, but the result is a directory"
            raise UsageError(Problem("output.ending", message, _NAME_ANOTHER))
        return FormatChoice()
    return _file_at(output, checkpoint)


def _to_shards(largest: str | None = None) -> Conversion:
    from initctl.formats.directories.shards import LARGEST, parse_size

    return Conversion(SAFETENSORS, parse_size(LARGEST if largest is None else largest))


def _file_at(output: str, checkpoint: Checkpoint) -> FormatChoice:
    own = SAFETENSORS if checkpoint.is_safetensors else None if checkpoint.read_only else TORCH
    found = ending(output, WRITABLE)
    if wanted := WRITABLE.get(found):
        return FormatChoice(Conversion(wanted) if checkpoint.is_directory or wanted is not own else None)
    if not checkpoint.is_directory and found == ending(checkpoint.target):
        return FormatChoice()  # the input's ending keeps the input's format
    if found in FOREIGN:
        hint = "name the directory of the shards" if found == ".json" and "index" in output else _NAME_ANOTHER
        message = f"{shown(output)}: initctl does not write {FOREIGN[found]} files"
        raise UsageError(Problem("output.ending", message, hint))
    kind, usual = ("safetensors", ".safetensors") if own is SAFETENSORS else ("a file of torch.save", ".pt")
    message = f"{shown(output)}: is written as {kind}; give it the ending {usual}"
    return FormatChoice(warnings=(Problem("output.ending", message),))


def names_directory(output: str) -> bool:
    """Whether `output` is a directory, or ends like one."""
    return os.path.isdir(output) or output.endswith(("/", os.sep))


def ending(path: str, known: Collection[str] = ()) -> str:
    """The longest of the `known` endings that `path` has, ignoring case; or else its extension."""
    name = os.path.basename(path).lower()
    found = max((end for end in known if name.endswith(end)), key=len, default="")
    return found or os.path.splitext(name)[1]
