"""A call of the operating system that fails is an error of this package, in the shell and in Python: never a bug."""

from __future__ import annotations

import errno
import os
import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import initctl
from initctl.errors import InputError, StorageError
from initctl.formats.opening import status_at
from initctl.system_errors import explaining_failures, failure
from tests.cli.checkpoints import NET, checkpoint
from tests.cli.processes import shell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = "/proc/self/mem"
"""A regular file whose first bytes cannot be read: an input/output error that every Linux has."""
GONE = "the working directory does not exist any more; change to another directory"
RULES = {"rules": ["*=ones"]}
CALLS = {
    "inspect": lambda path: initctl.inspect(path),
    "stats": lambda path: initctl.stats(path),
    "diff": lambda path: initctl.diff(path, path),
    "plan": lambda path: initctl.plan(path, **RULES),
    "load_plan": lambda path: initctl.load_plan(path),
    "apply": lambda path: initctl.apply(path, "out.safetensors", **RULES),
    "parts": lambda path: initctl.parts(path, "out.safetensors", **RULES),
    "new": lambda path: initctl.new("out.safetensors", like=path, **RULES),
    "verify": lambda path: initctl.verify(path, **RULES),
    "load_manifest": lambda path: initctl.load_manifest(path),
    "suggest": lambda path: initctl.suggest(path),
    "doctor": lambda path: initctl.doctor(path),
}
"""The functions that read a path."""
OF_THE_SIZE = ("load_plan", "load_manifest")


@contextmanager
def no_more_files() -> Iterator[None]:
    """The process may open no further file in the body."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("name", CALLS)
class TestAFunction:
    def test_names_the_file_that_the_disk_does_not_give(self, name):
        if name in OF_THE_SIZE:
            pytest.skip("reads as many bytes as the file says that it has: here none")
        with pytest.raises(StorageError, match=rf"^{MEMORY}: cannot be read: Input/output error$"):
            CALLS[name](MEMORY)

    def test_says_that_the_working_directory_is_gone(self, name, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        tmp_path.rmdir()
        with pytest.raises(StorageError) as raised:
            CALLS[name]("net.safetensors")
        assert str(raised.value) == GONE

    def test_names_the_file_that_it_may_not_open_any_more(self, name, tmp_path):
        path = str(checkpoint(tmp_path / "net.safetensors", NET))
        with no_more_files(), pytest.raises(StorageError, match=f"^{path}: cannot be read: Too many open files$"):
            CALLS[name](path)


@pytest.mark.parametrize(
    "command", ["apply {0} --in-place --patch -r *.bias=zeros -r *.weight=normal --rng torch", "demo", "version"]
)
def test_torch_is_not_used_without_a_working_directory(tmp_path: Path, command: str):
    path = checkpoint(tmp_path / "net.safetensors", NET)
    before = path.read_bytes()
    (tmp_path / "gone").mkdir()
    run = shell(f"cd {tmp_path}/gone && rmdir ../gone && set -f && initctl {command.format(path)}")
    assert (run.status, run.err) == (5, f"initctl: error: {GONE}\n")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


COMMANDS = (
    "inspect {}",
    "plan {} -r '*=ones'",
    "apply {} -o out.safetensors -r '*=ones'",
    "apply {} --in-place -r '*=ones'",
    "verify {} -r '*=ones'",
    "verify other.safetensors --report {}",
    "stats {}",
    "diff {} {}",
    "doctor {}",
    "suggest {}",
    "new --like {} -o out.safetensors -r '*=ones'",
    "new --table {} -o out.safetensors -r '*=ones'",
    "apply --plan {} other.safetensors -o out.safetensors",
)


@pytest.mark.parametrize("command", COMMANDS)
class TestACommand:
    def test_has_status_5_and_one_line_if_the_disk_fails(self, command, tmp_path):
        if any(option in command for option in ("--report", "--table", "--plan")):
            pytest.skip("reads as many bytes as the file says that it has: here none")
        done = shell(f"cd {tmp_path}; initctl {command.format(*[MEMORY] * 2)}")
        assert (done.status, done.out) == (5, "")
        assert done.err == f"initctl: error: {MEMORY}: cannot be read: Input/output error\n"
        assert not list(tmp_path.iterdir())

    def test_has_status_5_and_one_line_if_the_working_directory_is_gone(self, command, tmp_path):
        done = shell(f"mkdir {tmp_path}/d; cd {tmp_path}/d; rmdir ../d; initctl {command.format('a', 'b')}")
        assert (done.status, done.out, done.err) == (5, "", f"initctl: error: {GONE}\n")


@pytest.mark.parametrize(("redirect", "status"), [("<&-", 0), (">&-", 7), ("2>&-", 0), ("<&- >&- 2>&-", 7)])
@pytest.mark.parametrize("command", ["inspect net.safetensors", "apply net.safetensors -o out.safetensors -r '*=ones'"])
def test_a_command_without_its_streams_does_its_work(command, redirect, status, tmp_path):
    checkpoint(tmp_path / "net.safetensors", {"w": ("F32", (2,))})
    assert shell(f"cd {tmp_path}; initctl {command} {redirect}").status == status


def test_an_error_names_the_path_and_the_reason():
    found = failure(OSError(errno.EIO, os.strerror(errno.EIO), "a\nb"))
    assert (type(found), str(found)) == (StorageError, r"a\x0ab: Input/output error")
    found = failure(OSError(errno.EACCES, os.strerror(errno.EACCES), b"a"))
    assert (type(found), str(found)) == (InputError, "a: Permission denied")
    assert str(failure(OSError(errno.ENOMEM, "no memory"))) == "the system failed: no memory"
    assert str(failure(OSError("odd"))) == "the system failed: odd"


def test_what_is_raised_keeps_its_cause():
    cause = OSError(errno.ENOSPC, "full")

    @explaining_failures
    def fail() -> None:
        raise cause

    with pytest.raises(StorageError) as raised:
        fail()
    assert raised.value.__cause__ is cause


def test_a_status_is_none_only_if_nothing_is_there(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for path in ("missing", "file/below", "loop", "zero\0byte"):
        assert status_at(str(tmp_path / path)) is None
    assert status_at(str(tmp_path / "file")).st_size == 0
    with pytest.raises(InputError, match="File name too long"):
        status_at(str(tmp_path / ("x" * 300)))
