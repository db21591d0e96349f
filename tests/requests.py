"""What a caller asks for, as `initctl.plan` takes it."""

from __future__ import annotations

from typing import Unpack

from initctl.request import Asked, Request


def request(**asked: Unpack[Asked]) -> Request:
    return Request.of(asked)
