"""A configuration that is refused: by initctl, or by transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from initctl.errors import InputError, Problem, escape, shown

_LONGEST_REASON = 400


def refused(path: str, fault: str, hint: str | None = None) -> InputError:
    """The error of the configuration at `path`."""
    return InputError(Problem("config.refused", f"{shown(path)}: {fault}", hint))


@contextmanager
def refusing(path: str, hint: str | None) -> Iterator[None]:
    """Turn whatever transformers raises into an `InputError` of one line."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON].rstrip(".") or type(error).__name__
        raise refused(path, f"transformers cannot build this model: {escape(reason)}", hint) from error
