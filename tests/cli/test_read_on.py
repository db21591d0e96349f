"""A failure that a topic explains ends with a line that names this topic."""

from __future__ import annotations

import pytest

from tests.cli.processes import SEE, messages


@pytest.mark.parametrize(
    ("arguments", "topic"),
    [
        (("plan", "net.safetensors"), "rules"),
        (("plan", "net.safetensors", "-r", "fc1.weight"), "rules"),
        (("plan", "net.safetensors", "-r", "*=zeros", "-r", "*=ones"), "rules"),
        (("plan", "net.safetensors", "-r", "re:(=ones"), "patterns"),
        (("plan", "net.safetensors", "-r", "*=normal:std=sqrt("), "expressions"),
        (("plan", "net.safetensors", "-r", "fc1.bias=kaiming_normal"), "initializers"),
        (("plan", "net.safetensors", "-r", "fc1.bias=normal:std=fan_in"), "expressions"),
        (("apply", "net.safetensors", "-r", "*.bias=zeros"), "output"),
        (("apply", "net.safetensors", "-o", "x.gguf", "-r", "*.bias=zeros"), "output"),
        (("plan", "net.safetensors", "-r", "*.bias=zeros", "--root", "model"), "torch"),
        (("verify", "net.safetensors", "-r", "fc1.weight=scale:by=2"), "verify"),
        (("doctor", "net.safetensors", "--select", "zzz"), "doctor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failure_names_the_topic_to_read_in_its_last_line_and_in_json(net, call, arguments, topic):
    done = call(*arguments)
    assert done.err.splitlines()[-1] == f"see: initctl help {topic}"
    assert len(messages(done.err)) == 1
    assert [error["topic"] for error in call(*arguments, "--json").document["errors"]] == [topic]


def test_several_faults_have_one_such_line_which_names_each_topic_once(net, call):
    rules = ("fc1.bias=kaiming_normal", "fc2.weight=ones", "fc2.weight=zeros", "steps=normal")
    done = call("plan", "net.safetensors", *(word for rule in rules for word in ("-r", rule)))
    assert len(messages(done.err)) == 3
    (line,) = [line for line in done.err.splitlines() if SEE.fullmatch(line)]
    assert line == done.err.splitlines()[-1] == "see: initctl help rules, initctl help initializers"


def test_a_topic_that_the_hint_of_another_fault_names_is_not_named_again(net, call):
    done = call("plan", "net.safetensors", "--rows", "fc1.bias=600", "-r", "fc2.weight[600:]=ones")
    assert len(messages(done.err)) == 2
    assert done.err.count("initctl help rows") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "net.safetensors", "-r", "fc1.wieght=ones"), "did you mean fc1.weight?"),
        (("plan", "net.safetensors", "-r", "*=nrmal"), "did you mean normal or he_normal?"),
        (("plan", "net.safetensors", "-r", "zzz=ones"), "; `initctl inspect` lists the names, such as fc2.weight"),
        (("plan", "net.safetensors", "-p", "zzz"), "; `initctl presets` lists them"),
        (("plan", "net.safetensors", "--zzz"), "; see initctl plan --help"),
        (("inspect", "missing"), "no such file or directory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failure_that_proposes_what_to_type_names_no_topic(net, call, arguments, words):
    (line,) = call(*arguments).err.rstrip("\n").split("\n  ")[0].splitlines()
    assert line.endswith(words)
    assert "see: " not in call(*arguments).err


def test_a_warning_names_its_topic_in_json_only(net, call):
    done = call("plan", "net.safetensors", "-r", "{fc1,fc9}.bias=zeros", "--json")
    assert (done.status, len(done.err.splitlines())) == (0, 1)
    assert [warning["topic"] for warning in done.document["warnings"]] == ["patterns"]
