"""What every test run has of its own: a cache of compiled code, so that the code under test is compiled; and signals as
a terminal's processes get them, wherever it is started: what a background job ignores, its children would ignore too.
No example of hypothesis has a deadline, since other processes may need the processor. For the same reason no thread of
OpenMP keeps one busy while it waits, and OpenBLAS has one thread if tests run in several processes: with its own number
of them, each waits for the others', and decompositions take ten times as long.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.nobody import held_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from initctl.stream.engines.compiled import CompiledEngine
    from tests.ranks import Ranks
    from tests.stream.engines.first_process import FirstProcess

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # torch and NumPy read both as they are loaded
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

_NUMBERS = count()


def pytest_collection_finish() -> None:
    """The tests themselves stay until the end: no collection of garbage needs to walk them."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that initctl keeps compiled code in, which all processes of this run share."""
    base = tmp_path_factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    directory.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(directory))
        yield directory


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for one test. pytest's own fixture lists those of all tests before, which takes ever longer."""
    name = re.sub(r"\W", "_", request.node.name)[:30]
    path = tmp_path_factory.getbasetemp() / f"{name}-{next(_NUMBERS)}"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A directory that every user may enter and list, unlike those of `tmp_path`."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def strict_folder(tmp_path: Path) -> Iterator[Path]:
    """A directory whose permissions hold during the test even for root."""
    with held_back():
        yield tmp_path


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    """The processes that stand for ranks, started by the first test that uses them."""
    from tests.ranks import Ranks

    processes = Ranks(tmp_path_factory.mktemp("ranks"))
    yield processes
    processes.stop()


@pytest.fixture(scope="session")
def first_process(cache_of_the_run: Path) -> FirstProcess:
    """The process that compiled for this run, which takes long: one is started, and the others that need it wait."""
    import fcntl

    from tests.stream.engines.first_process import FirstProcess

    with (cache_of_the_run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return FirstProcess.started_once(cache_of_the_run)


@pytest.fixture(scope="session")
def compiled(first_process: FirstProcess) -> CompiledEngine:
    """The compiled engine."""
    from initctl.stream.engines.compiled import CompiledEngine

    return CompiledEngine(threads=2)


@pytest.fixture(scope="session", autouse=True)
def _signals_of_a_terminal():
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
        if number := getattr(signal, name, None):
            signal.signal(number, handler)
