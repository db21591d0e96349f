"""The whole process, run inside this one: its streams, its signals, its status."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys

import pytest

from initctl.cli.main import main
from initctl.initializers import REGISTRY, Initializer, Resolved
from initctl.stream import Normal
from tests.cli.processes import Outcome

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
APPLY = ("apply", "net.safetensors", "-o", "out.safetensors", "-r")


@pytest.fixture
def process(folder, monkeypatch, capfd):
    """Runs a command as a process does; afterwards streams and signals are as they were."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    for name in ("stdout", "stderr", "unraisablehook"):
        monkeypatch.setattr(sys, name, getattr(sys, name))

    def process(*arguments: str, start=main) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["initctl", *arguments])
        with pytest.raises(SystemExit) as ended:
            start()
        return Outcome(ended.value.code, *capfd.readouterr())

    yield process
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def initializer(monkeypatch):
    """Makes an initializer known for one test."""
    return lambda known: monkeypatch.setitem(REGISTRY._by_name, known.name, known)


def test_a_process_ends_with_the_status_of_its_command(process):
    done = process("inspect", "missing", "--json")
    assert (done.status, done.err) == (3, "initctl: error: missing: no such file or directory\n")
    assert done.document["errors"][0]["code"] == "file.missing"


def test_without_a_command_it_prints_its_help(process):
    alone = process()
    assert (alone.status, alone.err) == (2, "")
    assert alone.out == process("--help").out


def test_the_package_is_run_by_its_name(process, net):
    as_module = process("inspect", "net.safetensors", start=lambda: runpy.run_module("initctl", run_name="__main__"))
    assert as_module == process("inspect", "net.safetensors")
    assert as_module.status == 0


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_while_values_are_computed_ends_it(process, net, initializer, number):
    class Signalling(Normal):
        def values(self, draws, start, stop):
            os.kill(os.getpid(), number)
            return super().values(draws, start, stop)

    initializer(Initializer("signalling", lambda tensor: Resolved(Signalling(0, 1))))
    name = signal.Signals(number).name
    done = process(*APPLY, "fc1.weight=signalling", "--json")
    assert (done.status, done.err) == (128 + number, f"initctl: error: interrupted by {name}\n")
    assert done.document["errors"] == [
        {"code": "interrupted", "message": f"interrupted by {name}", "hint": None, "place": None, "topic": None}
    ]
    assert os.listdir() == ["net.safetensors"]
    assert [signal.getsignal(other) for other in SIGNALS] == [signal.SIG_IGN] * 3


def test_a_signal_that_is_ignored_stays_ignored(process, net):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert process("inspect", "net.safetensors").status == 0
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_bug_is_told_as_one(process, net, initializer):
    def build(tensor):
        raise ZeroDivisionError("by\x1b nothing\n::error::")

    initializer(Initializer("broken", build))
    line = (
        r"initctl: error: this is a bug in initctl: ZeroDivisionError: by\x1b nothing\x0a::error::; "
        "run again with --verbose and report it\n"
    )
    assert process(*APPLY, "fc1.weight=broken") == Outcome(70, "", line)
    verbose = process(*APPLY, "fc1.weight=broken", "--verbose")
    assert verbose.err.startswith("Traceback (most recent call last):\n")
    assert verbose.err.endswith(line)
    assert "\x1b" not in verbose.err
    assert "\n::" not in verbose.err


def test_progress_is_drawn_where_stderr_is_a_terminal(net, call, monkeypatch):
    controller, terminal = os.openpty()
    with open(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setattr("initctl.display.console._UNSEEN", 0)
        done = call(*APPLY, "fc1.weight=normal")
        stream.flush()
        drawn = os.read(controller, 1 << 16).decode()
    os.close(controller)
    assert "writing" in drawn
    assert done.out.endswith("wrote out.safetensors (1 file)\n")


def test_a_package_that_cannot_be_loaded_is_the_environments_failure(net):
    script = "import sys; sys.modules['torch'] = None; from initctl.cli.main import main; main()"
    command = [sys.executable, "-c", script, "plan", "net.safetensors", "-r", "*.bias=zeros", "--device", "cpu:0"]
    done = subprocess.run(command, cwd=net.parent, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("initctl: error: a package that initctl needs cannot be loaded: ")
    assert done.stderr.endswith("; install it again\n")
