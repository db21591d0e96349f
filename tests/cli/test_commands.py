"""Every command works as a script and as a module, for people and for programs."""

from __future__ import annotations

import json
import re

import pytest
from safetensors.numpy import load_file

from initctl import __version__
from initctl.initializers import REGISTRY
from tests.cli.checkpoints import NET, shards
from tests.cli.processes import MODULE, SCRIPT, initctl

BOTH = pytest.mark.parametrize("command", [SCRIPT, MODULE], ids=["script", "module"])


@BOTH
def test_apply_writes_the_checkpoint_and_says_so(net, command):
    done = initctl("apply", "net.safetensors", "-o", "out.safetensors", "-r", "*.bias=ones", command=command)
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[-1] == "wrote out.safetensors (1 file)"
    assert load_file("out.safetensors")["fc1.bias"].tolist() == [1, 1, 1, 1]
    assert load_file("out.safetensors")["steps"].tobytes() == bytes(range(16))


@BOTH
def test_plan_shows_what_apply_would_do_and_writes_nothing(net, folder, command):
    done = initctl("plan", "net.safetensors", "--rule", "fc1.weight=kaiming_normal", command=command)
    assert (done.status, done.err) == (0, "")
    assert "kaiming_normal fan_in=3 std=0.816497" in done.out
    assert list(folder.iterdir()) == [net]


@BOTH
def test_inspect_lists_the_tensors(net, command):
    done = initctl("inspect", "net.safetensors", command=command)
    assert (done.status, done.err) == (0, "")
    assert [line.split()[0] for line in done.out.splitlines()[1:5]] == list(NET)


@BOTH
def test_initializers_lists_them(folder, command):
    done = initctl("initializers", command=command)
    assert (done.status, done.err) == (0, "")
    assert [line.partition(" ")[0].partition(":")[0] for line in done.out.splitlines()][1:] == [
        i.name for i in REGISTRY
    ]


def test_the_version_is_the_packages(call):
    assert call("--version").out == f"initctl {__version__}\n"


class TestJson:
    def data(self, done, command):
        """The data of the one document that a success writes."""
        document = done.document
        assert (done.status, done.err) == (0, "")
        assert list(document) == ["schema", "command", "status", "exit_code", "data", "warnings", "errors"]
        assert (document["command"], document["status"], document["exit_code"]) == (command, "ok", 0)
        return document["data"]

    def test_of_plan_has_actions_and_what_is_kept(self, net, call):
        data = self.data(call("plan", "net.safetensors", "-r", "fc1.weight=he_normal", "--json"), "plan")
        fields = ["checkpoint", "format", "root", "seed", "rng", "actions", "kept", "resets", "set_config", "totals"]
        assert list(data) == fields
        (action,) = data["actions"]
        assert action == {
            "tensor": "fc1.weight",
            "shape": [4, 3],
            "old_shape": None,
            "dtype": "float32",
            "rows": None,
            "rule": "fc1.weight=he_normal",
            "source": "rule 1",
            "init": "kaiming_normal",
            "params": {
                "a": 0,
                "mode": "fan_in",
                "nonlinearity": "leaky_relu",
                "fan_in": 3,
                "std": pytest.approx((2 / 3) ** 0.5),
            },
            "device": "cpu",
            "elements": 12,
            "bytes": 48,
        }
        assert [kept["tensor"] for kept in data["kept"]] == ["fc1.bias", "fc2.weight", "steps"]

    def test_of_apply_is_that_of_plan_and_what_was_written(self, net, call):
        rules = ("-r", "*.bias=normal", "--seed", "7", "--json")
        planned = self.data(call("plan", "net.safetensors", *rules), "plan")
        applied = self.data(call("apply", "net.safetensors", "-o", "out.safetensors", *rules), "apply")
        assert applied == {
            **planned,
            "output": "out.safetensors",
            "files": ["out.safetensors"],
            "converted": False,
        }
        assert planned["seed"] == 7

    def test_of_inspect_is_the_table(self, net, call):
        data = self.data(call("inspect", "net.safetensors", "--json"), "inspect")
        assert list(data) == [
            "format", "root", "metadata", "contents", "tensors", "outside", "optimizers", "copies", "totals",
        ]  # fmt: skip
        assert [tensor["name"] for tensor in data["tensors"]] == list(NET)

    def test_of_initializers_is_all_of_them_or_the_one_named(self, call):
        everything = self.data(call("initializers", "--json"), "initializers")["initializers"]
        one = self.data(call("initializers", "glorot_normal", "--json"), "initializers")
        assert one in everything
        assert one["name"] == "xavier_normal"

    def test_is_the_same_from_a_process(self, net, call):
        arguments = ("plan", "net.safetensors", "-r", "*=ones", "--json")
        assert initctl(*arguments, command=MODULE) == call(*arguments)

    def test_tells_warnings_too(self, net, call):
        done = call("plan", "net.safetensors", "-r", "*=ones", "--json")
        (warning,) = done.document["warnings"]
        assert warning["code"] == "rule.left_alone"
        assert done.err == f"initctl: warning: {warning['message']}; {warning['hint']}\n"


