"""`initctl diff` for people, for programs, and for narrow terminals."""

from __future__ import annotations

import errno
import json
import os
import re
from importlib.resources import files

import pytest
import torch
from jsonschema import Draft202012Validator
from safetensors.torch import save_file

import initctl
from tests.cli.processes import initctl as run
from tests.cli.processes import messages, on_terminal

SCHEMA = json.loads((files("initctl.schemas") / "diff.schema.json").read_text(encoding="utf-8"))


@pytest.fixture
def pair(folder):
    """Two checkpoints that differ in each way, and have a tensor in common."""
    same, w, b, two = torch.ones(5), torch.zeros(4, 5), torch.ones(3), torch.ones(2)
    before = {"same": same, "w": w.clone(), "b": b, "shape": two, "old": two.clone()}
    w[2, 1] = 0.5
    after = {"same": same, "w": w, "b": b.to(torch.bfloat16), "shape": torch.ones(3), "new": two}
    save_file(before, folder / "a.safetensors", metadata={"format": "pt", "note": "x"})
    save_file(after, folder / "b.safetensors", metadata={"format": "pt", "note": "y"})
    return "a.safetensors", "b.safetensors"


def test_the_verdict_comes_first_then_a_row_for_each_tensor_that_differs(pair, call):
    done = call("diff", *pair)
    assert (done.status, done.err) == (1, "")
    verdict, _, heading, *rest = done.out.splitlines()
    assert verdict == "3 of 4 tensors differ; 1 only in A; 1 only in B; metadata differs"
    assert heading.split("  ")[0] == "tensor"
    text = "\n".join(rest)
    assert re.search(r"^w +\[4, 5\] +float32 +0\.5 +0\.025 +- +- +1 \(5\.0%\) +\[2, 1\]$", text, re.MULTILINE)
    assert re.search(r"^b +\[3\] +float32 -> bfloat16 +0 +0 +0 +1\.000000 +none$", text, re.MULTILINE)
    assert re.search(r"^shape +\[2\] -> \[3\] +float32 +- +- +- +- +-$", text, re.MULTILINE)
    assert re.search(r"^old +\[2\] +float32 +A$", text, re.MULTILINE)
    assert re.search(r"^new +\[2\] +float32 +B$", text, re.MULTILINE)
    assert rest[-1] == "metadata note: A has x, B has y"


def test_what_is_the_same_is_called_identical(pair, call):
    done = call("diff", pair[0], pair[0])
    assert (done.status, done.out, done.err) == (0, "identical: 5 tensors, 128 bytes\n", "")


def test_patterns_say_which_tensors_are_compared(pair, call):
    done = call("diff", *pair, "same")
    assert (done.status, done.out) == (0, "identical: 1 tensor, 20 bytes\n")
    assert call("diff", *pair, "old", "w").out.startswith("1 of 1 tensor differs; 1 only in A\n")


def test_json_holds_what_the_library_says_and_fits_its_schema(pair, call):
    done = call("diff", *pair, "--json")
    document = done.document
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator(SCHEMA).validate(document["data"])
    assert document["data"] == initctl.diff(*pair).to_json()
    assert (done.status, document["command"], document["status"]) == (1, "diff", "negative")
    equal = call("diff", pair[0], pair[0], "--json").document
    Draft202012Validator(SCHEMA).validate(equal["data"])
    assert (equal["status"], equal["data"]["differ"]) == ("ok", False)


def test_many_tensors_are_folded_and_their_numbers_put_together(folder, call):
    a = {f"layers.{n}.w": torch.zeros(10) for n in range(40)}
    b = {f"layers.{n}.w": torch.full((10,), n + 1.0) for n in range(40)}
    save_file(a, folder / "a.safetensors")
    save_file(b, folder / "b.safetensors")
    done = call("diff", "a.safetensors", "b.safetensors")
    assert re.search(r"layers\.\{0\.\.39\}\.w ×40 +\[10\] +float32 +40 +20.5 +- +- +all\n", done.out)
    assert len(call("diff", "a.safetensors", "b.safetensors", "--all").out.splitlines()) == 43


