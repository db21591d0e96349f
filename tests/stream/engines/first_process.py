"""The process that compiles the engine for the tests of a run, with a cache that is empty before."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

FILL = """
import sys
import numpy as np
from initctl.dtypes import BY_NAME
from initctl.stream import Normal
from initctl.stream.engines import LawRun
from initctl.stream.engines.compiled import CompiledEngine
from initctl.stream.key import stream_key

out = np.empty(40, np.uint8)
CompiledEngine().fill([LawRun(Normal(0, 1), stream_key(0, "w"), 3, 13, BY_NAME["float32"])], out)
print(out.tobytes().hex(), *(f"{name}={name in sys.modules}" for name in ("numba", "torch")))
"""
"""The bytes that a process computes, and what it imported."""
WITHOUT_LIBC = """
from initctl.stream.engines import object_code

object_code._FROM_LIBC.clear()
try:
    object_code._compiled()
except object_code.NoCompiler as error:
    print(error)
"""
"""What is wrong with code that calls the C library, if it must call nothing."""


class FirstProcess(NamedTuple):
    """Its own cache, and the lines that it wrote: those of `FILL` and `WITHOUT_LIBC`."""

    cache: Path
    lines: list[str]

    @classmethod
    def started_once(cls, cache_of_the_run: Path) -> FirstProcess:
        """The process of this run, which also gets its code."""
        written = cache_of_the_run / "lines"
        process = cls(cache_of_the_run / "first", [])
        if not written.exists():
            lines = process.then(FILL + WITHOUT_LIBC)
            shutil.copytree(process.cache / "initctl", cache_of_the_run / "initctl", dirs_exist_ok=True)
            written.write_text("\n".join(lines))
        return process._replace(lines=written.read_text().splitlines())

    def then(self, script: str) -> list[str]:
        """The lines that another process with its cache writes."""
        environ = {**os.environ, "XDG_CACHE_HOME": str(self.cache)}
        return subprocess.run(
            [sys.executable, "-c", script], env=environ, check=True, capture_output=True, text=True
        ).stdout.splitlines()
