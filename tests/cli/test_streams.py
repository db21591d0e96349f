"""A report that cannot be written never undoes the work, and a reader that leaves is no failure."""

from __future__ import annotations

import os

import pytest

from initctl.cli.streams import Lenient, Stdout
from initctl.errors import UncertainError
from tests.cli.checkpoints import checkpoint
from tests.cli.processes import Outcome, shell

APPLY = "initctl apply net.safetensors -o out.safetensors -r '*=ones'"
LOST = "initctl: error: stdout: the output could not be written: {}; the work itself is done\n"


class TestAResult:
    @pytest.mark.parametrize(
        ("redirect", "reason"),
        [
            ("> /dev/full", "No space left on device"),
            ("--json > /dev/full", "No space left on device"),
            (">&-", "Bad file descriptor"),
        ],
    )
    def test_that_stdout_does_not_take_is_7_with_the_work_done(self, net, folder, redirect, reason):
        done = shell(f"{APPLY} {redirect}")
        warning, error = done.err.splitlines(keepends=True)
        assert warning.startswith("initctl: warning: ")
        assert (done.status, error) == (7, LOST.format(reason))
        assert (folder / "out.safetensors").exists()
        assert not list(folder.glob(".initctl-*"))

    @pytest.mark.parametrize("command", ["initctl --help", "initctl inspect net.safetensors"])
    def test_of_any_command_can_be_lost(self, net, command):
        assert shell(f"{command} > /dev/full") == Outcome(7, "", LOST.format("No space left on device"))

    @pytest.mark.parametrize("redirect", ["> /dev/full", ">&-", "--json > /dev/full"])
    def test_that_a_check_does_not_hold_matters_more_than_a_lost_report(self, net, redirect):
        done = shell(f"initctl verify net.safetensors -r '*=ones' {redirect}")
        assert done.status == 1
        assert done.err.splitlines()[-1].startswith("initctl: error: stdout: the output could not be written: ")

    def test_that_nobody_reads_any_more_is_no_failure(self, folder):
        checkpoint(folder / "net.safetensors", {f"{'n' * 90}{n}.weight": ("F32", (2, 2)) for n in range(2000)})
        first = shell("initctl inspect net.safetensors --all | head -1")
        assert (first.status, first.err) == (0, "")
        assert first.out.split() == ["tensor", "shape", "dtype", "fan_in", "fan_out", "size"]

    @pytest.mark.parametrize(
        ("command", "status", "error"),
        [
            ("initctl --help", 0, ""),
            (f"{APPLY} --json --quiet 2>/dev/null", 0, ""),
            ("initctl plan missing --json -r a=ones", 3, "initctl: error: missing: no such file or directory\n"),
        ],
    )
    def test_that_nobody_reads_at_all_is_none_either(self, net, command, status, error):
        assert shell(f"{command} | true") == Outcome(status, "", error)


class TestAnError:
    @pytest.mark.parametrize("redirect", ["> /dev/full", ">&-"])
    def test_keeps_its_status_where_its_document_is_lost(self, folder, redirect):
        done = shell(f"initctl inspect missing --json {redirect}")
        assert done == Outcome(3, "", "initctl: error: missing: no such file or directory\n")

    @pytest.mark.parametrize("redirect", ["2> /dev/full", "2>&-"])
    def test_keeps_its_status_where_stderr_does_not_take_it(self, folder, redirect):
        assert shell(f"initctl inspect missing {redirect}") == Outcome(3, "", "")


@pytest.mark.parametrize("redirect", ["2> /dev/full", "2>&-", "2>&- <&-"])
def test_a_warning_that_stderr_does_not_take_changes_nothing(net, folder, redirect):
    done = shell(f"{APPLY} --verbose {redirect}")
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("wrote out.safetensors (1 file)\n")


class TestAStream:
    def test_that_is_full_says_so_once_if_it_carries_results(self):
        stream = Stdout(os.open("/dev/full", os.O_WRONLY), "w")
        with pytest.raises(UncertainError, match="No space left on device"):
            stream.write(b"result")
        assert stream.write(b"more") == 4
        stream.close()

    def test_that_is_full_says_nothing_if_it_carries_messages(self):
        stream = Lenient(os.open("/dev/full", os.O_WRONLY), "w")
        assert [stream.write(b"warning"), stream.write(b"error")] == [7, 5]
        stream.close()

    def test_that_nobody_reads_takes_everything(self):
        reader, writer = os.pipe()
        os.close(reader)
        stream = Stdout(writer, "w")
        assert stream.write(b"result") == 6
        stream.close()

    def test_that_takes_what_it_gets_passes_it_on(self):
        reader, writer = os.pipe()
        stream = Stdout(writer, "w")
        assert stream.write(b"result") == 6
        stream.close()
        with open(reader, "rb") as pipe:
            assert pipe.read() == b"result"
