"""A terminal gets colour, progress and lines that fit it; a pipe gets plain text, whole."""

from __future__ import annotations

import math
import os
import re
import subprocess
import time

import pytest

from tests.cli.checkpoints import NET, checkpoint
from tests.cli.processes import SCRIPT, Outcome, environment, initctl, on_terminal

INSPECT = ("inspect", "net.safetensors")
APPLY = ("apply", "net.safetensors", "-o", "out.safetensors", "-r", "*.bias=ones")
STATS = ("stats", "large.safetensors", "--threads", "1")
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

    def test_dims_what_is_kept(self, net):
        rows = on_terminal("plan", "net.safetensors", "-r", "*.bias=ones").out.splitlines()
        kept = {row for row in rows if row.endswith("keep\x1b[0m")}
        assert kept
        assert {row for row in rows if row.startswith("\x1b[2m")} == kept

    def test_tells_what_holds_from_what_differs(self, net):
        rules = ("-r", "*.bias=ones")
        assert initctl(*APPLY).status == 0
        assert "\x1b[32mout.safetensors: holds" in on_terminal("verify", "out.safetensors", *rules).out
        assert "\x1b[31mnet.safetensors: " in on_terminal("verify", "net.safetensors", *rules).out
        assert on_terminal("diff", "net.safetensors", "net.safetensors").out.startswith("\x1b[32midentical")
        assert on_terminal("diff", "net.safetensors", "out.safetensors").out.startswith("\x1b[33m")

    def test_marks_errors_and_warnings(self, net):
        refused = ("plan", "net.safetensors", "-r", "nothing=zeros")
        assert "initctl: \x1b[1;31merror:\x1b[0m rule 1" in on_terminal(*refused).out
        assert "initctl: \x1b[1;33mwarning:\x1b[0m rule 1" in on_terminal(*refused, "--allow-unused").out
        assert "\x1b" not in on_terminal(*refused, NO_COLOR="1").out
        assert "\x1b" not in initctl(*refused).err


PIECE = 1 << 24
"""Elements that take some tenths of a second to read."""
SECONDS = 2.5
"""What reading takes of `large`: progress is drawn after one."""


@pytest.fixture(scope="module")
def pieces(tmp_path_factory, compiled):
    """How many pieces take `SECONDS` to read on this machine. What reads them finds compiled code, so compiles none."""

    def seconds(elements: int) -> float:
        path = checkpoint(tmp_path_factory.mktemp("piece") / "piece.safetensors", {"w": ("F64", (elements,))})
        begun = time.monotonic()
        assert initctl("stats", str(path), "--threads", "1").status == 0
        return time.monotonic() - begun

    seconds(1)
    return math.ceil(SECONDS / max(seconds(PIECE) - seconds(1), 0.05))


@pytest.fixture
def large(folder, pieces):
    """A checkpoint that is a hole in its file, so large that reading all of it takes longer than a second."""
    return checkpoint(folder / "large.safetensors", {"w": ("F64", (pieces * PIECE,))})


class TestProgress:
    def test_is_drawn_on_a_terminal_and_wiped_before_the_result(self, large):
        drawn, _, result = on_terminal(*STATS).out.rpartition("\x1b[2K")
        assert "reading" in drawn
        assert re.search(r"\d+\.\d/\d+\.\d [MG]B", drawn)
        assert "reading" not in result
        assert result.splitlines()[-1].startswith("1 tensor, ")

    def test_is_drawn_on_stderr_while_the_result_is_piped_without_color_if_nobody_wants_it(self, large, folder):
        with open(folder / "report", "w") as report:
            done = on_terminal(*STATS, "--no-color", stdout=report.fileno())
        assert "reading" in done.out
        assert not COLOUR.search(done.out)
        assert "1 tensor, " not in done.out
        assert (folder / "report").read_text().splitlines()[-1].startswith("1 tensor, ")

    def test_is_never_piped(self, large):
        done = initctl(*STATS, FORCE_COLOR="1")
        assert (done.status, done.err) == (0, "")
        assert "reading" not in done.out

    def test_is_not_drawn_if_only_stdout_is_a_terminal(self, large):
        controller, terminal = os.openpty()
        command = [*SCRIPT, *STATS]
        run = subprocess.run(command, stdout=terminal, stderr=subprocess.PIPE, check=True, env=environment())
        assert b"reading" not in os.read(controller, 1 << 16)
        assert run.stderr == b""
        os.close(controller)
        os.close(terminal)

    def test_is_not_drawn_if_nothing_is_wanted(self, large):
        assert on_terminal(*STATS, "--quiet") == Outcome(0, "", "")

    def test_is_not_drawn_on_a_terminal_that_cannot_erase(self, large):
        done = on_terminal(*STATS, TERM="dumb")
        assert done.status == 0
        assert "reading" not in done.out

    def test_is_not_drawn_of_what_takes_no_second(self, net, call):
        shown = on_terminal(*APPLY, NO_COLOR="1").out
        (net.parent / "out.safetensors").unlink()
        assert shown == call(*APPLY).out


class TestWidth:
    def test_of_a_narrow_terminal_is_kept_and_nothing_lost(self, net, call):
        wide = call(*INSPECT).out
        narrow = on_terminal(*INSPECT, "--no-color", columns=20).out
        assert max(map(len, narrow.splitlines())) <= 20
        heading, rows = wide.split("\n", 1)
        assert [word for word in narrow.split() if word not in heading.split()] == rows.split()

    def test_shortens_rules_before_anything_else(self, net):
        drawn = on_terminal("plan", "net.safetensors", "-r", "fc1.weight=normal", "--no-color", columns=60).out
        heading, *rows = drawn.splitlines()
        assert heading.split() == ["tensor", "shape", "dtype", "rule", "initializer"]
        assert [row for row in rows if "rule 1  normal mean=0 std=1" in row]
        assert "to fit 60 columns: rule shortened; `| less -S` shows all" in rows

    def test_of_40_columns_is_enough_for_a_plan_with_a_heading(self, net):
        drawn = on_terminal("plan", "net.safetensors", "-r", "*.weight=normal", "--no-color", columns=40).out
        assert drawn.split()[:4] == ["tensor", "shape", "rule", "initializer"]

    def test_never_breaks_a_digest(self, net):
        narrow = on_terminal("stats", "net.safetensors", "--digest", "--no-color", columns=60).out
        assert len(re.findall("^[0-9a-f]{64}  ", narrow, re.MULTILINE)) == len(NET)

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
