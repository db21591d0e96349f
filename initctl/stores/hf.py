"""Repositories of the Hugging Face Hub, by huggingface_hub. The login and the endpoint are configured as for its
command `hf`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.errors import (
    HfHubHTTPError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff

from initctl.errors import ConflictError, Problem, StorageError, UsageError, shown
from initctl.stores.hf_api import (
    AGAIN,
    GONE,
    LIBRARY,
    LIBRARY_ERROR,
    NO_REPOSITORY,
    NO_REVISION,
    Api,
    code_of,
    refusing,
    status_of,
)
from initctl.stores.hf_commit import Commit
from initctl.stores.store import Stored
from initctl.version import __version__

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFolder

    from initctl.stores.store import Change

_ATTEMPTS = 5
"""Requests for a range, if connections break."""
_MOST_DROPPED = 16 << 20
"""Bytes that are dropped if the whole file is sent instead of a range of it. Files in git have 10 MB at most."""
_IN_PART = 206
"""A status of HTTP."""


def opened(bucket: str) -> Repository:
    """The repository of this name, at the revision after the @, if there is one. Nothing is asked yet."""
    return Repository(bucket, _endpoint())


class Repository(Api):
    """A repository at one commit, as `Store` says: the one that the revision names when the first question is asked.
    So no file changes while it is read.

    The version of a file is its id in git, which depends on its content only: it is the same in each commit that leaves
    the file as it is.
    """

    def __init__(self, bucket: str, endpoint: str | None) -> None:
        super().__init__(bucket, endpoint)
        self._known: dict[str, Stored] = {}

    def now(self) -> Repository:
        """The repository at the commit that the revision names now."""
        found = opened(self.bucket)
        return self if (found.api.endpoint, found.commit) == (self.api.endpoint, self.commit) else found

    def find(self, name: str) -> Stored | None:
        commit = self.commit
        if name not in self._known:
            with refusing(self.url(name)):
                for found in self.api.get_paths_info(self.name, [name], revision=commit, repo_type=self.kind):
                    self._note(found)
        return self._known.get(name)

    def below(self, prefix: str, *, is_deep: bool) -> Iterator[Stored]:
        folder, commit = prefix.rpartition("/")[0] or None, self.commit
        with refusing(self.url(prefix)):
            try:
                for found in self.api.list_repo_tree(
                    self.name, folder, recursive=is_deep, revision=commit, repo_type=self.kind
                ):
                    if found.path.startswith(prefix) and (stored := self._note(found)):
                        yield stored
            except HfHubHTTPError as error:
                if status_of(error) != GONE or code_of(error) in (NO_REPOSITORY, NO_REVISION):
                    raise

    def _note(self, found: RepoFile | RepoFolder) -> Stored | None:
        """The file `found`, which is then known: nothing is asked about it again. The Hub lists no times."""
        if not isinstance(found, RepoFile):
            return None
        return self._known.setdefault(found.path, Stored(found.path, found.size, found.blob_id, modified=0))

    def read_into(self, stored: Stored, room: memoryview, offset: int) -> None:
        """If the connection breaks, the rest is asked for again. Raises `ConflictError` if the commit was deleted."""
        reached, url = 0, self.url(stored.name)
        gone = ConflictError(Problem("input.changed", f"{shown(url)}: was deleted while it was read", "run again"))
        for _ in range(_ATTEMPTS):
            with refusing(url, gone):
                reached += self._read(stored, room[reached:], offset + reached)
            if reached == len(room):
                return
        raise StorageError(Problem("store.unreachable", f"{shown(url)}: the connection breaks again and again"))

    def _read(self, stored: Stored, room: memoryview, offset: int) -> int:
        """Fill `room`, or its beginning if the connection breaks. Returns the number of bytes."""
        asked = {"Range": f"bytes={offset}-{offset + len(room) - 1}", "Accept-Encoding": "identity"}
        url = hf_hub_url(self.name, stored.name, repo_type=self.kind, revision=self.commit, endpoint=self.api.endpoint)
        headers = build_hf_headers(library_name=LIBRARY, library_version=__version__, headers=asked)
        timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
        reached = 0
        with http_stream_backoff("GET", url, headers=headers, timeout=timeout, retry_on_status_codes=AGAIN) as answer:
            hf_raise_for_status(answer)
            unwanted = self._before(stored, offset, answer.status_code, answer.headers.get("Content-Range", ""))
            try:
                for piece in answer.iter_bytes():
                    if reached == len(room):
                        break
                    wanted = piece[unwanted : unwanted + len(room) - reached]
                    unwanted -= min(unwanted, len(piece))
                    room[reached : reached + len(wanted)] = wanted
                    reached += len(wanted)
            except LIBRARY_ERROR:
                pass  # the caller asks for the rest
        return reached

    def _before(self, stored: Stored, offset: int, status: int, sent: str) -> int:
        """The number of bytes before `offset` that an answer contains: the whole file may be sent instead of a range.
        Raises `StorageError` if they are too many.
        """
        if status == _IN_PART and sent.startswith(f"bytes {offset}-"):
            return 0
        if status == _IN_PART or offset > _MOST_DROPPED:
            fault = f"{shown(self.url(stored.name))}: the Hub does not answer requests for ranges"
            raise StorageError(Problem("store.ranges", fault))
        return offset

    def change(self, files: Mapping[str, str], removed: Sequence[str], title: str) -> Change:
        return Commit(self, files, removed, title)


def _endpoint() -> str | None:
    """The address of another Hub, if the environment has one. Raises `UsageError`, which does not repeat it."""
    text = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    if not text:
        return None
    try:
        found = urlsplit(text)
        is_address = found.scheme in ("http", "https") and found.hostname and found.port != 0 and "@" not in text
    except ValueError:
        is_address = False
    if not is_address:
        fault = "HF_ENDPOINT is not the address of a server, or contains credentials"
        raise UsageError(Problem("usage.url", fault, "write it as https://huggingface.co"))
    return text
