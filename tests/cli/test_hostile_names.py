"""Names from a file cannot reach the terminal, or pass for a command to a CI system, in any command."""

from __future__ import annotations

import re

import pytest

from tests.cli.checkpoints import checkpoint
from tests.cli.plugins import BUG, installed
from tests.cli.processes import initctl, messages, on_terminal
from tests.hostile import is_safe

SHOWN = {
    "a\x1b[31mred": r"a\x1b[31mred",
    "a\x1b]52;c;cHduZWQ=\x07": r"a\x1b]52;c;cHduZWQ=\x07",
    "a\x9b31m": r"a\x9b31m",
    "x\n::error file=a.py::pwned": r"x\x0a::error file=a.py::pwned",
    "::add-mask::x": r":\x3aadd-mask::x",
    "##vso[task.setvariable]": r"#\x23vso[task.setvariable]",
    "x[/nope]": "x[/nope]",
    "[red]x[/red]": "[red]x[/red]",
    ":smile:": ":smile:",
    "real\rfake": r"real\x0dfake",
    "abc\x08\x08xyz": r"abc\x08\x08xyz",
    "nul\0": r"nul\x00",
    "line\u2028sep": r"line\u{2028}sep",
    "bidi\u202egnp.exe": r"bidi\u{202e}gnp.exe",
    "zero\u200bwidth": r"zero\u{200b}width",
    r"back\x1b[31mslash": r"back\\x1b[31mslash",
    "": "''",
    " ": "' '",
    "-r": "'-r'",
    "../../etc/passwd": "../../etc/passwd",
}
HOSTILE = list(SHOWN)
DRAWN = re.compile(r"\x1b\[(?:\d*(?:;\d+)*m|\?25[lh]|\d*[AK])|\r")
"""What progress and bold headings send to a terminal: colours, the cursor hidden, moved up, shown; lines erased."""


@pytest.fixture
def hostile(folder):
    """A checkpoint with every name, twice: as a matrix and, with an `i` before it, as integers; metadata likewise."""
    tensors = dict.fromkeys(HOSTILE, ("F32", (2, 2))) | {f"i{name}": ("I32", (2,)) for name in HOSTILE}
    return checkpoint(folder / "hostile.safetensors", tensors, {name: name for name in HOSTILE if name})


COMMANDS = {
    "inspect": ("inspect", "hostile.safetensors", "--all"),
    "plan": ("plan", "hostile.safetensors", "-r", "*=normal", "--all"),
    "plan --diff": ("plan", "hostile.safetensors", "-r", "*=normal", "--all", "--diff"),
    "apply": ("apply", "hostile.safetensors", "-o", "out.safetensors", "-r", "*=normal", "--all"),
    "stats": ("stats", "hostile.safetensors", "--all"),
}
OTHERS = {
    "diff": ("diff", "hostile.safetensors", "other.safetensors", "--all"),
    "verify": ("verify", "hostile.safetensors", "-r", "*=zeros", "--all"),
    "doctor": ("doctor", "hostile.safetensors", "--all"),
    "suggest": ("suggest", "hostile.safetensors"),
    "new": ("new", "-o", "new.safetensors", "--like", "hostile.safetensors", "-r", "*=normal", "--all"),
    "recipe-check": ("recipe-check", "recipe.toml", "hostile.safetensors"),
}
"""Further commands that print names, but not in rows of their own."""


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
class TestEveryName:
    def test_reaches_a_pipe_escaped_and_whole(self, hostile, arguments):
        done = initctl(*arguments, GITHUB_ACTIONS="true")
        assert done.status == 0
        assert is_safe(done.out)
        assert is_safe(done.err)
        rows = done.out.splitlines()
        for shown in SHOWN.values():
            assert [row for row in rows if row.startswith(f"{shown}  ")]

    def test_reaches_a_terminal_escaped_and_whole(self, hostile, arguments):
        done = on_terminal(*arguments, columns=200)
        assert done.status == 0
        assert not re.search(r"\x1b\[31mred|\x1b\[31mslash|\x1b\]|[\x07\x08\x9b\0\u202e\u2028\u200b]", done.out)
        plain = DRAWN.sub("", done.out)
        assert is_safe(plain)
        for shown in SHOWN.values():
            assert shown in plain

    def test_comes_back_from_json_as_it_was(self, hostile, call, arguments):
        done = call(*arguments, "--json")
        assert done.out.isascii()
        assert is_safe(done.out)
        data = done.document["data"]
        names = [row.get("name", row.get("tensor")) for row in data.get("tensors") or data["actions"]]
        assert names[: len(HOSTILE)] == HOSTILE


