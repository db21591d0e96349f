"""The watch sees what a reader must not do; hostile pickles do none of it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from initctl.errors import InputError
from initctl.formats import read_checkpoint
from tests.broken.torch_faults import PICKLE, REAL
from tests.formats.torch_save.rewritten import replaced, with_pickle
from tests.fuzz.watch import Hang, Ran, Watch
from tests.fuzz.worker import import_readers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEXTS = {
    "UNICODE": b"V\\u00e9\\x\n", "STRING": b"S'\\xe9\\q'\n", "STRING of a name": b'S"\\N{DASH}"\n',
    "BINSTRING": b"T\2\0\0\0\xff\xfe", "SHORT_BINSTRING": b"U\2\xc3\xa9", "BINUNICODE": b"X\3\0\0\0\xed\xa0\x80",
    "LONG": b"L\xd9\xa1L\n", "INT": b"I0x1f\n", "FLOAT": b"F1e5\n", "BINBYTES": b"B\1\0\0\0x",
    "GLOBAL": b"c\xc3\xa9\nx\n",
    "encode": b"c_codecs\nencode\nX\1\0\0\0aX\5\0\0\0rot13\x86R", "import": b"cantigravity\nfly\n",
    "module": b"cthis\ns\n",
    "codec": b"cencodings.idna\nToASCII\n",
}  # fmt: skip
"""Instructions whose texts, names or codecs Python would look up."""


@pytest.fixture(scope="module")
def watch() -> Iterator[Watch]:
    import_readers()
    watch = Watch()
    yield watch
    watch.stop()


def hostile(instruction: bytes) -> bytes:
    """A right file whose pickle also has `instruction`, as the value of another key."""
    return with_pickle(REAL, replaced(PICKLE, b"Rq\rs.", b"Rq\rsX\1\0\0\0k" + instruction + b"s."))


@pytest.mark.parametrize("instruction", TEXTS.values(), ids=TEXTS)
def test_no_instruction_makes_the_process_import_or_run_anything(watch: Watch, instruction: bytes, tmp_path: Path):
    path = tmp_path / "model.pt"
    path.write_bytes(hostile(instruction))
    with watch.watching():
        try:
            read_checkpoint(path)
        except InputError as error:
            assert "truncated or invalid" in str(error)


def test_a_process_that_read_a_hostile_pickle_has_the_modules_that_it_had_before(tmp_path: Path):
    for name, instruction in TEXTS.items():
        (tmp_path / f"{name}.pt").write_bytes(hostile(instruction))
    (tmp_path / "a.pt").write_bytes(REAL)
    code = """
import os, sys
from initctl.errors import InputError
from initctl.formats import read_checkpoint
first, *others = sorted(os.listdir("."), key=lambda name: name != "a.pt")
read_checkpoint(first)
before = set(sys.modules)
for name in others:
    try:
        read_checkpoint(name)
    except InputError:
        pass
print(sorted(set(sys.modules) - before))
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def imports() -> None:
    sys.modules.pop("this", None)
    with redirect_stdout(None):
        import_module("this")


def writes() -> None:
    with open(os.devnull, "w"):
        pass


DEEDS: dict[str, Callable[[], object]] = {
    "writing": writes, "a command": lambda: os.system("true"), "compiling": lambda: compile("1", "", "eval"),
    "importing": imports, "removing": lambda: os.rmdir("/nowhere"),
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_the_watch_sees(watch: Watch, deed: Callable[[], object]):
    with pytest.raises(Ran), watch.watching(), suppress(OSError):
        deed()


def test_the_watch_ends_what_does_not_end():
    watch = Watch(seconds=0.05)
    with pytest.raises(Hang), watch.watching():
        for _ in iter(int, 1):
            pass
    watch.stop()