def test_quiet_leaves_the_status_alone(pair, call):
    done = call("diff", *pair, "-q")
    assert (done.status, done.out, done.err) == (1, "", "")


def test_a_narrow_terminal_gets_dtypes_and_shapes_only_if_they_differ(pair, folder):
    rows = on_terminal("diff", *pair, "--no-color", columns=60).out
    assert "  shape       dtype                max diff" in rows
    assert "  [3]         float32 -> bfloat16" in rows
    save_file({"w": torch.zeros(2, 2)}, folder / "a.safetensors")
    save_file({"w": torch.ones(2, 2)}, folder / "b.safetensors")
    table, cut, _ = on_terminal("diff", *pair, "--no-color", columns=40).out.partition("to fit 40 columns: ")
    assert cut
    assert "max diff" in table
    assert "dtype" not in table


def test_a_narrow_terminal_gets_all_of_it(pair):
    done = on_terminal("diff", *pair, columns=40)
    assert done.status == 1
    report = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.out).split("\r")[-1]
    assert max(map(len, report.splitlines())) <= 40
    for word in ("3 of 4 tensors differ", "0.025", "first [2, 1]", "note"):
        assert word in report


def test_a_stream_that_knows_ascii_only_gets_ascii(pair):
    done = run("diff", *pair, PYTHONIOENCODING="ascii")
    assert (done.status, done.err) == (1, "")
    assert done.out.isascii()
    assert "\\u" not in done.out


def test_names_that_could_command_a_terminal_are_escaped(folder, call):
    save_file({"\x1b[2J": torch.ones(1)}, folder / "a.safetensors", metadata={"::error": "\x1b[2J"})
    save_file({"\x1b[2J": torch.zeros(1), "::error": torch.ones(1)}, folder / "b.safetensors")
    out = call("diff", "a.safetensors", "b.safetensors").out
    assert "\x1b" not in out
    assert not re.search(r"^ *::", out, re.MULTILINE)
    assert "\\x1b[2J" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["w["], 2, "initctl: error: pattern w[: "),
        (["w[1:]"], 2, "initctl: error: pattern w[1:]: selects rows; name whole tensors"),
        (["--threads", "0"], 2, "initctl: error: threads: 0 is not"),
        (["--other-root", "ema"], 2, "initctl: error: b.safetensors: there is no tensor under ema"),
        (["ww"], 4, "initctl: error: pattern ww: matches no tensor; did you mean w?"),
    ],
)
def test_each_failure_is_one_line_and_a_status(pair, call, arguments, status, message):
    done = call("diff", *pair, *arguments)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(message)
    assert len(messages(done.err)) == 1
    document = call("diff", *pair, *arguments, "--json").document
    assert (document["exit_code"], document["data"]) == (status, None)
    Draft202012Validator(SCHEMA).validate(document["data"])


@pytest.mark.parametrize("order", [1, -1])
def test_a_missing_checkpoint_is_named(pair, call, order):
    done = call("diff", *(pair[0], "none.safetensors")[::order])
    assert done.status == 3
    assert done.err.startswith("initctl: error: none.safetensors: ")


def test_a_file_that_cannot_be_read_to_its_end_is_a_failure_of_the_environment(pair, call, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", fail)
    done = call("diff", *pair)
    assert (done.status, done.out) == (5, "")
    assert re.fullmatch(r"initctl: error: .*/[ab]\.safetensors: cannot be read: Input/output error\n", done.err)


def test_a_file_that_changes_meanwhile_is_a_conflict(pair, call, monkeypatch):
    read = os.preadv

    def touched(*arguments):
        os.utime(pair[1], ns=(1, 1))
        return read(*arguments)

    monkeypatch.setattr(os, "preadv", touched)
    done = call("diff", *pair)
    assert (done.status, done.out) == (6, "")
    assert done.err.endswith("/b.safetensors: changed while it was read; run again\n")


def test_without_a_second_checkpoint_it_is_a_wrong_command_line(pair, call):
    assert call("diff", pair[0]).status == 2
