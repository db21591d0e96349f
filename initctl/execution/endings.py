"""What the ending of a file's name says of its format: one table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.formats.writing.safetensors import SAFETENSORS
from initctl.formats.writing.torch_save import TORCH

if TYPE_CHECKING:
    from collections.abc import Collection

    from initctl.formats.writing.formats import Format

WRITTEN: dict[str, Format] = {
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
"""Endings of formats that other programs read and initctl does not write."""

TEXTS = (
    ".txt", ".md", ".rst", ".log", ".html", ".pdf", ".ini", ".cfg", ".py", ".ipynb", ".sh", ".c", ".cpp", ".h", ".rs",
)  # fmt: skip
"""Endings of files that hold no weights. No directory is called so."""


def ending(path: str, known: Collection[str] = ()) -> str:
    """The longest of the `known` endings that `path` has, in whatever case; else what follows its last dot."""
    name = os.path.basename(path).lower()
    found = max((end for end in known if name.endswith(end)), key=len, default="")
    return found or os.path.splitext(name)[1]
