"""Published batteries of tests on streams of words: TestU01 (L'Ecuyer and Simard) and dieharder (Brown).

Debian has both: dieharder in `main`, libtestu01-0-dev in `non-free`, since its license does not allow all uses. Neither
is part of initctl. `testu01.c` is compiled with `cc`, which finds an unpacked copy by CPATH and LIBRARY_PATH.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from tests.randomness.finding import Finding

TESTU01 = "SmallCrush", "Crush", "Rabbit", "Alphabit"
_LIBRARIES = "-ltestu01", "-ltestu01probdist", "-ltestu01mylib", "-lgmp", "-lm"
_DIEHARDER_ROW = re.compile(r"^ *(\w+), *(\d+), *(\d+), *(\d+), *([\d.e+-]+),", re.MULTILINE)
DOUBTED = {"diehard_opso", "diehard_oqso", "diehard_dna", "diehard_sums"}
"""Tests that `dieharder -l` calls suspect, or not to be used."""


class Missing(Exception):  # noqa: N818 - a fact, which is printed
    """A battery that is not installed."""


def testu01(battery: str, of: str) -> list[Finding]:
    """A battery of TestU01."""
    with _words(of) as stream:
        done = subprocess.run([_program(), battery], stdin=stream, capture_output=True, text=True, check=True)
    count, *lines = done.stdout.splitlines()
    results = (line.split(maxsplit=1) for line in lines)
    return [Finding(f"{battery}: {test}", of, int(count), "", float(p)) for p, test in results]


def dieharder(of: str) -> list[Finding]:
    """All tests of dieharder, but those that it calls suspect itself."""
    if not (program := shutil.which("dieharder")):
        raise Missing("dieharder is not installed")
    with _words(of) as stream:
        done = subprocess.run([program, "-g", "200", "-a", "-c", ","], stdin=stream, capture_output=True, text=True)
    return dieharder_findings(of, done.stdout)


def dieharder_findings(of: str, table: str) -> list[Finding]:
    """The rows of the table that `dieharder -c ,` writes; their numbers are samples, each made of one or more words."""
    return [
        Finding(f"dieharder: {test} {size}", of, int(numbers) * int(samples), "", float(p))
        for test, size, numbers, samples, p in _DIEHARDER_ROW.findall(table)
        if test not in DOUBTED
    ]


BATTERIES: dict[str, Callable[[str], list[Finding]]] = {
    **{battery: lambda of, battery=battery: testu01(battery, of) for battery in TESTU01},
    "dieharder": dieharder,
}


@cache
def _program() -> str:
    """`testu01.c`, compiled."""
    if not (compiler := shutil.which("cc")):
        raise Missing("there is no C compiler for TestU01")
    program, source = str(Path(mkdtemp(prefix="initctl-testu01-")) / "testu01"), Path(__file__).with_name("testu01.c")
    done = subprocess.run([compiler, "-O2", "-o", program, source, *_LIBRARIES], capture_output=True, text=True)
    if done.returncode:
        raise Missing(f"TestU01 cannot be used: {done.stderr.splitlines()[0]}")
    return program


@contextmanager
def _words(of: str) -> Iterator[object]:
    """A pipe with the words of a stream, from a process that is stopped in the end."""
    command = [sys.executable, "-m", "tests.randomness", "--words", of]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as source:
        try:
            yield source.stdout
        finally:
            source.kill()
