"""A signal in the middle of the work ends it with a line, a status, and everything as it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import initctl
from tests.cli.checkpoints import OLD, checkpoint
from tests.cli.processes import SCRIPT, environment

LONG = {"w": ("F32", (1 << 29,))}
"""Two gigabytes: far more than is written before a signal comes."""
SHORT = {"w": ("F32", (1 << 23,))}
"""Enough to be met in the middle."""


def started(folder, tensors, *arguments, before=None):
    """A process that fills `net.safetensors`, once it has written some of the result."""
    checkpoint(folder / "net.safetensors", tensors)
    process = subprocess.Popen(
        [*SCRIPT, "apply", "net.safetensors", "-r", "w=normal", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=before,
    )
    while process.poll() is None and not any(path.stat().st_blocks for path in folder.glob(".initctl-*.tmp")):
        time.sleep(0.005)
    return process


def ended(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_ends_the_work_and_what_was_there_is_as_it_was(folder, name, status):
    old = folder / "out.safetensors"
    old.write_bytes(OLD)
    before = old.stat()
    process = started(folder, LONG, "-o", "out.safetensors", "--json")
    process.send_signal(getattr(signal, name))
    code, out, err = ended(process)
    assert (code, err) == (status, f"initctl: error: interrupted by {name}\n")
    document = json.loads(out)
    assert (document["command"], document["exit_code"], document["data"]) == ("apply", status, None)
    assert [error["code"] for error in document["errors"]] == ["interrupted"]
    assert sorted(path.name for path in folder.iterdir()) == ["net.safetensors", "out.safetensors"]
    assert (old.read_bytes(), old.stat().st_ino, old.stat().st_mtime_ns) == (OLD, before.st_ino, before.st_mtime_ns)


def test_a_signal_leaves_a_checkpoint_that_was_to_be_replaced_in_place(folder):
    process = started(folder, LONG, "--in-place")
    before = (folder / "net.safetensors").stat()
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (143, "", "initctl: error: interrupted by SIGTERM\n")
    after = (folder / "net.safetensors").stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_blocks) == (before.st_ino, before.st_mtime_ns, before.st_blocks)
    assert [path.name for path in folder.iterdir()] == ["net.safetensors"]


def test_more_signals_do_not_disturb_the_cleaning_up(folder):
    process = started(folder, LONG, "-o", "out.safetensors")
    for _ in range(50):
        process.send_signal(signal.SIGINT)
        time.sleep(0.001)
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (130, "", "initctl: error: interrupted by SIGINT\n")
    assert [path.name for path in folder.iterdir()] == ["net.safetensors"]


def stopped(folder, name):
    """A process that was stopped in the middle of its work."""
    # A system discards SIGTSTP where no shell could continue the process: it is given a group of its own.
    process = started(folder, SHORT, "-o", "out.safetensors", before=os.setpgrp)
    process.send_signal(getattr(signal, name))
    assert os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED
    assert not (folder / "out.safetensors").exists()
    return process


@pytest.mark.parametrize("name", ["SIGSTOP", "SIGTSTP"])
def test_a_process_that_is_stopped_and_continued_completes_its_work(folder, name):
    process = stopped(folder, name)
    process.send_signal(signal.SIGCONT)
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.endswith("wrote out.safetensors (1 file)\n")
    assert initctl.verify(folder / "net.safetensors", folder / "out.safetensors", rules=["w=normal"])
    assert sorted(path.name for path in folder.iterdir()) == ["net.safetensors", "out.safetensors"]


def test_what_changed_while_a_process_was_stopped_is_a_conflict(folder):
    process = stopped(folder, "SIGSTOP")
    checkpoint(folder / "other", SHORT).replace(folder / "net.safetensors")
    process.send_signal(signal.SIGCONT)
    code, out, err = ended(process)
    assert (code, out) == (6, "")
    assert err == f"initctl: error: {folder}/net.safetensors: changed while it was read; run again\n"
    assert [path.name for path in folder.iterdir()] == ["net.safetensors"]


def test_a_signal_that_the_caller_ignores_stays_ignored(folder):
    process = started(
        folder, SHORT, "-o", "out.safetensors", before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    process.send_signal(signal.SIGHUP)
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.endswith("wrote out.safetensors (1 file)\n")


def test_a_signal_once_the_result_is_in_place_comes_too_late(folder):
    checkpoint(folder / "net.safetensors", {"w": ("F32", (4,))})
    leaving = """
import os, signal, sys
from initctl.commit.staging import StagedFile
leave = StagedFile.__exit__
def interrupted(self, *error):
    os.kill(os.getpid(), signal.SIGTERM)
    leave(self, *error)
StagedFile.__exit__ = interrupted
sys.argv = ["initctl", "apply", "net.safetensors", "-o", "out.safetensors", "-r", "w=normal"]
from initctl.__main__ import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", leaving], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.endswith("wrote out.safetensors (1 file)\n")


