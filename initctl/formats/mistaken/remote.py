"""Names of models that are somewhere else: on the Hugging Face Hub, on a web server, in a bucket."""

from __future__ import annotations

import os
import re

from initctl.errors import InputError, Problem, shown
from initctl.formats.directories.weight_names import EXPORTS, FOREIGN, SAFETENSORS, TORCH
from initctl.stores.url import without_secrets

_ONLY = "initctl reads only local checkpoints and s3:// URLs"
_HUB = re.compile(
    r"(?:hf://(?:models/)?|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)"
    r"(?P<name>[\w.-]+(?:/(?!(?:resolve|blob|raw|tree)/)[\w.-]+)?)"
    r"(?:/(?:resolve|blob|raw)/[^/?]+/(?P<file>[^?]+))?(?:[/@?].*)?"
)
"""A model's page or a file of it, at a revision; the names of old models have no organization."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""`org/name`, as in huggingface_hub/utils/_validators.py."""
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://.+")
_ENDINGS = (SAFETENSORS, *TORCH, *FOREIGN, *EXPORTS, ".json", ".toml", ".pt2")
"""A name with one of these endings is a file's, not a model's."""
_COPY = {
    "http": "curl -LO URL",
    "https": "curl -LO URL",
    "gs": "gcloud storage cp --recursive URL DIRECTORY",
    "az": "azcopy copy URL DIRECTORY --recursive",
}
"""The command that downloads a URL, by its scheme."""


def refuse_missing(path: str, wanted: str | None = None) -> None:
    """Raise `InputError` if `path`, which does not exist, names a model on a hub, a server or in a bucket.

    The hint says how to download it, or just the file of it that is `wanted`.
    """
    path = without_secrets(path)
    if found := _HUB.fullmatch(path):
        message = f"{shown(path)}: is on the Hugging Face Hub, but {_ONLY}"
        names = " ".join(map(shown, filter(None, (found["name"], found["file"] or wanted))))
        raise InputError(Problem("file.remote", message, f"download it first: hf download {names}"))
    if found := _URL.fullmatch(path):
        copy = _COPY.get(found["scheme"].lower())
        message = f"{shown(path)}: is a URL, but {_ONLY}"
        raise InputError(Problem("file.remote", message, f"download it first{f': {copy}' if copy else ''}"))
    if _HUB_NAME.fullmatch(path) and not path.endswith(_ENDINGS) and not os.path.isdir(os.path.dirname(path)):
        message = f"{shown(path)}: no such file or directory; {_ONLY}"
        hint = (
            f"if it is a model on the Hugging Face Hub, run hf download {' '.join(filter(None, (path, wanted)))} first"
        )
        raise InputError(Problem("file.missing", message, hint))
