"""How many threads work unless it is said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from initctl.threads import processors

if TYPE_CHECKING:
    import pytest


def test_there_are_as_many_as_this_process_may_use(monkeypatch: pytest.MonkeyPatch):
    if hasattr(os, "sched_getaffinity"):
        assert processors() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert processors() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert processors() == 1
