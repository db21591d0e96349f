"""Each kind of failure has its status, one line on stderr, and under --json one document on stdout."""

from __future__ import annotations

import json

import pytest

from tests.cli.plugins import BUG, LATE_BUG, installed
from tests.cli.processes import MODULE, initctl, messages, shell

APPLY = ("apply", "net.safetensors", "-o", "out.safetensors")


def told_once(done, status, code, command):
    """The message of a failure that is told as it should be."""
    (line,) = messages(done.err)
    assert done.status == status
    assert line.startswith("initctl: error: ")
    document = done.document
    assert list(document) == ["schema", "command", "status", "exit_code", "data", "warnings", "errors"]
    assert (document["schema"], document["command"]) == ("initctl/1", command)
    assert (document["status"], document["exit_code"], document["data"]) == ("error", status, None)
    (error,) = document["errors"]
    assert list(error) == ["code", "message", "hint", "place", "topic"]
    assert error["code"] == code
    hint = f"; {error['hint']}" if error["hint"] else ""
    return line.removeprefix("initctl: error: ").removesuffix(hint)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        ((*APPLY, "-r", "*.bias=nrmal"), 2, "rule.initializer"),
        (("inspect", "missing.safetensors"), 3, "file.missing"),
        ((*APPLY, "-r", "fc9.*=ones"), 4, "rule.unused"),
        (("apply", "net.safetensors", "-o", "no/out.safetensors", "-r", "*.bias=ones"), 5, "output.parent"),
        (("apply", "net.safetensors", "-o", ".hidden", "-r", "*.bias=ones", "--no-clobber"), 6, "output.exists"),
    ],
    ids=lambda value: value if isinstance(value, int) else "",
)
def test_a_failure_has_its_status(net, folder, call, arguments, status, code):
    (folder / ".hidden").touch()
    process = initctl(*arguments, "--json", command=MODULE)
    message = told_once(process, status, code, arguments[0])
    assert process.document["errors"][0]["message"] == message
    assert call(*arguments, "--json") == process
    text = call(*arguments)
    assert (text.status, text.out, text.err) == (status, "", process.err)
    assert sorted(path.name for path in folder.iterdir()) == [".hidden", "net.safetensors"]


def test_a_result_that_stdout_does_not_take_is_7_and_the_work_is_done(net, folder):
    done = shell("initctl apply net.safetensors -o out.safetensors -r '*.bias=ones' > /dev/full")
    assert done.status == 7
    assert done.err == (
        "initctl: error: stdout: the output could not be written: No space left on device; the work itself is done\n"
    )
    assert (folder / "out.safetensors").exists()


class TestABug:
    @pytest.mark.parametrize(("name", "text"), [("broken", BUG), ("late", LATE_BUG)])
    def test_is_told_in_one_line_and_leaves_nothing(self, net, folder, name, text):
        path = installed(folder / "site", f"initctl_{name}", text)
        done = initctl(*APPLY, "-r", f"fc1.bias={name}", "--json", PYTHONPATH=path)
        message = told_once(done, 70, "bug", "apply")
        assert message.startswith("this is a bug in initctl: ")
        assert "Error: " in message
        assert not (folder / "out.safetensors").exists()
        assert not list(folder.glob(".initctl-*"))

    def test_shows_its_traceback_under_verbose_without_control_characters(self, net, folder):
        path = installed(folder / "site", "initctl_broken", BUG)
        done = initctl("plan", "net.safetensors", "-r", "fc1.bias=broken", "--verbose", PYTHONPATH=path)
        *traceback, last = done.err.splitlines()
        assert (done.status, done.out) == (70, "")
        assert traceback[0] == "Traceback (most recent call last):"
        assert last.startswith("initctl: error: this is a bug in initctl: KeyError: ")
        assert done.err.replace("\n", "").isprintable()
        assert not [line for line in done.err.splitlines() if line.startswith("::")]


def test_several_faults_are_a_line_each_and_one_document(net, call):
    done = call(*APPLY, "-r", "fc9.*=ones", "-r", "fc1.bias=xavier_normal", "-r", "steps=normal", "--json")
    assert done.status == 4
    assert [line.split("(")[0] for line in messages(done.err)] == [
        f"initctl: error: rule {number} " for number in (1, 2, 3)
    ]
    assert [error["code"] for error in json.loads(done.out)["errors"]] == ["rule.unused", "rule.unfit", "rule.unfit"]


def test_the_command_of_a_document_is_null_where_none_was_understood(call):
    assert call("inspekt", "x", "--json").document["command"] is None