@pytest.mark.parametrize("arguments", OTHERS.values(), ids=OTHERS)
def test_no_other_command_prints_a_name_raw(hostile, folder, arguments):
    checkpoint(folder / "other.safetensors", {f"{name}x": ("F32", (2, 2)) for name in HOSTILE})
    (folder / "recipe.toml").write_text('[[rule]]\nmatch = "*red"\ninit = "dirac"\n')
    piped, drawn = initctl(*arguments, GITHUB_ACTIONS="true"), on_terminal(*arguments)
    assert piped.status == drawn.status < 5
    assert "31mred" in piped.out + piped.err
    for text in (piped.out, piped.err, DRAWN.sub("", drawn.out)):
        assert is_safe(text)


def test_a_name_of_a_million_characters_is_cut_in_a_table_and_whole_in_json(folder, call):
    name = "a" * 1_000_000
    checkpoint(folder / "long.safetensors", {name: ("F32", (2,))})
    for arguments, held in ((("inspect",), "tensors"), (("plan", "-r", "a*=ones"), "actions")):
        assert "a" * 256 + "…" in call(*arguments, "long.safetensors").out
        assert max(map(len, call(*arguments, "long.safetensors").out.splitlines())) < 400
        (tensor,) = call(*arguments, "long.safetensors", "--json").document["data"][held]
        assert name in (tensor.get("name"), tensor.get("tensor"))


@pytest.mark.parametrize("columns", [1, 7, 20])
def test_a_narrow_terminal_gets_no_line_that_a_name_began(hostile, columns):
    done = on_terminal("inspect", "hostile.safetensors", columns=columns)
    assert is_safe(DRAWN.sub("", done.out))


@pytest.mark.parametrize("name", HOSTILE)
def test_an_error_about_a_tensor_is_one_safe_line(folder, call, name):
    checkpoint(folder / "one.safetensors", {name: ("F32", (2,)), "other": ("F32", (2, 2))})
    unfit = call("plan", "one.safetensors", "-r", "*=eye", "--json")
    undecided = call("plan", "one.safetensors", "-r", "other=eye", "--require-all", "--json")
    for done in (unfit, undecided):
        assert done.status == 4
        assert SHOWN[name].replace(r":\x3a", "::") in done.err  # in the middle of a line that is no command
        assert len(messages(done.err)) == 1
        assert is_safe(done.err)
        assert len(done.document["errors"]) == 1


@pytest.mark.parametrize("name", [name for name in HOSTILE if "\0" not in name])
def test_what_was_typed_is_told_back_safely(folder, call, name):
    checkpoint(folder / "one.safetensors", {f"{name}.weight": ("F32", (2,))})
    lines = [
        ("inspect", name),
        ("initializers", name),
        ("plan", "one.safetensors", "-r", name),
        ("plan", "one.safetensors", "-r", f"a={name}"),
        ("plan", "one.safetensors", "-r", f"a=normal:{name}"),
        ("plan", "one.safetensors", "-r", f"a=normal:std={name}"),
        ("plan", "one.safetensors", "-r", f"w{name}eight=ones"),
        ("plan", "one.safetensors", "--seed", name),
        ("plan", "one.safetensors", f"--{name}"),
        (f"plan{name}x",),
    ]
    for line in lines:
        done = call(*line)
        assert done.status in (2, 3, 4), line
        assert len(messages(done.err)) == 1
        assert is_safe(done.err)


@pytest.mark.parametrize("name", ["\x1b[31m\n::error::x", b"\xff\xfe.safetensors".decode(errors="surrogateescape")])
def test_a_path_can_be_called_anything(folder, call, name):
    path = checkpoint(folder / name, {"w": ("F32", (2,))}, {"format": "pt"})
    for arguments in (
        ("inspect", name),
        ("plan", name, "-r", "*=ones"),
        ("apply", name, "-o", f"2{name}", "-r", "*=ones"),
    ):
        done = call(*arguments)
        assert (done.status, done.err) == (0, "")
        assert is_safe(done.out)
    assert call("plan", name, "-r", "*=ones", "--json").document["data"]["checkpoint"] == path.name
    done = call("apply", name, "-o", f"{name}/x", "-r", "*=ones")
    assert done.status == 5
    assert is_safe(done.err)


def test_a_bug_that_names_a_tensor_is_one_safe_line(hostile, folder):
    path = installed(folder / "site", "initctl_broken", BUG)
    done = initctl("plan", "hostile.safetensors", "-r", "*=broken", "-v", PYTHONPATH=path)
    assert done.status == 70
    assert is_safe(done.err)
