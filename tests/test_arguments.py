"""Python's callers read arguments where the command line has options: in errors and in warnings."""

from __future__ import annotations

import ast
import inspect
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import initctl
from initctl.arguments import ARGUMENTS, in_python
from initctl.request import Asked
from tests.cli.processes import initctl as command

PACKAGE = Path(initctl.__file__).parent
OPTION = re.compile(r"(?<![\w'.-])(--[a-z][a-z-]*|-[a-z](?![\w(]))")
OF_OTHERS = {
    "-m",
    "--backend",
    "--recursive",
    "--target-pipeline-parallel-size",
    "--target-tensor-parallel-size",
}
"""Options of other programs."""
NO_OPTIONS = {"initializers/builtin.py", "demo.py", "diagnosing/check.py", "diagnosing/diagnosis.py"}
"""Formulas, and whole command lines to be pasted into a shell."""


def sentences():
    """All texts of the package outside of the command line itself, but for docstrings, each with its file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        if name.startswith("cli/") or name in {*NO_OPTIONS, "arguments.py"}:
            continue
        tree = ast.parse(path.read_text())
        explaining = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in explaining:
                yield name, node.value


def test_every_option_that_a_message_names_is_an_argument_in_python():
    named = {option for _, text in sentences() for option in OPTION.findall(text)}
    left = {option for _, text in sentences() for option in OPTION.findall(in_python(text))}
    assert len(named) > 20
    assert left == OF_OTHERS


def test_a_message_that_begins_with_an_option_begins_with_the_argument_in_python():
    options = {option.removeprefix("--") for option in ARGUMENTS if option.startswith("--") and " " not in option}
    options -= {"plan", *filter(str.isidentifier, ARGUMENTS.values())}
    begun = {text for _, text in sentences() if text.partition(": ")[0] in options and ": " in text}
    assert [text for text in begun if in_python(text).partition(": ")[0] == text.partition(": ")[0]] == []


def test_every_phrase_that_python_says_in_other_words_is_in_a_message():
    texts = [text for _, text in sentences()]
    phrases = [phrase for phrase in ARGUMENTS if " " in phrase or ":" in phrase]
    assert [phrase for phrase in phrases if not any(phrase in text for text in texts)] == []


def test_each_argument_is_one_that_a_function_takes():
    functions = [getattr(initctl, name) for name in initctl.__all__ if inspect.isfunction(getattr(initctl, name))]
    taken = {name for function in functions for name in inspect.signature(function).parameters}
    words = {
        argument.partition("=")[0] for argument in ARGUMENTS.values() if not {" ", ":"} & {*argument.partition("(")[0]}
    }
    for word in words - taken - Asked.__annotations__.keys() - {"unfold"}:
        found = initctl
        for name in word.partition("(")[0].removeprefix("initctl.").split("."):
            found = getattr(found, name)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("use -o OUT or --in-place", "use `output` or in_place=True"),
        ("use fewer --threads", "use fewer `threads`"),
        ("apply needs --stale drop, or --stale keep", "apply needs stale='drop', or stale='keep'"),
        ("add --root ''", "add root=''"),
        ("by -r, as in -r '*.bias=zeros', or with -p", "by `rules`, as in rules=['*.bias=zeros'], or with `preset`"),
        ("consider -p qwen2", "consider preset='qwen2'"),
        ("leave --component out", "leave `component` out"),
        ("add --component unet, which", "add component='unet', which"),
        ("--max-shard-size 5GB for shards", "max_shard_size='5GB' for shards"),
        ("leave --no-clobber out to replace it", "leave overwrite=False out to replace it"),
        ("'--force': no such file", "'--force': no such file"),
        ("a--force-x -or --patched", "a--force-x -or --patched"),
    ],
)  # fmt: skip
def test_options_and_their_values_become_arguments(message, told):
    assert in_python(message) == told


@pytest.fixture
def net(tmp_path):
    save_file({"fc.weight": torch.ones(4, 4), "fc.bias": torch.ones(4)}, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_an_error_names_arguments_in_python_and_options_on_the_command_line(net):
    with pytest.raises(initctl.UsageError) as raised:
        initctl.apply(net, rules=["*=zeros"])
    assert "`output` or in_place=True" in str(raised.value)
    assert "-o OUT or --in-place" in command("apply", str(net), "-r", "*=zeros").err
    assert "-o OUT or --in-place" in raised.value.problems[0].hint


def test_an_error_comes_whole_out_of_another_process():
    error = initctl.FitError(initctl.Problem("a", "first", "use --in-place"), initctl.Problem("b", "second"))
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), copied.problems) == (initctl.FitError, error.problems)
    assert str(copied) == "first; use in_place=True\nsecond"


RULES = ["{fc,fd}.*=zeros"]
TOLD = "rule 1 ({fc,fd}.*=zeros): {fc,fd}.* by fd matches no tensor"


class TestWarnings:
    @pytest.fixture(autouse=True)
    def _issued(self):
        warnings.simplefilter("always", initctl.InitctlWarning)

    @pytest.mark.parametrize(
        "call",
        [
            lambda net, out: initctl.plan(net, rules=RULES),
            lambda net, out: initctl.apply(net, out, rules=RULES),
            lambda net, out: initctl.verify(net, net, rules=RULES),
        ],
    )
    def test_a_warning_is_issued_once_at_the_line_of_the_caller(self, net, tmp_path, call):
        with pytest.warns(initctl.InitctlWarning, match="rule 1 .*matches no tensor") as issued:
            call(net, tmp_path / "out.safetensors")
        assert [warning.filename for warning in issued] == [__file__]

    def test_a_plan_that_is_applied_or_verified_warns_no_second_time(self, net, tmp_path):
        with pytest.warns(initctl.InitctlWarning):
            plan = initctl.plan(net, rules=RULES)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            initctl.apply(plan, tmp_path / "out.safetensors")
            assert initctl.verify(plan, tmp_path / "out.safetensors")

    def test_a_warning_that_is_made_an_error_ends_the_call_before_anything_is_written(self, net, tmp_path):
        warnings.simplefilter("error", initctl.InitctlWarning)
        for output in ("out.safetensors", "out.weights"):
            with pytest.raises(initctl.InitctlWarning):
                initctl.apply(net, tmp_path / output, rules=RULES if output != "out.weights" else ["fc.*=zeros"])
            assert not (tmp_path / output).exists()

    def test_functions_that_only_read_warn_of_what_is_odd_in_a_checkpoint(self, tmp_path):
        state = {"fc.weight": torch.ones(4, 4)}
        torch.save({"model": state, "ema": {name: tensor + 1 for name, tensor in state.items()}}, tmp_path / "m.pt")
        for call in (initctl.inspect, initctl.stats, initctl.doctor, initctl.suggest):
            with pytest.warns(initctl.InitctlWarning, match="use `root` to choose another") as issued:
                call(tmp_path / "m.pt")
            assert [warning.filename for warning in issued] == [__file__]

    def test_the_command_line_reports_them_in_its_own_way_alone(self, net):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "initctl", "plan", str(net), "-r", RULES[0]],
            env={**os.environ, "PYTHONWARNINGS": "error"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert done.stderr.startswith("initctl: warning: rule 1 ")
        assert len(done.stderr.splitlines()) == 1
