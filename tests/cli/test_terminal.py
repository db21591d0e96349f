"""A terminal gets colour, progress and lines that fit it; a pipe gets plain text, whole."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.cli.checkpoints import checkpoint
from tests.cli.processes import SCRIPT, Outcome, environment, initctl, on_terminal

INSPECT = ("inspect", "net.safetensors")
APPLY = ("apply", "net.safetensors", "-o", "out.safetensors", "-r", "*.bias=ones")
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class TestColour:
    def test_is_for_terminals(self, net, call):
        heading, *rows = on_terminal(*INSPECT).out.splitlines()
        assert heading.startswith("\x1b[1mtensor")
        assert rows == call(*INSPECT).out.splitlines()[1:]

    def test_is_left_out_under_an_environment_that_asks_for_none(self, net, call):
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
            assert on_terminal(*INSPECT, **variables).out == call(*INSPECT).out

    def test_is_left_out_under_the_flag(self, net, call):
        assert on_terminal(*INSPECT, "--no-color").out == call(*INSPECT).out

    def test_is_left_in_under_an_empty_no_color(self, net):
        assert "\x1b[1m" in on_terminal(*INSPECT, NO_COLOR="").out

    def test_goes_to_a_pipe_only_if_the_environment_asks_for_it(self, net):
        assert "\x1b" not in initctl(*INSPECT).out
        assert COLOUR.sub("", initctl(*INSPECT, FORCE_COLOR="1").out) == initctl(*INSPECT).out
        assert "\x1b[1m" in initctl(*INSPECT, FORCE_COLOR="1").out
        assert "\x1b" not in initctl(*INSPECT, "--no-color", FORCE_COLOR="1").out

    def test_marks_errors_and_warnings(self, net):
        refused = ("plan", "net.safetensors", "-r", "nothing=zeros")
        assert "initctl: \x1b[1;31merror:\x1b[0m rule 1" in on_terminal(*refused).out
        assert "initctl: \x1b[1;33mwarning:\x1b[0m rule 1" in on_terminal(*refused, "--allow-unused").out
        assert "\x1b" not in on_terminal(*refused, NO_COLOR="1").out
        assert "\x1b" not in initctl(*refused).err


class TestProgress:
    def test_is_drawn_on_a_terminal_and_wiped_before_the_result(self, net):
        done = on_terminal(*APPLY)
        drawn, _, result = done.out.rpartition("\x1b[2K")
        assert "writing" in drawn
        assert re.search(r"\d+/\d+ bytes", drawn)
        assert "writing" not in result
        assert "wrote out.safetensors" in result

    def test_is_drawn_on_stderr_while_the_result_is_piped(self, net, folder):
        with open(folder / "report", "w") as report:
            done = on_terminal(*APPLY, stdout=report.fileno())
        assert "writing" in done.out
        assert "wrote" not in done.out
        assert (folder / "report").read_text().splitlines()[-1] == "wrote out.safetensors (1 file)"

    def test_is_never_piped(self, net):
        done = initctl(*APPLY, FORCE_COLOR="1")
        assert (done.status, done.err) == (0, "")
        assert "writing" not in done.out

    def test_is_not_drawn_where_only_stdout_is_a_terminal(self, net):
        controller, terminal = os.openpty()
        command = [*SCRIPT, *APPLY]
        run = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, check=True, env=environment())
        assert b"writing" not in os.read(controller, 1 << 16)
        assert run.stderr == b""
        os.close(controller)
        os.close(terminal)

    def test_is_not_drawn_where_nothing_is_wanted(self, net):
        assert on_terminal(*APPLY, "--quiet") == Outcome(0, "", "")

    def test_is_not_drawn_on_a_terminal_that_cannot_erase(self, net, call):
        done = on_terminal(*APPLY, TERM="dumb")
        assert done.out.split() == call(*APPLY).out.split()
        assert done.out.startswith("tensor")

    def test_lets_a_warning_through(self, net):
        done = on_terminal(*APPLY, "-r", "fc*=ones", "-r", "steps*=normal", "--allow-unused", NO_COLOR="1", columns=300)
        assert "initctl: warning: rule 3 (steps*=normal): decides nothing" in done.out
        assert "wrote out.safetensors" in done.out

    def test_has_no_colour_where_nobody_wants_it(self, net):
        done = on_terminal(*APPLY, "--no-color")
        assert "writing" in done.out
        assert not COLOUR.search(done.out)


class TestWidth:
    def test_of_a_narrow_terminal_is_kept_and_nothing_lost(self, net, call):
        wide = call(*INSPECT).out
        narrow = on_terminal(*INSPECT, "--no-color", columns=20).out
        assert max(map(len, narrow.splitlines())) <= 20
        heading, rows = wide.split("\n", 1)
        assert [word for word in narrow.split() if word not in heading.split()] == rows.split()

    def test_can_be_told_by_the_environment(self, net):
        assert on_terminal(*INSPECT, COLUMNS="20").out == on_terminal(*INSPECT, columns=20).out

    def test_of_a_pipe_is_without_end(self, folder):
        names = [letter * 250 for letter in "abc"]
        checkpoint(folder / "net.safetensors", dict.fromkeys(names, ("F32", (2, 2))))
        done = initctl(*INSPECT, COLUMNS="20")
        assert [line.split()[0] for line in done.out.splitlines()[1:4]] == names


@pytest.mark.parametrize(
    "variables",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["encoding", "locale"],
)
def test_no_locale_is_too_poor_for_a_report(folder, variables):
    checkpoint(folder / "net.safetensors", {"重み": ("F32", (2, 2)), "n" * 300: ("F32", ())})
    reports = [initctl(*INSPECT, **variables), initctl("initializers", "constant", **variables)]
    assert [(done.status, done.err) for done in reports] == [(0, "")] * 2
    assert r"\u91cd\u307f" in reports[0].out
    assert r"\u2026" in reports[1].out
    failure = initctl("plan", "net.safetensors", "-r", "重=ones", **variables)
    assert failure.status == 4
    assert failure.err.startswith("initctl: error: rule 1 (")