def test_quiet_writes_no_result_but_warnings(net, call):
    done = call("apply", "net.safetensors", "-o", "out.safetensors", "-r", "*=ones", "--quiet")
    assert (done.status, done.out) == (0, "")
    assert done.err.startswith("initctl: warning: rule 1 (*=ones): does not fill steps (int64)")
    assert load_file("out.safetensors")["fc2.weight"].all()


def test_verbose_logs_to_stderr_what_the_result_does_not_say(net, call):
    arguments = ("apply", "net.safetensors", "-o", "out.safetensors", "-r", "*.bias=ones")
    brief = call(*arguments)
    (net.parent / "out.safetensors").unlink()
    verbose = call(*arguments, "--verbose")
    assert brief.out == verbose.out
    assert brief.err == ""
    assert re.fullmatch(
        r"initctl: safetensors: 4 tensors, 1 file\n"
        r"initctl: cpu: engine numpy: too little work to load compiled code\n"
        r"initctl: 1 file written in [0-9.]+ s\n",
        verbose.err,
    )


def test_all_unfolds_long_lists(folder, call):
    shards(folder / "llm", one={f"layers.{n}.w": ("BF16", (2, 2)) for n in range(40)})
    for command in (["inspect", "llm"], ["plan", "llm", "-r", "*=ones"], ["apply", "llm", "-o", "out", "-r", "*=ones"]):
        assert "\nlayers.{0..39}.w ×40  [2, 2]" in call(*command).out
        assert "\nlayers.39.w  [2, 2]" in call(*command, "--all").out


@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_threads_change_nothing_but_time(net, call, threads):
    rules = ("-r", "*.weight=normal", "-r", "*.bias=uniform")
    call("apply", "net.safetensors", "-o", "all.safetensors", *rules)
    call("apply", "net.safetensors", "-o", "some.safetensors", *rules, "--threads", threads)
    with open("all.safetensors", "rb") as one, open("some.safetensors", "rb") as other:
        assert one.read() == other.read()


def test_a_seed_gives_other_values_and_the_same_ones_again(net, call):
    def values(seed):
        call("apply", "net.safetensors", "-o", "out.safetensors", "-r", "fc1.weight=normal", "--seed", seed)
        return load_file("out.safetensors")["fc1.weight"].tolist()

    first, second, again = values("0"), values(str(2**64 - 1)), values("0")
    assert first == again
    assert first != second


def test_a_document_is_plain_json_with_a_line_for_each_tensor(net, call):
    out = call("inspect", "net.safetensors", "--json").out
    assert out.endswith("\n}\n")
    assert [json.loads(line.rstrip(",")) for line in out.splitlines() if '"shape"' in line] == (
        json.loads(out)["data"]["tensors"]
    )