@pytest.mark.parametrize("place", [("-o", "out.safetensors"), ("--in-place",), ("--in-place", "--patch")], ids=str)
class TestASignalOnceTheResultIsInPlace:
    """Whatever is still to be written beside it is not, and the result is shown."""

    def interrupted(self, folder, place, module, function, *flags):
        """What `apply` says if a signal comes when `function` of `module` is called."""
        checkpoint(folder / "net.safetensors", {"w": ("F32", (4,))})
        making = f"""
import os, signal, sys
from initctl.{module} import {function} as called
import initctl.{module} as module
def interrupted(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    return called(*arguments, **options)
module.{function} = interrupted
sys.argv = ["initctl", "apply", "net.safetensors", *{place}, "-r", "w=ones", *{flags}]
from initctl.__main__ import main
main()
"""
        process = subprocess.Popen([sys.executable, "-c", making], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        status, out, err = ended(process)
        target = place[1] if place[0] == "-o" else "net.safetensors"
        assert {path.name for path in folder.iterdir()} == {"net.safetensors", target}
        assert initctl.verify(folder / target, rules=["w=ones"])
        return status, out, err.replace(f"initctl: error: {target}: was written, but its ", "")

    def test_while_a_report_is_made(self, folder, place):
        flags = ("--report", "r.json")
        status, out, err = self.interrupted(folder, place, "manifest.making", "file_digests", *flags)
        assert (status, err) == (7, "report was not: interrupted by SIGINT\n")
        assert "(1 file)\n" in out

    def test_while_a_page_is_made_ends_what_follows_too(self, folder, place):
        flags = ("--html", "p.html", "--report", "r.json", "--json")
        status, out, err = self.interrupted(folder, place, "page.writing", "write_file", *flags)
        faults = [f"{what} was not: interrupted by SIGINT" for what in ("page", "report")]
        assert (status, err.splitlines()) == (7, faults)
        document = json.loads(out)
        assert (document["exit_code"], document["data"]["actions"][0]["tensor"]) == (7, "w")
        assert [error["code"] for error in document["errors"]] == ["page.interrupted", "report.interrupted"]


@pytest.mark.parametrize("option", ["--save", "--html"])
def test_a_signal_once_a_file_of_its_own_is_written_comes_too_late(folder, option):
    checkpoint(folder / "net.safetensors", {"w": ("F32", (4,))})
    reporting = f"""
import os, signal, sys
from initctl.planning import Plan
report = Plan.report
def interrupted(self, **options):
    os.kill(os.getpid(), signal.SIGTERM)
    return report(self, **options)
Plan.report = interrupted
sys.argv = ["initctl", "plan", "net.safetensors", "-r", "w=normal", "{option}", "written"]
from initctl.__main__ import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", reporting], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    status, out, err = ended(process)
    assert (status, err) == (0, "")
    assert out.startswith("tensor")
    assert (folder / "written").stat().st_size


@pytest.mark.parametrize(
    ("module", "end"),
    [
        ("initctl.cli", (-signal.SIGINT, "", "")),
        ("initctl.errors", (-signal.SIGINT, "", "")),
        ("initctl.cli.main", (-signal.SIGINT, "", "")),
        ("initctl.cli.apply", (130, "", "initctl: error: interrupted by SIGINT\n")),
    ],
)
def test_a_signal_while_modules_are_loaded_is_no_traceback(folder, module, end):
    loading = f"""
import os, signal, sys
class Interrupted:
    def find_spec(self, name, *rest):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupted())
sys.argv = ["initctl", "apply", "net.safetensors", "-o", "out.safetensors", "-r", "w=normal"]
from initctl.__main__ import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", loading], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ended(process) == end


def test_a_program_that_imports_the_library_keeps_its_own_end_by_a_signal():
    importing = "import signal, initctl; initctl.plan; print(signal.getsignal(signal.SIGINT).__name__)"
    done = subprocess.run([sys.executable, "-c", importing], capture_output=True, check=True)
    assert done.stdout == b"default_int_handler\n"


@pytest.mark.parametrize("others", ["SIGTERM, signal.SIGINT", "SIGTERM, signal.SIGHUP", "SIGINT, signal.SIGHUP"])
def test_signals_that_come_together_are_one_line_and_one_status(folder, others):
    checkpoint(folder / "net.safetensors", {"w": ("F32", (4,))})
    together = f"""
import os, signal, sys
from initctl.workers import Workers
run = Workers.run
def interrupted(self, tasks):
    numbers = (signal.{others})
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        signal.raise_signal(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    run(self, tasks)
Workers.run = interrupted
sys.argv = ["initctl", "apply", "net.safetensors", "-o", "out.safetensors", "-r", "w=normal"]
from initctl.__main__ import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", together], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    status, out, err = ended(process)
    first = signal.Signals(status - 128).name
    assert first in others
    assert (out, err) == ("", f"initctl: error: interrupted by {first}\n")
    assert [path.name for path in folder.iterdir()] == ["net.safetensors"]


def test_a_signal_while_an_error_is_reported_does_not_cut_it(folder):
    reporting = """
import os, signal, sys
import initctl.cli.main as main
complain = main.complain
def interrupted(kind, problem):
    os.kill(os.getpid(), signal.SIGTERM)
    complain(kind, problem)
main.complain = interrupted
sys.argv = ["initctl", "inspect", "missing"]
main.main()
"""
    process = subprocess.Popen([sys.executable, "-c", reporting], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ended(process) == (3, "", "initctl: error: missing: no such file or directory\n")


def test_a_signal_that_a_destructor_swallows_leaves_the_next_one_its_effect(folder):
    checkpoint(folder / "net.safetensors", {"w": ("F32", (4,))})
    swallowing = """
import os, signal, sys
from initctl.workers import Workers
run = Workers.run
class Dying:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def interrupted(self, tasks):
    Dying()
    os.kill(os.getpid(), signal.SIGTERM)
    run(self, tasks)
Workers.run = interrupted
sys.argv = ["initctl", "apply", "net.safetensors", "-o", "out.safetensors", "-r", "w=normal"]
from initctl.__main__ import main
main()
"""
    process = subprocess.Popen([sys.executable, "-c", swallowing], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ended(process) == (143, "", "initctl: error: interrupted by SIGTERM\n")
