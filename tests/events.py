"""Callbacks for what `initctl.apply` tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def on(kind: type, callback: Callable[[Any], object]) -> Callable[[object], None]:
    """An `on_event` that calls `callback` with the events of one kind."""

    def on_event(event: object) -> None:
        if isinstance(event, kind):
            callback(event)

    return on_event
