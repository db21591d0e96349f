"""What huggingface_hub says, as this package says it: a repository that is asked, and errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from json import JSONDecodeError
from typing import cast
from urllib.parse import unquote

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import (
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
)

from initctl.errors import InitctlError, InputError, Problem, StorageError, UsageError, shown
from initctl.stores import refusals
from initctl.version import __version__

_REPOSITORY = re.compile(
    r"(?:(?P<kind>model|dataset|space)s/)?(?P<name>[^/@]+/[^/@]+)(?:@(?P<revision>.+))?", re.DOTALL
)
"""The bucket of a URL."""
LIBRARY = "initctl"
"""How requests call this program."""
_LOG_IN = "run hf auth login, or set HF_TOKEN"
GONE, _UNKNOWN, _DENIED = 404, 401, 403
_BUSY = (429, 503)
AGAIN = (*_BUSY, 500, 502, 504)
"""Statuses of HTTP. After the last ones, huggingface_hub asks again, a few times."""
NO_REPOSITORY, NO_REVISION = "RepoNotFound", "RevisionNotFound"
"""Codes of the Hub."""
LIBRARY_ERROR = cast("type[Exception]", HfHubHTTPError.__bases__[0])
"""`HTTPError` of httpx, or of httpx2 if huggingface_hub is 2 or later."""


class Api:
    """A repository at the commit that its revision names when the first question is asked."""

    def __init__(self, bucket: str, endpoint: str | None) -> None:
        found = cast("re.Match[str]", _REPOSITORY.fullmatch(bucket))
        self.bucket = bucket
        self.kind, self.name = found["kind"] or "model", found["name"]
        self.revision = unquote(found["revision"]) if found["revision"] else None
        self.api = HfApi(endpoint=endpoint, library_name=LIBRARY, library_version=__version__)

    @cached_property
    def commit(self) -> str:
        """The SHA of the commit. Raises as the methods do."""
        with refusing(self.url("")):
            timeout = constants.HF_HUB_ETAG_TIMEOUT
            found = self.api.repo_info(self.name, revision=self.revision, repo_type=self.kind, timeout=timeout)
        if not isinstance(found.sha, str):
            raise StorageError(Problem("store.failed", f"{shown(self.url(''))}: the Hub names no commit"))
        return found.sha

    def url(self, name: str) -> str:
        """How messages call the file `name`."""
        return f"hf://{self.bucket}/{name}".rstrip("/")


@contextmanager
def refusing(url: str, gone: InitctlError | None = None) -> Iterator[None]:
    """Turn whatever huggingface_hub raises into errors of this package. Its own texts are not shown: they may contain
    signed addresses.

    If `gone` is given, it is raised if the file is not there.
    """
    try:
        yield
    except refusals.PASSED:
        raise
    except HfHubHTTPError as error:
        raise (gone if gone and status_of(error) == GONE else refusal(url, error)) from None
    except OfflineModeIsEnabled:
        fault = f"{shown(url)}: HF_HUB_OFFLINE forbids to ask the Hub"
        raise StorageError(Problem("store.unreachable", fault, "unset HF_HUB_OFFLINE")) from None
    except HFValidationError:
        fault = f"{shown(url)}: the Hub allows no such name"
        raise UsageError(Problem("usage.url", fault, "write hf://ORG/NAME[@REVISION][/PATH]")) from None
    except (LookupError, TypeError, AttributeError, JSONDecodeError):
        raise refusals.odd_answer(url, "check the connection, and HF_ENDPOINT if it is set") from None
    except Exception as error:  # noqa: BLE001 - httpx has errors outside of its own hierarchy
        fault = f"{shown(url)}: the Hub cannot be reached: {type(error).__name__}"
        raise StorageError(
            Problem("store.unreachable", fault, "check the connection; HF_ENDPOINT sets another server")
        ) from None


def refusal(url: str, error: HfHubHTTPError, denied: type[InitctlError] = InputError) -> InitctlError:
    """The error for a request that the Hub denied, or that failed."""
    status, code, name = status_of(error), code_of(error), shown(url)
    if isinstance(error, GatedRepoError):
        hint = f"accept its terms on its page, then {_LOG_IN}"
        return denied(Problem("store.denied", f"{name}: the repository is gated", hint))
    if isinstance(error, DisabledRepoError):
        return denied(Problem("store.denied", f"{name}: the Hub has disabled the repository"))
    if code == NO_REVISION:
        hint = "name a branch, a tag or a commit after the @"
        return denied(Problem("file.missing", f"{name}: the repository has no such revision", hint))
    if status == _UNKNOWN or code == NO_REPOSITORY:
        hint = f"check ORG/NAME; for a private repository, {_LOG_IN}"
        return denied(Problem("store.denied", f"{name}: the repository does not exist, or is private", hint))
    if status == _DENIED:
        return denied(Problem("store.denied", f"{name}: the token does not allow it", _LOG_IN))
    if status == GONE:
        return denied(Problem("file.missing", f"{name}: no such file"))
    if status in _BUSY:
        hint = "run again later; the Hub answers more often to those who are logged in"
        return StorageError(Problem("store.busy", f"{name}: the Hub is too busy", hint))
    return StorageError(Problem("store.failed", f"{name}: the Hub failed: HTTP {status}"))


def code_of(error: HfHubHTTPError) -> str:
    """The Hub's own code of an error."""
    found: str = error.response.headers.get("X-Error-Code", "")
    return found


def status_of(error: HfHubHTTPError) -> int:
    """The status of HTTP."""
    found: int = error.response.status_code
    return found
