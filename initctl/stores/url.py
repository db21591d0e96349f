"""URLs of objects in stores. They must not contain credentials, which would get into plans and logs."""

from __future__ import annotations

import re
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from initctl.errors import Problem, UsageError, shown

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)
_SECRETS = re.compile(r"(?P<scheme>\w[\w+.-]*://)(?:[^@]*@)?(?P<rest>[^?#]*).*", re.DOTALL)
"""Keys may have a slash, so everything before an @ may be one."""
_FILE = "file"
_HERE = ("", "localhost")
"""Hosts of files on this machine."""


class Url(NamedTuple):
    """The object `key` in a `bucket`, or all objects below it. `str` gives the URL."""

    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The parts of the URL `text`. Raises `UsageError`, which does not repeat what may be a secret."""
        scheme, rest = _scheme_and_rest(text)
        bucket, _, key = rest.partition("/")
        before, at, _ = rest.partition("@")
        if "@" in bucket or (at and ":" in before) or "?" in rest or "#" in rest:
            fault = f"a URL of {scheme}:// must not contain credentials, ? or #"
            raise UsageError(Problem("usage.url", fault, f"write only {scheme}://BUCKET/KEY"))
        if not bucket:
            raise UsageError(Problem("usage.url", f"{shown(text)}: names no bucket", f"write {scheme}://BUCKET/KEY"))
        return cls(scheme, bucket, key.strip("/"))


def without_secrets(text: str) -> str:
    """`text`, if it is a URL, without what may be a name, a password, a query or a signature, for a message."""
    found = _SECRETS.fullmatch(text)
    return found["scheme"] + found["rest"] if found else text


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
