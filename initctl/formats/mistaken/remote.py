"""Names of models that are somewhere else: on the Hugging Face Hub, on a web server, in a bucket."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.weight_names import EXPORTS, FOREIGN, SAFETENSORS, TORCH

if TYPE_CHECKING:
    from collections.abc import Callable

_LOCAL_ONLY = "initctl reads local checkpoints"
_HUB = re.compile(
    r"(?:hf://(?:models/)?|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)(?P<name>[\w.-]+/[\w.-]+|[\w.-]+)(?P<rest>[/@?].*)?"
)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""`org/name`, as huggingface_hub/utils/_validators.py has it."""
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://.+")
_ENDINGS = (SAFETENSORS, *TORCH, *FOREIGN, *EXPORTS, ".json", ".toml", ".pt2")
"""A name that ends so is a file's, not a model's."""


def missing(path: str) -> InputError | None:
    """The error for a `path` that leads to nothing here, if it names a model somewhere else."""
    for named in _NAMED:
        if found := named(path):
            return InputError(found)
    return None


def _on_the_hub(path: str) -> Problem | None:
    found = _HUB.fullmatch(path)
    if not found:
        return None
    name = found["name"]
    message = f"{shown(path)}: is on the Hugging Face Hub, and {_LOCAL_ONLY}"
    return Problem("file.remote", message, f"download it first: hf download {shown(name)}")


def _by_url(path: str) -> Problem | None:
    found = _URL.fullmatch(path)
    if not found:
        return None
    copy = _COPY.get(found["scheme"].lower())
    message = f"{shown(path)}: is a URL, and {_LOCAL_ONLY}"
    return Problem("file.remote", message, f"download it first{f': {copy}' if copy else ''}")


def _by_hub_name(path: str) -> Problem | None:
    if not _HUB_NAME.fullmatch(path) or path.endswith(_ENDINGS) or os.path.isdir(os.path.dirname(path)):
        return None
    message = f"{shown(path)}: no such file or directory, and {_LOCAL_ONLY}"
    return Problem("file.missing", message, f"if it is a model on the Hugging Face Hub, run hf download {path} first")


_NAMED: tuple[Callable[[str], Problem | None], ...] = (_on_the_hub, _by_url, _by_hub_name)
_COPY = {
    "http": "curl -LO URL",
    "https": "curl -LO URL",
    "s3": "aws s3 cp --recursive URL DIRECTORY",
    "gs": "gcloud storage cp --recursive URL DIRECTORY",
    "az": "azcopy copy URL DIRECTORY --recursive",
}
"""What downloads a URL, by its scheme."""
