"""What was replaced stays if it may still be needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from initctl.commit import effects
from initctl.commit.leftovers import is_there
from initctl.errors import UncertainError, shown
from initctl.traces import kept_path


@contextmanager
def kept_if_uncertain(path: str) -> Iterator[None]:
    """The body replaces a directory, which is at `path` afterwards. If it raises `UncertainError`, the old directory
    gets a name that no process takes for left over, if possible, and the error names it.
    """
    try:
        yield
    except UncertainError as error:
        if not is_there(path):
            raise
        kept, hint = kept_path(path), "take what you need from it, and remove it"
        try:
            effects.rename(path, kept)
        except OSError:
            kept, hint = path, "move it away if you need it: the next run removes it"
        raise error.extended(f"the old directory is {shown(kept)}", hint) from error
