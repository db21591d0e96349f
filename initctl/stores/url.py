"""URLs of objects in stores. They must not contain credentials, which would get into plans and logs."""

from __future__ import annotations

import re
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from initctl.errors import Problem, UsageError, shown

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)
_BUCKET = re.compile(r"[^/]*")
_REPOSITORY = re.compile(
    r"(?:(?:models|datasets|spaces)/)?(?!(?:models|datasets|spaces|kernels|buckets)/)\w[\w.-]*/\w[\w.-]*"
    r"(?:@(?:refs/(?:pr/\d+|convert/\w+)|[^/@]+))?(?=/|\Z)",
    re.ASCII,
)
"""A repository of the Hugging Face Hub and a revision, as huggingface_hub reads them in an `hf://` URL."""
_FILE = "file"
_MISTYPED = re.compile(r"(?P<scheme>s3[an]?|gs|gcs|hf)(?::/{0,2}|//)(?P<rest>[^/].*)", re.DOTALL | re.IGNORECASE)
_OTHER_NAMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs"}
"""What other programs call a scheme."""
_ODD = {"", ".", ".."}
"""Names that a path cannot contain, or that lead to another place."""
_HERE = ("", "localhost")
"""Hosts of files on this machine."""


class _Form(NamedTuple):
    """How the URLs of a scheme are written: a pattern of the bucket, what messages call it, and how it is written."""

    pattern: re.Pattern[str]
    noun: str
    written: str


_FORMS = {"hf": _Form(_REPOSITORY, "repository", "ORG/NAME[@REVISION][/PATH]")}
_ANY_FORM = _Form(_BUCKET, "bucket", "BUCKET/KEY")


class Url(NamedTuple):
    """The object `key` in a `bucket`, or all objects below it. `str` gives the URL.

    On the Hugging Face Hub, the bucket is a repository, and a revision of it if the URL names one.
    """

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}".rstrip("/")

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of the URL `text`. Raises `UsageError`, which does not repeat what may be a secret."""
        scheme, rest = _scheme_and_rest(text)
        form = _FORMS.get(scheme, _ANY_FORM)
        before, at, _ = rest.partition("@")
        has_credentials = "@" in rest.partition("/")[0] or bool(at and ":" in before)
        if has_credentials or "?" in rest or "#" in rest:
            what = "credentials" if has_credentials else "? or #, after which a signature may follow"
            fault = f"a URL of {scheme}:// must not contain {what}"
            raise UsageError(Problem("usage.url", fault, f"write only {scheme}://{form.written}"))
        found = form.pattern.match(rest)
        if not found or not found[0]:
            fault = f"{shown(text)}: names no {form.noun}"
            raise UsageError(Problem("usage.url", fault, f"write {scheme}://{form.written}"))
        key = rest[found.end() :].removeprefix("/").removesuffix("/")
        if found[0] in _ODD or (key and _ODD.intersection(key.split("/"))):
            fault = f"{shown(text)}: has an empty name, . or .. in its path"
            raise UsageError(Problem("usage.url", fault, f"write {scheme}://{form.written}"))
        return cls(scheme, found[0], key)


def did_you_mean_url(text: str) -> str | None:
    """A question that proposes a URL if `text`, which names nothing, is a mistyped one: `s3:/bucket`, `s3//bucket`, or
    `gcs://bucket`.
    """
    found = _MISTYPED.fullmatch(text)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    rest = found["rest"]
    named = _OTHER_NAMES.get(scheme, scheme)
    if scheme_of(text) == named:  # as it must be
        return None
    return f"did you mean {shown(f'{named}://{rest}')}?"


def scheme_of(text: str) -> str | None:
    """The scheme of `text` in lower case, if it is a URL."""
    found = _URL.fullmatch(text)
    return found["scheme"].lower() if found else None


def without_file_scheme(text: str) -> str:
    """The path that a `file://` URL names; any other text as it is. Raises `UsageError` for another machine's file."""
    if scheme_of(text) != _FILE:
        return text
    found = urlsplit(text, allow_fragments=False)
    if found.netloc not in _HERE or found.query:
        fault = f"{shown(text)}: is not a file on this machine"
        raise UsageError(Problem("usage.url", fault, "write file:///PATH, or just the path"))
    return unquote(found.path)


def _scheme_and_rest(text: str) -> tuple[str, str]:
    found = _URL.fullmatch(text)
    return (found["scheme"].lower(), found["rest"]) if found else ("", "")
