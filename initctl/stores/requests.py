"""Several requests at the same time: a store takes 20 ms or more to answer each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from initctl.errors import UncertainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AT_ONCE = 16
"""Requests at the same time."""


def side_by_side(steps: Iterable[Callable[[], object]]) -> None:
    """Call all `steps`, each of which makes requests. Raises the worst failure when all have ended."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="initctl_ask") as pool:
        failures = [failure for step in [pool.submit(step) for step in steps] if (failure := step.exception())]
    if failures:
        raise max(failures, key=lambda failure: isinstance(failure, UncertainError))
