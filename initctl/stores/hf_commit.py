"""New commits on the Hugging Face Hub, which have all files or do not exist.

A commit names its parent, and the Hub refuses it if another one is the last of the branch. So a request whose answer is
lost can be repeated: at most one of the two makes a commit, and the history says whether one did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from time import sleep
from typing import TYPE_CHECKING

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from initctl.errors import ConflictError, InitctlError, Problem, StorageError, UncertainError, shown
from initctl.stores.hf_api import AGAIN, refusal, refusing, status_of

if TYPE_CHECKING:
    from huggingface_hub import CommitOperation

    from initctl.stores.hf_api import Api

_PAUSES = (1, 2, 4)
"""Seconds between requests for a commit, while the Hub does not say that it is made or refused."""
_CHANGED = 412
_OF_OTHERS = (502, 504)
"""Statuses of HTTP: of a conflict; and of servers in front of the Hub, which may obey all the same."""
_NOTHING_IGNORED = "#"
"""Rules for ignored files, instead of those of the repository: by those, the Hub would leave files out."""


class Commit:
    """A commit to the branch of `repository` that is to follow the one that was seen, as `Change` says.

    It has `files`, the local path of each name, and not the `removed` ones, which are there.
    """

    def __init__(self, repository: Api, files: Mapping[str, str], removed: Sequence[str], title: str) -> None:
        self._api, self._name, self._kind = repository.api, repository.name, repository.kind
        self._branch, self._url = repository.revision or constants.DEFAULT_REVISION, repository.url("")
        self._files, self._removed, self._parent, self._title = files, removed, repository.commit, title
        self._additions: list[CommitOperationAdd] = []

    def upload(self) -> None:
        with _without_bars(), _refusing(self._url):
            self._additions = [CommitOperationAdd(name, path) for name, path in self._files.items()]
            self._api.preupload_lfs_files(
                self._name,
                self._additions,
                repo_type=self._kind,
                revision=self._branch,
                gitignore_content=_NOTHING_IGNORED,
                free_memory=False,
            )

    def commit(self) -> None:
        is_open = False
        for pause in (*_PAUSES, None):
            try:
                with _without_bars():
                    self._send()
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - of an answer that is not the Hub's, for instance
                failure, is_final = self._failure(error)
            else:
                return
            if self._is_made():
                return
            is_open = is_open or failure is None
            if is_final or pause is None:
                break
            sleep(pause)
        raise failure if failure and not is_open else self._uncertain()

    def _send(self) -> None:
        """Ask for the commit once."""
        operations: list[CommitOperation] = [*self._additions]
        operations += [CommitOperationDelete(name, is_folder=False) for name in self._removed]
        self._api.create_commit(
            self._name,
            operations,
            commit_message=self._title,
            repo_type=self._kind,
            revision=self._branch,
            parent_commit=self._parent,
        )

    def _failure(self, error: Exception) -> tuple[InitctlError | None, bool]:
        """What to raise if nothing was committed, or `None` if the Hub may still commit; and whether it is of no use to
        ask again.
        """
        if isinstance(error, HfHubHTTPError):
            status = status_of(error)
            if status == _CHANGED:
                return self._conflict(), True
            return None if status in _OF_OTHERS else refusal(self._url, error, StorageError), status not in AGAIN
        if isinstance(error, ValueError) and not isinstance(error, JSONDecodeError):  # raised before the request
            fault = f"{shown(self._url)}: the Hub does not accept README.md"
            return StorageError(Problem("store.failed", fault, "correct its metadata")), True
        return None, False

    def _is_made(self) -> bool:
        """Whether this commit follows the parent, or nothing does. Raises `ConflictError` if another commit does, and
        `UncertainError` if the Hub does not answer.
        """
        try:
            with refusing(self._url):
                listed = self._api.list_repo_commits(self._name, repo_type=self._kind, revision=self._branch)
                history = [one.commit_id for one in listed]
                if history[:1] == [self._parent]:
                    return False
                following = history[history.index(self._parent) - 1] if self._parent in history else None
                if following and self._is_in(following):
                    return True
        except InitctlError:
            raise self._uncertain() from None
        raise self._conflict()

    def _is_in(self, sha: str) -> bool:
        """Whether the commit `sha` has all files, and none that is removed."""
        names = {*self._files, *self._removed}
        tree = self._api.list_repo_tree(self._name, recursive=True, repo_type=self._kind, revision=sha)
        found = {one.path: one for one in tree if isinstance(one, RepoFile) and one.path in names}
        return found.keys() == self._files.keys() and all(
            _is_same(found[addition.path_in_repo], addition, self._files[addition.path_in_repo])
            for addition in self._additions
        )

    def _conflict(self) -> ConflictError:
        return ConflictError(Problem("output.changed", f"{shown(self._url)}: another commit was made", "run again"))

    def _uncertain(self) -> UncertainError:
        fault = f"{shown(self._url)}: the Hub did not say whether it was committed"
        return UncertainError(Problem("store.uncertain", fault, "look whether it is there before you run again"))


def _is_same(found: RepoFile, addition: CommitOperationAdd, path: str) -> bool:
    """Whether the file `found` has the content of `addition`, which is at `path`."""
    if found.lfs:
        return found.lfs.sha256 == addition.upload_info.sha256.hex()
    with open(path, "rb") as stream:
        content = stream.read()
    return found.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@contextmanager
def _refusing(url: str) -> Iterator[None]:
    """Turn errors of an upload into `StorageError`."""
    with refusing(url):
        try:
            yield
        except HfHubHTTPError as error:
            raise refusal(url, error, StorageError) from None
        except RuntimeError as error:  # of a thread, or of hf_xet
            if isinstance(error.__cause__, HfHubHTTPError):
                raise refusal(url, error.__cause__, StorageError) from None
            cause = type(error.__cause__ or error).__name__
            raise StorageError(Problem("store.failed", f"{shown(url)}: the upload failed: {cause}")) from None


@contextmanager
def _without_bars() -> Iterator[None]:
    """huggingface_hub draws no progress."""
    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
