"""Completion, as a shell asks for it, and in a real bash."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess

import pytest

from initctl.cli.candidates import Typed, candidates
from initctl.cli.commands import SUMMARIES
from initctl.cli.completion import SCRIPTS
from initctl.topics import TOPICS
from tests.cli.checkpoints import checkpoint
from tests.readme import environment

APPLY = "initctl apply net.safetensors"


@pytest.mark.parametrize(
    ("line", "before", "word"),
    [
        ("initctl ", ("initctl",), ""),
        ("initctl  ap", ("initctl",), "ap"),
        ("initctl plan a\\ b -r 'x y", ("initctl", "plan", "a b", "-r"), "x y"),
        ('initctl plan "a b" ', ("initctl", "plan", "a b"), ""),
        ("initctl plan '' x", ("initctl", "plan", ""), "x"),
    ],
)
def test_a_line_is_read_as_a_shell_reads_it(line, before, word):
    assert Typed.of(line) == (before, word)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("initctl ", [f"{name} " for name in sorted(SUMMARIES)]),
        ("initctl ver", ["verify ", "version "]),
        ("initctl nothing -", []),
        (f"{APPLY} --sta", ["--stale ", "--status "]),
        (f"{APPLY} --stale ", ["drop ", "keep "]),
        (f"{APPLY} --rng t", ["torch "]),
        (f"{APPLY} -p gpt_", ["gpt_neox ", "gpt_oss "]),
        (f"{APPLY} -p au", ["auto "]),
        (f"{APPLY} -r fc1", ["fc1.bias=", "fc1.weight="]),
        (f"{APPLY} --seed 3 -r fc1.b", ["fc1.bias="]),
        (f"{APPLY} -r fc1.bias=z", ["fc1.bias=zero_hadamard", "fc1.bias=zeros"]),
        (f"{APPLY} -r fc1.bias=ke", ["fc1.bias=keep"]),
        (f"{APPLY} -r *=normal:", ["*=normal:mean=", "*=normal:std="]),
        (f"{APPLY} -r *=normal:mean=0,", ["*=normal:mean=0,std="]),
        (f"{APPLY} -r *=kaiming_normal:mode=", ["*=kaiming_normal:mode=fan_in", "*=kaiming_normal:mode=fan_out"]),
        (f"{APPLY} -r *=na", ["*=nan"]),
        (f"{APPLY} -r *=bi", ["*=bias_from_prob"]),
        (f"{APPLY} -r *=spectral:g", ["*=spectral:gain=", "*=spectral:groups="]),
        (f"{APPLY} --base", ["--base-config "]),
        (f"{APPLY} --base-config ", []),
        (f"{APPLY} -r *=nothing:", []),
        (f"{APPLY} --rows fc1", ["fc1.bias=", "fc1.weight="]),
        (f"{APPLY} --dims fc1.bias=", []),
        (f"{APPLY} --set-config ", []),
        ("initctl apply missing.safetensors -r fc", []),
        ("initctl inspect net.safetensors fc1.", ["fc1.bias ", "fc1.weight "]),
        ("initctl stats net.safetensors fc1.", ["fc1.bias ", "fc1.weight "]),
        ("initctl diff a.safetensors ", []),
        ("initctl diff net.safetensors b.safetensors fc1.w", ["fc1.weight "]),
        ("initctl doctor net.safetensors fc1.", ["fc1.bias ", "fc1.weight "]),
        ("initctl doctor net.safetensors --select values.n", ["values.nan "]),
        ("initctl doctor net.safetensors --format s", ["sarif "]),
        ("initctl suggest net.safetensors --activation t", ["tanh "]),
        ("initctl presets lla", ["llama ", "llama4 ", "llava "]),
        ("initctl initializers rel", ["relu "]),
        ("initctl help pat", ["patterns "]),
        ("initctl completion b", ["bash "]),
        (f"{APPLY} -o ", []),
        (f"{APPLY} another ", []),
    ],
)
def test_the_last_word_is_completed_by_what_may_come_there(net, line, found):
    assert candidates(line) == found


def test_every_topic_and_command_is_explained_by_help(net):
    assert candidates("initctl help ") == sorted(f"{name} " for name in {*TOPICS, *SUMMARIES})


def test_fields_of_config_are_completed(folder):
    checkpoint(folder / "model.safetensors", {"fc.bias": ("F32", (3,))})
    (folder / "config.json").write_text('{"num_labels": 3, "text_config": {"vocab_size": 3}, "odd $name": 1}')
    found = candidates(f"initctl plan {folder} --set-config ")
    assert found == ["num_labels=", "text_config.vocab_size="]


def test_many_names_are_completed_up_to_the_next_dot(folder):
    names = [f"model.layers.{layer}.{part}.weight" for layer in range(40) for part in ("q", "k")]
    checkpoint(folder / "many.safetensors", dict.fromkeys([*names, "head"], ("F32", (2, 2))))
    assert candidates("initctl stats many.safetensors ") == ["head ", "model."]
    assert candidates("initctl stats many.safetensors model.layers.3") == [
        f"model.layers.{layer}.{part}.weight " for layer in sorted([3, *range(30, 40)], key=str) for part in "kq"
    ]
    assert candidates("initctl apply many.safetensors -r mod") == ["model."]
    assert candidates("initctl apply many.safetensors -r he") == ["head="]


def test_a_name_that_a_shell_would_run_or_expand_is_not_listed(folder):
    hostile = ["a$(touch x)", "a`touch x`", "a;x", "a b", "a*", "a'", 'a"', "a\\", "a\nb", "a&", "a|b", "a>x", "a~"]
    checkpoint(folder / "hostile.safetensors", dict.fromkeys([*hostile, "-a", "a.fine", "é.fine"], ("F32", (1,))))
    assert candidates("initctl stats hostile.safetensors ") == ["a.fine ", "é.fine "]
    assert candidates("initctl apply hostile.safetensors -r a") == ["a.fine="]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_there_is_a_script_for_each_shell(call, shell):
    assert call("completion", shell).out == SCRIPTS[shell]
    if shell != "powershell" and (program := shutil.which(shell)):
        subprocess.run([program, "-n"], input=SCRIPTS[shell], text=True, check=True)


def test_an_unknown_shell_is_refused(call):
    assert call("completion", "bsh").err == "initctl: error: unknown shell bsh; did you mean bash?\n"
    assert call("completion").status == 2


@pytest.fixture
def bash(net):
    """Runs what is typed, tabs and all, in an interactive bash, and gives all that its terminal shows."""

    def bash(*lines: str) -> str:
        controller, terminal = pty.openpty()
        shell = ["bash", "--norc", "--noprofile", "-i"]
        variables = {**environment(), "PS1": "", "TERM": "dumb", "COLUMNS": "400"}
        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        with subprocess.Popen(shell, **streams, env=variables, start_new_session=True) as process:
            os.close(terminal)
            os.write(controller, "\n".join(["bind 'set enable-bracketed-paste off'", *lines, "exit", ""]).encode())
            shown = b""
            try:
                while part := os.read(controller, 1 << 16):
                    shown += part
            except OSError:  # the terminal is closed
                pass
        os.close(controller)
        assert process.returncode == 0
        return shown.decode()

    return bash


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize(
    ("typed", "row"),
    [
        ("initctl pla\tnet.safetensors -r fc1.w\tzeros", "fc1.weight"),
        ("initctl plan net.safetensors -r 'fc1.w\tzeros'", "fc1.weight"),
        ("initctl plan net.saf\t -r fc1.bias=zeros", "fc1.bias"),
        ("initctl plan net.safetensors -r '*.bias=zero\ts'", "fc1.bias"),
        ("initctl plan net.safetensors -r fc1.bias=constant:v\t3", "constant val=3"),
        ("initctl plan net.safetensors --allow-u\t-r fc1.bias=zero\ts", "fc1.bias"),
    ],
)
def test_in_bash_a_tab_completes_a_command_that_then_runs(bash, typed, row):
    shown = bash('eval "$(initctl completion bash)"', typed)
    assert row in shown
    assert "seed 0" in shown
    assert "error" not in shown
