"""`initctl inspect`: a table of all tensors, or of those that patterns name."""

from __future__ import annotations

import pytest

import initctl


def test_without_patterns_it_is_the_table_of_the_library(net, call):
    done = call("inspect", net.name, "--json")
    assert (done.status, done.document["data"]) == (0, initctl.inspect(net).to_json())


def test_patterns_name_the_tensors_that_are_listed_and_counted(net, call):
    names = [tensor.name for tensor in initctl.inspect(net).tensors]
    wanted = [name for name in names if name.endswith("bias")]
    data = call("inspect", net.name, "*.bias", names[0], "--json").document["data"]
    assert [tensor["name"] for tensor in data["tensors"]] == [name for name in names if name in {*wanted, names[0]}]
    assert data["totals"]["elements"] == sum(tensor["elements"] for tensor in data["tensors"])
    assert [line.split()[0] for line in call("inspect", net.name, "*.bias").out.splitlines()[1:-2]] == wanted


@pytest.mark.parametrize(
    ("pattern", "status", "message"),
    [
        ("none*", 4, "pattern none*: matches no tensor; "),
        ("*.bias[:3]", 2, "pattern *.bias[:3]: selects rows; name whole tensors"),
    ],
)
def test_a_pattern_that_lists_nothing_is_one_line_and_a_status(net, call, pattern, status, message):
    done = call("inspect", net.name, pattern)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"initctl: error: {message}")
