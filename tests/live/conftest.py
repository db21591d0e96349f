"""The processes that stand for ranks, started by the first test that uses them."""

from __future__ import annotations

import pytest

from tests.live.ranks import Ranks


@pytest.fixture(scope="session")
def ranks(tmp_path_factory):
    processes = Ranks(tmp_path_factory.mktemp("ranks"))
    yield processes
    processes.stop()
