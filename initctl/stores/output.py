"""Where a result is written: at a path, or at a place in a store."""

from __future__ import annotations

from initctl.errors import Problem, UsageError, shown
from initctl.stores.store import is_stored, named_schemes
from initctl.stores.url import did_you_mean_url, scheme_of, without_file_scheme


def local_place(text: str) -> str:
    """The path at which a result is written that belongs to `text`: a path, or a URL, whose place is mirrored with all
    that is there already.

    Raises `UsageError` for a URL that is not allowed, and `StorageError` if the store refuses it.
    """
    path = without_file_scheme(text)
    scheme = scheme_of(path)
    if not is_stored(scheme):
        if scheme:
            fault = f"{shown(path)}: is a URL, but initctl writes only local files and URLs of {named_schemes()}"
            raise UsageError(Problem("usage.url", fault, did_you_mean_url(path)))
        return path
    from initctl.stores.mirror import mirrored_place

    return mirrored_place(path)
