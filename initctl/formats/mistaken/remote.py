"""Names of models that are somewhere else: on the Hugging Face Hub, on a web server, in a bucket."""

from __future__ import annotations

import os
import re
from typing import NoReturn

from initctl.errors import InputError, Problem, shown
from initctl.escaping import without_secrets
from initctl.formats.directories.weight_names import EXPORTS, FOREIGN, SAFETENSORS, TORCH
from initctl.stores.store import named_schemes
from initctl.stores.url import did_you_mean_url

_ONLY = f"initctl reads only local checkpoints and URLs of {named_schemes()}"
_A_FILE = "a local file is needed"
_HUB = re.compile(
    r"(?:hf://(?:models/)?|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)"
    r"(?P<name>(?:datasets|spaces)/[\w.-]+/[\w.-]+|[\w.-]+(?:/(?!(?:resolve|blob|raw|tree)/)[\w.-]+)?)"
    r"(?:/(?:resolve|blob|raw|tree)/(?P<revision>refs/pr/\d+|[^/?]+)(?:/(?P<file>[^?]+))?)?(?:[/@?].*)?"
)
"""A model's page or a file of it, at a revision; the names of old models have no organization."""
_DEFAULT = "main"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""`org/name`, as in huggingface_hub/utils/_validators.py."""
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://.+")
_ENDINGS = (SAFETENSORS, *TORCH, *FOREIGN, *EXPORTS, ".json", ".toml", ".pt2")
"""A name with one of these endings is a file's, not a model's."""
_COPY = {
    "http": "curl -LO URL",
    "https": "curl -LO URL",
    "s3": "aws s3 cp URL .",
    "gs": "gcloud storage cp URL .",
    "az": "azcopy copy URL DIRECTORY --recursive",
}
"""The command that downloads a URL, by its scheme."""


def refuse_missing(path: str, wanted: str | None = None) -> None:
    """Raise `InputError` if `path`, which does not exist, names a model on a hub, a server or in a bucket.

    The hint says how initctl can read it, or how to download it. If only a local file is read, its name is `wanted`.
    """
    path = without_secrets(path)
    if question := did_you_mean_url(path):
        raise InputError(Problem("file.missing", f"{shown(path)}: no such file or directory", question))
    if found := _HUB.fullmatch(path):
        _refuse_hub(path, found, wanted)
    if found := _URL.fullmatch(path):
        copy = _COPY.get(found["scheme"].lower())
        message = f"{shown(path)}: is a URL, but {_A_FILE if wanted else _ONLY}"
        raise InputError(Problem("file.remote", message, f"download it first{f': {copy}' if copy else ''}"))
    if _HUB_NAME.fullmatch(path) and not path.endswith(_ENDINGS) and not os.path.isdir(os.path.dirname(path)):
        advice = f"run hf download {path} {wanted} first" if wanted else f"name it hf://{path}"
        hint = f"if it is a model on the Hugging Face Hub, {advice}"
        raise InputError(Problem("file.missing", f"{shown(path)}: no such file or directory", hint))


def _refuse_hub(path: str, found: re.Match[str], wanted: str | None) -> NoReturn:
    """Raise `InputError` for a page of the Hugging Face Hub, or of a file there."""
    name, revision, file = found["name"], found["revision"], found["file"]
    if wanted or "/" not in name:
        names = " ".join(map(shown, filter(None, (name, file or wanted))))
        fault = _A_FILE if wanted else _ONLY
        message = f"{shown(path)}: is on the Hugging Face Hub, but {fault}"
        raise InputError(Problem("file.remote", message, f"download it first: hf download {names}"))
    at = f"@{revision}" if revision not in (None, _DEFAULT) else ""
    hint = f"name it {shown(f'hf://{name}{at}/{file}' if file else f'hf://{name}{at}')}"
    raise InputError(Problem("file.remote", f"{shown(path)}: is a page of the Hugging Face Hub", hint))
