"""What every test run has of its own: a cache of compiled code, so that the code under test is compiled; and signals as
a terminal's processes get them, wherever it is started: what a background job ignores, its children would ignore too.
"""

from __future__ import annotations

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def _cache_of_compiled_code(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _signals_of_a_terminal():
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        if number := getattr(signal, name, None):
            signal.signal(number, handler)
